import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';

/** Slots of Machine.roots: where each part of the kernel keeps the pointer to its own state. */
export const Root = {
  runQueue: 0,
  tasks: 1,
  console: 2,
  memory: 3,
  pkeys: 4,
  futex: 5,
  signals: 6,
  time: 7,
  files: 8,
  system: 9,
} as const;

export function rootPointer(memory: Memory, root: number): number {
  return memory.loadU32(MACHINE + Machine.roots + root * 4);
}

/** Called once for each root, while the machine is made. */
export function setRoot(memory: Memory, root: number, pointer: number): void {
  memory.store32(MACHINE + Machine.roots + root * 4, pointer);
}
