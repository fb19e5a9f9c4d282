import { Code, Mnemonic } from '../iced/enums.js';
import { Flag } from '../../cpu/flags.js';
import type { GuestCpu } from '../../cpu/guest-cpu.js';
import { CpuState, Gpr, Segment, Vector } from '../../cpu/state.js';
import { Access } from '../../mmu/walk.js';
import { Op } from '../../wasm/opcodes.js';
import { Emitter } from '../emitter.js';
import { effectiveAddress, translate } from '../execute.js';
import { type Insn, usesStackSegment } from '../insn.js';
import { type Row, raiseException } from '../row.js';

/**
 * Segment registers and their bases: MOV and POP to one, RDFSBASE and its kin, LAR, LSL, VERR, VERW, and far returns, which load CS;
 * SGDT and its kin. PUSH is with the stack.
 */

/** What user mode may see of a descriptor. */
interface Descriptor {
  /** Bits 23:8 of its upper half, as LAR shows them. */
  readonly rights: number;
  readonly limit: number;
  readonly writable: boolean;
}

/**
 * Linux's GDT (arch/x86/include/asm/segment.h) as far as ring 3 may use it, by index; all bases are 0. The others are the
 * kernel's, empty (thread-local storage of 32-bit programs), or do not exist.
 */
const DESCRIPTORS: Readonly<Record<number, Descriptor>> = {
  4: { rights: 0xcffb00, limit: 0xffff_ffff, writable: false }, // 32-bit user code
  5: { rights: 0xcff300, limit: 0xffff_ffff, writable: true }, // user data
  6: { rights: 0xaffb00, limit: 0xffff_ffff, writable: false }, // 64-bit user code
};
/** Its limit is the number of the CPU, for programs to ask for by LSL. */
const CPU_NUMBER = 15;

/** The descriptor that a selector names for ring 3. There is no local table. */
function descriptorOf(cpu: GuestCpu, selector: number): Descriptor | undefined {
  if (selector & 4) return undefined;
  const index = selector >> 3;
  return index === CPU_NUMBER ? { rights: 0xf500, limit: cpu.id, writable: false } : DESCRIPTORS[index];
}

/** CS and SS have one selector each that user mode can run with. */
const FIXED_SELECTORS: Readonly<Record<number, number>> = { [Segment.CS]: 0x33, [Segment.SS]: 0x2b };

/** Pushes a selector, zero-extended (i32). */
export function readSelector(e: Emitter, segment: number): void {
  const fixed = FIXED_SELECTORS[segment];
  if (fixed !== undefined) e.c.i32(fixed);
  else e.c.get(Emitter.CPU).mem(Op.i32_load16_u, CpuState.selectors + 2 * segment);
}

/** SDM vol. 2, MOV: the checks, then the selector and the base. */
function loadSegment(cpu: GuestCpu, segment: number, selector: number): boolean {
  const { memory, base } = cpu;
  const descriptor = descriptorOf(cpu, selector);
  const nullSelector = selector < 4;
  if (segment === Segment.SS) {
    const usable = descriptor?.writable && (selector & 3) === 3;
    return usable || raiseException(cpu, Vector.GP, selector & 0xfffc);
  }
  if (!nullSelector && !descriptor) return raiseException(cpu, Vector.GP, selector & 0xfffc);
  memory.u16[(base + CpuState.selectors + 2 * segment) >>> 1] = selector;
  if (segment === Segment.FS) memory.u64[(base + CpuState.fsBase) >>> 3] = 0n;
  if (segment === Segment.GS) memory.u64[(base + CpuState.gsBase) >>> 3] = 0n;
  return true;
}

/** The two bytes at a guest address; −1 with the exception noted. */
function readWord(cpu: GuestCpu, address: number, stack: boolean): number {
  let word = 0;
  for (let i = 0; i < 2; i++) {
    const pointer = translate(cpu, address + i, Access.read, stack);
    if (pointer === 0) return -1;
    word |= cpu.memory.u8[pointer] << (8 * i);
  }
  return word;
}

/** A selector operand; −1 with the exception noted. */
function selectorOperand(cpu: GuestCpu, insn: Insn, index: number): number {
  const operand = insn.ops[index];
  if (operand.kind === 'reg') return cpu.memory.load32(cpu.base + CpuState.gpr + 8 * operand.num) & 0xffff;
  return readWord(cpu, effectiveAddress(cpu, insn), usesStackSegment(insn));
}

function registerOf(insn: Insn, index: number): { num: number; size: number } {
  const operand = insn.ops[index];
  if (operand.kind !== 'reg') throw new Error(`operand ${index} of ${insn.code} is no register`);
  return operand;
}

function executeMove(cpu: GuestCpu, insn: Insn): boolean {
  const { num } = registerOf(insn, 0);
  if (num === Segment.CS) return raiseException(cpu, Vector.UD);
  const selector = selectorOperand(cpu, insn, 1);
  return selector >= 0 && loadSegment(cpu, num, selector);
}

function executePop(size: number) {
  return (cpu: GuestCpu, insn: Insn): boolean => {
    const rsp = cpu.base + CpuState.gpr + 8 * Gpr.rsp;
    const selector = readWord(cpu, cpu.memory.loadAddress(rsp), true);
    if (selector < 0 || !loadSegment(cpu, registerOf(insn, 0).num, selector)) return false;
    cpu.memory.u64[rsp >>> 3] += BigInt(size);
    return true;
  };
}

function executeReadBase(field: number) {
  return (cpu: GuestCpu, insn: Insn): boolean => {
    const { num, size } = registerOf(insn, 0);
    const { u64 } = cpu.memory;
    u64[(cpu.base + CpuState.gpr + 8 * num) >>> 3] = BigInt.asUintN(8 * size, u64[(cpu.base + field) >>> 3]);
    return true;
  };
}

function executeWriteBase(field: number) {
  return (cpu: GuestCpu, insn: Insn): boolean => {
    const { num, size } = registerOf(insn, 0);
    const { u64 } = cpu.memory;
    const value = BigInt.asUintN(8 * size, u64[(cpu.base + CpuState.gpr + 8 * num) >>> 3]);
    if (BigInt.asIntN(48, value) !== BigInt.asIntN(64, value)) return raiseException(cpu, Vector.GP);
    u64[(cpu.base + field) >>> 3] = value;
    return true;
  };
}

/** ZF says whether the selector was good; `use` has the register and the descriptor. */
function examine(
  index: number,
  good: (descriptor: Descriptor) => boolean,
  use?: (descriptor: Descriptor) => number,
) {
  return (cpu: GuestCpu, insn: Insn): boolean => {
    const selector = selectorOperand(cpu, insn, index);
    if (selector < 0) return false;
    const descriptor = descriptorOf(cpu, selector);
    const found = descriptor !== undefined && good(descriptor);
    cpu.rflags = found ? cpu.rflags | Flag.ZF : cpu.rflags & ~Flag.ZF;
    if (!found || !use) return true;
    const { num, size } = registerOf(insn, 0);
    const pointer = cpu.base + CpuState.gpr + 8 * num;
    if (size === 2) cpu.memory.u16[pointer >>> 1] = use(descriptor);
    else cpu.memory.u64[pointer >>> 3] = BigInt(use(descriptor));
    return true;
  };
}

/** The `index`th eight bytes of the stack; null with the exception noted. */
function stackWord(cpu: GuestCpu, index: number): bigint | null {
  const address = cpu.memory.loadAddress(cpu.base + CpuState.gpr + 8 * Gpr.rsp) + 8 * index;
  let word = 0n;
  for (let i = 0; i < 4; i++) {
    const part = readWord(cpu, address + 2 * i, true);
    if (part < 0) return null;
    word |= BigInt(part) << BigInt(16 * i);
  }
  return word;
}

/** Whether a far return may load this into CS; there is no 32-bit code. */
function checkCode(cpu: GuestCpu, value: bigint): boolean {
  const selector = Number(value & 0xffffn);
  if (selector === FIXED_SELECTORS[Segment.CS]) return true;
  if (selector === 0x23) return raiseException(cpu, Vector.UD);
  return raiseException(cpu, Vector.GP, selector & 0xfffc);
}

function goTo(cpu: GuestCpu, rip: bigint, rsp: bigint): boolean {
  if (BigInt.asIntN(48, rip) !== BigInt.asIntN(64, rip)) return raiseException(cpu, Vector.GP);
  const { u64 } = cpu.memory;
  u64[(cpu.base + CpuState.rip) >>> 3] = rip;
  u64[(cpu.base + CpuState.gpr + 8 * Gpr.rsp) >>> 3] = rsp;
  return true;
}

function executeFarReturn(cpu: GuestCpu, insn: Insn): boolean {
  const rip = stackWord(cpu, 0);
  const cs = rip === null ? null : stackWord(cpu, 1);
  if (rip === null || cs === null || !checkCode(cpu, cs)) return false;
  const released = insn.ops[0]?.kind === 'imm' ? BigInt(insn.ops[0].value) & 0xffffn : 0n;
  const rsp = cpu.memory.u64[(cpu.base + CpuState.gpr + 8 * Gpr.rsp) >>> 3];
  return goTo(cpu, rip, rsp + 16n + released);
}

/** SDM vol. 2, IRET: to the same privilege level, with the stack and the flags. */
function executeInterruptReturn(cpu: GuestCpu): boolean {
  if (cpu.rflags & Flag.NT) return raiseException(cpu, Vector.GP);
  const frame: bigint[] = [];
  for (let i = 0; i < 5; i++) {
    const word = stackWord(cpu, i);
    if (word === null) return false;
    frame.push(word);
  }
  const [rip, cs, rflags, rsp, ss] = frame;
  if (!checkCode(cpu, cs)) return false;
  const stack = Number(ss & 0xffffn);
  if (stack !== FIXED_SELECTORS[Segment.SS]) return raiseException(cpu, Vector.GP, stack & 0xfffc);
  if (!goTo(cpu, rip, rsp)) return false;
  cpu.rflags = Number(rflags & 0xffff_ffffn) | 0;
  return true;
}

/** What user mode may not know (CR4.UMIP): #GP(0), whatever the operand. The kernel stores something for it (src/kernel/umip.ts). */
function prevented(e: Emitter): void {
  e.raise(Vector.GP);
}

const any = () => true;

export const rows: readonly Row[] = [
  { codes: [Code.Mov_Sreg_rm16, Code.Mov_Sreg_r32m16, Code.Mov_Sreg_r64m16], execute: executeMove },
  { codes: [Code.Popq_FS, Code.Popq_GS], execute: executePop(8) },
  { codes: [Code.Popw_FS, Code.Popw_GS], execute: executePop(2) },
  { mnemonic: Mnemonic.Rdfsbase, execute: executeReadBase(CpuState.fsBase) },
  { mnemonic: Mnemonic.Rdgsbase, execute: executeReadBase(CpuState.gsBase) },
  { mnemonic: Mnemonic.Wrfsbase, execute: executeWriteBase(CpuState.fsBase) },
  { mnemonic: Mnemonic.Wrgsbase, execute: executeWriteBase(CpuState.gsBase) },
  { mnemonic: Mnemonic.Lar, execute: examine(1, any, (descriptor) => descriptor.rights) },
  { mnemonic: Mnemonic.Lsl, execute: examine(1, any, (descriptor) => descriptor.limit) },
  { codes: [Code.Retfq, Code.Retfq_imm16], execute: executeFarReturn, jumps: true },
  { mnemonic: Mnemonic.Iretq, execute: executeInterruptReturn, jumps: true },
  { mnemonic: Mnemonic.Sgdt, end: prevented },
  { mnemonic: Mnemonic.Sidt, end: prevented },
  { mnemonic: Mnemonic.Smsw, end: prevented },
  { mnemonic: Mnemonic.Sldt, end: prevented },
  { mnemonic: Mnemonic.Str, end: prevented },
  { mnemonic: Mnemonic.Verr, execute: examine(0, any) },
  { mnemonic: Mnemonic.Verw, execute: examine(0, (descriptor) => descriptor.writable) },
];
