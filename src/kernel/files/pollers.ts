import { locked } from '../../memory/lock.js';
import type { Memory } from '../../memory/memory.js';
import { rootPointer, setRoot } from '../../memory/roots.js';
import { kmalloc } from '../../memory/slab.js';
import { struct } from '../../memory/struct.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { leaveQueue, sleepOn, WaitQueue, wakeQueue } from '../wait.js';

/**
 * The tasks asleep in poll and select. A task can be in one queue only, so they are all in this one, and whoever makes
 * any file ready wakes them all to look again.
 *
 * No wake-up is lost: a poller counts itself in `waiters` before it looks at the files; a waker changes the file first and then
 * reads `waiters`. If the waker read 0, the poller's look came after the change. Otherwise the waker takes the queue's lock,
 * under which the poller looks and falls asleep.
 *
 * The queue's lock is taken before the locks of pipes and counters, and never while one of those is held.
 */
const Pollers = struct({ queue: { bytes: WaitQueue.size, align: 4 }, waiters: 'i32' });

const ROOT = 25;

/** Called once at boot. */
export function createPollers(memory: Memory): void {
  setRoot(memory, ROOT, kmalloc(memory, Pollers.size));
}

/** For whoever has made a file ready, after it has released the file's lock. */
export function wakePollers(memory: Memory): void {
  const pollers = rootPointer(memory, ROOT);
  if (Atomics.load(memory.i32, (pollers + Pollers.waiters) >>> 2) === 0) return;
  const queue = pollers + Pollers.queue;
  wakeQueue(memory, queue);
}

/**
 * Looks, and sleeps if there is nothing to see.
 * @param look answers how many files are ready, or −errno; 0 to sleep. It touches no user memory, and drops no
 *   file: closing a pipe wakes pollers.
 * @param until when to look again at the latest, monotonic ns; asked before the look, which then sees what had been due already
 * @returns what `look` answered, or BLOCKED
 */
export function lookOrSleep(k: KernelCpu, look: () => number, until: () => number): number {
  const { memory } = k;
  const pollers = rootPointer(memory, ROOT);
  const queue = pollers + Pollers.queue;
  const waiters = (pollers + Pollers.waiters) >>> 2;
  return locked(memory, queue + WaitQueue.lock, () => {
    Atomics.add(memory.i32, waiters, 1);
    const deadline = until();
    const found = look();
    if (found === 0 && k.now() < deadline) return sleepOn(k, queue, deadline);
    Atomics.sub(memory.i32, waiters, 1);
    return found;
  });
}

/** The first thing a poller does when it is called again after `lookOrSleep` answered BLOCKED. */
export function endPollSleep(k: KernelCpu): void {
  const { memory } = k;
  const pollers = rootPointer(memory, ROOT);
  const queue = pollers + Pollers.queue;
  locked(memory, queue + WaitQueue.lock, () => {
    leaveQueue(memory, queue, k.task);
    Atomics.sub(memory.i32, (pollers + Pollers.waiters) >>> 2, 1);
  });
}
