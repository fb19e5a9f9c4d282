import type { Clock } from '../cpu/clock.js';
import type { CpuHooks, GuestCpu } from '../cpu/guest-cpu.js';
import { CpuState, Exit, PfError, Vector } from '../cpu/state.js';
import type { Memory } from '../memory/memory.js';
import type { Mmu } from '../mmu/mmu.js';
import type { Delivery, KernelServices } from './cpu-loop.js';
import { SyscallDispatcher } from './dispatch.js';
import { runExclusive, standStill, standStillInside } from './exclusive.js';
import { type ExitHooks, exitProcess, exitThread } from './exit.js';
import { dropTable } from './files/index.js';
import { type ConsoleOutput, KernelCpu } from './kernel-cpu.js';
import {
  codeMarkedHook,
  codeWrittenHook,
  createUserMemory,
  dropMm,
  type FaultSignal,
  loadMm,
  pageFaultHook,
  userFault,
} from './memory/index.js';
import { RunQueue, runQueue } from './run-queue.js';
import { type Delivered, deliverSignals, type FatalSignal } from './signal/deliver.js';
import { raiseException } from './signal/exceptions.js';
import { SiCode } from './signal/numbers.js';
import { syscallTable } from './syscall-table.js';
import { mainProcess, Process, WakeReason } from './task.js';

/** A protection-key fault, as the kernel saw it. */
export interface KeyFault {
  readonly cpu: number;
  readonly tid: number;
  readonly address: number;
  /** Key of the mapping. */
  readonly key: number;
  readonly access: 'read' | 'write';
  readonly pkru: number;
  readonly rip: number;
  readonly errorCode: number;
}

/** What the kernel on one CPU needs of the world outside the machine. */
export interface HostServices {
  readonly clock: Clock;
  readonly output: ConsoleOutput;
  /** The machine's program dies of a signal. */
  fatal(tid: number, signal: FatalSignal): void;
  keyFault(fault: KeyFault): void;
  /** One line for the user of the machine, without newline. */
  note(line: string): void;
  /** The CPUs beyond the first have something to do: a second task was made, or one may not run on the first. */
  othersNeeded?(): void;
  /** A line of --strace, with its newline; to standard error unless given. */
  log?(line: string): void;
}

/** Puts together a CPU and the kernel on it. */
export function createKernelCpu(
  memory: Memory,
  makeCpu: (hooks: CpuHooks) => GuestCpu,
  host: HostServices,
): { k: KernelCpu; mmu: Mmu; services: KernelServices } {
  const hooks: CpuHooks = {
    pageFault: (cpu) => {
      const again = pageFaultHook(mmu);
      if (!standStillInside(mmu, cpu) || !again) return again;
      memory.store32(cpu.base + CpuState.exit, Exit.restart);
      return false;
    },
    codeWritten: (cpu, frame) => {
      codeWrittenHook(mmu, frame);
      standStillInside(mmu, cpu);
    },
    codeMarked: (cpu, frame) => {
      codeMarkedHook(mmu, frame);
      standStillInside(mmu, cpu);
    },
    exclusive: (cpu, step) => runExclusive(mmu, cpu, step),
    now: () => host.clock.monotonic(),
  };
  const cpu = makeCpu(hooks);
  const user = createUserMemory(cpu, memory.load32(runQueue(memory) + RunQueue.hostCores));
  const { mmu } = user;
  const k = new KernelCpu(cpu, user, host.clock, host.output);
  if (host.othersNeeded) k.othersNeeded = () => host.othersNeeded?.();
  const services = new Services(k, mmu, host);
  k.exitThread = () => services.exitThread(k);
  return { k, mmu, services };
}

class Services implements KernelServices {
  private readonly dispatcher: SyscallDispatcher;
  /** Addresses of instructions that were reported as not implemented. */
  private readonly reported = new Set<number>();

  constructor(
    k: KernelCpu,
    private readonly mmu: Mmu,
    private readonly host: HostServices,
  ) {
    this.dispatcher = new SyscallDispatcher(k, syscallTable(k.memory), host.log);
  }

  private readonly exitHooks: ExitHooks = {
    process: (k) => {
      // The machine's own end takes everything with it.
      if (k.process === mainProcess(k.memory)) return;
      dropTable(k.memory, k.memory.loadU32(k.process + Process.files));
      dropMm(this.mmu, k.mm);
    },
  };

  syscall(k: KernelCpu, number: number): number {
    if (k.wakeReason === WakeReason.none) k.memory.count(k.cpu.base + CpuState.syscalls);
    return this.dispatcher.call(number);
  }

  deliverSignals(k: KernelCpu, number: number): Delivery {
    return this.settle(k, deliverSignals(k, number));
  }

  raiseException(k: KernelCpu): Delivery {
    const { memory, cpu } = k;
    let fault: FaultSignal | null = null;
    if (memory.load32(cpu.base + CpuState.vector) === Vector.PF) {
      fault = userFault(this.mmu);
      if (fault === null) return 'user';
      if (fault.code === SiCode.SEGV_PKUERR) this.reportKeyFault(k, fault.pkey);
    }
    return this.settle(k, raiseException(k, fault));
  }

  unimplemented(k: KernelCpu): Delivery {
    const { memory, cpu, rip } = k;
    if (!this.reported.has(rip)) {
      this.reported.add(rip);
      const found = cpu.describeInstruction(rip);
      const bytes = found
        ? Buffer.from(found.bytes)
            .toString('hex')
            .replace(/..(?=.)/g, '$& ')
        : '?';
      this.host.note(`instruction not implemented at 0x${rip.toString(16)}: ${bytes}: ${found?.text ?? '?'}`);
    }
    memory.store32(cpu.base + CpuState.vector, Vector.UD);
    memory.store32(cpu.base + CpuState.errorCode, 0);
    return this.settle(k, raiseException(k, null));
  }

  private settle(k: KernelCpu, delivered: Delivered): Delivery {
    if (delivered.kind !== 'fatal') return delivered.kind;
    if (k.process === mainProcess(k.memory)) this.host.fatal(k.tid, delivered.signal);
    exitProcess(k.memory, k.process, 0, delivered.signal.signal);
    this.exitThread(k);
    return 'gone';
  }

  private reportKeyFault(k: KernelCpu, key: number): void {
    const { memory, cpu } = k;
    const errorCode = memory.load32(cpu.base + CpuState.errorCode);
    this.host.keyFault({
      cpu: cpu.id,
      tid: k.tid,
      address: memory.loadNumber(cpu.base + CpuState.faultAddress),
      key,
      access: errorCode & PfError.write ? 'write' : 'read',
      pkru: cpu.pkru,
      rip: k.rip,
      errorCode,
    });
  }

  loadMm(_k: KernelCpu, mm: number): void {
    loadMm(this.mmu, mm);
  }

  catchUp(): void {
    this.mmu.catchUp();
  }

  standStill(k: KernelCpu): void {
    standStill(k.memory, k.cpu.id);
  }

  exitThread(k: KernelCpu): void {
    exitThread(k, this.exitHooks);
  }
}
