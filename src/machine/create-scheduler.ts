import { HostClock } from '../cpu/clock.js';
import { debugClearApplies } from '../kernel/pkeys/debug-clear.js';
import { expireTimers } from '../kernel/timers.js';
import type { Memory } from '../memory/memory.js';
import { RoundRobin } from '../scheduler/round-robin.js';
import { Scheduler } from '../scheduler/scheduler.js';

/** The scheduler of a machine in parallel mode. There must be one at a time. */
export function createScheduler(memory: Memory): Scheduler {
  const timers = { expire: (now: number) => expireTimers(memory, now) };
  return new Scheduler(memory, new HostClock(memory), new RoundRobin(memory), timers, (mm) =>
    debugClearApplies(memory, mm),
  );
}
