import { struct } from '../memory/struct.js';

/** Invalidations that an address space remembers; a CPU further behind drops everything. */
export const RING_ENTRIES = 64;

/** One invalidated range. Written under the address space's lock, read by any CPU: see shootdown.ts. */
export const Invalidation = struct({
  /** Atomic: the generation it made; the entry is being rewritten while this is another one. */
  generation: 'i32',
  /** 1 if translated code of the range is to be dropped too. */
  code: 'i32',
  start: 'f64',
  end: 'f64',
});

/** What the MMU knows of an address space; the first part of the kernel's Mm. */
export const AddressSpace = struct({
  /** Pointer of the top-level page table (CR3). */
  root: 'u32',
  /** Atomic: number of invalidations so far, modulo 2^32. */
  tlbGeneration: 'i32',
  /** Atomic: the last of them that had translated code to drop. */
  codeGeneration: 'i32',
  ring: { bytes: RING_ENTRIES * Invalidation.size, align: 8 },
});
