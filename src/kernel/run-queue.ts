import { CpuState, cpuPointer, Interrupt } from '../cpu/state.js';
import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import { struct } from '../memory/struct.js';
import { heapAllocate } from '../memory/slab.js';
import { rootPointer, setRoot, TaskRoot } from './roots.js';
import { Task } from './task-layout.js';

/**
 * What CPUs and the scheduler thread share: the way for tasks to the scheduler (an inbox that takes no lock), and for
 * each CPU a mailbox in which it finds its next task.
 */
export const RunQueue = struct({
  /** Atomic: head of the inbox, a stack of Ready tasks linked by Task.queueNext; the scheduler takes all of it at once. */
  inbox: 'u32',
  /** Atomic: Ready tasks that have no CPU yet (in the inbox or in the scheduler's queues). */
  ready: 'i32',
  /** Atomic: CPUs that run or spin, and do not park. */
  awake: 'i32',
  /** Cores of the host; spinning is for those who find fewer CPUs awake than this. */
  hostCores: 'i32',
  /** Atomic: 1 while the scheduler thread waits at its doorbell and wants to be notified. */
  schedulerWaits: 'i32',
  /** The schedule policy's queue of tasks without a CPU, linked by Task.queueNext. Only the scheduler changes it. */
  first: 'u32',
  last: 'u32',
  /** Atomic: the PKRU of CPUs 0 and 1 in machines with the defect pkruShared. */
  sharedPkru: 'i32',
  /** Pointer of the first CpuSlot; see `cpuSlot`. */
  slots: 'u32',
});

/** A CPU, as the scheduler sees it. */
export const CpuSlot = struct({
  /** Atomic: the task to load next, put there by the scheduler, taken (set to 0) by the CPU. */
  next: 'u32',
  /** Atomic: 1 when the CPU has no task and waits for its mailbox. Set by the CPU, cleared by the scheduler. */
  free: 'i32',
  /** Atomic: 1 while the CPU's thread is parked at CpuState.doorbell. */
  parked: 'i32',
  /** Atomic: an Online. */
  online: 'i32',
  /** Monotonic ns (Clock) at which the current task began to run here, by the CPU. */
  since: 'f64',
});

/** Life of a CPU. Who takes the step from `no`, the CPU or the main thread at the machine's end, decides. */
export const Online = { no: 0, yes: 1, never: 2 } as const;

export function createRunQueue(memory: Memory, cpuCount: number, hostCores: number): void {
  const queue = heapAllocate(memory, RunQueue.size);
  memory.store32(queue + RunQueue.hostCores, hostCores);
  memory.store32(queue + RunQueue.slots, heapAllocate(memory, cpuCount * CpuSlot.size));
  setRoot(memory, TaskRoot.runQueue, queue);
}

export function runQueue(memory: Memory): number {
  return rootPointer(memory, TaskRoot.runQueue);
}

export function cpuSlot(memory: Memory, id: number): number {
  return memory.loadU32(runQueue(memory) + RunQueue.slots) + id * CpuSlot.size;
}

/** Passes a task in state Ready, which nobody else handles, to the scheduler and rings it. */
export function pushReady(memory: Memory, task: number): void {
  const queue = runQueue(memory);
  const { i32 } = memory;
  Atomics.add(i32, (queue + RunQueue.ready) >>> 2, 1);
  const head = (queue + RunQueue.inbox) >>> 2;
  for (;;) {
    const first = Atomics.load(i32, head);
    memory.store32(task + Task.queueNext, first);
    if (Atomics.compareExchange(i32, head, first, task) === first) break;
  }
  ringScheduler(memory);
}

/**
 * Wakes the scheduler thread. It reads the doorbell before it looks for work and waits only while the doorbell has that
 * value; it sets schedulerWaits before it waits, so whoever finds 0 there has rung before the wait compares.
 */
export function ringScheduler(memory: Memory): void {
  const bell = (MACHINE + Machine.schedulerDoorbell) >>> 2;
  Atomics.add(memory.i32, bell, 1);
  if (Atomics.load(memory.i32, (runQueue(memory) + RunQueue.schedulerWaits) >>> 2) !== 0) {
    Atomics.notify(memory.i32, bell);
  }
}

/** Takes the first step of a CPU's life; returns what it is then. */
export function settleOnline(memory: Memory, id: number, online: number): number {
  const word = (cpuSlot(memory, id) + CpuSlot.online) >>> 2;
  return Atomics.compareExchange(memory.i32, word, Online.no, online) || online;
}

/** Wakes a CPU that is idle, by the same order of steps: see CpuLoop's idle wait. */
export function ringCpu(memory: Memory, id: number): void {
  const bell = (cpuPointer(id) + CpuState.doorbell) >>> 2;
  Atomics.add(memory.i32, bell, 1);
  if (Atomics.load(memory.i32, (cpuSlot(memory, id) + CpuSlot.parked) >>> 2) !== 0) {
    Atomics.notify(memory.i32, bell);
  }
}

/** Makes a CPU leave guest code at its next safe point. @param bits Interrupt bits */
export function interruptCpu(memory: Memory, id: number, bits: number): void {
  Atomics.or(memory.i32, (cpuPointer(id) + CpuState.interrupt) >>> 2, bits | Interrupt.any);
}
