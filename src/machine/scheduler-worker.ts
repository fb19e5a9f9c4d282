import { HostClock } from '../cpu/clock.js';
import { debugClearApplies } from '../kernel/pkeys/debug-clear.js';
import { expireTimers } from '../kernel/timers.js';
import { Memory } from '../memory/memory.js';
import { RoundRobin } from '../scheduler/round-robin.js';
import { Scheduler } from '../scheduler/scheduler.js';
import { serve } from '../scheduler/thread.js';
import type { SchedulerJob } from './messages.js';

/** What the main thread may ask of the scheduler thread (through Comlink). */
export interface SchedulerControl {
  /** Serves the machine until it stops. */
  run(job: SchedulerJob): Promise<void>;
  /** Tasks that wait for a CPU, and deadlines of sleeping tasks that have none. */
  queueLengths(): { ready: number; deadlines: number };
}

export function createSchedulerControl(): SchedulerControl {
  let scheduler: Scheduler | null = null;
  return {
    async run(job) {
      const memory = new Memory(job.memory);
      const policy = new RoundRobin(memory);
      const timers = { expire: (now: number) => expireTimers(memory, now) };
      const clears = (mm: number) => debugClearApplies(memory, mm);
      scheduler = new Scheduler(memory, new HostClock(memory), policy, timers, clears);
      await serve(memory, scheduler);
    },
    queueLengths: () => scheduler?.lengths() ?? { ready: 0, deadlines: 0 },
  };
}
