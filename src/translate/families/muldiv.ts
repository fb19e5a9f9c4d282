import { Mnemonic } from '../iced/enums.js';
import { CcKind } from '../../cpu/flags.js';
import { CpuState, Gpr, Vector } from '../../cpu/state.js';
import { Op, Type } from '../../wasm/opcodes.js';
import { Emitter } from '../emitter.js';
import type { Insn } from '../insn.js';
import { destinationSize } from '../operand-size.js';
import type { Row } from '../row.js';
import { width } from '../width.js';
import { implied } from './move.js';

/** MUL, IMUL (one, two and three operands), DIV, IDIV. */

/** Extends the i32 on the stack, a zero-extended value of `size` bytes, to i64. */
function widen(e: Emitter, size: number, signed: boolean): void {
  const c = e.c;
  if (!signed) c.op(Op.i64_extend_i32_u);
  else {
    c.op(Op.i64_extend_i32_u);
    c.op(size === 1 ? Op.i64_extend8_s : size === 2 ? Op.i64_extend16_s : Op.i64_extend32_s);
  }
}

/** Sets the flags of a multiplication from its low result (local of the width) and whether the high half matters (i32 on the stack). */
function mulFlags(e: Emitter, size: number, low: number): void {
  const w = width(size);
  e.c.op(Op.i64_extend_i32_u);
  const overflow = e.toTemp(Type.i64);
  e.c.get(low).set(e.flagOperands(w).r);
  e.setFlags(CcKind.mul, size, overflow);
}

/** RDX:RAX (AX for bytes) = RAX × operand. */
function widening(signed: boolean) {
  return (e: Emitter, insn: Insn): void => {
    const c = e.c;
    const size = destinationSize(insn);
    if (size === 8) {
      e.readOp(0, 8);
      const b = e.toTemp(Type.i64);
      const low = e.temp(Type.i64);
      c.get(e.gpr(Gpr.rax)).get(b);
      e.callHelper(signed ? 'mulHighS' : 'mulHighU');
      const high = e.toTemp(Type.i64);
      c.get(e.gpr(Gpr.rax)).get(b).op(Op.i64_mul).tee(low).set(e.gprW(Gpr.rax));
      c.get(high).set(e.gprW(Gpr.rdx));
      c.get(high);
      if (signed) c.get(low).i64(63).op(Op.i64_shr_s);
      else c.i64(0);
      c.op(Op.i64_ne);
      mulFlags(e, 8, low);
      return;
    }
    e.readOp(0, size);
    widen(e, size, signed);
    e.readReg(implied(Gpr.rax, size));
    widen(e, size, signed);
    c.op(Op.i64_mul);
    const product = e.toTemp(Type.i64);
    if (size === 1) {
      c.get(product).op(Op.i32_wrap_i64);
      e.writeReg(implied(Gpr.rax, 2));
    } else {
      c.get(product).op(Op.i32_wrap_i64);
      e.writeReg(implied(Gpr.rax, size));
      c.get(product)
        .i64(size * 8)
        .op(Op.i64_shr_u)
        .op(Op.i32_wrap_i64);
      e.writeReg(implied(Gpr.rdx, size));
    }
    overflowed(e, product, size, signed);
  };
}

/** Flags of a product of up to 64 bits: CF = OF = it does not fit in `size` bytes. */
function overflowed(e: Emitter, product: number, size: number, signed: boolean): void {
  const c = e.c;
  c.get(product).op(Op.i32_wrap_i64);
  if (size < 4) c.i32(size === 1 ? 0xff : 0xffff).op(Op.i32_and);
  const low = e.toTemp(Type.i32);
  c.get(product);
  c.get(low);
  widen(e, size, signed);
  c.op(Op.i64_ne);
  mulFlags(e, size, low);
}

function imul(e: Emitter, insn: Insn): void {
  if (insn.ops.length === 1) {
    widening(true)(e, insn);
    return;
  }
  const c = e.c;
  const size = destinationSize(insn);
  const [first, second] = insn.ops.length === 2 ? [0, 1] : [1, 2];
  if (size === 8) {
    e.readOp(second, 8);
    const b = e.toTemp(Type.i64);
    e.readOp(first, 8);
    const a = e.toTemp(Type.i64);
    c.get(a).get(b).op(Op.i64_mul);
    const low = e.toTemp(Type.i64);
    c.get(low);
    e.writeOp(0, 8);
    const known = e.flagOperands(width(8));
    c.get(low).set(known.r).get(b).set(known.b);
    e.setFlags(CcKind.imul, 8, a);
    return;
  }
  e.readOp(second, size);
  widen(e, size, true);
  e.readOp(first, size);
  widen(e, size, true);
  c.op(Op.i64_mul);
  const product = e.toTemp(Type.i64);
  c.get(product).op(Op.i32_wrap_i64);
  e.writeOp(0, size);
  overflowed(e, product, size, true);
}

/** RAX, RDX = quotient and remainder of RDX:RAX (AX for bytes); #DE on zero or a quotient that does not fit. Flags are undefined: unchanged. */
function divide(signed: boolean) {
  return (e: Emitter, insn: Insn): void => {
    const c = e.c;
    const size = destinationSize(insn);
    e.readOp(0, size);
    if (size === 8) {
      const divisor = e.toTemp(Type.i64);
      e.mayFault();
      // Nearly always RDX only extends RAX: one wasm division then does.
      c.get(e.gpr(Gpr.rdx));
      if (signed) c.get(e.gpr(Gpr.rax)).i64(63).op(Op.i64_shr_s).op(Op.i64_eq);
      else c.op(Op.i64_eqz);
      c.get(divisor).i64(1).op(Op.i64_add).i64(1).op(Op.i64_gt_u).op(Op.i32_and); // neither 0 nor -1
      const quotient = e.temp(Type.i64);
      c.if();
      c.get(e.gpr(Gpr.rax))
        .get(divisor)
        .op(signed ? Op.i64_div_s : Op.i64_div_u)
        .set(quotient);
      c.get(e.gpr(Gpr.rax))
        .get(divisor)
        .op(signed ? Op.i64_rem_s : Op.i64_rem_u)
        .set(e.gprW(Gpr.rdx));
      c.get(quotient).set(e.gprW(Gpr.rax));
      c.else();
      c.get(Emitter.CPU).get(e.gpr(Gpr.rdx)).get(e.gpr(Gpr.rax)).get(divisor);
      e.callHelper(signed ? 'divS' : 'divU');
      c.op(Op.i32_eqz);
      e.raiseIf(Vector.DE);
      c.get(Emitter.CPU).mem(Op.i64_load, CpuState.arg0).set(e.gprW(Gpr.rax));
      c.get(Emitter.CPU).mem(Op.i64_load, CpuState.arg1).set(e.gprW(Gpr.rdx));
      c.end();
      return;
    }
    const divisor32 = e.toTemp(Type.i32);
    c.get(divisor32);
    widen(e, size, signed);
    const divisor = e.toTemp(Type.i64);
    if (size === 1) {
      e.readReg(implied(Gpr.rax, 2));
      widen(e, 2, signed);
    } else {
      e.readReg(implied(Gpr.rdx, size));
      c.op(Op.i64_extend_i32_u)
        .i64(size * 8)
        .op(Op.i64_shl);
      e.readReg(implied(Gpr.rax, size));
      c.op(Op.i64_extend_i32_u).op(Op.i64_or);
      if (signed && size === 2) c.op(Op.i64_extend32_s);
    }
    const dividend = e.toTemp(Type.i64);
    c.get(divisor).op(Op.i64_eqz);
    e.raiseIf(Vector.DE);
    if (signed && size === 4) {
      // The only wasm trap left: -2^63 / -1, whose quotient does not fit anyway.
      c.get(dividend)
        .i64(-0x8000_0000_0000_0000n)
        .op(Op.i64_eq)
        .get(divisor)
        .i64(-1)
        .op(Op.i64_eq)
        .op(Op.i32_and);
      e.raiseIf(Vector.DE);
    }
    c.get(dividend)
      .get(divisor)
      .op(signed ? Op.i64_div_s : Op.i64_div_u);
    const quotient = e.toTemp(Type.i64);
    c.get(quotient);
    if (signed) c.op(size === 1 ? Op.i64_extend8_s : size === 2 ? Op.i64_extend16_s : Op.i64_extend32_s);
    else c.i64(size === 1 ? 0xff : size === 2 ? 0xffff : 0xffffffff).op(Op.i64_and);
    c.get(quotient).op(Op.i64_ne);
    e.raiseIf(Vector.DE);
    c.get(dividend)
      .get(divisor)
      .op(signed ? Op.i64_rem_s : Op.i64_rem_u);
    const remainder = e.toTemp(Type.i64);
    if (size === 1) {
      c.get(remainder)
        .i64(0xff)
        .op(Op.i64_and)
        .i64(8)
        .op(Op.i64_shl)
        .get(quotient)
        .i64(0xff)
        .op(Op.i64_and)
        .op(Op.i64_or);
      c.op(Op.i32_wrap_i64);
      e.writeReg(implied(Gpr.rax, 2));
      return;
    }
    c.get(quotient).op(Op.i32_wrap_i64);
    e.writeReg(implied(Gpr.rax, size));
    c.get(remainder).op(Op.i32_wrap_i64);
    e.writeReg(implied(Gpr.rdx, size));
  };
}

export const rows: readonly Row[] = [
  { mnemonic: Mnemonic.Mul, lower: widening(false), killsFlags: true },
  { mnemonic: Mnemonic.Imul, lower: imul, killsFlags: true },
  { mnemonic: Mnemonic.Div, lower: divide(false), mayRaise: true },
  { mnemonic: Mnemonic.Idiv, lower: divide(true), mayRaise: true },
];
