import { MACHINE, Machine } from '../../memory/layout.js';
import { type Memory, PAGE_SIZE } from '../../memory/memory.js';
import { lockedExclusive } from '../../memory/rwlock.js';
import type { Mmu } from '../../mmu/mmu.js';
import { Prot } from '../../mmu/pte.js';
import { Errno } from '../errno.js';
import { abiOf, type PkeyCaller } from '../pkeys/abi.js';
import { populate } from './populate.js';
import { Mm, TASK_SIZE } from './mm-layout.js';
import { createObject, dropObject, loadFile, type MappableFile, sharedObject } from './object.js';
import { findPlace, roundHint } from './place.js';
import { addRegion, pageAlign, removeRegion } from './region.js';
import { intersects, MAX_MAP_COUNT, VmFlag, vmaCount } from './vma.js';

/** mmap and munmap (mm/mmap.c). */

/** MAP_ flags (include/uapi/asm-generic/mman-common.h, mman.h). */
export const MapFlag = {
  SHARED: 1,
  PRIVATE: 2,
  SHARED_VALIDATE: 3,
  TYPE: 0xf,
  FIXED: 0x10,
  ANONYMOUS: 0x20,
  GROWSDOWN: 0x100,
  LOCKED: 0x2000,
  NORESERVE: 0x4000,
  POPULATE: 0x8000,
  NONBLOCK: 0x1_0000,
  STACK: 0x2_0000,
  HUGETLB: 0x4_0000,
  SYNC: 0x8_0000,
  FIXED_NOREPLACE: 0x10_0000,
} as const;

/** Flags that MAP_SHARED_VALIDATE knows for ordinary files (LEGACY_MAP_MASK); 0x800 is MAP_DENYWRITE, 0x1000 MAP_EXECUTABLE. */
const KNOWN_FLAGS =
  MapFlag.SHARED_VALIDATE |
  MapFlag.FIXED |
  MapFlag.ANONYMOUS |
  0x800 |
  0x1000 |
  MapFlag.GROWSDOWN |
  MapFlag.LOCKED |
  MapFlag.NORESERVE |
  MapFlag.POPULATE |
  MapFlag.NONBLOCK |
  MapFlag.STACK |
  MapFlag.HUGETLB |
  0x40 /* MAP_32BIT */ |
  0x400_0000; /* MAP_UNINITIALIZED */

const ACCESS = Prot.read | Prot.write | Prot.exec;
const MAY_ALL = VmFlag.mayRead | VmFlag.mayWrite | VmFlag.mayExec;

/** mlockall's flag for new mappings: VM_LOCKED. */
const lockedFlag = (memory: Memory, mm: number, flags: number): number =>
  flags & MapFlag.LOCKED || memory.load32(mm + Mm.lockFuture) !== 0 ? VmFlag.locked : 0;

/**
 * mmap(2).
 * @param offset of the file, bytes
 * @param openFile gives the file of a mapping that is not anonymous, or −errno
 * @returns the address or −errno
 */
export function mmap(
  caller: PkeyCaller,
  address: number,
  length: number,
  prot: number,
  flags: number,
  offset: number,
  openFile: () => MappableFile | number,
): number {
  if (offset % PAGE_SIZE !== 0) return -Errno.EINVAL;
  let file: MappableFile | null = null;
  if (!(flags & MapFlag.ANONYMOUS)) {
    const opened = openFile();
    if (typeof opened === 'number') return opened;
    if (flags & MapFlag.HUGETLB) return -Errno.EINVAL;
    file = opened;
  } else if (flags & MapFlag.HUGETLB) {
    // There is no pool of huge pages.
    return -Errno.ENOMEM;
  }
  const { memory, mm, user } = caller;
  const result = lockedExclusive(memory, mm + Mm.lock, () =>
    mapLocked(caller, address, length, prot, flags, offset, file),
  );
  const wantsPages =
    flags & MapFlag.LOCKED ||
    (flags & (MapFlag.POPULATE | MapFlag.NONBLOCK)) === MapFlag.POPULATE ||
    memory.load32(mm + Mm.lockFuture);
  // As on Linux, what cannot be populated is not reported.
  if (result >= 0 && wantsPages) populate(user.mmu, mm, result, result + pageAlign(length));
  return result;
}

/** do_mmap. */
function mapLocked(
  caller: PkeyCaller,
  address: number,
  bytes: number,
  prot: number,
  flags: number,
  offset: number,
  file: MappableFile | null,
): number {
  const { memory, mm, user } = caller;
  const { mmu } = user;
  if (bytes === 0) return -Errno.EINVAL;
  const fixed = (flags & (MapFlag.FIXED | MapFlag.FIXED_NOREPLACE)) !== 0;
  const length = pageAlign(bytes);
  if (length >= 2 ** 63) return -Errno.ENOMEM;
  if (vmaCount(memory, mm) > MAX_MAP_COUNT) return -Errno.ENOMEM;

  let start: number;
  if (fixed) {
    if (length > TASK_SIZE || address > TASK_SIZE - length) return -Errno.ENOMEM;
    if (address % PAGE_SIZE !== 0) return -Errno.EINVAL;
    start = address;
  } else {
    start = findPlace(memory, mm, roundHint(address), length);
    if (start === 0) return -Errno.ENOMEM;
  }
  const end = start + length;
  if (flags & MapFlag.FIXED_NOREPLACE && intersects(memory, mm, start, end)) return -Errno.EEXIST;

  const executeOnly = prot === Prot.exec;
  const key = executeOnly ? abiOf(memory).executeOnlyKey(caller) : 0;
  let vmFlags = MAY_ALL | lockedFlag(memory, mm, flags);
  if (flags & MapFlag.GROWSDOWN) vmFlags |= VmFlag.growsDown;
  if (flags & MapFlag.NORESERVE) vmFlags |= VmFlag.noReserve;

  const type = flags & MapFlag.TYPE;
  let shared = false;
  if (file) {
    if (offset + length > 2 ** 63) return -Errno.EOVERFLOW;
    if (type !== MapFlag.SHARED && type !== MapFlag.PRIVATE && type !== MapFlag.SHARED_VALIDATE)
      return -Errno.EINVAL;
    if (type === MapFlag.SHARED_VALIDATE && flags & ~KNOWN_FLAGS) return -Errno.EOPNOTSUPP;
    shared = type !== MapFlag.PRIVATE;
    if (shared) {
      if (prot & Prot.write && !file.writable) return -Errno.EACCES;
      if (!file.writable) vmFlags &= ~VmFlag.mayWrite;
    }
    if (!file.readable) return -Errno.EACCES;
    if (!file.mappable) return -Errno.ENODEV;
    if (flags & MapFlag.GROWSDOWN) return -Errno.EINVAL;
  } else if (type === MapFlag.SHARED) {
    if (flags & MapFlag.GROWSDOWN) return -Errno.EINVAL;
    shared = true;
  } else if (type !== MapFlag.PRIVATE) return -Errno.EINVAL;
  if (shared) vmFlags |= VmFlag.shared;

  const { f64 } = memory;
  if (f64[(mm + Mm.mappedBytes) >>> 3] + length > f64[(mm + Mm.addressLimit) >>> 3]) return -Errno.ENOMEM;
  const accounted = !shared && (prot & Prot.write) !== 0 && !(flags & MapFlag.NORESERVE);
  if (accounted && !enoughMemory(memory, length)) return -Errno.ENOMEM;

  let object = 0;
  if (file || shared) {
    if (!file) object = createObject(mmu, Infinity) || -Errno.ENOMEM;
    else if (shared) object = sharedObject(mmu, file) || -Errno.ENOMEM;
    else object = fileObject(mmu, file, offset, length);
    if (object < 0) return object;
  }
  if (fixed) {
    const removed = removeRegion(mmu, mm, start, end);
    if (removed < 0) {
      dropObject(mmu, object);
      return removed;
    }
  }
  const added = addRegion(mmu, mm, {
    start,
    end,
    offset: file ? offset : object === 0 ? start : 0,
    prot: prot & ACCESS,
    flags: vmFlags,
    key,
    object,
  });
  return added < 0 ? added : start;
}

/** The heuristic of overcommit mode 0: a mapping that could never be filled is refused. */
export function enoughMemory(memory: Memory, bytes: number): boolean {
  return bytes <= memory.load32(MACHINE + Machine.frameCount) * PAGE_SIZE;
}

/** An object with the part of a file that is to be mapped privately, or −errno. */
function fileObject(mmu: Mmu, file: MappableFile, offset: number, length: number): number {
  const object = createObject(mmu, pageAlign(file.size), file);
  if (object === 0) return -Errno.ENOMEM;
  const loaded = loadFile(mmu, object, file, offset, length);
  if (loaded >= 0) return object;
  dropObject(mmu, object);
  return loaded;
}

/** munmap(2): 0 or −errno. */
export function munmap(caller: PkeyCaller, start: number, bytes: number): number {
  const { memory, mm, user } = caller;
  if (start % PAGE_SIZE !== 0 || start > TASK_SIZE || bytes > TASK_SIZE - start) return -Errno.EINVAL;
  const length = pageAlign(bytes);
  if (length === 0) return -Errno.EINVAL;
  return lockedExclusive(memory, mm + Mm.lock, () => removeRegion(user.mmu, mm, start, start + length));
}
