import { CpuState, DR6_BS, PfError, Vector } from '../../cpu/state.js';
import type { KernelCpu } from '../kernel-cpu.js';
import type { FaultSignal } from '../memory/fault.js';
import { Emulated, emulateUmip } from '../umip.js';
import { type Delivered, force } from './deliver.js';
import { RF } from './frame.js';
import { taskSignalsOf } from './links.js';
import { Signal, SiCode } from './numbers.js';
import { type Info, writeInfo } from './send.js';
import { TaskSignals } from './state.js';

const USER: Delivered = { kind: 'user' };

/** First address that user code cannot have (TASK_SIZE_MAX). */
const TASK_SIZE_MAX = 0x7fff_ffff_f000;

/** Vectors whose exceptions are faults: the processor pushes RF set. #BP and #DB (single step) are traps. */
const isFault = (vector: number) => vector !== Vector.BP && vector !== Vector.DB && vector !== Vector.OF;

/**
 * Turns the exception described in CpuState into its signal and delivers it (arch/x86/kernel/traps.c, mm/fault.c).
 * @param fault for #PF: what the memory part makes of it
 */
export function raiseException(k: KernelCpu, fault: FaultSignal | null): Delivered {
  const { memory, cpu } = k;
  const base = cpu.base;
  const gp = memory.load32(base + CpuState.vector) === Vector.GP;
  const emulated = gp ? emulateUmip(k) : Emulated.no;
  if (emulated === Emulated.yes) return USER;
  const vector = memory.load32(base + CpuState.vector);
  const rip = base + CpuState.rip;
  const signals = taskSignalsOf(k.task);
  let errorCode = 0;
  let info: Info;
  switch (vector) {
    case Vector.DE:
      info = { signo: Signal.FPE, code: SiCode.FPE_INTDIV, addressAt: rip };
      break;
    case Vector.DB: {
      // INT1 sets no bit of DR6.
      const stepped = (memory.load32(base + CpuState.errorCode) & DR6_BS) !== 0;
      info = { signo: Signal.TRAP, code: stepped ? SiCode.TRAP_TRACE : SiCode.TRAP_BRKPT, addressAt: rip };
      break;
    }
    case Vector.BP:
      info = { signo: Signal.TRAP, code: SiCode.KERNEL };
      break;
    case Vector.UD:
      info = { signo: Signal.ILL, code: SiCode.ILL_ILLOPN, addressAt: rip };
      break;
    case Vector.PF: {
      const addressAt = base + CpuState.faultAddress;
      errorCode = memory.load32(base + CpuState.errorCode) | PfError.user;
      // Whether something is mapped in the kernel's half is not for user eyes (set_signal_archinfo).
      if (memory.loadNumber(addressAt) >= TASK_SIZE_MAX && emulated === Emulated.no)
        errorCode |= PfError.present;
      memory.copy64(signals + TaskSignals.faultAddress, addressAt);
      info = { signo: fault?.signal ?? Signal.SEGV, code: fault?.code ?? SiCode.SEGV_MAPERR, addressAt };
      if (info.code === SiCode.SEGV_PKUERR && info.signo === Signal.SEGV) info.pkey = fault?.pkey;
      break;
    }
    case Vector.SS:
      errorCode = memory.load32(base + CpuState.errorCode);
      info = { signo: Signal.BUS, code: SiCode.KERNEL };
      break;
    case Vector.AC:
      errorCode = memory.load32(base + CpuState.errorCode);
      info = { signo: Signal.BUS, code: SiCode.BUS_ADRALN };
      break;
    case Vector.MF:
    case Vector.XM: {
      const code = floatingPointCode(k, vector);
      // Masked by now: nothing to report, run it again (math_error).
      if (code === 0) return USER;
      info = { signo: Signal.FPE, code, addressAt: rip };
      break;
    }
    default:
      errorCode = memory.load32(base + CpuState.errorCode);
      info = { signo: Signal.SEGV, code: SiCode.KERNEL };
  }
  memory.store32(signals + TaskSignals.trapNumber, vector);
  memory.store32(signals + TaskSignals.errorCode, errorCode);
  writeInfo(memory, signals + TaskSignals.info, info);
  return force(k, info.signo, isFault(vector) ? RF : 0, true);
}

/** si_code of #MF and #XM by the unmasked exception flags (fpu__exception_code); 0 if there is none. */
function floatingPointCode(k: KernelCpu, vector: number): number {
  const { memory, cpu } = k;
  let flags: number;
  if (vector === Vector.MF) {
    const fcw = memory.u16[(cpu.base + CpuState.fcw) >> 1];
    flags = memory.u16[(cpu.base + CpuState.fsw) >> 1] & ~fcw & 0x3f;
  } else {
    const mxcsr = memory.load32(cpu.base + CpuState.mxcsr);
    flags = mxcsr & ~(mxcsr >> 7) & 0x3f;
  }
  if (flags & 1) return SiCode.FPE_FLTINV;
  if (flags & 4) return SiCode.FPE_FLTDIV;
  if (flags & 8) return SiCode.FPE_FLTOVF;
  if (flags & 0x12) return SiCode.FPE_FLTUND;
  return flags & 0x20 ? SiCode.FPE_FLTRES : 0;
}
