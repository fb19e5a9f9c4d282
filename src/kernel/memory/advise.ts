import { PfError } from '../../cpu/state.js';
import { PAGE_SIZE } from '../../memory/memory.js';
import { lockedExclusive, lockedShared } from '../../memory/rwlock.js';
import { Prot } from '../../mmu/pte.js';
import { Errno } from '../errno.js';
import type { PkeyCaller } from '../pkeys/abi.js';
import { Fault } from './fault.js';
import { Mm } from './mm-layout.js';
import { makePageFor } from './populate.js';
import { dropPages, pageAlign } from './region.js';
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
  vmaProt,
  vmaStart,
} from './vma.js';

/** madvise(2) (mm/madvise.c). */

const Advice = {
  NORMAL: 0,
  RANDOM: 1,
  SEQUENTIAL: 2,
  WILLNEED: 3,
  DONTNEED: 4,
  FREE: 8,
  REMOVE: 9,
  DONTFORK: 10,
  DOFORK: 11,
  MERGEABLE: 12,
  UNMERGEABLE: 13,
  HUGEPAGE: 14,
  NOHUGEPAGE: 15,
  DONTDUMP: 16,
  DODUMP: 17,
  WIPEONFORK: 18,
  KEEPONFORK: 19,
  COLD: 20,
  PAGEOUT: 21,
  POPULATE_READ: 22,
  POPULATE_WRITE: 23,
  DONTNEED_LOCKED: 24,
} as const;

const VALID = new Set<number>(Object.values(Advice));

/** VmFlag bits that an advice sets and clears. */
const FLAG_CHANGES: Readonly<Record<number, { set: number; clear: number }>> = {
  [Advice.NORMAL]: { set: 0, clear: VmFlag.randomRead | VmFlag.sequentialRead },
  [Advice.RANDOM]: { set: VmFlag.randomRead, clear: VmFlag.sequentialRead },
  [Advice.SEQUENTIAL]: { set: VmFlag.sequentialRead, clear: VmFlag.randomRead },
  [Advice.DONTFORK]: { set: VmFlag.dontFork, clear: 0 },
  [Advice.DOFORK]: { set: 0, clear: VmFlag.dontFork },
  [Advice.MERGEABLE]: { set: VmFlag.mergeable, clear: 0 },
  [Advice.UNMERGEABLE]: { set: 0, clear: VmFlag.mergeable },
  [Advice.HUGEPAGE]: { set: VmFlag.hugePage, clear: VmFlag.noHugePage },
  [Advice.NOHUGEPAGE]: { set: VmFlag.noHugePage, clear: VmFlag.hugePage },
  [Advice.DONTDUMP]: { set: VmFlag.dontDump, clear: 0 },
  [Advice.DODUMP]: { set: 0, clear: VmFlag.dontDump },
  [Advice.WIPEONFORK]: { set: VmFlag.wipeOnFork, clear: 0 },
  [Advice.KEEPONFORK]: { set: 0, clear: VmFlag.wipeOnFork },
};

/** @returns 0 or −errno */
export function madvise(caller: PkeyCaller, start: number, bytes: number, advice: number): number {
  if (!VALID.has(advice)) return -Errno.EINVAL;
  if (start % PAGE_SIZE !== 0) return -Errno.EINVAL;
  const length = pageAlign(bytes);
  if (length >= 2 ** 64 || start + length >= 2 ** 64) return -Errno.EINVAL;
  if (length === 0) return 0;
  const end = start + length;
  if (advice === Advice.POPULATE_READ || advice === Advice.POPULATE_WRITE) {
    return populateRange(caller, start, end, advice === Advice.POPULATE_WRITE);
  }
  const { memory, mm } = caller;
  return lockedExclusive(memory, mm + Mm.lock, () => adviseRange(caller, start, end, advice));
}

/** madvise_walk_vmas: holes are skipped, and reported at the end. */
function adviseRange(caller: PkeyCaller, start: number, end: number, advice: number): number {
  const { memory, mm } = caller;
  let unmapped = 0;
  let at = start;
  for (;;) {
    const index = findIndex(memory, mm, at);
    if (index === vmaCount(memory, mm)) return -Errno.ENOMEM;
    const vma = vmaAt(memory, mm, index);
    const vmStart = vmaStart(memory, vma);
    if (at < vmStart) {
      unmapped = -Errno.ENOMEM;
      at = vmStart;
      if (at >= end) return unmapped;
    }
    const stop = Math.min(end, vmaEnd(memory, vma));
    const result = adviseMapping(caller, vma, at, stop, advice);
    if (result) return result;
    at = stop;
    if (at >= end) return unmapped;
  }
}

/** madvise_vma_behavior for a part of one mapping. */
function adviseMapping(
  { memory, mm, user }: PkeyCaller,
  vma: number,
  start: number,
  end: number,
  advice: number,
): number {
  const flags = vmaFlags(memory, vma);
  const anonymous = vmaObject(memory, vma) === 0;
  switch (advice) {
    case Advice.WILLNEED:
      return 0;
    case Advice.COLD:
    case Advice.PAGEOUT:
      return flags & VmFlag.locked ? -Errno.EINVAL : 0;
    case Advice.FREE:
      // The pages may be kept as long as there is memory; but only anonymous ones may be freed at all.
      return anonymous && !(flags & VmFlag.locked) ? 0 : -Errno.EINVAL;
    case Advice.DONTNEED:
    case Advice.DONTNEED_LOCKED:
      if (advice === Advice.DONTNEED && flags & VmFlag.locked) return -Errno.EINVAL;
      // Later accesses find zero pages, or the object's.
      dropPages(user.mmu, mm, start, end, (vmaProt(memory, vma) & Prot.exec) !== 0);
      return 0;
    case Advice.REMOVE:
      // Punching holes is for files in memory, which private mappings are not.
      if (flags & VmFlag.locked || anonymous) return -Errno.EINVAL;
      return flags & VmFlag.shared ? -Errno.EOPNOTSUPP : -Errno.EACCES;
    case Advice.WIPEONFORK:
      if (!anonymous || flags & VmFlag.shared) return -Errno.EINVAL;
  }
  const change = FLAG_CHANGES[advice];
  return changeFlags(user.mmu, mm, start, end, change.set, change.clear);
}

/** MADV_POPULATE_READ and _WRITE (faultin_page_range). */
function populateRange(caller: PkeyCaller, start: number, end: number, write: boolean): number {
  const { memory, mm, user } = caller;
  for (let page = start; page < end; page += PAGE_SIZE) {
    const prot = lockedShared(memory, mm + Mm.lock, () => {
      const vma = findVma(memory, mm, page);
      return vma === 0 ? null : vmaProt(memory, vma);
    });
    if (prot === null) return -Errno.ENOMEM;
    if (!(prot & (write ? Prot.write : Prot.read))) return -Errno.EINVAL;
    const fault = makePageFor(user.mmu, mm, page, write ? PfError.write : 0);
    if (fault === Fault.bus) return -Errno.EFAULT;
    if (fault !== Fault.handled) return -Errno.ENOMEM;
  }
  return 0;
}
