import { Code, Mnemonic } from '../iced/enums.js';
import { CcKind, Flag } from '../../cpu/flags.js';
import { CpuState, Exit, Gpr, Vector } from '../../cpu/state.js';
import { Atomic, Op, Type } from '../../wasm/opcodes.js';
import { Emitter } from '../emitter.js';
import type { Modify } from '../memory-emitter.js';
import type { Insn } from '../insn.js';
import { destinationSize } from '../operand-size.js';
import type { Row } from '../row.js';
import { type Width, width } from '../width.js';
import { compute, flagKind } from './alu.js';
import { type BitKind, bitAddress, bitMask, bitToCarry, changeBit } from './bit.js';
import { implied } from './move.js';

/**
 * Locked read-modify-writes, XCHG, CMPXCHG, XADD, CMPXCHG8B/16B, fences.
 *
 * Aligned ones of up to 8 bytes are wasm atomics, which every host makes sequentially consistent. Misaligned ones and
 * CMPXCHG16B leave the region with `exclusive`: the instruction then runs alone while all other CPUs stand still.
 */

const RMW = {
  add: {
    1: Atomic.i64_rmw8_add_u,
    2: Atomic.i64_rmw16_add_u,
    4: Atomic.i64_rmw32_add_u,
    8: Atomic.i64_rmw_add,
  },
  sub: {
    1: Atomic.i64_rmw8_sub_u,
    2: Atomic.i64_rmw16_sub_u,
    4: Atomic.i64_rmw32_sub_u,
    8: Atomic.i64_rmw_sub,
  },
  and: {
    1: Atomic.i64_rmw8_and_u,
    2: Atomic.i64_rmw16_and_u,
    4: Atomic.i64_rmw32_and_u,
    8: Atomic.i64_rmw_and,
  },
  or: { 1: Atomic.i64_rmw8_or_u, 2: Atomic.i64_rmw16_or_u, 4: Atomic.i64_rmw32_or_u, 8: Atomic.i64_rmw_or },
  xor: {
    1: Atomic.i64_rmw8_xor_u,
    2: Atomic.i64_rmw16_xor_u,
    4: Atomic.i64_rmw32_xor_u,
    8: Atomic.i64_rmw_xor,
  },
  xchg: {
    1: Atomic.i64_rmw8_xchg_u,
    2: Atomic.i64_rmw16_xchg_u,
    4: Atomic.i64_rmw32_xchg_u,
    8: Atomic.i64_rmw_xchg,
  },
  cmpxchg: {
    1: Atomic.i64_rmw8_cmpxchg_u,
    2: Atomic.i64_rmw16_cmpxchg_u,
    4: Atomic.i64_rmw32_cmpxchg_u,
    8: Atomic.i64_rmw_cmpxchg,
  },
} as const;

type Size = 1 | 2 | 4 | 8;

/** Pushes the low address bits that must be 0 for a wasm atomic. The pointer won't do: it may be that of the bounce area. */
function misalignment(e: Emitter, m: Modify): void {
  e.c
    .get(m.address)
    .op(Op.i32_wrap_i64)
    .i32(m.size - 1)
    .op(Op.i32_and);
}

/** Leaves the region if the operand is misaligned and this CPU does not run alone. */
function requireAtomic(e: Emitter, m: Modify): void {
  if (m.size === 1) return;
  const c = e.c;
  misalignment(e, m);
  c.if();
  c.get(Emitter.CPU).mem(Op.i32_load, CpuState.exclusive).op(Op.i32_eqz);
  c.if();
  e.leave(Exit.exclusive);
  c.end();
  c.end();
}

/**
 * Emits an atomic operation on a `modify` pointer. Operands are i64 locals; the old value (i64) is left in the result
 * local. A misaligned pointer (then running alone) is handled by plain accesses computing the same.
 */
function atomic(e: Emitter, kind: keyof typeof RMW, m: Modify, operand: number, expected?: number): number {
  const c = e.c;
  const size = m.size as Size;
  const old = e.temp(Type.i64);
  requireAtomic(e, m);
  const aligned = () => {
    c.get(m.pointer);
    if (expected !== undefined) c.get(expected);
    c.get(operand).atomic(RMW[kind][size], Math.log2(size)).set(old);
  };
  if (size === 1) {
    aligned();
    return old;
  }
  misalignment(e, m);
  c.op(Op.i32_eqz);
  c.if();
  aligned();
  c.else();
  c.get(m.pointer)
    .mem(size === 8 ? Op.i64_load : size === 4 ? Op.i64_load32_u : Op.i64_load16_u)
    .set(old);
  c.get(m.pointer);
  if (kind === 'xchg') c.get(operand);
  else if (kind === 'cmpxchg') c.get(operand).get(old).get(old).get(expected!).op(Op.i64_eq).op(Op.select);
  else
    c.get(old)
      .get(operand)
      .op({ add: Op.i64_add, sub: Op.i64_sub, and: Op.i64_and, or: Op.i64_or, xor: Op.i64_xor }[kind]);
  c.mem(size === 8 ? Op.i64_store : size === 4 ? Op.i64_store32 : Op.i64_store16);
  e.commit(m);
  c.end();
  return old;
}

/** Pops a value of a width; pushes it as i64, zero-extended. */
function toI64(e: Emitter, w: Width): void {
  if (!w.is64) e.c.op(Op.i64_extend_i32_u);
}

function fromI64(e: Emitter, w: Width): void {
  if (!w.is64) e.c.op(Op.i32_wrap_i64);
}

type Arithmetic = 'add' | 'sub' | 'and' | 'or' | 'xor';

/** LOCK ADD, SUB, AND, OR, XOR: the flags come from the value that the atomic operation saw. */
function locked(kind: Arithmetic) {
  return (e: Emitter, insn: Insn): void => {
    const c = e.c;
    const size = destinationSize(insn);
    const w = width(size);
    const { a, b } = e.flagOperands(w);
    e.readOp(1, size);
    toI64(e, w);
    const operand = e.toTemp(Type.i64);
    e.ea();
    const m = e.modify(size, true);
    const old = atomic(e, kind, m, operand);
    c.get(old);
    fromI64(e, w);
    c.set(a).get(operand);
    fromI64(e, w);
    c.set(b);
    compute(e, kind, size);
    e.setFlags(flagKind(kind), size);
  };
}

/** A locked operation without an atomic of its own: a compare-and-exchange loop around `change(old) -> new` (width locals). */
function casLoop(e: Emitter, insn: Insn, address: () => void, change: (old: number) => void): number {
  const c = e.c;
  const size = destinationSize(insn);
  const w = width(size);
  address();
  const m = e.modify(size, true);
  requireAtomic(e, m);
  const old = e.temp(w.type);
  const expected = e.temp(Type.i64);
  const next = e.temp(Type.i64);
  const again = c.loop();
  c.get(m.pointer);
  e.loadFrom(size);
  c.tee(old);
  toI64(e, w);
  c.set(expected);
  change(old);
  toI64(e, w);
  c.set(next);
  const seen = atomic(e, 'cmpxchg', m, next, expected);
  c.get(seen).get(expected).op(Op.i64_ne).brIf(again);
  c.end();
  return old;
}

function lockedUnary(kind: 'inc' | 'dec' | 'neg' | 'not') {
  return (e: Emitter, insn: Insn): void => {
    const c = e.c;
    const size = destinationSize(insn);
    const w = width(size);
    const { a, b, r } = e.flagOperands(w);
    const one = () => (w.is64 ? c.i64(1) : c.i32(1));
    let carry = 0;
    if (kind === 'inc' || kind === 'dec') {
      e.carry();
      carry = e.toTemp(Type.i64);
    }
    const result = e.temp(w.type);
    const old = casLoop(
      e,
      insn,
      () => e.ea(),
      (before) => {
        if (kind === 'neg') {
          if (w.is64) c.i64(0);
          else c.i32(0);
          c.get(before).op(w.sub);
        } else if (kind === 'not') {
          c.get(before);
          if (w.is64) c.i64(-1);
          else c.i32(-1);
          c.op(w.xor);
        } else {
          c.get(before);
          one();
          c.op(kind === 'inc' ? w.add : w.sub);
        }
        if (size < 4) c.i32(size === 1 ? 0xff : 0xffff).op(Op.i32_and);
        c.tee(result);
      },
    );
    if (kind === 'not') return;
    c.get(old).set(b);
    if (w.is64) c.i64(0);
    else c.i32(0);
    c.set(a).get(result).set(r);
    if (kind === 'neg') e.setFlags(CcKind.sub, size);
    else e.setFlags(kind === 'inc' ? CcKind.inc : CcKind.dec, size, carry);
  };
}

function lockedCarry(kind: 'adc' | 'sbb') {
  return (e: Emitter, insn: Insn): void => {
    const c = e.c;
    const size = destinationSize(insn);
    const w = width(size);
    const { a, b, r } = e.flagOperands(w);
    e.carry();
    const carry = e.toTemp(Type.i64);
    e.readOp(1, size);
    const operand = e.toTemp(w.type);
    const result = e.temp(w.type);
    const old = casLoop(
      e,
      insn,
      () => e.ea(),
      (before) => {
        c.get(before)
          .get(operand)
          .op(kind === 'adc' ? w.add : w.sub)
          .get(carry);
        fromI64(e, w);
        c.op(kind === 'adc' ? w.add : w.sub);
        if (size < 4) c.i32(size === 1 ? 0xff : 0xffff).op(Op.i32_and);
        c.tee(result);
      },
    );
    c.get(old).set(a).get(operand).set(b).get(result).set(r);
    e.setFlags(kind === 'adc' ? CcKind.adc : CcKind.sbb, size, carry);
  };
}

function lockedBit(kind: BitKind) {
  return (e: Emitter, insn: Insn): void => {
    const size = destinationSize(insn);
    const w = width(size);
    const mask = bitMask(e, insn, size);
    const old = casLoop(
      e,
      insn,
      () => bitAddress(e, insn, size),
      (before) => changeBit(e, w, kind, before, mask),
    );
    bitToCarry(e, w, old, mask);
  };
}

function xchg(e: Emitter, insn: Insn): void {
  const c = e.c;
  const size = destinationSize(insn);
  const w = width(size);
  const [to, from] = insn.ops;
  if (to.kind === 'reg' && from.kind === 'reg') {
    e.readReg(from);
    const b = e.toTemp(w.type);
    e.readReg(to);
    const a = e.toTemp(w.type);
    c.get(b);
    e.writeReg(to);
    c.get(a);
    e.writeReg(from);
    return;
  }
  const register = to.kind === 'reg' ? to : from;
  if (register.kind !== 'reg') return;
  e.readReg(register);
  toI64(e, w);
  const operand = e.toTemp(Type.i64);
  e.ea();
  const m = e.modify(size, true);
  c.get(atomic(e, 'xchg', m, operand));
  fromI64(e, w);
  e.writeReg(register);
}

/** CMPXCHG: flags of RAX - destination; the destination is written in any case (with its old value), so it must be writable. */
function cmpxchg(e: Emitter, insn: Insn): void {
  const c = e.c;
  const size = destinationSize(insn);
  const w = width(size);
  const { a, b } = e.flagOperands(w);
  const accumulator = implied(Gpr.rax, size);
  const to = insn.ops[0];
  e.readReg(accumulator);
  const expected = e.toTemp(w.type);
  e.readOp(1, size);
  const desired = e.toTemp(w.type);
  const old = e.temp(w.type);
  if (to.kind === 'reg') {
    e.readReg(to);
    c.set(old);
    c.get(old).get(expected).op(w.eq);
    c.if();
    c.get(desired);
    e.writeReg(to);
    c.else();
    c.get(old);
    e.writeReg(accumulator);
    c.end();
  } else {
    c.get(expected);
    toI64(e, w);
    const expected64 = e.toTemp(Type.i64);
    c.get(desired);
    toI64(e, w);
    const desired64 = e.toTemp(Type.i64);
    e.ea();
    const m = e.modify(size, true);
    c.get(atomic(e, 'cmpxchg', m, desired64, expected64));
    fromI64(e, w);
    c.set(old);
    c.get(old).get(expected).op(w.ne);
    c.if();
    c.get(old);
    e.writeReg(accumulator);
    c.end();
  }
  c.get(expected).set(a).get(old).set(b);
  compute(e, 'sub', size);
  e.setFlags(CcKind.sub, size);
}

function xadd(e: Emitter, insn: Insn): void {
  const c = e.c;
  const size = destinationSize(insn);
  const w = width(size);
  const { a, b, r } = e.flagOperands(w);
  const [to, from] = insn.ops;
  if (from.kind !== 'reg') return;
  if (to.kind === 'reg') {
    e.readReg(from);
    const second = e.toTemp(w.type);
    e.readReg(to);
    c.set(a).get(second).set(b);
    compute(e, 'add', size);
    c.get(a);
    e.writeReg(from);
    c.get(r);
    e.writeReg(to);
  } else {
    e.readReg(from);
    toI64(e, w);
    const operand = e.toTemp(Type.i64);
    e.ea();
    const m = e.modify(size, true);
    const old = atomic(e, 'add', m, operand);
    c.get(operand);
    fromI64(e, w);
    c.set(b).get(old);
    fromI64(e, w);
    c.tee(a);
    e.writeReg(from);
    compute(e, 'add', size);
  }
  e.setFlags(CcKind.add, size);
}

/** CMPXCHG8B: EDX:EAX with ECX:EBX; only ZF changes. */
function cmpxchg8b(e: Emitter): void {
  const c = e.c;
  const pair = (high: number, low: number) => {
    c.get(e.gpr(high)).i64(32).op(Op.i64_shl).get(e.gpr(low)).i64(0xffffffff).op(Op.i64_and).op(Op.i64_or);
    return e.toTemp(Type.i64);
  };
  const expected = pair(Gpr.rdx, Gpr.rax);
  const desired = pair(Gpr.rcx, Gpr.rbx);
  e.ea();
  const m = e.modify(8, true);
  const old = atomic(e, 'cmpxchg', m, desired, expected);
  const equal = e.temp(Type.i32);
  c.get(old).get(expected).op(Op.i64_eq).tee(equal).op(Op.i32_eqz);
  c.if();
  c.get(old).i64(0xffffffff).op(Op.i64_and).set(e.gprW(Gpr.rax));
  c.get(old).i64(32).op(Op.i64_shr_u).set(e.gprW(Gpr.rdx));
  c.end();
  zeroFlag(e, equal);
}

/** CMPXCHG16B: RDX:RAX with RCX:RBX; #GP unless 16-byte aligned. Runs alone. */
function cmpxchg16b(e: Emitter): void {
  const c = e.c;
  e.ea();
  const address = e.toTemp(Type.i64);
  c.get(address).i64(15).op(Op.i64_and).op(Op.i64_eqz).op(Op.i32_eqz);
  e.raiseIf(Vector.GP);
  c.get(address);
  const m = e.modify(16, true);
  c.get(Emitter.CPU).mem(Op.i32_load, CpuState.exclusive).op(Op.i32_eqz);
  c.if();
  e.leave(Exit.exclusive);
  c.end();
  const low = e.temp(Type.i64);
  const high = e.temp(Type.i64);
  const equal = e.temp(Type.i32);
  c.get(m.pointer).atomic(Atomic.i64_load, 3).tee(low).get(e.gpr(Gpr.rax)).op(Op.i64_eq);
  c.get(m.pointer).atomic(Atomic.i64_load, 3, 8).tee(high).get(e.gpr(Gpr.rdx)).op(Op.i64_eq);
  c.op(Op.i32_and).tee(equal);
  c.if();
  c.get(m.pointer).get(e.gpr(Gpr.rbx)).atomic(Atomic.i64_store, 3);
  c.get(m.pointer).get(e.gpr(Gpr.rcx)).atomic(Atomic.i64_store, 3, 8);
  c.else();
  c.get(low).set(e.gprW(Gpr.rax)).get(high).set(e.gprW(Gpr.rdx));
  c.end();
  zeroFlag(e, equal);
}

function zeroFlag(e: Emitter, equal: number): void {
  e.flagBits();
  e.c.i32(~Flag.ZF).op(Op.i32_and).get(equal).i32(6).op(Op.i32_shl).op(Op.i32_or);
  e.setFlagBits();
}

function fence(e: Emitter): void {
  e.fence();
}

/** Rows for instructions with a LOCK prefix; the unlocked forms belong to their own families. */
export const lockedRows: readonly Row[] = [
  { mnemonic: Mnemonic.Add, lower: locked('add') },
  { mnemonic: Mnemonic.Sub, lower: locked('sub') },
  { mnemonic: Mnemonic.And, lower: locked('and') },
  { mnemonic: Mnemonic.Or, lower: locked('or') },
  { mnemonic: Mnemonic.Xor, lower: locked('xor') },
  { mnemonic: Mnemonic.Adc, lower: lockedCarry('adc') },
  { mnemonic: Mnemonic.Sbb, lower: lockedCarry('sbb') },
  { mnemonic: Mnemonic.Inc, lower: lockedUnary('inc') },
  { mnemonic: Mnemonic.Dec, lower: lockedUnary('dec') },
  { mnemonic: Mnemonic.Neg, lower: lockedUnary('neg') },
  { mnemonic: Mnemonic.Not, lower: lockedUnary('not') },
  { mnemonic: Mnemonic.Bts, lower: lockedBit('set') },
  { mnemonic: Mnemonic.Btr, lower: lockedBit('reset') },
  { mnemonic: Mnemonic.Btc, lower: lockedBit('complement') },
];

export const rows: readonly Row[] = [
  {
    mnemonic: Mnemonic.Xchg,
    codes: [Code.Xchg_rm8_r8, Code.Xchg_rm16_r16, Code.Xchg_rm32_r32, Code.Xchg_rm64_r64],
    lower: xchg,
  },
  { mnemonic: Mnemonic.Cmpxchg, lower: cmpxchg },
  { mnemonic: Mnemonic.Xadd, lower: xadd },
  { mnemonic: Mnemonic.Cmpxchg8b, lower: cmpxchg8b },
  { mnemonic: Mnemonic.Cmpxchg16b, lower: cmpxchg16b },
  { mnemonic: Mnemonic.Mfence, lower: fence },
  { mnemonic: Mnemonic.Lfence, lower: fence },
  { mnemonic: Mnemonic.Sfence, lower: fence },
];
