import { locked } from '../memory/lock.js';
import type { Memory } from '../memory/memory.js';
import { struct } from '../memory/struct.js';
import { Interrupt } from '../cpu/state.js';
import type { KernelCpu } from './kernel-cpu.js';
import { interruptCpu, pushReady, ringCpu } from './run-queue.js';
import { BLOCKED } from './syscalls.js';
import { SLEEP_NUMBER_MASK, SLEEP_NUMBER_SHIFT, Task, TaskState, WakeReason } from './task.js';

/**
 * Sleeping and waking of tasks.
 *
 * Task.word holds state (bits 2:0), wake reason (4:3), the CPU the task is loaded on (10:5) and the number of the sleep
 * (31:11, so that a late waker cannot end a later sleep). Everything that wakes changes the word by one compare-exchange;
 * who succeeds has the duty to pass the task on:
 *
 *   Running ──sleep──▸ Asleep ──loop saves registers──▸ Parked ──scheduler──▸ Detached
 *      ▴                  │ wake: the loop goes on          │ wake: ring the CPU     │ wake
 *      ├──────────────────┴────────────────────────────────┘                        ▾
 *      └───────────────── Handed (in a CPU's mailbox) ◂──scheduler────────────── Ready ◂── preempted, yield, new
 *
 * A syscall handler that has to wait does, in this order:
 *   1. takes the lock of what it waits for and looks: if there is nothing to wait for, goes on;
 *   2. puts the task in the queue and calls `sleep`, both under that lock; 3. unlocks and returns BLOCKED.
 * The waker takes the lock, changes what is waited for, takes the task out of the queue and calls `wake`, under the lock.
 * So a waker either comes before the look, or finds the task in the queue and its state Asleep: no wake-up is lost, and none
 * reaches a later sleep. The handler is called again with the same arguments and KernelCpu.wakeReason; if that is `timeout` or
 * `signal` the task may still be in the queue (or, if a waker was faster, not any more): it looks under the lock.
 */

/** Fields of Task.word. */
export const stateOf = (word: number): number => word & 7;
export const reasonOf = (word: number): number => (word >>> 3) & 3;
export const cpuOf = (word: number): number => (word >>> 5) & 63;
export const sleepNumberOf = (word: number): number => word & SLEEP_NUMBER_MASK;
export const taskWord = (state: number, reason: number, cpu: number, sleepNumber: number): number =>
  state | (reason << 3) | (cpu << 5) | sleepNumber;

export function loadWord(memory: Memory, task: number): number {
  return Atomics.load(memory.i32, (task + Task.word) >>> 2);
}

/** One step of the state machine; false if the word has changed meanwhile. */
export function changeWord(memory: Memory, task: number, from: number, to: number): boolean {
  return Atomics.compareExchange(memory.i32, (task + Task.word) >>> 2, from, to) === from;
}

/**
 * The current task of `k` sleeps from here on: it may be woken at once, even before the handler has returned BLOCKED.
 * @param deadline monotonic ns (KernelCpu.clock) at which it wakes by itself, Infinity for never. Sleeping again after a
 *   wake-up that was none, pass `k.deadline`.
 * @returns BLOCKED, for the handler to return
 */
export function sleep(k: KernelCpu, deadline: number): typeof BLOCKED {
  const { memory, task } = k;
  memory.f64[(task + Task.deadline) >>> 3] = deadline;
  const number = (sleepNumberOf(loadWord(memory, task)) + (1 << SLEEP_NUMBER_SHIFT)) | 0;
  Atomics.store(
    memory.i32,
    (task + Task.word) >>> 2,
    taskWord(TaskState.Asleep, WakeReason.none, k.cpu.id, number),
  );
  return BLOCKED;
}

/**
 * Ends a task's sleep. Takes no lock; see above for the lock to hold.
 * @param sleepNumber ends only this sleep (`sleepNumberOf`), for those who hold no lock
 * @returns false if it doesn't sleep, or was woken by somebody else before
 */
export function wake(
  memory: Memory,
  task: number,
  reason: number = WakeReason.woken,
  sleepNumber?: number,
): boolean {
  for (;;) {
    const word = loadWord(memory, task);
    const number = sleepNumberOf(word);
    if (sleepNumber !== undefined && number !== sleepNumber) return false;
    const state = stateOf(word);
    if (state === TaskState.Asleep || state === TaskState.Parked) {
      const cpu = cpuOf(word);
      if (!changeWord(memory, task, word, taskWord(TaskState.Running, reason, cpu, number))) continue;
      ringCpu(memory, cpu);
      return true;
    }
    if (state !== TaskState.Detached) return false;
    if (!changeWord(memory, task, word, taskWord(TaskState.Ready, reason, 0, number))) continue;
    pushReady(memory, task);
    return true;
  }
}

/** Starts a task in state New, whose registers and image are filled in. */
export function wakeNew(memory: Memory, task: number): void {
  const number = sleepNumberOf(loadWord(memory, task));
  Atomics.store(memory.i32, (task + Task.word) >>> 2, taskWord(TaskState.Ready, WakeReason.none, 0, number));
  pushReady(memory, task);
}

/**
 * Makes a task look at its signals (or at its process's end) before it goes on in user code: wakes it if it sleeps, else
 * interrupts the CPU it runs on. A task in any other state looks anyway: TaskSignals.notify is read on every way to user code,
 * and by a task that falls asleep after its state has become Asleep.
 */
export function interruptForSignal(memory: Memory, task: number): void {
  if (wake(memory, task, WakeReason.signal)) return;
  const word = loadWord(memory, task);
  if (stateOf(word) === TaskState.Running) interruptCpu(memory, cpuOf(word), Interrupt.signal);
}

/** A queue of sleeping tasks, first come first served, linked through Task.wait. */
export const WaitQueue = struct({ lock: 'i32', first: 'u32', last: 'u32' });

const Links = struct({ queue: 'u32', next: 'u32', previous: 'u32' });

/**
 * Queues the current task and puts it to sleep; the caller holds the queue's lock, has found nothing to go on with, and
 * unlocks afterwards.
 */
export function sleepOn(k: KernelCpu, queue: number, deadline: number): typeof BLOCKED {
  const { memory, task } = k;
  const links = task + Task.wait;
  const last = memory.loadU32(queue + WaitQueue.last);
  memory.store32(links + Links.queue, queue);
  memory.store32(links + Links.next, 0);
  memory.store32(links + Links.previous, last);
  memory.store32(last === 0 ? queue + WaitQueue.first : last + Task.wait + Links.next, task);
  memory.store32(queue + WaitQueue.last, task);
  return sleep(k, deadline);
}

/** Takes a task out of a queue if it is in it; the caller holds the queue's lock. For handlers called again after `sleepOn`. */
export function leaveQueue(memory: Memory, queue: number, task: number): boolean {
  const links = task + Task.wait;
  if (memory.loadU32(links + Links.queue) !== queue) return false;
  const next = memory.loadU32(links + Links.next);
  const previous = memory.loadU32(links + Links.previous);
  memory.store32(previous === 0 ? queue + WaitQueue.first : previous + Task.wait + Links.next, next);
  memory.store32(next === 0 ? queue + WaitQueue.last : next + Task.wait + Links.previous, previous);
  memory.store32(links + Links.queue, 0);
  return true;
}

/** Wakes the first `most` tasks of a queue; the caller holds its lock. @returns how many it woke */
export function wakeQueueLocked(memory: Memory, queue: number, most = Infinity): number {
  let woken = 0;
  while (woken < most) {
    const task = memory.loadU32(queue + WaitQueue.first);
    if (task === 0) break;
    leaveQueue(memory, queue, task);
    if (wake(memory, task)) woken++;
  }
  return woken;
}

export function wakeQueue(memory: Memory, queue: number, most = Infinity): number {
  return locked(memory, queue + WaitQueue.lock, () => wakeQueueLocked(memory, queue, most));
}
