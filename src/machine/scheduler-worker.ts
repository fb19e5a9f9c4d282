import { Memory } from '../memory/memory.js';
import type { Scheduler } from '../scheduler/scheduler.js';
import { serve } from '../scheduler/thread.js';
import { createScheduler } from './create-scheduler.js';
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
    async run({ memory: wasm, first }) {
      const memory = new Memory(wasm);
      scheduler = createScheduler(memory);
      scheduler.takeOver(first);
      await serve(memory, scheduler);
    },
    queueLengths: () => scheduler?.lengths() ?? { ready: 0, deadlines: 0 },
  };
}
