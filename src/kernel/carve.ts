import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import { alignUp } from '../memory/struct.js';

/**
 * Takes bytes off the kernel heap for good: for what is made once, or recycled by its owner. They are zero.
 * @returns a pointer aligned to a cache line (64 bytes)
 * @throws Error when the heap is full
 */
export function carve(memory: Memory, bytes: number): number {
  const size = alignUp(bytes, 64);
  const pointer = Atomics.add(memory.i32, (MACHINE + Machine.heapNext) >>> 2, size) >>> 0;
  if (pointer + size > memory.loadU32(MACHINE + Machine.heapEnd)) throw new Error('kernel heap is full');
  return pointer;
}
