/** A machine for measuring parts of Europa one by one: CPUs, kernel and scheduler are the real ones, but all in this thread. */
import { HostClock } from '../../src/cpu/clock.js';
import type { CpuHooks } from '../../src/cpu/guest-cpu.js';
import { CpuState, Exit, Gpr, Vector } from '../../src/cpu/state.js';
import { initImage } from '../../src/cpu/xsave.js';
import { CpuLoop } from '../../src/kernel/cpu-loop.js';
import type { KernelCpu } from '../../src/kernel/kernel-cpu.js';
import { createMm, loadMm } from '../../src/kernel/memory/index.js';
import { MapFlag, mmap } from '../../src/kernel/memory/mmap.js';
import { mprotect } from '../../src/kernel/memory/mprotect.js';
import { debugClearApplies } from '../../src/kernel/pkeys/debug-clear.js';
import { initTaskPkeys } from '../../src/kernel/pkeys/lifetime.js';
import type { AbiName } from '../../src/kernel/pkeys/names.js';
import { createKernelCpu } from '../../src/kernel/services.js';
import { createTask, Process, Task } from '../../src/kernel/task.js';
import { expireTimers } from '../../src/kernel/timers.js';
import { wakeNew } from '../../src/kernel/wait.js';
import { loadHandlers } from '../../src/machine/handlers.js';
import { checkOptions } from '../../src/machine/options.js';
import { createSharedMemory } from '../../src/machine/shared.js';
import type { Memory } from '../../src/memory/memory.js';
import { PAGE_SIZE } from '../../src/memory/memory.js';
import type { Mmu } from '../../src/mmu/mmu.js';
import { Prot } from '../../src/mmu/pte.js';
import { RoundRobin } from '../../src/scheduler/round-robin.js';
import { Scheduler } from '../../src/scheduler/scheduler.js';
import { Cpu } from '../../src/translate/cpu.js';
import { Engine } from '../../src/translate/engine.js';

export const RW = Prot.read | Prot.write;

/** Instructions after which guest code comes back to the caller, if nothing else ends it. */
const BUDGET = 4_000_000;

/** Where the first mapping goes. */
const FIRST_ADDRESS = 0x10_0000_0000;

/** General registers by name; those not named are 0. */
export type Registers = Partial<Record<keyof typeof Gpr, number>>;

export interface BenchMachineOptions {
  readonly cpus?: number;
  /** How many of them live in this thread; all unless given. */
  readonly hosted?: number;
  readonly abi?: AbiName;
  readonly debugFpu?: boolean;
  /** Translate all code at once, instead of running it as threaded code first. */
  readonly translateAll?: boolean;
}

export interface BenchCpu {
  readonly k: KernelCpu;
  readonly mmu: Mmu;
  readonly loop: CpuLoop;
}

/** One process with its address space loaded on every hosted CPU; its first task is CPU 0's until tasks are started. */
export class BenchMachine {
  readonly memory: Memory;
  readonly cpus: BenchCpu[] = [];
  readonly scheduler: Scheduler;
  readonly mm: number;
  private readonly process: number;
  private readonly initialPkru: number;
  private nextAddress = FIRST_ADDRESS;

  constructor(options: BenchMachineOptions = {}) {
    const { cpus = 1, hosted = cpus, abi = 'linux', debugFpu = false, translateAll = false } = options;
    const memory = createSharedMemory(
      checkOptions({ cpus, abi, debugFpu, memory: 64 << 20, stdout: 'capture' }),
    );
    this.memory = memory;
    const clock = new HostClock(memory);
    for (let id = 0; id < hosted; id++) {
      const engine = new Engine(memory, null, translateAll ? null : loadHandlers(), id);
      const makeCpu = (hooks: CpuHooks) => new Cpu(memory, id, hooks, engine);
      const { k, mmu, services } = createKernelCpu(memory, makeCpu, {
        clock,
        output: { write: (_fd, bytes) => bytes.length },
        fatal: (_tid, { signal }) => {
          throw new Error(`the measured program died of signal ${signal}`);
        },
        keyFault: () => {},
        note: (line) => {
          throw new Error(line);
        },
      });
      this.cpus.push({ k, mmu, loop: new CpuLoop(k, services, BUDGET) });
    }
    const timers = { expire: (now: number) => expireTimers(memory, now, Infinity) };
    const clears = (mm: number) => debugClearApplies(memory, mm);
    this.scheduler = new Scheduler(memory, clock, new RoundRobin(memory), timers, clears);

    const { k, mmu } = this.cpus[0];
    this.mm = createMm(mmu);
    const task = createTask(memory);
    this.process = memory.loadU32(task + Task.process);
    memory.store32(this.process + Process.mm, this.mm);
    memory.store32(task + Task.mm, this.mm);
    this.initialPkru = initTaskPkeys(memory, task);
    k.task = task;
    k.process = this.process;
    for (const cpu of this.cpus) {
      loadMm(cpu.mmu, this.mm);
      cpu.k.mm = this.mm;
    }
  }

  /** Present pages, readable and writable; the page below and above stays unmapped. Returns the address. */
  map(pages: number, at?: number): number {
    const address = at ?? this.nextAddress;
    if (at === undefined) this.nextAddress += (pages + 1) * PAGE_SIZE;
    const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED | MapFlag.POPULATE;
    const { k } = this.cpus[0];
    const result = mmap(k, address, pages * PAGE_SIZE, RW, flags, 0, () => 0);
    if (result !== address) throw new Error(`mmap answered ${result}`);
    return address;
  }

  /** Puts code into pages of its own, executable and not writable. Returns its address. */
  code(bytes: readonly number[]): number {
    const pages = Math.ceil(bytes.length / PAGE_SIZE);
    const address = this.map(pages);
    const { k } = this.cpus[0];
    k.user.writeFrom(address, Uint8Array.from(bytes));
    const error = mprotect(k, address, pages * PAGE_SIZE, Prot.read | Prot.exec);
    if (error !== 0) throw new Error(`mprotect answered ${error}`);
    return address;
  }

  /** Runs code on CPU 0 up to its INT3, without the kernel. */
  run(rip: number, registers: Registers): void {
    const { memory } = this;
    const { cpu } = this.cpus[0].k;
    this.setRegisters(cpu.base + CpuState.gpr, registers);
    memory.storeNumber(cpu.base + CpuState.rip, rip);
    memory.store32(cpu.base + CpuState.budget, BUDGET);
    const exit = cpu.run();
    const vector = memory.load32(cpu.base + CpuState.vector);
    if (exit !== Exit.exception || vector !== Vector.BP) {
      throw new Error(`guest code ended with exit ${exit}, vector ${vector}`);
    }
  }

  /** A thread of the process, ready to run. Returns its task. */
  start(rip: number, registers: Registers, cpu?: number): number {
    const { memory } = this;
    const task = createTask(memory, this.process);
    this.setRegisters(task + Task.registers, registers);
    const block = task + Task.registers - CpuState.gpr;
    memory.storeNumber(block + CpuState.rip, rip);
    memory.store32(task + Task.rflags, 0x202);
    initImage(memory, task + Task.image, this.initialPkru);
    if (cpu !== undefined) {
      memory.store32(task + Task.affinity, 1 << cpu);
      memory.store32(task + Task.affinity + 4, 0);
    }
    wakeNew(memory, task);
    return task;
  }

  private setRegisters(at: number, registers: Registers): void {
    for (const [name, number] of Object.entries(Gpr)) {
      this.memory.storeNumber(at + 8 * number, registers[name as keyof typeof Gpr] ?? 0);
    }
  }
}
