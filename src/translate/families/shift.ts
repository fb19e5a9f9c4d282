import { Mnemonic } from '../iced/enums.js';
import { CcKind, Flag, OverKind } from '../../cpu/flags.js';
import { Gpr } from '../../cpu/state.js';
import { Op, Type } from '../../wasm/opcodes.js';
import type { Emitter } from '../emitter.js';
import { Cc } from '../flag-emitter.js';
import type { Insn } from '../insn.js';
import { destinationSize } from '../operand-size.js';
import type { Row } from '../row.js';
import { sizeMask, type Width, width } from '../width.js';

/** SHL SHR SAR, ROL ROR RCL RCR, SHLD SHRD. A count of 0 (after masking to 5 or 6 bits) changes nothing, flags included. */

interface Shifted {
  readonly size: number;
  readonly w: Width;
  /** The operand's value before, zero-extended. */
  readonly a: number;
  /** The masked count, a local of the operand's width; never 0 where the lowering runs. */
  readonly count: number;
  /** The count if it is an immediate. */
  readonly known: number | null;
  /** Where the result goes. */
  readonly r: number;
}

/** Emits `change` on operand 0 with the count in `countOperand`, skipping everything but the write access if it is 0. */
function shifted(e: Emitter, insn: Insn, countOperand: number, change: (s: Shifted) => void): void {
  const c = e.c;
  const size = destinationSize(insn);
  const w = width(size);
  const limit = size === 8 ? 63 : 31;
  const to = insn.ops[0];
  const by = insn.ops[countOperand];
  const known = by.kind === 'imm' && !e.immediatesOpen ? Number(by.value) & limit : null;
  const count = e.temp(w.type);
  if (known !== null) {
    if (w.is64) c.i64(known);
    else c.i32(known);
    c.set(count);
  } else {
    if (by.kind === 'imm') e.readOp(countOperand, 1);
    else c.get(e.gpr(Gpr.rcx)).op(Op.i32_wrap_i64);
    c.i32(limit).op(Op.i32_and);
    if (w.is64) c.op(Op.i64_extend_i32_u);
    c.set(count);
  }
  const a = e.temp(w.type);
  const r = e.temp(w.type);
  const run = () => {
    const s: Shifted = { size, w, a, count, known, r };
    change(s);
  };
  if (to.kind === 'reg') {
    e.readReg(to);
    c.set(a);
    if (known === 0) {
      // Still a 32-bit write: it clears the upper half.
      if (size === 4) {
        c.get(a);
        e.writeReg(to);
      }
      return;
    }
    guarded(e, s0(w, count, known), () => {
      run();
      c.get(r);
      e.writeReg(to);
    });
    if (known === null && size === 4) {
      c.get(e.gpr(to.num)).i64(0xffffffff).op(Op.i64_and).set(e.gprW(to.num));
    }
    return;
  }
  e.ea();
  const m = e.modify(size);
  c.get(m.pointer);
  e.loadFrom(size);
  c.set(a);
  if (known === 0) return;
  guarded(e, s0(w, count, known), () => {
    run();
    c.get(m.pointer).get(r);
    e.storeTo(size);
    e.commit(m);
  });
}

/** Pushes whether the count is not 0, if that is not known. */
function s0(w: Width, count: number, known: number | null): ((e: Emitter) => void) | null {
  if (known !== null) return null;
  return (e) => {
    e.c.get(count);
    if (w.is64) e.c.op(Op.i64_eqz).op(Op.i32_eqz);
  };
}

/** Emits `then` under a condition; what is known of the flags does not survive an `if` that may be skipped. */
function guarded(e: Emitter, condition: ((e: Emitter) => void) | null, then: () => void): void {
  if (!condition) {
    then();
    return;
  }
  condition(e);
  e.c.if();
  then();
  e.c.end();
  e.cc = null;
}

function constant(e: Emitter, w: Width, value: number): void {
  if (w.is64) e.c.i64(value);
  else e.c.i32(value);
}

function shift(kind: 'shl' | 'shr' | 'sar') {
  return (e: Emitter, insn: Insn): void =>
    shifted(e, insn, 1, ({ size, w, a, count, r }) => {
      const c = e.c;
      const known = e.flagOperands(w);
      /** Pushes a, widened so that counts up to 31 work on sub-words as on hardware. */
      const operand = () => {
        c.get(a);
        if (kind === 'sar') {
          if (size === 1) c.op(Op.i32_extend8_s);
          else if (size === 2) c.op(Op.i32_extend16_s);
        }
      };
      const op = { shl: w.shl, shr: w.shrU, sar: w.shrS }[kind];
      const less = () => {
        c.get(count);
        constant(e, w, 1);
        c.op(w.sub);
      };
      operand();
      less();
      c.op(op);
      if (size < 4) c.i32(sizeMask(size)).op(Op.i32_and);
      c.set(known.b);
      operand();
      c.get(count).op(op);
      if (size < 4) c.i32(sizeMask(size)).op(Op.i32_and);
      c.tee(known.r).set(r);
      e.setFlags(kind === 'shl' ? CcKind.shl : CcKind.shr, size);
    });
}

/** ROL, ROR: only CF and OF change. */
function rotate(left: boolean) {
  return (e: Emitter, insn: Insn): void =>
    shifted(e, insn, 1, ({ size, w, a, count, r }) => {
      const c = e.c;
      if (size >= 4)
        c.get(a)
          .get(count)
          .op(left ? w.rotl : w.rotr)
          .set(r);
      else {
        // Replicate the operand over 32 bits: a 32-bit rotation then rotates each copy.
        c.get(a)
          .i32(size === 1 ? 0x01010101 : 0x00010001)
          .op(Op.i32_mul);
        c.get(count)
          .op(left ? Op.i32_rotl : Op.i32_rotr)
          .i32(sizeMask(size))
          .op(Op.i32_and)
          .set(r);
      }
      c.get(r);
      if (!w.is64) c.op(Op.i64_extend_i32_u);
      e.setOver(left ? OverKind.rol : OverKind.ror, size);
    });
}

/** RCL, RCR: rotation through CF, a bit at a time in a loop on the operand and the carry; rare. */
function rotateCarry(left: boolean) {
  return (e: Emitter, insn: Insn): void => {
    const c = e.c;
    e.condition(Cc.b);
    const cf = e.toTemp(Type.i32);
    shifted(e, insn, 1, ({ size, w, a, count, r }) => {
      const bits = size * 8;
      const left32 = e.temp(Type.i32);
      const out = e.temp(Type.i32);
      const of = e.temp(Type.i32);
      c.get(count);
      if (w.is64) c.op(Op.i32_wrap_i64);
      // The rotation has bits + 1 positions; counts of sub-words are taken modulo that.
      if (size < 4) c.i32(bits + 1).op(Op.i32_rem_u);
      c.set(left32);
      c.get(a).set(r);
      const topBit = (local: number, below = 0) => {
        c.get(local);
        constant(e, w, bits - 1 - below);
        c.op(w.shrU);
        if (w.is64) c.op(Op.i32_wrap_i64);
        c.i32(1).op(Op.i32_and);
      };
      const carryAt = (position: number) => {
        c.get(cf);
        if (w.is64) c.op(Op.i64_extend_i32_u);
        constant(e, w, position);
        c.op(w.shl).op(w.or);
      };
      const done = c.block();
      const again = c.loop();
      c.get(left32).op(Op.i32_eqz).brIf(done);
      if (left) {
        topBit(r);
        c.set(out);
        c.get(r);
        constant(e, w, 1);
        c.op(w.shl);
        if (size < 4) c.i32(sizeMask(size)).op(Op.i32_and);
        carryAt(0);
      } else {
        c.get(r);
        if (w.is64) c.op(Op.i32_wrap_i64);
        c.i32(1).op(Op.i32_and).set(out);
        c.get(r);
        constant(e, w, 1);
        c.op(w.shrU);
        carryAt(bits - 1);
      }
      c.set(r).get(out).set(cf);
      c.get(left32).i32(1).op(Op.i32_sub).set(left32).br(again);
      c.end();
      c.end();
      // OF, architecturally defined for a count of 1: the bits on both sides of the result's top boundary differ.
      topBit(r);
      if (left) c.get(cf);
      else topBit(r, 1);
      c.op(Op.i32_xor).set(of);
      e.flagBits();
      c.i32(~(Flag.CF | Flag.OF))
        .op(Op.i32_and)
        .get(cf)
        .op(Op.i32_or)
        .get(of)
        .i32(11)
        .op(Op.i32_shl)
        .op(Op.i32_or);
      e.setFlagBits();
    });
  };
}

/** SHLD, SHRD: bits come in from operand 1; counts above the operand's size are undefined for 16 bits. */
function double(left: boolean) {
  return (e: Emitter, insn: Insn): void => {
    const c = e.c;
    const size = destinationSize(insn);
    const w = width(size);
    e.readOp(1, size);
    const fill = e.toTemp(w.type);
    shifted(e, insn, 2, ({ a, count, r }) => {
      const known = e.flagOperands(w);
      const bits = size * 8;
      if (size === 2) {
        // On 32 or 48 bits at once: hardware shifts dest:src (:dest), which also defines counts above 16 as AMD has them.
        const wide = e.temp(Type.i64);
        const count64 = e.temp(Type.i64);
        c.get(count).op(Op.i64_extend_i32_u).set(count64);
        const put = (local: number, position: number) => {
          c.get(local).op(Op.i64_extend_i32_u);
          if (position) c.i64(position).op(Op.i64_shl);
        };
        if (left) {
          put(a, 32);
          put(fill, 16);
          c.op(Op.i64_or);
          put(a, 0);
          c.op(Op.i64_or).set(wide);
          c.get(wide).get(count64).i64(1).op(Op.i64_sub).op(Op.i64_shl).i64(32).op(Op.i64_shr_u);
        } else {
          put(a, 32);
          put(fill, 16);
          c.op(Op.i64_or);
          put(a, 0);
          c.op(Op.i64_or).set(wide);
          c.get(wide).get(count64).i64(1).op(Op.i64_sub).op(Op.i64_shr_u);
        }
        c.op(Op.i32_wrap_i64).i32(0xffff).op(Op.i32_and).set(known.b);
        c.get(wide)
          .get(count64)
          .op(left ? Op.i64_shl : Op.i64_shr_u);
        if (left) c.i64(32).op(Op.i64_shr_u);
        c.op(Op.i32_wrap_i64).i32(0xffff).op(Op.i32_and).tee(known.r).set(r);
      } else {
        c.get(a).get(count);
        constant(e, w, 1);
        c.op(w.sub).op(left ? w.shl : w.shrU);
        // One less than the count, so that the last bit shifted out is known; the filled-in bits matter for its top bit (OF).
        c.get(fill);
        constant(e, w, bits + 1);
        c.get(count).op(w.sub);
        const rest = e.toTemp(w.type);
        const filled = e.toTemp(w.type);
        const base = e.toTemp(w.type);
        c.get(base)
          .get(filled)
          .get(rest)
          .op(left ? w.shrU : w.shl);
        constant(e, w, 0);
        // A shift distance of all bits contributes nothing; wasm would take it modulo the width.
        c.get(rest);
        constant(e, w, bits);
        c.op(w.ltU).op(Op.select).op(w.or).set(known.b);
        c.get(a)
          .get(count)
          .op(left ? w.shl : w.shrU);
        c.get(fill);
        constant(e, w, bits);
        c.get(count)
          .op(w.sub)
          .op(left ? w.shrU : w.shl)
          .op(w.or)
          .tee(known.r)
          .set(r);
      }
      e.setFlags(left ? CcKind.shl : CcKind.shr, size);
    });
  };
}

export const rows: readonly Row[] = [
  { mnemonic: Mnemonic.Shl, lower: shift('shl') },
  { mnemonic: Mnemonic.Sal, lower: shift('shl') },
  { mnemonic: Mnemonic.Shr, lower: shift('shr') },
  { mnemonic: Mnemonic.Sar, lower: shift('sar') },
  { mnemonic: Mnemonic.Rol, lower: rotate(true) },
  { mnemonic: Mnemonic.Ror, lower: rotate(false) },
  { mnemonic: Mnemonic.Rcl, lower: rotateCarry(true) },
  { mnemonic: Mnemonic.Rcr, lower: rotateCarry(false) },
  { mnemonic: Mnemonic.Shld, lower: double(true) },
  { mnemonic: Mnemonic.Shrd, lower: double(false) },
];
