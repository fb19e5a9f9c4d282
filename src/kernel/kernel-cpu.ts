import type { Clock } from '../cpu/clock.js';
import type { GuestCpu } from '../cpu/guest-cpu.js';
import { CpuState, Gpr } from '../cpu/state.js';
import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import type { UserMemory } from '../mmu/user-memory.js';
import { Process, Task, WakeReason } from './task-layout.js';

/** Where a CPU's output goes; each CPU worker has one. */
export interface ConsoleOutput {
  /**
   * Writes to standard output (1) or error (2), all of it unless the host fails or a signal interrupts it meanwhile.
   * @param bytes not in shared memory
   * @returns bytes written, or −errno: EPIPE when nobody reads any more (raising SIGPIPE is the caller's duty)
   */
  write(fd: number, bytes: Uint8Array): number;
}

/** The kernel on one CPU: what a syscall handler or fault handler needs to know of where it runs. */
export class KernelCpu {
  readonly memory: Memory;
  /** Pointer of the machine control block. */
  readonly machine = MACHINE;
  /** Pointers of the current task, its process and its mm; 0 while the CPU has no task. */
  task = 0;
  process = 0;
  mm = 0;
  /** Ends the current thread: the handler returns NO_RESULT. Set when the CPU is put together (src/kernel/services.ts). */
  exitThread: () => void = () => {
    throw new Error('the CPU has no services');
  };
  /** Why the current handler is called: a WakeReason. */
  wakeReason: number = WakeReason.none;
  /** Called when a task is made that may run beside the current one. */
  othersNeeded: () => void = () => {};

  /**
   * @param user the current task's memory, as the kernel reaches it: honours PKRU, never blocks
   * @param output where standard output and error go
   */
  constructor(
    readonly cpu: GuestCpu,
    readonly user: UserMemory,
    readonly clock: Clock,
    readonly output: ConsoleOutput,
  ) {
    this.memory = cpu.memory;
  }

  /** The deadline of the task's last sleep: after a wake-up the one that the handler passed to `sleep`. */
  get deadline(): number {
    return this.memory.f64[(this.task + Task.deadline) >>> 3];
  }

  /** Monotonic ns since boot. */
  now(): number {
    return this.clock.monotonic();
  }

  get tid(): number {
    return this.memory.load32(this.task + Task.tid);
  }

  get pid(): number {
    return this.memory.load32(this.process + Process.pid);
  }

  /** Whether an option of MachineFlag is on. */
  flag(bit: number): boolean {
    return (this.memory.load32(MACHINE + Machine.flags) & bit) !== 0;
  }

  /** A general register (Gpr) of the current task as an unsigned number, rounded above 2^53. */
  register(number: number): number {
    return this.memory.loadNumber(this.cpu.base + CpuState.gpr + number * 8);
  }

  setRegister(number: number, value: number): void {
    this.memory.storeNumber(this.cpu.base + CpuState.gpr + number * 8, value);
  }

  get stackPointer(): number {
    return this.register(Gpr.rsp);
  }

  get rip(): number {
    return this.memory.loadNumber(this.cpu.base + CpuState.rip);
  }
}
