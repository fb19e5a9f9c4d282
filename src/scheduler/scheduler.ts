import type { Clock } from '../cpu/clock.js';
import { Interrupt } from '../cpu/state.js';
import { mayRunOn } from '../kernel/affinity.js';
import { CpuSlot, cpuSlot, interruptCpu, RunQueue, ringCpu, runQueue } from '../kernel/run-queue.js';
import { freeTask, Task, TaskState, WakeReason } from '../kernel/task.js';
import {
  changeWord,
  cpuOf,
  loadWord,
  reasonOf,
  sleepNumberOf,
  stateOf,
  taskWord,
  wake,
} from '../kernel/wait.js';
import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import { type Deadline, Deadlines } from './deadlines.js';
import { debugClear } from './debug-clear.js';
import type { SchedulePolicy } from './policy.js';

/** Timers that are not a task's deadline, like ITIMER_REAL. */
export interface Timers {
  /** Fires what is due; returns when to be called again (monotonic ns, Infinity for never). */
  expire(now: number): number;
}

export interface SchedulerState {
  readonly loaded: readonly number[];
  readonly lastTask: readonly number[];
  readonly deadlines: readonly Deadline[];
}

/** Keep at least this many deadlines before looking for those of sleeps that are over. */
const PRUNE_FROM = 1024;

/**
 * The scheduler: gives ready tasks to CPUs and performs the context switch on the saved XSAVE image.
 *
 * `step` is all its work; the thread around it (src/scheduler/thread.ts) only waits. Who else changes what is said in
 * src/kernel/wait.ts and run-queue.ts; the arrays below are this thread's own.
 */
export class Scheduler {
  private readonly cpuCount: number;
  private readonly queue: number;
  /** Per CPU: the task it has loaded as far as we gave it one (0: none), and the last one we gave it. */
  private readonly loaded: number[];
  private readonly lastTask: number[];
  private readonly deadlines = new Deadlines();
  private pruneAt = PRUNE_FROM;
  private readonly debug: (task: number) => boolean;

  /**
   * @param clears whether the debug clear applies to a task's mm
   */
  constructor(
    private readonly memory: Memory,
    private readonly clock: Clock,
    private readonly policy: SchedulePolicy,
    private readonly timers: Timers,
    clears: (mm: number) => boolean = () => true,
  ) {
    this.cpuCount = memory.load32(MACHINE + Machine.cpuCount);
    this.queue = runQueue(memory);
    this.loaded = new Array(this.cpuCount).fill(0);
    this.lastTask = new Array(this.cpuCount).fill(0);
    const on = memory.load32(MACHINE + Machine.debugFpu) !== 0;
    this.debug = (task) => on && clears(memory.loadU32(task + Task.mm));
  }

  /**
   * Does what there is to do.
   * @returns ms until there is something to do although nobody has rung, Infinity if never
   */
  step(): number {
    this.drain();
    this.collectFree();
    const now = this.clock.monotonic();
    this.expire(now);
    const timers = this.timers.expire(now);
    // Those just woken are in the inbox.
    this.drain();
    this.dispatch(now);
    const slice = this.preempt(now);
    const next = Math.min(this.deadlines.next, timers);
    return Math.min(slice, next === Infinity ? Infinity : Math.max(0, (next - now) / 1e6));
  }

  /** Goes on where another scheduler has given CPU 0 its first task, and has done nothing else. */
  takeOver(task: number): void {
    this.loaded[0] = this.lastTask[0] = task;
  }

  /** What a snapshot of the machine has to keep of this object; the policy's queue is its own affair. */
  state(): SchedulerState {
    const { loaded, lastTask, deadlines } = this;
    return { loaded: [...loaded], lastTask: [...lastTask], deadlines: deadlines.all() };
  }

  restore({ loaded, lastTask, deadlines }: SchedulerState): void {
    this.loaded.splice(0, Infinity, ...loaded);
    this.lastTask.splice(0, Infinity, ...lastTask);
    this.deadlines.clear();
    for (const deadline of deadlines) this.deadlines.add(deadline);
  }

  /** Tasks in the policy's queue, and deadlines kept for detached tasks. */
  lengths(): { ready: number; deadlines: number } {
    return { ready: this.policy.length, deadlines: this.deadlines.size };
  }

  /** Moves the inbox to the policy's queue, first pushed first. */
  private drain(): void {
    const { memory, policy } = this;
    const head = (this.queue + RunQueue.inbox) >>> 2;
    if (Atomics.load(memory.i32, head) === 0) return;
    let task = Atomics.exchange(memory.i32, head, 0) >>> 0;
    let reversed = 0;
    while (task !== 0) {
      const next = memory.loadU32(task + Task.queueNext);
      memory.store32(task + Task.queueNext, reversed);
      reversed = task;
      task = next;
    }
    while (reversed !== 0) {
      const next = memory.loadU32(reversed + Task.queueNext);
      policy.enqueue(reversed);
      reversed = next;
    }
  }

  /**
   * Notes which CPUs have given up their task. After `drain`: a CPU says that it is free before it pushes its task, so a task in
   * the policy's queue is no CPU's any more.
   */
  private collectFree(): void {
    const { memory, loaded } = this;
    for (let cpu = 0; cpu < this.cpuCount; cpu++) {
      const task = loaded[cpu];
      if (task === 0 || Atomics.load(memory.i32, (cpuSlot(memory, cpu) + CpuSlot.free) >>> 2) === 0) continue;
      loaded[cpu] = 0;
      if (stateOf(loadWord(memory, task)) !== TaskState.Dead) continue;
      for (let other = 0; other < this.cpuCount; other++) {
        // A new task in its place is another task.
        if (this.lastTask[other] === task) this.lastTask[other] = 0;
      }
      freeTask(memory, task);
    }
  }

  private expire(now: number): void {
    for (let due = this.deadlines.take(now); due !== null; due = this.deadlines.take(now)) {
      wake(this.memory, due.task, WakeReason.timeout, due.sleepNumber);
    }
    if (this.deadlines.size < this.pruneAt) return;
    this.deadlines.prune(({ task, sleepNumber }) => {
      const word = loadWord(this.memory, task);
      return stateOf(word) === TaskState.Detached && sleepNumberOf(word) === sleepNumber;
    });
    this.pruneAt = Math.max(PRUNE_FROM, 2 * this.deadlines.size);
  }

  /** Whether a CPU could take a task now: 2 it has none, 1 its task is parked and would have to leave, 0 no. */
  private vacancy(cpu: number): number {
    const { memory } = this;
    const slot = cpuSlot(memory, cpu);
    const task = this.loaded[cpu];
    if (task === 0) return Atomics.load(memory.i32, (slot + CpuSlot.free) >>> 2) !== 0 ? 2 : 0;
    const word = loadWord(memory, task);
    return stateOf(word) === TaskState.Parked && cpuOf(word) === cpu ? 1 : 0;
  }

  private dispatch(now: number): void {
    if (this.policy.length === 0) return;
    const vacant: number[] = [];
    for (let cpu = 0; cpu < this.cpuCount; cpu++) vacant.push(this.vacancy(cpu));
    let left = vacant.filter((v) => v > 0).length;
    this.policy.offer((task) => {
      while (left > 0) {
        const cpu = this.choose(task, vacant);
        if (cpu < 0) return 'refused';
        const parked = vacant[cpu] === 1;
        vacant[cpu] = 0;
        left--;
        // A parked task may have been woken since: then its CPU is busy again.
        if (parked && !this.detach(cpu)) continue;
        this.handOver(task, cpu, now);
        return 'placed';
      }
      return 'full';
    });
  }

  /** The best CPU for a task: the one whose caches know it, then one without a task, then one whose task only sleeps. */
  private choose(task: number, vacant: readonly number[]): number {
    const { memory } = this;
    const last = memory.load32(task + Task.lastCpu);
    if (last >= 0 && vacant[last] > 0 && mayRunOn(memory, task, last)) return last;
    let best = -1;
    for (let cpu = 0; cpu < this.cpuCount; cpu++) {
      if (vacant[cpu] > (best < 0 ? 0 : vacant[best]) && mayRunOn(memory, task, cpu)) best = cpu;
    }
    return best;
  }

  /** Takes the CPU away from its parked task; false if that has been woken. */
  private detach(cpu: number): boolean {
    const { memory } = this;
    const task = this.loaded[cpu];
    const word = loadWord(memory, task);
    if (stateOf(word) !== TaskState.Parked) return false;
    const sleepNumber = sleepNumberOf(word);
    const time = memory.f64[(task + Task.deadline) >>> 3];
    if (!changeWord(memory, task, word, taskWord(TaskState.Detached, WakeReason.none, 0, sleepNumber))) {
      return false;
    }
    this.loaded[cpu] = 0;
    // From here on nobody else looks after its deadline.
    if (time !== Infinity) this.deadlines.add({ time, task, sleepNumber });
    return true;
  }

  /** The context switch: the task's saved state is made ready to be loaded, and put into the CPU's mailbox. */
  private handOver(task: number, cpu: number, now: number): void {
    const { memory } = this;
    const slot = cpuSlot(memory, cpu);
    // Selecting the task that the CPU ran last is no switch.
    if (this.lastTask[cpu] !== task) {
      Atomics.add(memory.i32, (MACHINE + Machine.contextSwitches) >>> 2, 1);
      memory.f64[(task + Task.switches) >>> 3]++;
      if (this.debug(task)) debugClear(memory, task + Task.image);
    }
    this.loaded[cpu] = task;
    this.lastTask[cpu] = task;
    memory.store32(task + Task.lastCpu, cpu);
    Atomics.sub(memory.i32, (this.queue + RunQueue.ready) >>> 2, 1);
    Atomics.store(memory.i32, (slot + CpuSlot.free) >>> 2, 0);
    memory.f64[(slot + CpuSlot.since) >>> 3] = now;
    const word = loadWord(memory, task);
    const handed = taskWord(TaskState.Handed, reasonOf(word), cpu, sleepNumberOf(word));
    Atomics.store(memory.i32, (task + Task.word) >>> 2, handed);
    Atomics.store(memory.i32, (slot + CpuSlot.next) >>> 2, task);
    ringCpu(memory, cpu);
  }

  /** Interrupts CPUs whose slice is over and for which a task waits; returns the ms until the next slice is over. */
  private preempt(now: number): number {
    const { memory, policy } = this;
    let waiting = policy.length;
    let next = Infinity;
    for (let cpu = 0; cpu < this.cpuCount && waiting > 0; cpu++) {
      if (this.loaded[cpu] === 0 || !policy.waitsFor(cpu)) continue;
      const left = memory.f64[(cpuSlot(memory, cpu) + CpuSlot.since) >>> 3] + policy.slice - now;
      if (left > 0) {
        next = Math.min(next, left);
        continue;
      }
      interruptCpu(memory, cpu, Interrupt.reschedule);
      // It rings when it has left its task; should it have been on the way into the kernel, look again.
      next = Math.min(next, policy.slice);
      waiting--;
    }
    return next / 1e6;
  }
}
