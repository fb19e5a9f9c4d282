import { locked } from '../../memory/lock.js';
import type { Memory } from '../../memory/memory.js';
import { rootPointer } from '../../memory/roots.js';
import { createSlab, slabAlloc, slabFree } from '../../memory/slab.js';
import { Process, Task, Tasks, tasksPointer } from '../task.js';
import type { EntryPool } from './pending.js';
import { ProcessSignals, SigQueue } from './state.js';

/** Where signal code finds the parts of tasks, processes and the heap that it works on. */

/** Slot of Machine.roots (16–23 are for signals, futexes and time). */
const SLAB_ROOT = 16;

/** Called once at boot. */
export function createSignalQueues(memory: Memory): void {
  createSlab(memory, SLAB_ROOT, SigQueue.size);
}

/** Most signals that a process may have queued (RLIMIT_SIGPENDING). */
const MAX_QUEUED = 4096;

export const taskSignalsOf = (task: number): number => task + Task.signals;
export const processSignalsOf = (process: number): number => process + Process.signals;
export const processOf = (memory: Memory, task: number): number => memory.loadU32(task + Task.process);

/** The queue entries of a process; the caller holds its ProcessSignals.lock. */
export function entryPool(memory: Memory, shared: number): EntryPool {
  const queued = shared + ProcessSignals.queued;
  return {
    allocate(): number {
      const count = memory.load32(queued);
      if (count >= MAX_QUEUED) return 0;
      const entry = slabAlloc(memory, rootPointer(memory, SLAB_ROOT));
      if (entry !== 0) memory.store32(queued, count + 1);
      return entry;
    },
    free(entry: number): void {
      slabFree(memory, rootPointer(memory, SLAB_ROOT), entry);
      memory.store32(queued, memory.load32(queued) - 1);
    },
  };
}

/** Whether a thread has begun to end. */
export function taskExiting(memory: Memory, task: number): boolean {
  return Atomics.load(memory.i32, (task + Task.exiting) >>> 2) !== 0;
}

/**
 * Calls `use` with the process of a pid while Tasks.lock is held.
 * @returns what `use` returns, or `otherwise` if there is no such process
 */
export function withProcess<T>(memory: Memory, pid: number, otherwise: T, use: (process: number) => T): T {
  const tasks = tasksPointer(memory);
  return locked(memory, tasks + Tasks.lock, () => {
    // By the list, not the tid table: the first thread may have ended before its process.
    for (
      let at = memory.loadU32(tasks + Tasks.firstProcess);
      at !== 0;
      at = memory.loadU32(at + Process.next)
    ) {
      if (memory.load32(at + Process.pid) === pid) return use(at);
    }
    return otherwise;
  });
}

/** Calls `visit` for every process while Tasks.lock is held. */
export function forEachProcess(memory: Memory, visit: (process: number) => void): void {
  const tasks = tasksPointer(memory);
  locked(memory, tasks + Tasks.lock, () => {
    for (
      let at = memory.loadU32(tasks + Tasks.firstProcess);
      at !== 0;
      at = memory.loadU32(at + Process.next)
    ) {
      visit(at);
    }
  });
}
