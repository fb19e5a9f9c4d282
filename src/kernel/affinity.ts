import type { Memory } from '../memory/memory.js';
import { Task } from './task-layout.js';

/** Whether a task's affinity mask (sched_setaffinity) has a CPU. */
export function mayRunOn(memory: Memory, task: number, cpu: number): boolean {
  return (Atomics.load(memory.i32, (task + Task.affinity + (cpu >>> 5) * 4) >>> 2) & (1 << (cpu & 31))) !== 0;
}
