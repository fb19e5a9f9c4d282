import { RwLock } from '../../memory/rwlock.js';
import { struct } from '../../memory/struct.js';
import { AddressSpace } from '../../mmu/address-space.js';
import { PkeyMmState } from '../pkeys/state.js';

/** First address that user space cannot have (TASK_SIZE of 4-level paging). */
export const TASK_SIZE = 0x7fff_ffff_f000;

/** Hints below this are raised to it (mmap_min_addr); MAP_FIXED may go lower, as for a process with CAP_SYS_RAWIO. */
export const MMAP_MIN_ADDRESS = 0x1_0000;

/** Where mappings without a place of their own begin, downwards: 128 MiB below the end (mmap_base without randomisation). */
export const MMAP_BASE = TASK_SIZE - (128 << 20);

/** Where they go, upwards, when there is no room below MMAP_BASE (TASK_UNMAPPED_BASE). */
export const MMAP_BOTTOM_UP_BASE = Math.ceil(TASK_SIZE / 3 / 4096) * 4096;

/** Unmapped addresses kept below a mapping that grows down (stack_guard_gap). */
export const STACK_GUARD = 256 * 4096;

/** An address space. */
export const Mm = struct({
  /** The MMU's part; must stay first. */
  space: { bytes: AddressSpace.size, align: 8 },
  /** RwLock: shared by page faults, alone for everything that changes mappings. The outermost lock: src/kernel/locks.ts. */
  lock: { bytes: RwLock.size, align: 4 },
  /** Atomic: processes that use it, plus those who look at it from outside. */
  users: 'i32',
  /** Atomic: CPUs that have it loaded, and 1 while it has users. */
  references: 'i32',
  /** Array of pointers to Vma, its capacity, and how many there are: src/kernel/memory/vma.ts. */
  vmas: 'u32',
  vmaCapacity: 'i32',
  vmaCount: 'i32',
  /** 1 once frames of private mappings may be shared with another mm (after fork): writing needs a look at the references. */
  copyOnWrite: 'i32',
  /** MCL_ flags of mlockall that concern new mappings. */
  lockFuture: 'i32',
  pkeys: { bytes: PkeyMmState.size, align: 8 },
  /** Heap: where it begins, and the current break. */
  startBrk: 'f64',
  brk: 'f64',
  /** Bytes mapped (RLIMIT_AS). */
  mappedBytes: 'f64',
  /** Most bytes: of all mappings, of the heap, of a mapping that grows down. Infinity for no limit. */
  addressLimit: 'f64',
  dataLimit: 'f64',
  stackLimit: 'f64',
  /** The highest address below which there may be a hole that was too small for the last mapping: see place.ts. */
  freeAreaTop: 'f64',
  /** Size of the largest hole above freeAreaTop. */
  largestHole: 'f64',
  /** Address of the vDSO, 0 if there is none. */
  vdso: 'f64',
});
