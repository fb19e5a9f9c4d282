import { Code, Mnemonic } from '../iced/enums.js';
import { Exit, Gpr, Vector } from '../../cpu/state.js';
import { Op, Type } from '../../wasm/opcodes.js';
import type { Emitter } from '../emitter.js';
import type { Insn } from '../insn.js';
import type { Flow, Row } from '../row.js';
import { CONDITIONS, mnemonic, moveStackPointer, peekValue, pushValue } from './move.js';

/** Jumps, calls, returns, loops, SYSCALL, software interrupts. */

function target(insn: Insn): number {
  const op = insn.ops[0];
  if (op.kind !== 'branch') throw new Error('not a direct branch');
  return op.target;
}

function jmp(e: Emitter, insn: Insn, flow: Flow): void {
  if (insn.ops[0].kind === 'branch') {
    flow.jump(target(insn));
    return;
  }
  e.readOp(0, 8);
  flow.indirect();
}

function call(e: Emitter, insn: Insn, flow: Flow): void {
  const direct = insn.ops[0].kind === 'branch';
  let to = 0;
  if (!direct) {
    e.readOp(0, 8);
    to = e.toTemp(Type.i64);
  }
  e.nextRip();
  pushValue(e, e.toTemp(Type.i64), 8);
  if (direct) flow.jump(target(insn));
  else {
    e.c.get(to);
    flow.indirect();
  }
}

function ret(e: Emitter, insn: Insn, flow: Flow): void {
  peekValue(e, 8);
  const to = e.toTemp(Type.i64);
  const op = insn.ops[0];
  moveStackPointer(e, 8 + (op?.kind === 'imm' ? Number(op.value) & 0xffff : 0));
  e.c.get(to);
  flow.indirect();
}

function jcc(cc: number) {
  return (e: Emitter, insn: Insn, flow: Flow): void => {
    e.condition(cc);
    flow.branch(target(insn), insn.next);
  };
}

/** JRCXZ and, with an address-size prefix, JECXZ. */
function jrcxz(bits: 32 | 64) {
  return (e: Emitter, insn: Insn, flow: Flow): void => {
    e.c.get(e.gpr(Gpr.rcx));
    if (bits === 32) e.c.op(Op.i32_wrap_i64).op(Op.i32_eqz);
    else e.c.op(Op.i64_eqz);
    flow.branch(target(insn), insn.next);
  };
}

/** LOOP, LOOPE, LOOPNE: decrement RCX without touching flags; jump while it is not 0 and, if asked, ZF is as wanted. */
function loop(zf: 'any' | 'set' | 'clear') {
  return (e: Emitter, insn: Insn, flow: Flow): void => {
    const c = e.c;
    c.get(e.gpr(Gpr.rcx)).i64(1).op(Op.i64_sub);
    if (ADDRESS32.has(insn.code)) c.i64(0xffffffff).op(Op.i64_and);
    c.tee(e.gprW(Gpr.rcx)).op(Op.i64_eqz).op(Op.i32_eqz);
    if (zf !== 'any') {
      e.condition(zf === 'set' ? 4 : 5);
      c.op(Op.i32_and);
    }
    flow.branch(target(insn), insn.next);
  };
}

const ADDRESS32 = new Set<Code>([Code.Loop_rel8_64_ECX, Code.Loope_rel8_64_ECX, Code.Loopne_rel8_64_ECX]);

/** SYSCALL: RCX = RIP of the next instruction, R11 = RFLAGS; the kernel reads flags from the lazy state itself. */
function syscall(e: Emitter, insn: Insn, flow: Flow): void {
  e.nextRip();
  e.c.set(e.gprW(Gpr.rcx));
  flow.status(Exit.syscall, insn.next);
}

/** An exception that is reported with RIP behind the instruction: #BP of INT3. */
function trap(vector: number) {
  return (e: Emitter, insn: Insn, flow: Flow): void => {
    e.setVector(vector, 0);
    flow.status(Exit.exception, insn.next);
  };
}

/**
 * INT n: vectors 3 and 4 are open to user mode; of all others the gate is the kernel's, which makes #GP with the gate's number
 * in the error code (SDM vol. 3, 6.13). Linux's INT 80h, the 32-bit system call, is not implemented.
 */
function int(e: Emitter, insn: Insn, flow: Flow): void {
  const op = insn.ops[0];
  const n = op.kind === 'imm' ? Number(op.value) & 0xff : 0;
  if (n === Vector.BP || n === Vector.OF) trap(n)(e, insn, flow);
  else if (n === 0x80) e.leave(Exit.unimplemented);
  else e.raise(Vector.GP, n * 8 + 2);
}

/** An instruction that always faults in user mode. */
function fault(vector: number) {
  return (e: Emitter): void => e.raise(vector);
}

/** More of them, of whose mnemonics not all codes are, or several are; SYSENTER because nothing is set up behind it. */
const PRIVILEGED = [
  Code.Insb_m8_DX,
  Code.Insw_m16_DX,
  Code.Insd_m32_DX,
  Code.Outsb_DX_m8,
  Code.Outsw_DX_m16,
  Code.Outsd_DX_m32,
  Code.Lgdt_m1664,
  Code.Lidt_m1664,
  Code.Sysretd,
  Code.Sysenter,
  Code.Sysexitd,
];

export const rows: readonly Row[] = [
  { mnemonic: Mnemonic.Jmp, end: jmp },
  { mnemonic: Mnemonic.Call, end: call },
  { mnemonic: Mnemonic.Ret, end: ret },
  ...CONDITIONS.map(([name, cc]): Row => ({ mnemonic: mnemonic(`J${name}`), end: jcc(cc) })),
  { mnemonic: Mnemonic.Jrcxz, end: jrcxz(64) },
  { mnemonic: Mnemonic.Jecxz, end: jrcxz(32) },
  { mnemonic: Mnemonic.Loop, end: loop('any') },
  { mnemonic: Mnemonic.Loope, end: loop('set') },
  { mnemonic: Mnemonic.Loopne, end: loop('clear') },
  { mnemonic: Mnemonic.Syscall, end: syscall },
  { mnemonic: Mnemonic.Int3, end: trap(Vector.BP) },
  { mnemonic: Mnemonic.Int, end: int },
  // No bit of DR6 is set (the error code stands for it): that tells it from a single step.
  { mnemonic: Mnemonic.Int1, end: trap(Vector.DB) },
  { mnemonic: Mnemonic.Ud2, end: fault(Vector.UD) },
  { mnemonic: Mnemonic.Ud1, end: fault(Vector.UD) },
  { mnemonic: Mnemonic.Ud0, end: fault(Vector.UD) },
  // Privileged instructions: #GP(0) at CPL 3 (SDM vol. 2, each page).
  { mnemonic: Mnemonic.Hlt, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Cli, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Sti, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Rdmsr, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Wrmsr, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Invlpg, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Wbinvd, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Clts, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Invd, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Lldt, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Ltr, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Lmsw, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Rdpmc, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Swapgs, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Xsetbv, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Sysexitq, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Sysretq, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.In, end: fault(Vector.GP) },
  { mnemonic: Mnemonic.Out, end: fault(Vector.GP) },
  { codes: PRIVILEGED, end: fault(Vector.GP) },
];
