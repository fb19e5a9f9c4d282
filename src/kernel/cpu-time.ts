import { locked } from '../memory/lock.js';
import type { Memory } from '../memory/memory.js';
import { CpuSlot, cpuSlot } from './run-queue.js';
import { processSignalsOf } from './signal/links.js';
import { ProcessSignals } from './signal/state.js';
import { forEachThread, Process, Task, TaskState } from './task.js';
import { cpuOf, loadWord, stateOf } from './wait.js';

/** Time on CPUs of a thread up to now, ns. */
export function threadTime(memory: Memory, task: number, now: number): number {
  const word = loadWord(memory, task);
  const saved = memory.f64[(task + Task.cpuTime) >>> 3];
  if (stateOf(word) !== TaskState.Running) return saved;
  const since = memory.f64[(cpuSlot(memory, cpuOf(word)) + CpuSlot.since) >>> 3];
  return saved + Math.max(0, now - since);
}

/** Time on CPUs of all threads of a process, ended ones too, ns; the caller holds ProcessSignals.lock. */
export function processTimeLocked(memory: Memory, process: number, now: number): number {
  let total = memory.f64[(process + Process.cpuTime) >>> 3];
  forEachThread(memory, process, (task) => {
    total += threadTime(memory, task, now);
    return true;
  });
  return total;
}

export function processTime(memory: Memory, process: number, now: number): number {
  const word = processSignalsOf(process) + ProcessSignals.lock;
  return locked(memory, word, () => processTimeLocked(memory, process, now));
}
