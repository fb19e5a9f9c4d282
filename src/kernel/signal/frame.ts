import { Flag } from '../../cpu/flags.js';
import type { GuestCpu } from '../../cpu/guest-cpu.js';
import { CpuState, Gpr } from '../../cpu/state.js';
import {
  enabledComponents,
  initExtendedState,
  LegacyArea,
  MXCSR_DEFAULT,
  saveImage,
  XCR0,
  Xfeature,
  XSAVE_BYTES,
  XSAVE_EXTENDED,
  XSAVE_HEADER,
} from '../../cpu/xsave.js';
import { restoreImage, restoreLegacy } from '../../cpu/xsave-instructions.js';
import type { Memory } from '../../memory/memory.js';
import {
  FP_BYTES,
  FP_SOFTWARE,
  FP_XSTATE_MAGIC1,
  FP_XSTATE_MAGIC2,
  FpSoftware,
  FRAME_UCONTEXT,
  RED_ZONE,
  SigFrame,
  Uc,
  USER_CS,
  USER_SS,
} from './frame-layout.js';
import { Sa, Ss } from './numbers.js';
import { SIGINFO_KEPT, TaskSignals } from './state.js';

/**
 * Signal frames: what the kernel leaves on the user's stack before it enters a handler, and what rt_sigreturn makes of it
 * (arch/x86/kernel/signal.c and fpu/signal.c of Linux 6.1).
 *
 * Both parts are put together in CpuState.scratch and copied as wholes, so that a frame costs two or three checked copies.
 */

/** Access to user memory under the CPU's PKRU; false where an address is not accessible (some bytes may be copied). */
export interface FrameMemory {
  /** From kernel memory at `pointer` to the user's `address`. */
  copyOut(address: number, pointer: number, length: number): boolean;
  /** From the user's `address` to kernel memory at `pointer`. */
  copyIn(pointer: number, address: number, length: number): boolean;
}

/** The action a handler was installed with, and the mask to be restored after it. */
export interface Delivery {
  signo: number;
  /** As by Memory.loadExact, and so the restorer: what is no address, or the kernel's, comes out of a handler's fault as it went in. */
  handler: number | bigint;
  /** sa_flags, unsigned. */
  flags: number;
  restorer: number | bigint;
  savedLow: number;
  savedHigh: number;
  /** RFLAGS bits that only the frame shows: RF after a fault, which the processor pushes set (SDM vol. 3, 17.3.1.1). */
  extraFlags: number;
}

/** Order of the sigcontext's registers from r8 on, as register numbers. */
const SIGCONTEXT_ORDER = [
  Gpr.r8,
  Gpr.r9,
  Gpr.r10,
  Gpr.r11,
  Gpr.r12,
  Gpr.r13,
  Gpr.r14,
  Gpr.r15,
  Gpr.rdi,
  Gpr.rsi,
  Gpr.rbp,
  Gpr.rbx,
  Gpr.rdx,
  Gpr.rax,
  Gpr.rcx,
  Gpr.rsp,
] as const;

const FRAME_WITHOUT_INFO = SigFrame.info;
/** RFLAGS.RF: see Delivery.extraFlags. */
export const RF = 0x1_0000;
/** RFLAGS bits that rt_sigreturn takes from the frame (FIX_EFLAGS without RF, which has no effect here). */
const RESTORED_FLAGS =
  Flag.AC | Flag.OF | Flag.DF | Flag.TF | Flag.SF | Flag.ZF | Flag.AF | Flag.PF | Flag.CF;

/** Whether `sp` lies on the task's alternate stack, whatever its flags (__on_sig_stack). */
function withinAltStack(memory: Memory, signals: number, sp: number): boolean {
  const start = memory.loadNumber(signals + TaskSignals.stackPointer);
  return sp > start && sp - start <= memory.loadNumber(signals + TaskSignals.stackSize);
}

/** SS_ONSTACK, SS_DISABLE or 0 for a stack pointer (sas_ss_flags); an auto-disarmed stack never counts as in use. */
export function altStackState(memory: Memory, signals: number, sp: number): number {
  if (memory.loadNumber(signals + TaskSignals.stackSize) === 0) return Ss.DISABLE;
  return onAltStack(memory, signals, sp) ? Ss.ONSTACK : 0;
}

export function onAltStack(memory: Memory, signals: number, sp: number): boolean {
  if (memory.loadU32(signals + TaskSignals.stackFlags) >= Ss.AUTODISARM) return false;
  return withinAltStack(memory, signals, sp);
}

export function resetAltStack(memory: Memory, signals: number): void {
  memory.storeNumber(signals + TaskSignals.stackPointer, 0);
  memory.storeNumber(signals + TaskSignals.stackSize, 0);
  memory.store32(signals + TaskSignals.stackFlags, Ss.DISABLE);
}

/**
 * Writes the frame, under the PKRU of the interrupted code, and sets the registers for the handler.
 * @param signals pointer of the task's TaskSignals; its `info` is the siginfo
 * @param handlerPkru PKRU in the handler
 * @returns false if the stack cannot be written or is too small; nothing but user memory has changed then
 */
export function enterHandler(
  cpu: GuestCpu,
  user: FrameMemory,
  signals: number,
  delivery: Delivery,
  handlerPkru: number,
): boolean {
  const { memory, base } = cpu;
  const { flags } = delivery;
  if (!(flags & Sa.RESTORER)) return false;
  const rsp = memory.loadNumber(base + CpuState.gpr + Gpr.rsp * 8);

  // get_sigframe: red zone, alternate stack, floating-point part at 64 bytes, frame at 16 (as after a call).
  const nested = onAltStack(memory, signals, rsp);
  let entering = false;
  let sp = rsp - RED_ZONE;
  if (flags & Sa.ONSTACK && altStackState(memory, signals, sp) === 0) {
    sp =
      memory.loadNumber(signals + TaskSignals.stackPointer) +
      memory.loadNumber(signals + TaskSignals.stackSize);
    entering = true;
  }
  const fpstate = Math.floor((sp - FP_BYTES) / 64) * 64;
  const frame = Math.floor((fpstate - SigFrame.size) / 16) * 16 - 8;
  if (frame < 0 || ((nested || entering) && !withinAltStack(memory, signals, frame))) return false;

  const scratch = base + CpuState.scratch;
  composeFpState(cpu, scratch);
  if (!user.copyOut(fpstate, scratch, FP_BYTES)) return false;

  const rflags = cpu.rflags;
  composeFrame(memory, base, signals, delivery, fpstate, rflags, scratch);
  const withInfo = (flags & Sa.SIGINFO) !== 0;
  if (!user.copyOut(frame, scratch, withInfo ? SigFrame.size : FRAME_WITHOUT_INFO)) return false;

  const gpr = base + CpuState.gpr;
  memory.storeNumber(gpr + Gpr.rdi * 8, delivery.signo);
  memory.storeNumber(gpr + Gpr.rsi * 8, frame + SigFrame.info);
  memory.storeNumber(gpr + Gpr.rdx * 8, frame + FRAME_UCONTEXT);
  memory.storeNumber(gpr + Gpr.rax * 8, 0);
  memory.storeNumber(gpr + Gpr.rsp * 8, frame);
  memory.storeExact(base + CpuState.rip, delivery.handler);
  cpu.rflags = rflags & ~(Flag.DF | Flag.TF | RF);
  initExtendedState(cpu, handlerPkru);
  if (memory.loadU32(signals + TaskSignals.stackFlags) >= Ss.AUTODISARM) resetAltStack(memory, signals);
  return true;
}

/** The XSAVE image with Linux's marks: MAGIC1 and sizes in the software area, MAGIC2 behind the image. */
function composeFpState(cpu: GuestCpu, image: number): void {
  const { memory } = cpu;
  const i32 = memory.i32;
  i32.fill(0, (image + LegacyArea.unused) >>> 2, (image + XSAVE_BYTES) >>> 2);
  saveImage(cpu, image, XCR0);
  // The FXSAVE part always counts as in use (save_xstate_epilog).
  i32[(image + XSAVE_HEADER) >>> 2] |= Xfeature.x87 | Xfeature.sse;
  const software = image + FP_SOFTWARE;
  memory.store32(software + FpSoftware.magic1, FP_XSTATE_MAGIC1);
  memory.store32(software + FpSoftware.extendedSize, FP_BYTES);
  memory.store32(software + FpSoftware.xfeatures, enabledComponents(cpu));
  memory.store32(software + FpSoftware.xstateSize, XSAVE_BYTES);
  memory.store32(image + XSAVE_BYTES, FP_XSTATE_MAGIC2);
}

function composeFrame(
  memory: Memory,
  base: number,
  signals: number,
  delivery: Delivery,
  fpstate: number,
  rflags: number,
  frame: number,
): void {
  const i32 = memory.i32;
  i32.fill(0, frame >>> 2, (frame + SigFrame.size) >>> 2);
  memory.storeExact(frame + SigFrame.pretcode, delivery.restorer);
  memory.store32(frame + SigFrame.ucFlags, Uc.FP_XSTATE | Uc.SIGCONTEXT_SS | Uc.STRICT_RESTORE_SS);
  memory.copy64(frame + SigFrame.stackPointer, signals + TaskSignals.stackPointer);
  memory.store32(frame + SigFrame.stackFlags, memory.load32(signals + TaskSignals.stackFlags));
  memory.copy64(frame + SigFrame.stackSize, signals + TaskSignals.stackSize);
  for (let i = 0; i < SIGCONTEXT_ORDER.length; i++) {
    memory.copy64(frame + SigFrame.r8 + 8 * i, base + CpuState.gpr + 8 * SIGCONTEXT_ORDER[i]);
  }
  memory.copy64(frame + SigFrame.rip, base + CpuState.rip);
  memory.store32(frame + SigFrame.eflags, rflags | delivery.extraFlags);
  memory.u16[(frame + SigFrame.cs) >>> 1] = USER_CS;
  memory.u16[(frame + SigFrame.ss) >>> 1] = USER_SS;
  memory.store32(frame + SigFrame.err, memory.load32(signals + TaskSignals.errorCode));
  memory.store32(frame + SigFrame.trapno, memory.load32(signals + TaskSignals.trapNumber));
  memory.copy64(frame + SigFrame.cr2, signals + TaskSignals.faultAddress);
  memory.storeNumber(frame + SigFrame.fpstate, fpstate);
  memory.store32(frame + SigFrame.oldmask, delivery.savedLow);
  memory.store32(frame + SigFrame.oldmask + 4, delivery.savedHigh);
  memory.copy64(frame + SigFrame.sigmask, frame + SigFrame.oldmask);
  if (delivery.flags & Sa.SIGINFO) {
    const from = (signals + TaskSignals.info) >>> 2;
    const to = (frame + SigFrame.info) >>> 2;
    for (let i = 0; i < SIGINFO_KEPT / 4; i++) i32[to + i] = i32[from + i];
  }
}

/** What the user asks for with a signal frame, beyond the registers. */
export interface SignalReturn {
  /** uc_stack, applied as by sigaltstack but with its errors ignored. */
  stackPointer: number;
  stackFlags: number;
  stackSize: number;
}

/**
 * Leaves a handler: loads registers and extended state from the frame at RSP − 8.
 *
 * PKRU (pkey-abis.md B): from the image if XSTATE_BV[9] is 1, else 0; 0 with damaged magic; `initialPkru` without fpstate.
 * @param unblock is given the frame's signal mask as soon as that is known: the SIGSEGV for a frame that is bad otherwise can be
 *   handled then
 * @returns null if the frame is bad (SIGSEGV is due). As on Linux, registers may have changed by then.
 */
export function leaveHandler(
  cpu: GuestCpu,
  user: FrameMemory,
  initialPkru: number,
  unblock: (low: number, high: number) => void = () => {},
): SignalReturn | null {
  const { memory, base } = cpu;
  const scratch = base + CpuState.scratch;
  const frame = memory.loadNumber(base + CpuState.gpr + Gpr.rsp * 8) - 8;
  if (frame < 0 || !user.copyIn(scratch, frame, FRAME_WITHOUT_INFO)) return null;
  unblock(memory.load32(scratch + SigFrame.sigmask), memory.load32(scratch + SigFrame.sigmask + 4));
  for (let i = 0; i < SIGCONTEXT_ORDER.length; i++) {
    memory.copy64(base + CpuState.gpr + 8 * SIGCONTEXT_ORDER[i], scratch + SigFrame.r8 + 8 * i);
  }
  memory.copy64(base + CpuState.rip, scratch + SigFrame.rip);
  cpu.rflags = (cpu.rflags & ~RESTORED_FLAGS) | (memory.load32(scratch + SigFrame.eflags) & RESTORED_FLAGS);
  // Only 64-bit code segments exist here; with another one the return to user mode faults.
  const cs = memory.u16[(scratch + SigFrame.cs) >>> 1] | 3;
  const ss = memory.u16[(scratch + SigFrame.ss) >>> 1] | 3;
  const result: SignalReturn = {
    stackPointer: memory.loadNumber(scratch + SigFrame.stackPointer),
    stackFlags: memory.loadU32(scratch + SigFrame.stackFlags),
    stackSize: memory.loadNumber(scratch + SigFrame.stackSize),
  };
  const fpstate = memory.loadNumber(scratch + SigFrame.fpstate);
  return restoreFpState(cpu, user, fpstate, initialPkru) && cs === USER_CS && ss === USER_SS ? result : null;
}

/** fpu__restore_sig. */
function restoreFpState(cpu: GuestCpu, user: FrameMemory, fpstate: number, initialPkru: number): boolean {
  const { memory, base } = cpu;
  if (fpstate === 0) {
    initExtendedState(cpu, initialPkru);
    return true;
  }
  const image = base + CpuState.scratch;
  const whole = user.copyIn(image, fpstate, FP_BYTES);
  if (!whole && !user.copyIn(image, fpstate, LegacyArea.size)) return false;
  const software = image + FP_SOFTWARE;
  const size = memory.loadU32(software + FpSoftware.xstateSize);
  let extended =
    memory.loadU32(software + FpSoftware.magic1) === FP_XSTATE_MAGIC1 &&
    size >= XSAVE_EXTENDED &&
    size <= XSAVE_BYTES &&
    size <= memory.loadU32(software + FpSoftware.extendedSize);
  if (extended) {
    // The marks ask for more than the legacy area, and it has to be there.
    if (!whole && !user.copyIn(image, fpstate, size + 4)) return false;
    const magic2 = image + size;
    const { u8 } = memory;
    const word = u8[magic2] | (u8[magic2 + 1] << 8) | (u8[magic2 + 2] << 16) | (u8[magic2 + 3] << 24);
    extended = word === FP_XSTATE_MAGIC2;
  }
  if (!extended) {
    // fx_only: x87 and SSE from the legacy area, everything else initial, which for PKRU is 0.
    if (!restoreLegacy(cpu, image)) return false;
    cpu.pkru = 0;
    return true;
  }
  const wanted = memory.load32(software + FpSoftware.xfeatures) & XCR0;
  // XRSTOR reads PKRU from its place even if the image claims to end before it.
  const bv = memory.load32(image + XSAVE_HEADER);
  if (!whole && wanted & bv & Xfeature.pkru && !user.copyIn(image, fpstate, XSAVE_BYTES)) return false;
  if (!restoreImage(cpu, image, wanted)) return false;
  // What the marks leave out becomes initial.
  if (wanted !== XCR0) initialise(cpu, XCR0 & ~wanted);
  return true;
}

/** Puts components into their initial state by way of an image that has none. */
function initialise(cpu: GuestCpu, components: number): void {
  const { memory, base } = cpu;
  const mxcsr = memory.load32(base + CpuState.mxcsr);
  const image = base + CpuState.scratch;
  memory.i32.fill(0, image >>> 2, (image + XSAVE_BYTES) >>> 2);
  // init_fpstate's MXCSR comes with SSE.
  memory.store32(image + LegacyArea.mxcsr, components & Xfeature.sse ? MXCSR_DEFAULT : mxcsr);
  restoreImage(cpu, image, components);
}

/** Zero-fills the part of a siginfo that a sender doesn't set. */
export function clearInfo(memory: Memory, info: number): void {
  memory.i32.fill(0, info >>> 2, (info + SIGINFO_KEPT) >>> 2);
}
