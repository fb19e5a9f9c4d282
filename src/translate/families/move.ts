import { Code, Mnemonic } from '../iced/enums.js';
import { Gpr, Vector } from '../../cpu/state.js';
import { Op, Type } from '../../wasm/opcodes.js';
import type { Emitter } from '../emitter.js';
import { Cc } from '../flag-emitter.js';
import type { Insn, Operand } from '../insn.js';
import type { Row } from '../row.js';
import { destinationSize } from '../operand-size.js';
import { width } from '../width.js';
import { readSelector } from './segment.js';

/** MOV, extensions, exchanges, LEA, the stack, conditional moves and sets. */

function mov(e: Emitter, insn: Insn): void {
  const [to, from] = insn.ops;
  if (from.kind === 'reg' && from.class === 'seg') {
    const size = to.kind === 'reg' ? to.size : 2;
    readSelector(e, from.num);
    if (size === 8) e.c.op(Op.i64_extend_i32_u);
    e.writeOp(0, size);
    return;
  }
  const size = destinationSize(insn);
  if (to.kind === 'reg' && from.kind === 'reg' && size === 8) {
    e.c.get(e.gpr(from.num)).set(e.gprW(to.num));
    e.holdsSum(to.num, from.num, () => 0);
    return;
  }
  e.readOp(1, size);
  e.writeOp(0, size);
}

/** MOVZX, MOVSX, MOVSXD: the source size is the operand's own. */
function extend(signed: boolean) {
  return (e: Emitter, insn: Insn): void => {
    const c = e.c;
    const size = destinationSize(insn);
    const from = insn.ops[1].kind === 'reg' ? insn.ops[1].size : insn.memorySize;
    e.readOp(1, from);
    if (signed) {
      if (from === 1) c.op(Op.i32_extend8_s);
      else if (from === 2) c.op(Op.i32_extend16_s);
    }
    if (size === 8) c.op(signed ? Op.i64_extend_i32_s : Op.i64_extend_i32_u);
    e.writeOp(0, size);
  };
}

function lea(e: Emitter, insn: Insn): void {
  const size = destinationSize(insn);
  const mem = insn.mem!;
  e.ea({ ...mem, segment: 'none' });
  if (size < 8) e.c.op(Op.i32_wrap_i64);
  e.writeOp(0, size);
  const [to] = insn.ops;
  if (size === 8 && mem.addressSize === 8 && mem.base >= 0 && mem.index < 0 && to.kind === 'reg')
    e.holdsSum(to.num, mem.base, () => mem.disp);
}

function xchg(e: Emitter, insn: Insn): void {
  const size = destinationSize(insn);
  const type = width(size).type;
  e.readOp(1, size);
  const b = e.toTemp(type);
  e.readOp(0, size);
  const a = e.toTemp(type);
  e.c.get(b);
  e.writeOp(0, size);
  e.c.get(a);
  e.writeOp(1, size);
}

/** Pushes a register pointer moved by `delta`: an address for the stack. */
function stackAddress(e: Emitter, delta: number): number {
  e.addressBehind(Gpr.rsp, delta);
  return e.toTemp(Type.i64);
}

/** Pushes the value in a local on the guest's stack. */
export function pushValue(e: Emitter, value: number, size: number): void {
  const address = stackAddress(e, -size);
  e.store(address, value, size);
  e.c.get(address).set(e.gprW(Gpr.rsp));
  e.holdsSum(Gpr.rsp, Gpr.rsp, () => -size);
}

/** Reads the top of the guest's stack on to wasm's, without moving RSP. */
export function peekValue(e: Emitter, size: number): void {
  e.addressBehind(Gpr.rsp, 0);
  e.load(size);
}

export function moveStackPointer(e: Emitter, delta: number): void {
  e.c.get(e.gpr(Gpr.rsp)).i64(delta).op(Op.i64_add).set(e.gprW(Gpr.rsp));
  e.holdsSum(Gpr.rsp, Gpr.rsp, () => delta);
}

/** Operand size of PUSH and POP: 8, or 2 with an operand-size prefix. */
function stackSize(insn: Insn): number {
  const op = insn.ops[0];
  if (op.kind === 'reg' && op.class === '16') return 2;
  return WORD_STACK.has(insn.code) ? 2 : 8;
}

const WORD_STACK = new Set<Code>([
  Code.Push_rm16,
  Code.Push_imm16,
  Code.Pushw_imm8,
  Code.Pop_rm16,
  Code.Pushw_FS,
  Code.Pushw_GS,
]);

function push(e: Emitter, insn: Insn): void {
  const size = stackSize(insn);
  const op = insn.ops[0];
  if (op.kind === 'reg' && op.class === 'seg') {
    readSelector(e, op.num);
    if (size === 8) e.c.op(Op.i64_extend_i32_u);
  } else e.readOp(0, size);
  pushValue(e, e.toTemp(width(size).type), size);
}

function pop(e: Emitter, insn: Insn): void {
  const size = stackSize(insn);
  const op = insn.ops[0];
  peekValue(e, size);
  if (op.kind === 'reg') {
    const value = e.toTemp(width(size).type);
    moveStackPointer(e, size);
    e.c.get(value);
    e.writeReg(op);
    return;
  }
  // The destination's address is computed with RSP already moved, which must not be visible if the store faults.
  const value = e.toTemp(width(size).type);
  e.ea();
  if (insn.mem!.base === Gpr.rsp) e.c.i64(size).op(Op.i64_add);
  e.store(e.toTemp(Type.i64), value, size);
  moveStackPointer(e, size);
}

function leave(e: Emitter, insn: Insn): void {
  const size = insn.code === Code.Leavew ? 2 : 8;
  e.addressBehind(Gpr.rbp, 0);
  e.load(size);
  const value = e.toTemp(width(size).type);
  e.c.get(e.gpr(Gpr.rbp)).i64(size).op(Op.i64_add).set(e.gprW(Gpr.rsp));
  e.holdsSum(Gpr.rsp, Gpr.rbp, () => size);
  e.c.get(value);
  e.writeReg(implied(Gpr.rbp, size));
}

/** ENTER: pushes RBP, then (nesting level above 0) the enclosing frames' pointers and its own. */
function enter(e: Emitter, insn: Insn): void {
  const c = e.c;
  const [bytes, nesting] = insn.ops.map((op) => (op.kind === 'imm' ? Number(op.value) & 0xffff : 0));
  const level = nesting & 31;
  const size = insn.code === Code.Enterw_imm16_imm8 ? 2 : 8;
  const { type } = width(size);
  const pushed = (count: number, value: number) => e.store(stackAddress(e, -size * count), value, size);
  e.readReg(implied(Gpr.rbp, size));
  pushed(1, e.toTemp(type));
  const frame = stackAddress(e, -size);
  for (let i = 1; i < level; i++) {
    c.get(e.gpr(Gpr.rbp))
      .i64(-size * i)
      .op(Op.i64_add);
    e.load(size);
    pushed(1 + i, e.toTemp(type));
  }
  if (level > 0) {
    c.get(frame);
    if (size === 2) c.op(Op.i32_wrap_i64);
    pushed(1 + level, e.toTemp(type));
  }
  // The stack must be writable at its new top too (SDM vol. 2, ENTER).
  const top = stackAddress(e, -size * (1 + level) - bytes);
  c.get(top);
  e.modify(size);
  c.get(top).set(e.gprW(Gpr.rsp));
  c.get(frame);
  if (size === 2) c.op(Op.i32_wrap_i64);
  e.writeReg(implied(Gpr.rbp, size));
}

function cmov(cc: number) {
  return (e: Emitter, insn: Insn): void => {
    const size = destinationSize(insn);
    // The source is read whatever the condition, and a 32-bit destination is zero-extended in any case.
    e.readOp(1, size);
    e.readOp(0, size);
    e.condition(cc);
    e.c.op(Op.select);
    e.writeOp(0, size);
  };
}

function setcc(cc: number) {
  return (e: Emitter): void => {
    e.condition(cc);
    e.writeOp(0, 1);
  };
}

function cwd(from: number) {
  // CWD, CDQ, CQO: RDX gets the sign of RAX.
  return (e: Emitter): void => {
    const c = e.c;
    c.get(e.gpr(Gpr.rax));
    if (from === 8) {
      c.i64(63).op(Op.i64_shr_s).set(e.gprW(Gpr.rdx));
      return;
    }
    c.op(Op.i32_wrap_i64);
    if (from === 2) c.op(Op.i32_extend16_s);
    c.i32(31).op(Op.i32_shr_s);
    e.writeReg(implied(Gpr.rdx, from));
  };
}

function cbw(to: number) {
  // CBW, CWDE, CDQE: the lower half of RAX sign-extended into the whole.
  return (e: Emitter): void => {
    const c = e.c;
    c.get(e.gpr(Gpr.rax));
    if (to === 8) {
      c.op(Op.i64_extend32_s).set(e.gprW(Gpr.rax));
      return;
    }
    c.op(Op.i32_wrap_i64).op(to === 2 ? Op.i32_extend8_s : Op.i32_extend16_s);
    e.writeReg(implied(Gpr.rax, to));
  };
}

/** A register that an instruction uses without naming it. */
export function implied(num: number, size: number): Operand & { kind: 'reg' } {
  return {
    kind: 'reg',
    class: size === 8 ? '64' : size === 4 ? '32' : size === 2 ? '16' : 'low8',
    num,
    size,
  };
}

function bswap(e: Emitter, insn: Insn): void {
  const size = destinationSize(insn);
  const w = width(size);
  e.readOp(0, size);
  byteSwap(e, w.is64 ? 8 : 4);
  e.writeOp(0, size);
}

/** Reverses the `size` bytes (2, 4, 8) of the i32 or i64 on the stack; of two the others are anything afterwards. */
export function byteSwap(e: Emitter, size: number): void {
  const c = e.c;
  const w = width(size);
  const constant = (v: bigint) => (w.is64 ? c.i64(v) : c.i32(Number(BigInt.asIntN(32, v))));
  const swap = (bits: number, mask: bigint) => {
    const x = e.toTemp(w.type);
    c.get(x);
    constant(BigInt(bits));
    c.op(w.shrU);
    constant(mask);
    c.op(w.and).get(x);
    constant(mask);
    c.op(w.and);
    constant(BigInt(bits));
    c.op(w.shl).op(w.or);
  };
  swap(8, 0x00ff00ff00ff00ffn);
  if (size === 2) return;
  if (!w.is64) {
    c.i32(16).op(Op.i32_rotl);
    return;
  }
  swap(16, 0x0000ffff0000ffffn);
  c.i64(32).op(Op.i64_rotl);
}

const CONDITIONS: readonly (readonly [string, number])[] = [
  ['o', Cc.o],
  ['no', Cc.no],
  ['b', Cc.b],
  ['ae', Cc.ae],
  ['e', Cc.e],
  ['ne', Cc.ne],
  ['be', Cc.be],
  ['a', Cc.a],
  ['s', Cc.s],
  ['ns', Cc.ns],
  ['p', Cc.p],
  ['np', Cc.np],
  ['l', Cc.l],
  ['ge', Cc.ge],
  ['le', Cc.le],
  ['g', Cc.g],
];

function mnemonic(name: string): Mnemonic {
  const value = (Mnemonic as unknown as Record<string, Mnemonic>)[name];
  if (value === undefined) throw new Error(`no mnemonic ${name}`);
  return value;
}

const PRIVILEGED_MOVES = [Code.Mov_r64_cr, Code.Mov_cr_r64, Code.Mov_r64_dr, Code.Mov_dr_r64];

export const rows: readonly Row[] = [
  { mnemonic: Mnemonic.Mov, lower: mov },
  // Touching control and debug registers is not for user mode here: #GP.
  { mnemonic: Mnemonic.Mov, codes: PRIVILEGED_MOVES, end: (e) => e.raise(Vector.GP) },
  { mnemonic: Mnemonic.Movzx, lower: extend(false) },
  { mnemonic: Mnemonic.Movsx, lower: extend(true) },
  { mnemonic: Mnemonic.Movsxd, lower: extend(true) },
  { mnemonic: Mnemonic.Lea, lower: lea },
  { mnemonic: Mnemonic.Xchg, codes: [Code.Xchg_r16_AX, Code.Xchg_r32_EAX, Code.Xchg_r64_RAX], lower: xchg },
  { mnemonic: Mnemonic.Push, lower: push, mayRaise: true },
  { mnemonic: Mnemonic.Pop, lower: pop, mayRaise: true },
  { mnemonic: Mnemonic.Leave, lower: leave, mayRaise: true },
  { mnemonic: Mnemonic.Enter, lower: enter, mayRaise: true },
  { mnemonic: Mnemonic.Cwd, lower: cwd(2) },
  { mnemonic: Mnemonic.Cdq, lower: cwd(4) },
  { mnemonic: Mnemonic.Cqo, lower: cwd(8) },
  { mnemonic: Mnemonic.Cbw, lower: cbw(2) },
  { mnemonic: Mnemonic.Cwde, lower: cbw(4) },
  { mnemonic: Mnemonic.Cdqe, lower: cbw(8) },
  { mnemonic: Mnemonic.Bswap, lower: bswap },
  ...CONDITIONS.map(([name, cc]): Row => ({ mnemonic: mnemonic(`Cmov${name}`), lower: cmov(cc) })),
  ...CONDITIONS.map(([name, cc]): Row => ({ mnemonic: mnemonic(`Set${name}`), lower: setcc(cc) })),
];

export { CONDITIONS, mnemonic };
