import { Mnemonic } from '../iced/enums.js';
import { CcKind } from '../../cpu/flags.js';
import { Op, Type } from '../../wasm/opcodes.js';
import type { Emitter } from '../emitter.js';
import type { Insn } from '../insn.js';
import { destinationSize } from '../operand-size.js';
import type { Row } from '../row.js';
import { sizeMask, width } from '../width.js';

/** ADD ADC SUB SBB CMP NEG INC DEC AND OR XOR TEST NOT. */

type Kind = 'add' | 'adc' | 'sub' | 'sbb' | 'and' | 'or' | 'xor';

/** Masks the value on the stack to a sub-word size. */
function mask(e: Emitter, size: number): void {
  if (size < 4) e.c.i32(sizeMask(size)).op(Op.i32_and);
}

/** Computes r from a and b (locals of flagOperands) and, for adc and sbb, the carry in (i64 local, from `readCarry`). */
export function compute(e: Emitter, kind: Kind, size: number, carry?: number): void {
  const c = e.c;
  const w = width(size);
  const { a, b, r } = e.flagOperands(w);
  c.get(a).get(b);
  c.op({ add: w.add, adc: w.add, sub: w.sub, sbb: w.sub, and: w.and, or: w.or, xor: w.xor }[kind]);
  if (carry !== undefined) {
    c.get(carry);
    if (!w.is64) c.op(Op.i32_wrap_i64);
    c.op(kind === 'adc' ? w.add : w.sub);
  }
  mask(e, size);
  c.set(r);
}

/** CF before the instruction, as an i64 local, for adc and sbb; to be read before the operands' locals are overwritten. */
function readCarry(e: Emitter, kind: string): number | undefined {
  if (kind !== 'adc' && kind !== 'sbb') return undefined;
  e.carry();
  return e.toTemp(Type.i64);
}

export function flagKind(kind: Kind): number {
  return {
    add: CcKind.add,
    adc: CcKind.adc,
    sub: CcKind.sub,
    sbb: CcKind.sbb,
    and: CcKind.logic,
    or: CcKind.logic,
    xor: CcKind.logic,
  }[kind];
}

function binary(kind: Kind) {
  return (e: Emitter, insn: Insn): void => {
    const c = e.c;
    const size = destinationSize(insn);
    const w = width(size);
    const { a, b, r } = e.flagOperands(w);
    const [to, from] = insn.ops;
    // The idiom that clears a register.
    if (
      (kind === 'xor' || kind === 'sub') &&
      to.kind === 'reg' &&
      from.kind === 'reg' &&
      to.class === from.class &&
      to.num === from.num
    ) {
      if (w.is64) c.i64(0).tee(a).tee(b).set(r);
      else c.i32(0).tee(a).tee(b).set(r);
      c.get(r);
      e.writeReg(to);
      e.setFlags(flagKind(kind), size);
      return;
    }
    const carry = readCarry(e, kind);
    if (to.kind === 'reg') {
      e.readOp(1, size);
      const source = e.toTemp(w.type);
      c.get(source).set(b);
      e.readOp(0, size);
      c.set(a);
      compute(e, kind, size, carry);
      c.get(r);
      e.writeReg(to);
      const by = insn.ops[1];
      if (size === 8 && by.kind === 'imm' && (kind === 'add' || kind === 'sub'))
        e.holdsSum(to.num, to.num, () => (kind === 'add' ? 1 : -1) * Number(by.value));
      e.setFlags(flagKind(kind), size, carry);
      return;
    }
    e.ea();
    const m = e.modify(size);
    c.get(m.pointer);
    e.loadFrom(size);
    c.set(a);
    e.readOp(1, size);
    c.set(b);
    compute(e, kind, size, carry);
    c.get(m.pointer).get(r);
    e.storeTo(size);
    e.commit(m);
    e.setFlags(flagKind(kind), size, carry);
  };
}

/** CMP and TEST: the flags of SUB and AND without the result. */
function compare(kind: 'sub' | 'and') {
  return (e: Emitter, insn: Insn): void => {
    const c = e.c;
    const size = destinationSize(insn);
    const w = width(size);
    const { a, b } = e.flagOperands(w);
    e.readOp(0, size);
    const first = e.toTemp(w.type);
    e.readOp(1, size);
    c.set(b).get(first).set(a);
    compute(e, kind, size);
    e.setFlags(flagKind(kind), size);
  };
}

/** Operations on one operand: `value` computes r (masked) from a. */
function unary(value: (e: Emitter, size: number) => void, flags: (e: Emitter, size: number) => void) {
  return (e: Emitter, insn: Insn): void => {
    const c = e.c;
    const size = destinationSize(insn);
    const w = width(size);
    const { a, r } = e.flagOperands(w);
    const to = insn.ops[0];
    if (to.kind === 'reg') {
      e.readReg(to);
      c.set(a);
      value(e, size);
      mask(e, size);
      c.tee(r);
      e.writeReg(to);
      flags(e, size);
      return;
    }
    e.ea();
    const m = e.modify(size);
    c.get(m.pointer);
    e.loadFrom(size);
    c.set(a);
    value(e, size);
    mask(e, size);
    c.set(r).get(m.pointer).get(r);
    e.storeTo(size);
    e.commit(m);
    flags(e, size);
  };
}

function step(kind: 'inc' | 'dec') {
  return (e: Emitter, insn: Insn): void => {
    // INC and DEC keep CF: it is computed while the operation before is still known.
    let carry: number | undefined;
    if (!e.flagsDead) {
      e.carry();
      carry = e.toTemp(Type.i64);
    }
    const change = unary(
      (_, size) => {
        const w = width(size);
        e.c.get(e.flagOperands(w).a);
        if (w.is64) e.c.i64(1);
        else e.c.i32(1);
        e.c.op(kind === 'inc' ? w.add : w.sub);
      },
      (_, size) => e.setFlags(kind === 'inc' ? CcKind.inc : CcKind.dec, size, carry),
    );
    change(e, insn);
  };
}

const neg = unary(
  (e, size) => {
    const c = e.c;
    const w = width(size);
    const { a, b } = e.flagOperands(w);
    // NEG is 0 - a: as the flags see it, a is 0 and b the operand.
    c.get(a).set(b);
    if (w.is64) c.i64(0);
    else c.i32(0);
    c.tee(a).get(b).op(w.sub);
  },
  (e, size) => e.setFlags(CcKind.sub, size),
);

function not(e: Emitter, insn: Insn): void {
  const c = e.c;
  const size = destinationSize(insn);
  const w = width(size);
  const to = insn.ops[0];
  const invert = () => {
    if (w.is64) c.i64(-1);
    else c.i32(sizeMask(size));
    c.op(w.xor);
  };
  if (to.kind === 'reg') {
    e.readReg(to);
    invert();
    e.writeReg(to);
    return;
  }
  e.ea();
  const m = e.modify(size);
  c.get(m.pointer).get(m.pointer);
  e.loadFrom(size);
  invert();
  e.storeTo(size);
  e.commit(m);
}

export const rows: readonly Row[] = [
  { mnemonic: Mnemonic.Add, lower: binary('add'), killsFlags: true },
  { mnemonic: Mnemonic.Adc, lower: binary('adc'), killsFlags: true },
  { mnemonic: Mnemonic.Sub, lower: binary('sub'), killsFlags: true },
  { mnemonic: Mnemonic.Sbb, lower: binary('sbb'), killsFlags: true },
  { mnemonic: Mnemonic.And, lower: binary('and'), killsFlags: true },
  { mnemonic: Mnemonic.Or, lower: binary('or'), killsFlags: true },
  { mnemonic: Mnemonic.Xor, lower: binary('xor'), killsFlags: true },
  { mnemonic: Mnemonic.Cmp, lower: compare('sub'), killsFlags: true },
  { mnemonic: Mnemonic.Test, lower: compare('and'), killsFlags: true },
  { mnemonic: Mnemonic.Inc, lower: step('inc') },
  { mnemonic: Mnemonic.Dec, lower: step('dec') },
  { mnemonic: Mnemonic.Neg, lower: neg, killsFlags: true },
  { mnemonic: Mnemonic.Not, lower: not },
];
