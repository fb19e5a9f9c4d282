import { PAGE_SIZE } from '../../memory/memory.js';
import { lockedExclusive, lockedShared } from '../../memory/rwlock.js';
import { Errno } from '../errno.js';
import type { PkeyCaller } from '../pkeys/abi.js';
import { Mm, TASK_SIZE } from './mm-layout.js';
import { hasPage, hasPages, MemoryObject } from './object.js';
import { populate } from './populate.js';
import { pageAlign } from './region.js';
import { syncObject } from './shared-file.js';
import { changeFlags } from './vma-flags.js';
import {
  findIndex,
  findVma,
  VmFlag,
  vmaAt,
  vmaCount,
  vmaEnd,
  vmaFlags,
  vmaObject,
  vmaOffset,
  vmaStart,
} from './vma.js';

/** Calls about which pages are in memory: mincore, mlock and relatives, msync (mm/mincore.c, mm/mlock.c, mm/msync.c). */

/** Pages that one round of mincore looks at: their answers fill a page. */
const MINCORE_PAGES = PAGE_SIZE;

/** mincore(2): 0 or −errno. */
export function mincore(caller: PkeyCaller, start: number, bytes: number, vector: number): number {
  if (start % PAGE_SIZE !== 0) return -Errno.EINVAL;
  if (start + bytes > TASK_SIZE) return -Errno.ENOMEM;
  const pages = Math.ceil(bytes / PAGE_SIZE);
  if (vector + pages > TASK_SIZE) return -Errno.EFAULT;
  for (let done = 0; done < pages; ) {
    const answer = residentPages(caller, start + done * PAGE_SIZE, Math.min(pages - done, MINCORE_PAGES));
    if (answer === null) return -Errno.ENOMEM;
    if (caller.user.writeFrom(vector + done, answer) < answer.length) return -Errno.EFAULT;
    done += answer.length;
  }
  return 0;
}

/** One byte a page up to the end of the mapping: 1 if it is in memory. Null if nothing is mapped at `start`. */
function residentPages({ memory, mm, user }: PkeyCaller, start: number, pages: number): Uint8Array | null {
  return lockedShared(memory, mm + Mm.lock, () => {
    const vma = findVma(memory, mm, start);
    if (vma === 0) return null;
    const answer = new Uint8Array(Math.min(pages, (vmaEnd(memory, vma) - start) / PAGE_SIZE));
    const object = vmaObject(memory, vma);
    const root = memory.loadU32(mm);
    for (let i = 0; i < answer.length; i++) {
      const page = start + i * PAGE_SIZE;
      const offset = page - vmaStart(memory, vma) + vmaOffset(memory, vma);
      if (
        user.mmu.ops.count(root, page, page + PAGE_SIZE) ||
        (hasPages(memory, object) && hasPage(user.mmu, object, offset))
      ) {
        answer[i] = 1;
      }
    }
    return answer;
  });
}

const MS_ASYNC = 1;
const MS_INVALIDATE = 2;
const MS_SYNC = 4;

/** msync(2): shared mappings of files are written to the host's files. */
export function msync({ memory, mm }: PkeyCaller, start: number, bytes: number, flags: number): number {
  if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) return -Errno.EINVAL;
  if (start % PAGE_SIZE !== 0) return -Errno.EINVAL;
  if (flags & MS_ASYNC && flags & MS_SYNC) return -Errno.EINVAL;
  const end = start + pageAlign(bytes);
  if (end >= 2 ** 64) return -Errno.ENOMEM;
  return lockedShared(memory, mm + Mm.lock, () => {
    let result = 0;
    for (let at = start; at < end; ) {
      const index = findIndex(memory, mm, at);
      if (index === vmaCount(memory, mm)) return -Errno.ENOMEM;
      const vma = vmaAt(memory, mm, index);
      if (vmaStart(memory, vma) > at) {
        result = -Errno.ENOMEM;
        at = vmaStart(memory, vma);
        if (at >= end) break;
      }
      if (flags & MS_INVALIDATE && vmaFlags(memory, vma) & VmFlag.locked) return -Errno.EBUSY;
      const object = vmaObject(memory, vma);
      if (object !== 0 && memory.loadU32(object + MemoryObject.file) !== 0 && !(flags & MS_ASYNC)) {
        const shift = vmaOffset(memory, vma) - vmaStart(memory, vma);
        syncObject(memory, object, at + shift, Math.min(end, vmaEnd(memory, vma)) + shift);
      }
      at = vmaEnd(memory, vma);
    }
    return result;
  });
}

const MLOCK_ONFAULT = 1;

/** mlock(2), mlock2(2). Nothing is ever paged out; the pages are made, and the mapping remembers. */
export function mlock(caller: PkeyCaller, start: number, bytes: number, flags: number): number {
  if (flags & ~MLOCK_ONFAULT) return -Errno.EINVAL;
  const range = lockRange(start, bytes);
  if (typeof range === 'number') return range;
  const result = setLocked(caller, range, true);
  if (result || flags & MLOCK_ONFAULT) return result;
  // __mlock_posix_error_return
  return populate(caller.user.mmu, caller.mm, range.start, range.end) ? -Errno.ENOMEM : 0;
}

export function munlock(caller: PkeyCaller, start: number, bytes: number): number {
  const range = lockRange(start, bytes);
  return typeof range === 'number' ? range : setLocked(caller, range, false);
}

interface Range {
  start: number;
  end: number;
}

/** Whole pages; a number is the result of the call. */
function lockRange(start: number, bytes: number): Range | number {
  const length = pageAlign(bytes + (start % PAGE_SIZE));
  const first = start - (start % PAGE_SIZE);
  if (length >= 2 ** 64 || first + length >= 2 ** 64) return -Errno.EINVAL;
  return length === 0 ? 0 : { start: first, end: first + length };
}

/** apply_vma_lock_flags. */
function setLocked({ memory, mm, user }: PkeyCaller, { start, end }: Range, locked: boolean): number {
  return lockedExclusive(memory, mm + Mm.lock, () => {
    for (let at = start; at < end; ) {
      const vma = findVma(memory, mm, at);
      if (vma === 0) return -Errno.ENOMEM;
      const stop = Math.min(end, vmaEnd(memory, vma));
      const set = locked ? VmFlag.locked : 0;
      const result = changeFlags(user.mmu, mm, at, stop, set, VmFlag.locked & ~set);
      if (result) return result;
      at = stop;
    }
    return 0;
  });
}

const MCL_CURRENT = 1;
const MCL_FUTURE = 2;
const MCL_ONFAULT = 4;

/** mlockall(2). */
export function mlockall(caller: PkeyCaller, flags: number): number {
  if (flags === 0 || flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) || flags === MCL_ONFAULT) {
    return -Errno.EINVAL;
  }
  const { mm, user } = caller;
  const ranges = lockAll(caller, (flags & MCL_FUTURE) !== 0, (flags & MCL_CURRENT) !== 0, true);
  if (!(flags & MCL_ONFAULT)) for (const { start, end } of ranges) populate(user.mmu, mm, start, end);
  return 0;
}

export function munlockall(caller: PkeyCaller): number {
  lockAll(caller, false, true, false);
  return 0;
}

/** apply_mlockall_flags: returns the ranges of all mappings, if they were changed. */
function lockAll(
  { memory, mm, user }: PkeyCaller,
  future: boolean,
  current: boolean,
  locked: boolean,
): Range[] {
  const ranges: Range[] = [];
  return lockedExclusive(memory, mm + Mm.lock, () => {
    memory.store32(mm + Mm.lockFuture, future ? MCL_FUTURE : 0);
    if (!current) return [];
    for (let i = 0; i < vmaCount(memory, mm); i++) {
      const vma = vmaAt(memory, mm, i);
      ranges.push({ start: vmaStart(memory, vma), end: vmaEnd(memory, vma) });
    }
    const set = locked ? VmFlag.locked : 0;
    for (const { start, end } of ranges) changeFlags(user.mmu, mm, start, end, set, VmFlag.locked & ~set);
    return ranges;
  });
}
