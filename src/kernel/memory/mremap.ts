import { PAGE_SIZE } from '../../memory/memory.js';
import { lockedExclusive } from '../../memory/rwlock.js';
import { Prot } from '../../mmu/pte.js';
import { Errno } from '../errno.js';
import type { PkeyCaller } from '../pkeys/abi.js';
import { enoughMemory } from './mmap.js';
import { Mm, TASK_SIZE } from './mm-layout.js';
import { holdObject } from './object.js';
import { findPlace, startWithGap } from './place.js';
import { populate } from './populate.js';
import { addRegion, mergeRegions, pageAlign, removeRegion } from './region.js';
import {
  findIndex,
  findVma,
  intersects,
  MAX_MAP_COUNT,
  VmFlag,
  Vma,
  vmaAt,
  vmaCount,
  vmaEnd,
  vmaFlags,
  vmaKey,
  vmaObject,
  vmaOffset,
  vmaProt,
  vmaStart,
} from './vma.js';

/** mremap(2) (mm/mremap.c). */

const MREMAP_MAYMOVE = 1;
const MREMAP_FIXED = 2;
const MREMAP_DONTUNMAP = 4;
const KNOWN_FLAGS = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

/** @returns the new address or −errno */
export function mremap(
  caller: PkeyCaller,
  address: number,
  oldBytes: number,
  newBytes: number,
  flags: number,
  target: number,
): number {
  if (flags > KNOWN_FLAGS) return -Errno.EINVAL;
  if (flags & MREMAP_FIXED && !(flags & MREMAP_MAYMOVE)) return -Errno.EINVAL;
  if (flags & MREMAP_DONTUNMAP && (!(flags & MREMAP_MAYMOVE) || oldBytes !== newBytes)) return -Errno.EINVAL;
  if (address % PAGE_SIZE !== 0) return -Errno.EINVAL;
  const oldLength = pageAlign(oldBytes);
  // A length that rounds up beyond 64 bits is 0.
  const newLength = newBytes > 2 ** 64 - PAGE_SIZE ? 0 : pageAlign(newBytes);
  if (newLength === 0) return -Errno.EINVAL;
  const { memory, mm, user } = caller;
  let locked = false;
  const result = lockedExclusive(memory, mm + Mm.lock, () => {
    const vma = findVma(memory, mm, address);
    if (vma === 0) return -Errno.EFAULT;
    locked = (vmaFlags(memory, vma) & VmFlag.locked) !== 0;
    return flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)
      ? remapTo(caller, address, oldLength, newLength, flags, target)
      : resize(caller, address, oldLength, newLength, flags);
  });
  if (result >= 0 && locked && newLength > oldLength) {
    populate(user.mmu, mm, result + oldLength, result + newLength);
  }
  return result;
}

function resize(
  caller: PkeyCaller,
  address: number,
  oldLength: number,
  newLength: number,
  flags: number,
): number {
  const { memory, mm, user } = caller;
  if (oldLength >= newLength) {
    if (oldLength === newLength) return address;
    const removed = removeRange(caller, address + newLength, oldLength - newLength);
    return removed < 0 ? removed : address;
  }
  const refused = checkResize(caller, address, oldLength, newLength, flags);
  if (refused) return refused;
  const index = findIndex(memory, mm, address);
  const vma = vmaAt(memory, mm, index);
  if (oldLength === vmaEnd(memory, vma) - address && canExpand(caller, index, newLength - oldLength)) {
    memory.f64[(vma + Vma.end) >>> 3] += newLength - oldLength;
    memory.f64[(mm + Mm.mappedBytes) >>> 3] += newLength - oldLength;
    mergeRegions(user.mmu, mm, index, index);
    return address;
  }
  if (!(flags & MREMAP_MAYMOVE)) return -Errno.ENOMEM;
  const place = findPlace(memory, mm, 0, newLength);
  if (place === 0) return -Errno.ENOMEM;
  return move(caller, address, oldLength, newLength, place, flags);
}

/** do_munmap with its own checks. */
function removeRange({ mm, user }: PkeyCaller, start: number, length: number): number {
  if (start > TASK_SIZE || length > TASK_SIZE - start) return -Errno.EINVAL;
  return removeRegion(user.mmu, mm, start, start + length);
}

/** mremap_to. */
function remapTo(
  caller: PkeyCaller,
  address: number,
  oldLength: number,
  newLength: number,
  flags: number,
  target: number,
): number {
  const { memory, mm } = caller;
  if (target % PAGE_SIZE !== 0) return -Errno.EINVAL;
  if (newLength > TASK_SIZE || target > TASK_SIZE - newLength) return -Errno.EINVAL;
  if (address + oldLength > target && target + newLength > address) return -Errno.EINVAL;
  // Two may be made by splitting the old one.
  if (vmaCount(memory, mm) + 2 >= MAX_MAP_COUNT) return -Errno.ENOMEM;
  let length = oldLength;
  if (flags & MREMAP_FIXED) {
    const removed = removeRange(caller, target, newLength);
    if (removed < 0) return removed;
  }
  if (oldLength > newLength) {
    const removed = removeRange(caller, address + newLength, oldLength - newLength);
    if (removed < 0) return removed;
    length = newLength;
  }
  const refused = checkResize(caller, address, length, newLength, flags);
  if (refused) return refused;
  let place = target;
  if (!(flags & MREMAP_FIXED)) {
    place = findPlace(memory, mm, target, newLength);
    if (place === 0) return -Errno.ENOMEM;
  }
  return move(caller, address, length, newLength, place, flags);
}

/** vma_to_resize: 0 or −errno. */
function checkResize(
  { memory, mm }: PkeyCaller,
  address: number,
  oldLength: number,
  newLength: number,
  flags: number,
): number {
  const vma = findVma(memory, mm, address);
  if (vma === 0) return -Errno.EFAULT;
  const vmFlags = vmaFlags(memory, vma);
  // Length 0 makes a second mapping of the same memory, which only shared memory can have.
  if (oldLength === 0 && !(vmFlags & VmFlag.shared)) return -Errno.EINVAL;
  if (flags & MREMAP_DONTUNMAP && vmFlags & VmFlag.special) return -Errno.EINVAL;
  if (oldLength > vmaEnd(memory, vma) - address) return -Errno.EFAULT;
  if (oldLength === newLength) return 0;
  if (newLength >= 2 ** 63) return -Errno.EINVAL;
  if (vmFlags & VmFlag.special) return -Errno.EFAULT;
  const { f64 } = memory;
  const more = newLength - oldLength;
  if (f64[(mm + Mm.mappedBytes) >>> 3] + more > f64[(mm + Mm.addressLimit) >>> 3]) return -Errno.ENOMEM;
  const accounted =
    !(vmFlags & (VmFlag.shared | VmFlag.noReserve)) && (vmaProt(memory, vma) & Prot.write) !== 0;
  if (accounted && !enoughMemory(memory, more)) return -Errno.ENOMEM;
  return 0;
}

/** vma_expandable. */
function canExpand({ memory, mm }: PkeyCaller, index: number, more: number): boolean {
  const end = vmaEnd(memory, vmaAt(memory, mm, index)) + more;
  if (end > TASK_SIZE) return false;
  return index + 1 >= vmaCount(memory, mm) || startWithGap(memory, vmaAt(memory, mm, index + 1)) >= end;
}

/** move_vma: a mapping of `newLength` at `place`, with the pages of the old one; protection and key go along. */
function move(
  caller: PkeyCaller,
  address: number,
  oldLength: number,
  newLength: number,
  place: number,
  flags: number,
): number {
  const { memory, mm, user } = caller;
  const { mmu } = user;
  if (vmaCount(memory, mm) >= MAX_MAP_COUNT - 3) return -Errno.ENOMEM;
  if (intersects(memory, mm, place, place + newLength)) return -Errno.EINVAL;
  const root = memory.loadU32(mm);
  const moved = Math.min(oldLength, newLength);
  if (mmu.ops.tables(root, place, place + moved) === 0) return -Errno.ENOMEM;
  const vma = findVma(memory, mm, address);
  const prot = vmaProt(memory, vma);
  const object = vmaObject(memory, vma);
  const delta = address - vmaStart(memory, vma);
  holdObject(memory, object);
  const added = addRegion(mmu, mm, {
    start: place,
    end: place + newLength,
    offset: object === 0 ? place : vmaOffset(memory, vma) + delta,
    prot,
    flags: vmaFlags(memory, vma) & ~(VmFlag.stack | (flags & MREMAP_DONTUNMAP ? VmFlag.locked : 0)),
    key: vmaKey(memory, vma),
    object,
  });
  if (added < 0) return added;
  if (oldLength === 0) return place;
  const pages = mmu.ops.move(root, address, address + moved, place);
  // The entries have changed their place: old translations must go before the call returns.
  if (pages > 0) mmu.shootdown.invalidate(mm, address, address + moved, (prot & Prot.exec) !== 0);
  if (flags & MREMAP_DONTUNMAP) return place;
  const removed = removeRegion(mmu, mm, address, address + oldLength);
  return removed < 0 ? removed : place;
}
