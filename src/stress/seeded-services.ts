import { CpuState, Exit, Gpr } from '../cpu/state.js';
import type { Delivery, KernelServices } from '../kernel/cpu-loop.js';
import type { KernelCpu } from '../kernel/kernel-cpu.js';
import type { UserWatcher } from '../mmu/user-memory.js';
import { futexAt, KERNEL } from '../scheduler/seeded/shared-objects.js';
import type { SeededAccesses, SeededCpu } from './accesses.js';
import { effectsOf } from './system-call-effects.js';

/** What the machine wants to know of its CPUs' ways into the kernel. */
export interface KernelWatcher {
  /** A system call has been made. */
  called(number: number): void;
  /** Whether guest code is to be left at once. */
  readonly leaving: boolean;
  /** Bytes of output so far. */
  readonly outputBytes: number;
}

/** Calls that change page tables; every CPU's stores are done before, as the interrupts that go with them would see to. */
const CHANGES_MAPPINGS = new Set([9, 10, 11, 12, 25, 28, 56, 57, 58, 59, 216, 329, 435]);

/** The kernel's services, with switch points and store buffers in front. */
export class SeededServices implements KernelServices, UserWatcher {
  /** Addresses that the current system call has written to, if somebody wants to know. */
  private written: Set<number> | null = null;

  constructor(
    private readonly inner: KernelServices,
    private readonly accesses: SeededAccesses,
    private readonly cpu: SeededCpu,
    private readonly watcher: KernelWatcher,
  ) {}

  hold(_k: KernelCpu, exit: number): boolean {
    if (this.watcher.leaving) return true;
    switch (exit) {
      case Exit.syscall:
        return !this.accesses.leaves(this.cpu, 'syscall');
      case Exit.exception:
      case Exit.unimplemented:
        return !this.accesses.leaves(this.cpu, 'exception');
    }
    return false;
  }

  syscall(k: KernelCpu, number: number): number {
    this.accesses.serves(this.cpu, 'syscall', number);
    if (CHANGES_MAPPINGS.has(number)) this.accesses.drainAll();
    const told = this.accesses.dependence !== null;
    const result = told ? this.toldSyscall(k, number) : this.inner.syscall(k, number);
    this.watcher.called(number);
    return result;
  }

  /** A system call that the schedule is told of. */
  private toldSyscall(k: KernelCpu, number: number): number {
    const [first, second, fourth] = [Gpr.rdi, Gpr.rsi, Gpr.r10].map((register) => k.register(register));
    const { outputBytes } = this.watcher;
    const written = new Set<number>();
    this.written = written;
    const result = this.inner.syscall(k, number);
    this.written = null;
    const output = this.watcher.outputBytes !== outputBytes;
    const futex = (address: number) => futexAt(this.accesses.translate(address));
    for (const object of effectsOf({ number, first, second, fourth, result, output, written, futex }))
      this.touchesObject(object);
    return result;
  }

  private touchesObject(object: number): void {
    this.accesses.dependence?.touches(this.cpu.thread, object, true);
  }

  // --- UserWatcher -------------------------------------------------------------------------------------------------------

  read(address: number, length: number): void {
    this.accesses.touches(address, length, false);
  }

  wrote(address: number, length: number): void {
    this.accesses.touches(address, length, true);
    this.written?.add(address);
  }

  deliverSignals(k: KernelCpu, number: number): Delivery {
    this.accesses.drain(this.cpu);
    this.accesses.abandon(this.cpu);
    this.touchesObject(KERNEL);
    return this.inner.deliverSignals(k, number);
  }

  raiseException(k: KernelCpu): Delivery {
    this.accesses.serves(this.cpu, 'exception', k.memory.load32(this.cpu.base + CpuState.vector));
    this.touchesObject(KERNEL);
    return this.inner.raiseException(k);
  }

  unimplemented(k: KernelCpu): Delivery {
    this.accesses.serves(this.cpu, 'exception', 6);
    this.touchesObject(KERNEL);
    return this.inner.unimplemented(k);
  }

  loadMm(k: KernelCpu, mm: number): void {
    this.inner.loadMm(k, mm);
  }

  catchUp(k: KernelCpu): void {
    this.inner.catchUp(k);
    // Too late for this entry's own look at the interrupts: the region leaves at once.
    if (this.watcher.leaving) k.memory.store32(this.cpu.base + CpuState.interrupt, -1 << 31);
  }

  standStill(k: KernelCpu): void {
    this.inner.standStill(k);
  }

  exitThread(k: KernelCpu): void {
    this.inner.exitThread(k);
    this.watcher.called(-1);
  }
}
