import { Code, Mnemonic } from '../iced/enums.js';
import { cpuid, xgetbv } from '../../cpu/cpuid.js';
import { ARITHMETIC_FLAGS, FIXED_FLAGS, Flag, KEPT_FLAGS } from '../../cpu/flags.js';
import type { GuestCpu } from '../../cpu/guest-cpu.js';
import { CpuState, Exit, Gpr, Vector } from '../../cpu/state.js';
import { fxrstor, fxsave, SaveKind, xrstor, xsave } from '../../cpu/xsave-instructions.js';
import { MACHINE, Machine } from '../../memory/layout.js';
import { Op, Type } from '../../wasm/opcodes.js';
import { Emitter } from '../emitter.js';
import type { Insn } from '../insn.js';
import { type Flow, type Row, raiseException } from '../row.js';
import { effectiveAddress, instructionMemory } from '../execute.js';
import { SwitchPoint } from '../shared-access.js';
import { moveStackPointer, peekValue, pushValue } from './move.js';

/** NOP and hints, RDPKRU and WRPKRU, PUSHF and POPF, CPUID, RDTSC, XGETBV, the XSAVE family. */

function nothing(): void {}

function pause(e: Emitter): void {
  e.switchPoint(SwitchPoint.pause);
}

/** ECX (and EDX for WRPKRU) must be 0: SDM vol. 2, RDPKRU, WRPKRU. */
function requireZero(e: Emitter, register: number): void {
  e.c.get(e.gpr(register)).op(Op.i32_wrap_i64);
  e.raiseIf(Vector.GP);
}

function rdpkru(e: Emitter): void {
  requireZero(e, Gpr.rcx);
  e.readPkru();
  e.c.op(Op.i64_extend_i32_u).set(e.gprW(Gpr.rax));
  e.c.i64(0).set(e.gprW(Gpr.rdx));
}

function wrpkru(e: Emitter): void {
  requireZero(e, Gpr.rcx);
  requireZero(e, Gpr.rdx);
  e.switchPoint(SwitchPoint.wrpkru);
  e.c.get(e.gpr(Gpr.rax)).op(Op.i32_wrap_i64);
  e.writePkru();
}

function pushf(size: number) {
  return (e: Emitter): void => {
    const c = e.c;
    e.flagBits();
    // The image on the stack never shows RF and VM; TF is shown.
    c.get(Emitter.CPU)
      .mem(Op.i32_load, CpuState.rflags)
      .i32(KEPT_FLAGS)
      .op(Op.i32_and)
      .op(Op.i32_or)
      .i32(FIXED_FLAGS)
      .op(Op.i32_or);
    if (size === 8) c.op(Op.i64_extend_i32_u);
    else c.i32(0xffff).op(Op.i32_and);
    pushValue(e, e.toTemp(size === 8 ? Type.i64 : Type.i32), size);
  };
}

function popf(size: number) {
  return (e: Emitter, insn: Insn, flow: Flow): void => {
    const c = e.c;
    peekValue(e, size);
    if (size === 8) c.op(Op.i32_wrap_i64);
    const value = e.toTemp(Type.i32);
    moveStackPointer(e, size);
    c.get(Emitter.CPU)
      .get(value)
      .i32(size === 8 ? KEPT_FLAGS : KEPT_FLAGS & 0xffff)
      .op(Op.i32_and);
    if (size === 2)
      c.get(Emitter.CPU)
        .mem(Op.i32_load, CpuState.rflags)
        .i32(KEPT_FLAGS & ~0xffff)
        .op(Op.i32_and)
        .op(Op.i32_or);
    c.mem(Op.i32_store, CpuState.rflags);
    c.get(value).i32(ARITHMETIC_FLAGS).op(Op.i32_and);
    e.setFlagBits();
    // Single-stepping begins behind the next instruction, which the CPU's loop runs alone.
    c.get(value).i32(Flag.TF).op(Op.i32_and).if();
    flow.status(Exit.interrupt, insn.next);
    c.end();
    flow.jump(insn.next);
  };
}

// --- instructions that run in TypeScript -------------------------------------------------------------------------------

function gpr32(cpu: GuestCpu, num: number): number {
  return cpu.memory.load32(cpu.base + CpuState.gpr + 8 * num);
}

/** A 32-bit result: the upper half is cleared. */
function setGpr32(cpu: GuestCpu, num: number, value: number): void {
  cpu.memory.store32(cpu.base + CpuState.gpr + 8 * num, value);
  cpu.memory.store32(cpu.base + CpuState.gpr + 8 * num + 4, 0);
}

function executeCpuid(cpu: GuestCpu): boolean {
  const cpuCount = cpu.memory.load32(MACHINE + Machine.cpuCount);
  const context = { cpuId: cpu.id, cpuCount, pku: cpu.hasPku };
  const { eax, ebx, ecx, edx } = cpuid(gpr32(cpu, Gpr.rax) >>> 0, gpr32(cpu, Gpr.rcx) >>> 0, context);
  setGpr32(cpu, Gpr.rax, eax);
  setGpr32(cpu, Gpr.rbx, ebx);
  setGpr32(cpu, Gpr.rcx, ecx);
  setGpr32(cpu, Gpr.rdx, edx);
  return true;
}

function executeXgetbv(cpu: GuestCpu): boolean {
  if (gpr32(cpu, Gpr.rcx) !== 0) return raiseException(cpu, Vector.GP);
  setGpr32(cpu, Gpr.rax, xgetbv(cpu.hasPku));
  setGpr32(cpu, Gpr.rdx, 0);
  return true;
}

function executeRdtsc(cpu: GuestCpu): boolean {
  const ticks = cpu.timestamp();
  setGpr32(cpu, Gpr.rax, (ticks % 0x1_0000_0000) | 0);
  setGpr32(cpu, Gpr.rdx, Math.floor(ticks / 0x1_0000_0000));
  return true;
}

function executeRdtscp(cpu: GuestCpu): boolean {
  executeRdtsc(cpu);
  // IA32_TSC_AUX as Linux sets it: node number above bit 12, CPU number below.
  setGpr32(cpu, Gpr.rcx, cpu.id);
  return true;
}

const WIDE = new Set<Code>([
  Code.Fxsave64_m512byte,
  Code.Fxrstor64_m512byte,
  Code.Xsave64_mem,
  Code.Xsavec64_mem,
  Code.Xsaveopt64_mem,
  Code.Xrstor64_mem,
]);

function executeFx(save: boolean) {
  return (cpu: GuestCpu, insn: Insn): boolean => {
    const address = effectiveAddress(cpu, insn);
    // An area that runs into the non-canonical range is refused before any of it is touched.
    if (address < 2 ** 47 && address + 512 > 2 ** 47) return raiseException(cpu, Vector.GP);
    return (save ? fxsave : fxrstor)(cpu, instructionMemory(cpu, insn), address, WIDE.has(insn.code));
  };
}

function executeXsave(kind: number) {
  return (cpu: GuestCpu, insn: Insn): boolean =>
    xsave(
      cpu,
      instructionMemory(cpu, insn),
      kind,
      effectiveAddress(cpu, insn),
      gpr32(cpu, Gpr.rax),
      WIDE.has(insn.code),
    );
}

function executeXrstor(cpu: GuestCpu, insn: Insn): boolean {
  return xrstor(
    cpu,
    instructionMemory(cpu, insn),
    effectiveAddress(cpu, insn),
    gpr32(cpu, Gpr.rax),
    WIDE.has(insn.code),
  );
}

export const rows: readonly Row[] = [
  { mnemonic: Mnemonic.Nop, lower: nothing },
  { mnemonic: Mnemonic.Endbr64, lower: nothing },
  { mnemonic: Mnemonic.Endbr32, lower: nothing },
  // What processors without the feature execute as hints that do nothing: shadow stacks (libgcc's unwinder asks by RDSSP), MPX.
  { mnemonic: Mnemonic.Rdsspd, lower: nothing },
  { mnemonic: Mnemonic.Rdsspq, lower: nothing },
  { mnemonic: Mnemonic.Bndmk, lower: nothing },
  { mnemonic: Mnemonic.Bndcl, lower: nothing },
  { mnemonic: Mnemonic.Bndcu, lower: nothing },
  { mnemonic: Mnemonic.Bndcn, lower: nothing },
  { mnemonic: Mnemonic.Bndmov, lower: nothing },
  { mnemonic: Mnemonic.Bndldx, lower: nothing },
  { mnemonic: Mnemonic.Bndstx, lower: nothing },
  { mnemonic: Mnemonic.Cldemote, lower: nothing },
  { mnemonic: Mnemonic.Pause, lower: pause },
  { mnemonic: Mnemonic.Reservednop, lower: nothing },
  { mnemonic: Mnemonic.Prefetcht0, lower: nothing },
  { mnemonic: Mnemonic.Prefetcht1, lower: nothing },
  { mnemonic: Mnemonic.Prefetcht2, lower: nothing },
  { mnemonic: Mnemonic.Prefetchnta, lower: nothing },
  { mnemonic: Mnemonic.Prefetchw, lower: nothing },
  { mnemonic: Mnemonic.Prefetchwt1, lower: nothing },
  { mnemonic: Mnemonic.Prefetchit0, lower: nothing },
  { mnemonic: Mnemonic.Prefetchit1, lower: nothing },
  { mnemonic: Mnemonic.Prefetch, lower: nothing },
  { mnemonic: Mnemonic.Rdpkru, lower: rdpkru, mayRaise: true },
  { mnemonic: Mnemonic.Wrpkru, lower: wrpkru, mayRaise: true },
  { mnemonic: Mnemonic.Pushfq, lower: pushf(8), mayRaise: true },
  { mnemonic: Mnemonic.Pushf, lower: pushf(2), mayRaise: true },
  { mnemonic: Mnemonic.Popfq, end: popf(8) },
  { mnemonic: Mnemonic.Popf, end: popf(2) },
  { mnemonic: Mnemonic.Cpuid, execute: executeCpuid },
  { mnemonic: Mnemonic.Xgetbv, execute: executeXgetbv },
  { mnemonic: Mnemonic.Rdtsc, execute: executeRdtsc },
  { mnemonic: Mnemonic.Rdtscp, execute: executeRdtscp },
  { mnemonic: Mnemonic.Fxsave, execute: executeFx(true) },
  { mnemonic: Mnemonic.Fxsave64, execute: executeFx(true) },
  { mnemonic: Mnemonic.Fxrstor, execute: executeFx(false) },
  { mnemonic: Mnemonic.Fxrstor64, execute: executeFx(false) },
  { mnemonic: Mnemonic.Xsave, execute: executeXsave(SaveKind.xsave) },
  { mnemonic: Mnemonic.Xsave64, execute: executeXsave(SaveKind.xsave) },
  { mnemonic: Mnemonic.Xsavec, execute: executeXsave(SaveKind.xsavec) },
  { mnemonic: Mnemonic.Xsavec64, execute: executeXsave(SaveKind.xsavec) },
  { mnemonic: Mnemonic.Xsaveopt, execute: executeXsave(SaveKind.xsaveopt) },
  { mnemonic: Mnemonic.Xsaveopt64, execute: executeXsave(SaveKind.xsaveopt) },
  { mnemonic: Mnemonic.Xrstor, execute: executeXrstor },
  { mnemonic: Mnemonic.Xrstor64, execute: executeXrstor },
];
