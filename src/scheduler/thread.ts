import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import { RunQueue, runQueue } from '../kernel/run-queue.js';
import type { Scheduler } from './scheduler.js';

/**
 * Longest wait, in ms. A wait that is notified before its time leaves its timer behind until that time has come (V8's delayed
 * tasks), so waits are kept short; waking once a second for nothing costs nothing.
 */
const LONGEST_WAIT = 1000;

/** Looks at the doorbell before waiting, if the host has a core to spare. */
const SPINS = 2000;

/**
 * Serves the scheduler until the machine stops. It waits asynchronously, so that its thread answers its control interface as
 * well; the thread must have a referenced handle (its port), or it would end while it waits.
 *
 * Woken by `ringScheduler`. We read the doorbell before the step looks for work, and wait only while the doorbell has that
 * value; ringers change what there is to see, then the doorbell, then look at `schedulerWaits`, which is set before the wait
 * begins. So a ring that the step has not seen either ends the wait or keeps it from beginning.
 */
export async function serve(memory: Memory, scheduler: Scheduler): Promise<void> {
  const { i32 } = memory;
  const bell = (MACHINE + Machine.schedulerDoorbell) >>> 2;
  const stopping = (MACHINE + Machine.stopping) >>> 2;
  const queue = runQueue(memory);
  const waits = (queue + RunQueue.schedulerWaits) >>> 2;
  const awake = (queue + RunQueue.awake) >>> 2;
  const cores = memory.load32(queue + RunQueue.hostCores);
  while (Atomics.load(i32, stopping) === 0) {
    const seen = Atomics.load(i32, bell);
    const timeout = scheduler.step();
    if (timeout <= 0 || rings(i32, bell, seen, Atomics.load(i32, awake) < cores ? SPINS : 1)) continue;
    Atomics.store(i32, waits, 1);
    const wait = Atomics.waitAsync(i32, bell, seen, Math.min(timeout, LONGEST_WAIT));
    if (wait.async) await wait.value;
    Atomics.store(i32, waits, 0);
  }
}

function rings(i32: Int32Array, bell: number, seen: number, looks: number): boolean {
  for (let i = 0; i < looks; i++) if (Atomics.load(i32, bell) !== seen) return true;
  return false;
}
