import type { Clock } from '../../src/cpu/clock.js';
import type { GuestCpu } from '../../src/cpu/guest-cpu.js';
import { CPU_BLOCK_BYTES, CpuState, cpuPointer, Exit, Gpr } from '../../src/cpu/state.js';
import { setImagePkru } from '../../src/cpu/xsave.js';
import { CpuLoop, type KernelServices } from '../../src/kernel/cpu-loop.js';
import { KernelCpu } from '../../src/kernel/kernel-cpu.js';
import { createRunQueue } from '../../src/kernel/run-queue.js';
import { TaskSignals } from '../../src/kernel/signal/state.js';
import { createTask, createTasks, Process, Task, TaskState } from '../../src/kernel/task.js';
import { loadWord, sleepNumberOf, stateOf, taskWord, wakeNew } from '../../src/kernel/wait.js';
import { MACHINE, Machine, memoryMap } from '../../src/memory/layout.js';
import { Memory } from '../../src/memory/memory.js';
import { createHeapClasses } from '../../src/memory/slab.js';
import type { UserMemory } from '../../src/mmu/user-memory.js';
import { RoundRobin } from '../../src/scheduler/round-robin.js';
import { Scheduler } from '../../src/scheduler/scheduler.js';

/** A CPU whose guest code is a script: each `run` calls what the test wants done and returns its Exit. */
export class ScriptedCpu implements GuestCpu {
  readonly base: number;
  readonly hasPku = true;
  pkru = 0;
  /** Called at each `run` with the task that runs. */
  script: (task: number) => number = () => Exit.interrupt;
  /** Called in the middle of saving registers. */
  whileSaving: () => void = () => undefined;
  private flags = 0x202;

  constructor(
    readonly memory: Memory,
    readonly id: number,
  ) {
    this.base = cpuPointer(id);
  }

  get rflags(): number {
    this.whileSaving();
    return this.flags;
  }

  set rflags(value: number) {
    this.flags = value;
  }

  run(): number {
    return this.script(this.memory.loadU32(this.base + CpuState.task));
  }

  timestamp(): number {
    return 0;
  }

  translate(): number {
    return 0;
  }

  flushTlb(): void {}
  flushTlbRange(): void {}
  dropCode(): void {}
  dropFrame(): void {}
  describeInstruction(): null {
    return null;
  }

  get rbx(): number {
    return this.memory.loadNumber(this.base + CpuState.gpr + Gpr.rbx * 8);
  }
}

/** Time that passes only when the test says so. */
export class TestClock implements Clock {
  time = 1_000_000;
  monotonic(): number {
    return this.time;
  }
}

/**
 * Scheduler and CPUs of a machine without threads: the test calls their steps one by one, in whatever order it wants to force.
 * Guest code is scripted; system calls go to `syscall`.
 */
export class Workbench {
  readonly memory: Memory;
  readonly clock = new TestClock();
  readonly policy: RoundRobin;
  readonly scheduler: Scheduler;
  readonly cpus: ScriptedCpu[] = [];
  readonly kernels: KernelCpu[] = [];
  readonly loops: CpuLoop[] = [];
  syscall: (k: KernelCpu, number: number) => number = () => 0;
  ended: number[] = [];

  constructor(cpuCount: number, options: { debugFpu?: boolean; mutants?: number } = {}) {
    const map = memoryMap(1 << 20, cpuCount, CPU_BLOCK_BYTES);
    const memory = (this.memory = Memory.create(map.total));
    memory.store32(MACHINE + Machine.cpuCount, cpuCount);
    memory.store32(MACHINE + Machine.debugFpu, options.debugFpu ? 1 : 0);
    memory.store32(MACHINE + Machine.mutants, options.mutants ?? 0);
    memory.store32(MACHINE + Machine.heapBase, map.heapBase);
    memory.store32(MACHINE + Machine.heapNext, map.heapBase);
    memory.store32(MACHINE + Machine.heapEnd, map.heapEnd);
    createHeapClasses(memory);
    createTasks(memory);
    // No cores to spare: an idle CPU doesn't spin.
    createRunQueue(memory, cpuCount, 0);
    this.policy = new RoundRobin(memory);
    this.scheduler = new Scheduler(memory, this.clock, this.policy, { expire: () => Infinity });
    for (let id = 0; id < cpuCount; id++) {
      const cpu = new ScriptedCpu(memory, id);
      const k = new KernelCpu(cpu, null as unknown as UserMemory, this.clock, { write: () => 0 });
      this.cpus.push(cpu);
      this.kernels.push(k);
      this.loops.push(new CpuLoop(k, this.services()));
    }
  }

  private services(): KernelServices {
    return {
      syscall: (k, number) => this.syscall(k, number),
      deliverSignals: (k) => {
        Atomics.store(this.memory.i32, notifyWord(k.task), 0);
        return 'user';
      },
      // How scripts end their task.
      raiseException: (k) => {
        this.end(k);
        return 'gone';
      },
      unimplemented: () => 'gone',
      loadMm: () => undefined,
      catchUp: () => undefined,
      standStill: () => undefined,
      exitThread: (k) => this.end(k),
    };
  }

  /** Ends the current task, as `exit` does. */
  end(k: KernelCpu): void {
    this.ended.push(k.task);
    const number = sleepNumberOf(loadWord(this.memory, k.task));
    Atomics.store(this.memory.i32, (k.task + Task.word) >>> 2, taskWord(TaskState.Dead, 0, 0, number));
  }

  /** A new task; `mark` is put into RBX, so that a test sees whose registers a CPU has. */
  task(mark: number, pkru = 0): number {
    const task = createTask(this.memory);
    this.memory.storeNumber(task + Task.registers + Gpr.rbx * 8, mark);
    setImagePkru(this.memory, task + Task.image, pkru);
    return task;
  }

  start(mark: number, pkru = 0): number {
    const task = this.task(mark, pkru);
    wakeNew(this.memory, task);
    return task;
  }

  state(task: number): number {
    return stateOf(loadWord(this.memory, task));
  }

  /** The pending interrupt bits of a CPU. */
  interrupts(cpu: number): number {
    return Atomics.load(this.memory.i32, (cpuPointer(cpu) + CpuState.interrupt) >>> 2);
  }

  processOf(task: number): number {
    return this.memory.loadU32(task + Task.process);
  }

  setExiting(task: number): void {
    this.memory.store32(this.processOf(task) + Process.exiting, 1);
  }
}

export function notifyWord(task: number): number {
  return (task + Task.signals + TaskSignals.notify) >>> 2;
}
