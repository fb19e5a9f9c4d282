import { MACHINE, Machine } from './layout.js';
import type { Memory } from './memory.js';

/**
 * Slots of Machine.roots: where each part of the kernel keeps the pointer of its machine-wide structure.
 * 0–7 memory management, 8–15 tasks and scheduling, 16–23 signals, futexes and time, 24–31 files.
 */
export const Root = {
  /** Free lists of `kmalloc`, src/memory/slab.ts. */
  heapClasses: 0,
  /** FramePool, src/mmu/frames.ts. */
  framePool: 1,
  /** CodeDrops, src/mmu/code-drops.ts. */
  codeDrops: 2,
  mmSlab: 3,
  vmaSlab: 4,
  memoryObjectSlab: 5,
  /** 1 once the user has been told that the machine's memory is used up. */
  outOfMemoryReported: 6,
  /** SharedFiles, src/kernel/memory/shared-file.ts. */
  sharedFiles: 7,
} as const;

/** The pointer in a root slot; 0 before boot has set it. */
export function rootPointer(memory: Memory, slot: number): number {
  return memory.loadU32(MACHINE + Machine.roots + 4 * slot);
}

export function setRoot(memory: Memory, slot: number, pointer: number): void {
  memory.store32(MACHINE + Machine.roots + 4 * slot, pointer);
}
