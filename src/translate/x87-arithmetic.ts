import { CpuState } from '../cpu/state.js';
import { Code, type Label } from '../wasm/code.js';
import type { ModuleWriter } from '../wasm/module.js';
import { Op, Type } from '../wasm/opcodes.js';
import {
  C1,
  control,
  EXPONENT,
  type Functions,
  MASKS,
  PRECISION,
  register,
  ROUNDING,
  roundNearest,
  SIGNIFICAND,
  splitF64,
  status,
  TOP_BIT,
  widenF32,
} from './x87-code.js';

const { i32, i64 } = Type;

/**
 * x87 arithmetic and comparisons in WebAssembly, on normal numbers and zeros, rounding to nearest with 64 bits and all
 * exceptions masked. Functions return 0, having done nothing, where that isn't so or the result isn't normal.
 *
 * A number is its significand (i64, integer bit at the top) and its sign and exponent (i32, as in the register).
 */

/** Kinds of the arithmetic helpers: operation, and for register forms TO_STI (the destination is ST(i)) and POP. */
export const ArithmeticKind = { add: 0, sub: 1, subr: 2, mul: 3, div: 4, divr: 5 } as const;
export const TO_STI = 8;
export const POP_AFTER = 16;

/** What `x87Compare` does with its result: the condition codes or, for FCOMI and its like, C1 stays; and how often it pops. */
export const TO_CODES = 8;

const BIAS = 16383;

/** result(cpu, register, high, low, exponent, sign) -> done: rounds the 128 bits high:low, top bit set, and writes it. */
function resultBody(): Uint8Array {
  const c = new Code(6);
  const [cpu, pointer, high, low, exponent, sign] = [0, 1, 2, 3, 4, 5];
  const up = c.local(i32);
  roundNearest(c, low, () => c.get(high).op(Op.i32_wrap_i64).i32(1).op(Op.i32_and), up);
  c.get(high).get(up).op(Op.i64_extend_i32_u).op(Op.i64_add).tee(high).op(Op.i64_eqz);
  c.if();
  c.i64(TOP_BIT).set(high).get(exponent).i32(1).op(Op.i32_add).set(exponent);
  c.end();
  c.get(exponent).i32(1).op(Op.i32_sub).i32(0x7ffe).op(Op.i32_ge_u);
  c.if().i32(0).ret().end();
  c.get(pointer).get(high).mem(Op.i64_store, SIGNIFICAND);
  c.get(pointer).get(exponent).get(sign).op(Op.i32_or).mem(Op.i32_store16, EXPONENT);
  c.get(cpu);
  status(c).i32(~C1).op(Op.i32_and);
  c.get(up).i32(9).op(Op.i32_shl).op(Op.i32_or);
  c.get(low).i64(0).op(Op.i64_ne).i32(5).op(Op.i32_shl).op(Op.i32_or).mem(Op.i32_store16, CpuState.fsw);
  c.i32(1);
  return c.finish();
}

/** exact(cpu, register, significand, sign and exponent) -> 1: writes a result that raises nothing. */
function exactBody(): Uint8Array {
  const c = new Code(4);
  const [cpu, pointer, significand, exponent] = [0, 1, 2, 3];
  c.get(pointer).get(significand).mem(Op.i64_store, SIGNIFICAND);
  c.get(pointer).get(exponent).mem(Op.i32_store16, EXPONENT).get(cpu);
  status(c).i32(~C1).op(Op.i32_and).mem(Op.i32_store16, CpuState.fsw).i32(1);
  return c.finish();
}

const FIVE = [i32, i32, i64, i32, i64, i32];

/** add(cpu, register, a, b) -> done, of normal numbers. */
function addBody(result: number, exact: number): Uint8Array {
  const c = new Code(6);
  const [cpu, pointer, am, ae, bm, be] = [0, 1, 2, 3, 4, 5];
  const m = c.local(i64);
  const e = c.local(i32);
  const distance = c.local(i64);
  const exponent = c.local(i32);
  const high = c.local(i64);
  const low = c.local(i64);
  const magnitude = (x: number) => c.get(x).i32(0x7fff).op(Op.i32_and);
  // a becomes the one of larger magnitude.
  magnitude(be);
  magnitude(ae);
  c.op(Op.i32_gt_u);
  magnitude(be);
  magnitude(ae);
  c.op(Op.i32_eq).get(bm).get(am).op(Op.i64_gt_u).op(Op.i32_and).op(Op.i32_or);
  c.if();
  c.get(am).set(m).get(bm).set(am).get(m).set(bm);
  c.get(ae).set(e).get(be).set(ae).get(e).set(be);
  c.end();
  magnitude(ae);
  c.tee(exponent);
  magnitude(be);
  c.op(Op.i32_sub).op(Op.i64_extend_i32_u).tee(distance);
  // high:low = b, shifted to a's exponent; the lowest bit stands for all that is lost.
  c.i64(64).op(Op.i64_lt_u);
  c.if();
  c.get(bm).i64(63).get(distance).op(Op.i64_sub).op(Op.i64_shl).i64(1).op(Op.i64_shl).set(low);
  c.get(bm).get(distance).op(Op.i64_shr_u).set(high);
  c.else();
  c.get(distance).i64(128).op(Op.i64_lt_u);
  c.if();
  c.get(bm).get(distance).op(Op.i64_shr_u).tee(low);
  c.get(low)
    .get(distance)
    .op(Op.i64_shl)
    .get(bm)
    .op(Op.i64_ne)
    .op(Op.i64_extend_i32_u)
    .op(Op.i64_or)
    .set(low);
  c.else().i64(1).set(low).end();
  c.end();
  c.get(ae).get(be).op(Op.i32_xor).i32(0x8000).op(Op.i32_and).op(Op.i32_eqz);
  c.if();
  c.get(am).get(high).op(Op.i64_add).tee(high).get(am).op(Op.i64_lt_u);
  c.if();
  c.get(low).i64(1).op(Op.i64_shr_u).get(low).i64(1).op(Op.i64_and).op(Op.i64_or);
  c.get(high).i64(63).op(Op.i64_shl).op(Op.i64_or).set(low);
  c.get(high).i64(1).op(Op.i64_shr_u).i64(TOP_BIT).op(Op.i64_or).set(high);
  c.get(exponent).i32(1).op(Op.i32_add).set(exponent);
  c.end();
  c.else();
  c.get(am)
    .get(high)
    .op(Op.i64_sub)
    .get(low)
    .i64(0)
    .op(Op.i64_ne)
    .op(Op.i64_extend_i32_u)
    .op(Op.i64_sub)
    .set(high);
  c.i64(0).get(low).op(Op.i64_sub).set(low);
  c.get(high).op(Op.i64_eqz);
  c.if();
  c.get(low).op(Op.i64_eqz);
  c.if().get(cpu).get(pointer).i64(0).i32(0).call(exact).ret().end();
  c.get(low).set(high).i64(0).set(low).get(exponent).i32(64).op(Op.i32_sub).set(exponent);
  c.end();
  const zeros = m;
  c.get(high).op(Op.i64_clz).tee(zeros).op(Op.i64_eqz).op(Op.i32_eqz);
  c.if();
  c.get(high)
    .get(zeros)
    .op(Op.i64_shl)
    .get(low)
    .i64(0)
    .get(zeros)
    .op(Op.i64_sub)
    .op(Op.i64_shr_u)
    .op(Op.i64_or)
    .set(high);
  c.get(low).get(zeros).op(Op.i64_shl).set(low);
  c.get(exponent).get(zeros).op(Op.i32_wrap_i64).op(Op.i32_sub).set(exponent);
  c.end();
  c.end();
  c.get(cpu).get(pointer).get(high).get(low).get(exponent).get(ae).i32(0x8000).op(Op.i32_and).call(result);
  return c.finish();
}

/** Pushes sign of a XOR sign of b. */
const signOfProduct = (c: Code, ae: number, be: number) =>
  c.get(ae).get(be).op(Op.i32_xor).i32(0x8000).op(Op.i32_and);

/** mul(cpu, register, a, b) -> done, of normal numbers. */
function mulBody(result: number): Uint8Array {
  const c = new Code(6);
  const [cpu, pointer, am, ae, bm, be] = [0, 1, 2, 3, 4, 5];
  const high = c.local(i64);
  const low = c.local(i64);
  const middle = c.local(i64);
  const carry = c.local(i64);
  const exponent = c.local(i32);
  const lower = (x: number) => c.get(x).i64(0xffffffff).op(Op.i64_and);
  const upper = (x: number) => c.get(x).i64(32).op(Op.i64_shr_u);
  lower(am);
  lower(bm);
  c.op(Op.i64_mul).i64(32).op(Op.i64_shr_u);
  upper(am);
  lower(bm);
  c.op(Op.i64_mul).op(Op.i64_add).set(middle);
  lower(am);
  upper(bm);
  c.op(Op.i64_mul);
  lower(middle);
  c.op(Op.i64_add).set(carry);
  upper(am);
  upper(bm);
  c.op(Op.i64_mul);
  upper(middle);
  c.op(Op.i64_add);
  upper(carry);
  c.op(Op.i64_add).set(high);
  c.get(am).get(bm).op(Op.i64_mul).set(low);
  c.get(ae)
    .i32(0x7fff)
    .op(Op.i32_and)
    .get(be)
    .i32(0x7fff)
    .op(Op.i32_and)
    .op(Op.i32_add)
    .i32(BIAS - 1)
    .op(Op.i32_sub);
  c.set(exponent);
  c.get(high).i64(0).op(Op.i64_ge_s);
  c.if();
  c.get(high).i64(1).op(Op.i64_shl).get(low).i64(63).op(Op.i64_shr_u).op(Op.i64_or).set(high);
  c.get(low).i64(1).op(Op.i64_shl).set(low);
  c.get(exponent).i32(1).op(Op.i32_sub).set(exponent);
  c.end();
  c.get(cpu).get(pointer).get(high).get(low).get(exponent);
  signOfProduct(c, ae, be);
  c.call(result);
  return c.finish();
}

/**
 * digit(u, next, v) -> quotient and remainder of (u * 2^32 + next) by v, for v with its top bit set, u < v and next < 2^32:
 * one step of long division in base 2^32 (Knuth, The Art of Computer Programming 2, 4.3.1, algorithm D).
 */
function digitBody(): Uint8Array {
  const c = new Code(3);
  const [u, next, v] = [0, 1, 2];
  const q = c.local(i64);
  const rest = c.local(i64);
  const divisor = c.local(i64);
  c.get(v).i64(32).op(Op.i64_shr_u).set(divisor);
  c.get(u).get(divisor).op(Op.i64_div_u).set(q);
  c.get(u).get(q).get(divisor).op(Op.i64_mul).op(Op.i64_sub).set(rest);
  const done = c.block();
  const again = c.loop();
  // The estimate is too large by two at most.
  c.get(q).i64(32).op(Op.i64_shr_u).op(Op.i64_eqz);
  c.if();
  c.get(q).get(v).i64(0xffffffff).op(Op.i64_and).op(Op.i64_mul);
  c.get(rest).i64(32).op(Op.i64_shl).get(next).op(Op.i64_or).op(Op.i64_le_u).brIf(done);
  c.end();
  c.get(q).i64(1).op(Op.i64_sub).set(q);
  c.get(rest).get(divisor).op(Op.i64_add).tee(rest).i64(32).op(Op.i64_shr_u).op(Op.i64_eqz).brIf(again);
  c.end();
  c.end();
  c.get(q);
  c.get(u).i64(32).op(Op.i64_shl).get(next).op(Op.i64_or).get(q).get(v).op(Op.i64_mul).op(Op.i64_sub);
  return c.finish();
}

/** div(cpu, register, a, b) -> done, of normal numbers. */
function divBody(result: number, digit: number): Uint8Array {
  const c = new Code(6);
  const [cpu, pointer, am, ae, bm, be] = [0, 1, 2, 3, 4, 5];
  const exponent = c.local(i32);
  const next = c.local(i64);
  const quotient = c.local(i64);
  const rest = c.local(i64);
  const low = c.local(i64);
  c.get(ae)
    .i32(0x7fff)
    .op(Op.i32_and)
    .get(be)
    .i32(0x7fff)
    .op(Op.i32_and)
    .op(Op.i32_sub)
    .i32(BIAS)
    .op(Op.i32_add);
  c.set(exponent);
  c.get(am).get(bm).op(Op.i64_ge_u);
  c.if();
  c.get(am).i64(31).op(Op.i64_shl).i64(0x80000000).op(Op.i64_and).set(next);
  c.get(am).i64(1).op(Op.i64_shr_u).set(am);
  c.else();
  c.get(exponent).i32(1).op(Op.i32_sub).set(exponent);
  c.end();
  c.get(am).get(next).get(bm).call(digit).set(rest).i64(32).op(Op.i64_shl).set(quotient);
  c.get(rest).i64(0).get(bm).call(digit).set(rest).get(quotient).op(Op.i64_or).set(quotient);
  // What is left, against half of the divisor.
  c.get(rest).get(bm).get(rest).op(Op.i64_sub).op(Op.i64_gt_u);
  c.if(i64).i64(-1).else();
  c.i64(TOP_BIT).get(rest).i64(0).op(Op.i64_ne).op(Op.i64_extend_i32_u);
  c.get(rest).get(bm).get(rest).op(Op.i64_sub).op(Op.i64_eq).op(Op.select).end();
  c.set(low);
  c.get(cpu).get(pointer).get(quotient).get(low).get(exponent);
  signOfProduct(c, ae, be);
  c.call(result);
  return c.finish();
}

/** Pushes whether a number is normal. */
function isNormal(c: Code, m: number, e: number): Code {
  c.get(e).i32(0x7fff).op(Op.i32_and).i32(1).op(Op.i32_sub).i32(0x7ffe).op(Op.i32_lt_u);
  return c.get(m).i64(0).op(Op.i64_lt_s).op(Op.i32_and);
}

function isZero(c: Code, m: number, e: number): Code {
  return c.get(m).get(e).i32(0x7fff).op(Op.i32_and).op(Op.i64_extend_i32_u).op(Op.i64_or).op(Op.i64_eqz);
}

/** arithmetic(cpu, kind, register, a, b) -> done; kind is an ArithmeticKind, other bits are ignored. */
function arithmeticBody(add: number, mul: number, div: number, exact: number): Uint8Array {
  const c = new Code(7);
  const [cpu, kind, pointer, am, ae, bm, be] = [0, 1, 2, 3, 4, 5, 6];
  const m = c.local(i64);
  const e = c.local(i32);
  const operands = () => c.get(cpu).get(pointer).get(am).get(ae).get(bm).get(be);
  const negate = (x: number) => c.get(x).i32(0x8000).op(Op.i32_xor).set(x);
  control(c)
    .i32(PRECISION | ROUNDING | MASKS)
    .op(Op.i32_and)
    .i32(PRECISION | MASKS)
    .op(Op.i32_ne);
  c.if().i32(0).ret().end();
  const kinds = Array.from({ length: 6 }, () => c.block());
  c.get(kind)
    .i32(7)
    .op(Op.i32_and)
    .brTable([...kinds].reverse(), kinds[0]);
  const sum = () => {
    isNormal(c, am, ae);
    isNormal(c, bm, be).op(Op.i32_and);
    c.if();
    operands();
    c.call(add).ret();
    c.end();
    isNormal(c, am, ae);
    isZero(c, bm, be).op(Op.i32_and);
    c.if().get(cpu).get(pointer).get(am).get(ae).call(exact).ret().end();
    isZero(c, am, ae);
    isNormal(c, bm, be).op(Op.i32_and);
    c.if().get(cpu).get(pointer).get(bm).get(be).call(exact).ret().end();
    c.i32(0).ret();
  };
  const swap = () => {
    c.get(am).set(m).get(bm).set(am).get(m).set(bm);
    c.get(ae).set(e).get(be).set(ae).get(e).set(be);
  };
  const quotient = () => {
    isNormal(c, bm, be).op(Op.i32_eqz);
    c.if().i32(0).ret().end();
    isNormal(c, am, ae);
    c.if();
    operands();
    c.call(div).ret();
    c.end();
    isZero(c, am, ae);
    c.if().get(cpu).get(pointer).i64(0);
    signOfProduct(c, ae, be);
    c.call(exact).ret().end();
    c.i32(0).ret();
  };
  c.end(); // add
  sum();
  c.end(); // sub
  negate(be);
  sum();
  c.end(); // subr
  negate(ae);
  sum();
  c.end(); // mul
  isNormal(c, am, ae);
  isNormal(c, bm, be).op(Op.i32_and);
  c.if();
  operands();
  c.call(mul).ret();
  c.end();
  isZero(c, am, ae);
  isNormal(c, am, ae).op(Op.i32_or);
  isZero(c, bm, be);
  isNormal(c, bm, be).op(Op.i32_or).op(Op.i32_and);
  c.if().get(cpu).get(pointer).i64(0);
  signOfProduct(c, ae, be);
  c.call(exact).ret().end();
  c.i32(0).ret();
  c.end(); // div
  quotient();
  c.end(); // divr
  swap();
  quotient();
  // (Every kind has returned.)
  c.i32(0);
  return c.finish();
}

/** Loads a register into locals. */
function loadNumber(c: Code, pointer: number, m: number, e: number): void {
  c.get(pointer).mem(Op.i64_load, SIGNIFICAND).set(m).get(pointer).mem(Op.i32_load16_u, EXPONENT).set(e);
}

/** x87Arithmetic(cpu, operation, kind, i): see HELPERS. */
function registersBody({ slow, pop }: Functions, arithmetic: number): Uint8Array {
  const c = new Code(4);
  const [cpu, operation, kind, index] = [0, 1, 2, 3];
  const physical = c.local(i32);
  const [top, other, to] = [c.local(i32), c.local(i32), c.local(i32)];
  const [am, bm] = [c.local(i64), c.local(i64)];
  const [ae, be] = [c.local(i32), c.local(i32)];
  const elsewhere = c.block();
  register(c, () => c.i32(0), physical, top, elsewhere);
  register(c, () => c.get(index), physical, other, elsewhere);
  c.get(kind).i32(TO_STI).op(Op.i32_and);
  c.if();
  c.get(other).set(to).get(top).set(other);
  c.else().get(top).set(to).end();
  loadNumber(c, to, am, ae);
  loadNumber(c, other, bm, be);
  c.get(cpu)
    .get(kind)
    .get(to)
    .get(am)
    .get(ae)
    .get(bm)
    .get(be)
    .call(arithmetic)
    .op(Op.i32_eqz)
    .brIf(elsewhere);
  c.get(kind).i32(POP_AFTER).op(Op.i32_and);
  c.if().get(cpu).call(pop).end();
  c.ret();
  c.end();
  c.get(cpu).get(operation).get(index).i32(0).i32(0).call(slow).op(Op.drop);
  return c.finish();
}

/** (cpu, kind, bits of an f64) -> done: ST(0) and an operand from memory. */
function withF64Body(arithmetic: number): Uint8Array {
  const c = new Code(3);
  const [cpu, kind, bits] = [0, 1, 2];
  const [physical, top] = [c.local(i32), c.local(i32)];
  const [am, bm] = [c.local(i64), c.local(i64)];
  const [ae, be] = [c.local(i32), c.local(i32)];
  const elsewhere = c.block();
  register(c, () => c.i32(0), physical, top, elsewhere);
  splitF64(c, bits, bm, be, elsewhere);
  loadNumber(c, top, am, ae);
  c.get(cpu).get(kind).get(top).get(am).get(ae).get(bm).get(be).call(arithmetic).ret();
  c.end();
  c.i32(0);
  return c.finish();
}

/** x87ArithmeticF64(cpu, operation, kind, bits) */
function memoryF64Body({ slow }: Functions, withF64: number): Uint8Array {
  const c = new Code(4);
  const [cpu, operation, kind, bits] = [0, 1, 2, 3];
  c.get(cpu).get(kind).get(bits).call(withF64).op(Op.i32_eqz);
  c.if();
  c.get(cpu).get(operation).i32(0);
  c.get(bits)
    .op(Op.i32_wrap_i64)
    .get(bits)
    .i64(32)
    .op(Op.i64_shr_u)
    .op(Op.i32_wrap_i64)
    .call(slow)
    .op(Op.drop);
  c.end();
  return c.finish();
}

/** x87ArithmeticF32(cpu, operation, kind, bits) */
function memoryF32Body({ slow }: Functions, withF64: number): Uint8Array {
  const c = new Code(4);
  const [cpu, operation, kind, bits] = [0, 1, 2, 3];
  const wide = c.local(i64);
  const elsewhere = c.block();
  widenF32(c, bits, elsewhere);
  c.set(wide).get(cpu).get(kind).get(wide).call(withF64).op(Op.i32_eqz).brIf(elsewhere);
  c.ret();
  c.end();
  c.get(cpu).get(operation).i32(0).get(bits).i32(0).call(slow).op(Op.drop);
  return c.finish();
}

/** Orders a and b, neither NaN: sets `flags` to ZF (0x40) and CF (1) as FCOMI does. */
function order(c: Code, [am, ae, bm, be]: readonly number[], flags: number): void {
  const done: Label = c.block();
  const magnitude = (x: number) => c.get(x).i32(0x7fff).op(Op.i32_and);
  isZero(c, am, ae);
  isZero(c, bm, be).op(Op.i32_and);
  c.if().i32(0x40).set(flags).br(done).end();
  c.get(ae).get(be).op(Op.i32_xor).i32(0x8000).op(Op.i32_and);
  c.if().get(ae).i32(15).op(Op.i32_shr_u).set(flags).br(done).end();
  c.get(ae).get(be).op(Op.i32_eq).get(am).get(bm).op(Op.i64_eq).op(Op.i32_and);
  c.if().i32(0x40).set(flags).br(done).end();
  magnitude(ae);
  magnitude(be);
  c.op(Op.i32_lt_u)
    .get(ae)
    .get(be)
    .op(Op.i32_eq)
    .get(am)
    .get(bm)
    .op(Op.i64_lt_u)
    .op(Op.i32_and)
    .op(Op.i32_or);
  // Of two negative numbers the one of smaller magnitude is the greater.
  c.get(ae).i32(15).op(Op.i32_shr_u).op(Op.i32_xor).set(flags);
  c.end();
}

/** x87Compare(cpu, operation, options, i) -> flags: options are the number of pops and TO_CODES. */
function compareBody({ slow, pop }: Functions): Uint8Array {
  const c = new Code(4);
  const [cpu, operation, options, index] = [0, 1, 2, 3];
  const physical = c.local(i32);
  const [top, other, flags] = [c.local(i32), c.local(i32), c.local(i32)];
  const [am, bm] = [c.local(i64), c.local(i64)];
  const [ae, be] = [c.local(i32), c.local(i32)];
  const elsewhere = c.block();
  register(c, () => c.i32(0), physical, top, elsewhere);
  register(c, () => c.get(index), physical, other, elsewhere);
  loadNumber(c, top, am, ae);
  loadNumber(c, other, bm, be);
  for (const [m, e] of [
    [am, ae],
    [bm, be],
  ]) {
    isNormal(c, m, e);
    isZero(c, m, e).op(Op.i32_or).op(Op.i32_eqz).brIf(elsewhere);
  }
  order(c, [am, ae, bm, be], flags);
  c.get(options).i32(TO_CODES).op(Op.i32_and);
  c.if();
  // CF and ZF are C0 and C3, eight bits up; C2 and C1 are 0.
  c.get(cpu);
  status(c)
    .i32(~0x4700)
    .op(Op.i32_and)
    .get(flags)
    .i32(8)
    .op(Op.i32_shl)
    .op(Op.i32_or)
    .mem(Op.i32_store16, CpuState.fsw);
  c.end();
  c.get(options).i32(3).op(Op.i32_and);
  c.if().get(cpu).call(pop).end();
  c.get(options).i32(2).op(Op.i32_and);
  c.if().get(cpu).call(pop).end();
  c.get(flags).ret();
  c.end();
  c.get(cpu).get(operation).get(index).i32(0).i32(0).call(slow);
  return c.finish();
}

/** Adds and exports the helpers that are here. */
export function addArithmetic(m: ModuleWriter, functions: Functions): void {
  const result = m.func([i32, i32, i64, i64, i32, i32], [i32], resultBody());
  const exact = m.func([i32, i32, i64, i32], [i32], exactBody());
  const add = m.func(FIVE, [i32], addBody(result, exact));
  const mul = m.func(FIVE, [i32], mulBody(result));
  const digit = m.func([i64, i64, i64], [i64, i64], digitBody());
  const div = m.func(FIVE, [i32], divBody(result, digit));
  const parameters = [i32, i32, i32, i64, i32, i64, i32];
  const arithmetic = m.func(parameters, [i32], arithmeticBody(add, mul, div, exact));
  const withF64 = m.func([i32, i32, i64], [i32], withF64Body(arithmetic));
  m.export('x87Arithmetic', m.func([i32, i32, i32, i32], [], registersBody(functions, arithmetic)));
  m.export('x87ArithmeticF64', m.func([i32, i32, i32, i64], [], memoryF64Body(functions, withF64)));
  m.export('x87ArithmeticF32', m.func([i32, i32, i32, i32], [], memoryF32Body(functions, withF64)));
  m.export('x87Compare', m.func([i32, i32, i32, i32], [i32], compareBody(functions)));
}
