import { MACHINE, Machine } from '../memory/layout.js';
import { locked } from '../memory/lock.js';
import type { Memory } from '../memory/memory.js';
import { expireIntervalTimers, hasIntervalTimers } from './interval-timers.js';
import { expirePosixTimers, hasPosixTimers } from './posix-timers.js';
import { forEachProcess, processSignalsOf } from './signal/links.js';
import { ProcessSignals } from './signal/state.js';
import { forEachThread, TaskState } from './task.js';
import type { TimeLeft } from './timespec.js';
import { loadWord, stateOf } from './wait.js';

/** Timers in CPU time are looked at no more often than this (ns), as by Linux's tick with CONFIG_HZ_250. */
const TICK = 4e6;

/** And this often (ns) while all threads sleep: one that is woken on the CPU it sleeps on does not pass the scheduler. */
const IDLE_TICK = 50e6;

const left: TimeLeft = { elapsed: Infinity, cpu: Infinity };

/**
 * Fires all timers that are due. Called by the scheduler thread whenever it looks at deadlines; who sets a timer rings it.
 * @param now monotonic ns
 * @param idle ns after which to look at timers in CPU time again while all threads sleep
 * @returns when the next timer may be due (monotonic ns), Infinity if none is set
 */
export function expireTimers(memory: Memory, now: number, idle = IDLE_TICK): number {
  let next = Infinity;
  forEachProcess(memory, (process) => {
    const shared = processSignalsOf(process);
    if (!hasIntervalTimers(memory, shared) && !hasPosixTimers(memory, shared)) return;
    left.elapsed = Infinity;
    left.cpu = Infinity;
    const awake = locked(memory, shared + ProcessSignals.lock, () => {
      expireIntervalTimers(memory, process, now, left);
      expirePosixTimers(memory, process, now, left);
      return left.cpu < Infinity && anyAwake(memory, process);
    });
    next = Math.min(next, now + left.elapsed);
    // At the earliest, if the process runs on all CPUs at once.
    const soonest = Math.max(TICK, left.cpu / memory.load32(MACHINE + Machine.cpuCount));
    next = Math.min(next, now + (awake ? soonest : Math.max(soonest, idle)));
  });
  return next;
}

/** Whether a thread of the process runs or wants to; the caller holds ProcessSignals.lock. */
function anyAwake(memory: Memory, process: number): boolean {
  let found = false;
  forEachThread(memory, process, (task) => {
    const state = stateOf(loadWord(memory, task));
    found = state !== TaskState.Asleep && state !== TaskState.Parked && state !== TaskState.Detached;
    return !found;
  });
  return found;
}
