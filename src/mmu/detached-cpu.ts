import { CPU_BLOCK_BYTES } from '../cpu/state.js';
import type { Memory } from '../memory/memory.js';
import { heapAllocate } from '../memory/slab.js';
import type { MmuCpu } from './mmu-cpu.js';

/** Number of a CPU that is none of the machine's. */
export const DETACHED = -1;

/**
 * Stands in for a CPU where memory is managed outside of any: while a program is loaded, and in tests. It caches nothing, so there
 * is nothing to drop.
 */
export class DetachedCpu implements MmuCpu {
  readonly base: number;
  readonly id = DETACHED;
  pkru = 0;

  constructor(readonly memory: Memory) {
    this.base = heapAllocate(memory, CPU_BLOCK_BYTES);
    if (this.base === 0) throw new Error('the kernel heap has no room for a CPU block');
  }

  flushTlb(): void {}
  flushTlbRange(): void {}
  dropCode(): void {}
  dropFrame(): void {}
}
