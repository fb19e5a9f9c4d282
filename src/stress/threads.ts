import { CpuState } from '../cpu/state.js';
import { mayRunOn } from '../kernel/affinity.js';
import type { CpuLoop } from '../kernel/cpu-loop.js';
import type { KernelCpu } from '../kernel/kernel-cpu.js';
import { CpuSlot, cpuSlot } from '../kernel/run-queue.js';
import { Task, Tasks, TaskState, tasksPointer, WakeReason } from '../kernel/task.js';
import { cpuOf, loadWord, stateOf, wake } from '../kernel/wait.js';
import type { Memory } from '../memory/memory.js';
import type { Mmu } from '../mmu/mmu.js';
import type { Scheduler } from '../scheduler/scheduler.js';
import type { ReadyQueue } from '../scheduler/seeded/ready-queue.js';
import type { SeededCpu } from './accesses.js';
import type { VirtualClock } from './virtual-clock.js';

/** A CPU of a seeded machine, with the kernel on it. */
export interface LoadedCpu {
  readonly k: KernelCpu;
  readonly mmu: Mmu;
  readonly loop: CpuLoop;
  readonly seeded: SeededCpu;
}

/** Who can run on a seeded machine, and where. Threads are numbered by their order of creation, from 0. */
export class Threads {
  /** Threads that can run, ascending. */
  readonly candidates: number[] = [];
  /** Most threads that there were. */
  most = 1;
  private readonly firstTid: number;
  private readonly cpuOfThread: number[] = [];
  private readonly taskOfThread: number[] = [];

  /** Is made before the machine's first task. */
  constructor(
    private readonly memory: Memory,
    private readonly cpus: readonly LoadedCpu[],
    private readonly clock: VirtualClock,
    private readonly scheduler: Scheduler,
    private readonly queue: ReadyQueue,
  ) {
    this.firstTid = memory.load32(tasksPointer(memory) + Tasks.nextPid);
  }

  /** Lets the scheduler place tasks, and finds out who can run. */
  refresh(): void {
    const { memory, candidates } = this;
    this.wakeSleepers();
    this.scheduler.step();
    candidates.length = 0;
    for (let id = 0; id < this.cpus.length; id++) {
      if (this.cpus[id].loop.mayRun()) this.add(this.taskOn(id), id);
    }
    for (const task of this.queue.tasks) this.add(task, -1);
    candidates.sort((a, b) => a - b);
    this.most = Math.max(this.most, memory.load32(tasksPointer(memory) + Tasks.nextPid) - this.firstTid);
  }

  private add(task: number, cpu: number): void {
    const thread = this.memory.load32(task + Task.tid) - this.firstTid;
    this.candidates.push(thread);
    this.cpuOfThread[thread] = cpu;
    this.taskOfThread[thread] = task;
  }

  /** Threads at the moment. */
  get count(): number {
    return this.memory.load32(tasksPointer(this.memory) + Tasks.taskCount);
  }

  /** The CPU of a thread, as `refresh` has found it; −1 if it has none. */
  cpuOf(thread: number): number {
    return this.cpuOfThread[thread];
  }

  taskOf(thread: number): number {
    return this.taskOfThread[thread];
  }

  /** The thread that a CPU has loaded, or is about to load; −1 for none. */
  threadOn(id: number): number {
    const task = this.taskOn(id);
    return task === 0 ? -1 : this.memory.load32(task + Task.tid) - this.firstTid;
  }

  /** The CPU that makes room for a task that has none: the current thread's if the task may run there. */
  victim(task: number, current: number): number {
    const own = this.cpuOfThread[current];
    if (own >= 0 && mayRunOn(this.memory, task, own)) return own;
    return this.cpus.findIndex((_, id) => mayRunOn(this.memory, task, id));
  }

  private taskOn(id: number): number {
    return this.memory.loadU32(cpuSlot(this.memory, id) + CpuSlot.next) || this.loadedOn(id);
  }

  private loadedOn(id: number): number {
    return this.memory.loadU32(this.cpus[id].k.cpu.base + CpuState.task);
  }

  /** The task that a CPU has loaded if it sleeps, or 0. */
  private sleeperOn(id: number): number {
    const task = this.loadedOn(id);
    if (task === 0) return 0;
    const word = loadWord(this.memory, task);
    const state = stateOf(word);
    return (state === TaskState.Asleep || state === TaskState.Parked) && cpuOf(word) === id ? task : 0;
  }

  private deadlineOf(task: number): number {
    return this.memory.f64[(task + Task.deadline) >>> 3];
  }

  private wakeSleepers(): void {
    let now = -1;
    for (let id = 0; id < this.cpus.length; id++) {
      const task = this.sleeperOn(id);
      if (task === 0 || this.deadlineOf(task) === Infinity) continue;
      if (now < 0) now = this.clock.now;
      if (this.deadlineOf(task) <= now) wake(this.memory, task, WakeReason.timeout);
    }
  }

  /** Nobody can run: goes on to the next deadline. @returns false if there is none */
  skipIdleTime(): boolean {
    const before = this.clock.now;
    let next = before + this.scheduler.step() * 1e6;
    for (let id = 0; id < this.cpus.length; id++) {
      const task = this.sleeperOn(id);
      if (task !== 0) next = Math.min(next, this.deadlineOf(task));
    }
    if (next === Infinity) return false;
    this.clock.skipTo(Math.max(next, before + 1));
    return true;
  }
}
