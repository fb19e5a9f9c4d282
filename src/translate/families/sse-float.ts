import {
  DOUBLE_LAYOUT,
  type FloatLayout,
  type FloatRange,
  FloatRanges,
  SINGLE_LAYOUT,
  VECTOR,
} from '../../cpu/float-ranges.js';
import { CpuState } from '../../cpu/state.js';
import type { Code } from '../../wasm/code.js';
import { Op, Type } from '../../wasm/opcodes.js';
import { Simd } from '../../wasm/simd.js';
import { Emitter } from '../emitter.js';
import type { Insn } from '../insn.js';
import { Shape, sseOperation } from '../sse-operations.js';
import { lanes, lowVector, type Lower, setXmm, splat, vector, xmmNumber } from './sse-operands.js';

/**
 * What the SSE floating-point families share: the call of the exact operation, and the inline checks that make it
 * unnecessary.
 *
 * The host's operation rounds to nearest with all exceptions masked. It is the guest's when no flag can become newly
 * set: no operand is denormal (DE), the result is neither NaN nor infinite (IE, ZE, OE) nor tiny (UE), and it is exact or PE
 * is set already. MXCSR's other settings must be the default ones, except for operations that they cannot touch. The
 * checks are sums, shifts and comparisons of the operands' bits, for all lanes at once.
 */

/** SIMD opcodes and bit patterns of a floating-point format. */
export interface Format extends FloatLayout {
  readonly bytes: 4 | 8;
  /** Wasm type of a scalar. */
  readonly type: number;
  readonly extract: number;
  readonly replace: number;
  readonly splat: number;
  readonly add: number;
  readonly sub: number;
  readonly mul: number;
  readonly div: number;
  readonly sqrt: number;
  readonly eq: number;
  readonly ne: number;
  readonly lt: number;
  readonly le: number;
  readonly ge: number;
  readonly gt: number;
  readonly pmin: number;
  readonly pmax: number;
  readonly abs: number;
  /** The same operations on lanes as integers. */
  readonly intShl: number;
  readonly intShrU: number;
  readonly intAdd: number;
  readonly intEq: number;
  readonly intGt: number;
  readonly bitmask: number;
  /** Scalar operations. */
  readonly scalarAdd: number;
  readonly scalarSub: number;
  readonly scalarMul: number;
  readonly scalarDiv: number;
  readonly scalarSqrt: number;
  readonly scalarLt: number;
  readonly scalarEq: number;
  /** Operands that are done inline. */
  readonly ranges: { readonly summands: FloatRange; readonly factors: FloatRange };
}

export const SINGLE: Format = {
  bytes: 4,
  type: Type.f32,
  extract: Simd.f32x4_extract_lane,
  replace: Simd.f32x4_replace_lane,
  splat: Simd.f32x4_splat,
  add: Simd.f32x4_add,
  sub: Simd.f32x4_sub,
  mul: Simd.f32x4_mul,
  div: Simd.f32x4_div,
  sqrt: Simd.f32x4_sqrt,
  eq: Simd.f32x4_eq,
  ne: Simd.f32x4_ne,
  lt: Simd.f32x4_lt,
  le: Simd.f32x4_le,
  ge: Simd.f32x4_ge,
  gt: Simd.f32x4_gt,
  pmin: Simd.f32x4_pmin,
  pmax: Simd.f32x4_pmax,
  abs: Simd.f32x4_abs,
  intShl: Simd.i32x4_shl,
  intShrU: Simd.i32x4_shr_u,
  intAdd: Simd.i32x4_add,
  intEq: Simd.i32x4_eq,
  intGt: Simd.i32x4_gt_s,
  bitmask: Simd.i32x4_bitmask,
  scalarAdd: Op.f32_add,
  scalarSub: Op.f32_sub,
  scalarMul: Op.f32_mul,
  scalarDiv: Op.f32_div,
  scalarSqrt: Op.f32_sqrt,
  scalarLt: Op.f32_lt,
  scalarEq: Op.f32_eq,
  ...SINGLE_LAYOUT,
  ranges: FloatRanges.single,
};

export const DOUBLE: Format = {
  bytes: 8,
  type: Type.f64,
  extract: Simd.f64x2_extract_lane,
  replace: Simd.f64x2_replace_lane,
  splat: Simd.f64x2_splat,
  add: Simd.f64x2_add,
  sub: Simd.f64x2_sub,
  mul: Simd.f64x2_mul,
  div: Simd.f64x2_div,
  sqrt: Simd.f64x2_sqrt,
  eq: Simd.f64x2_eq,
  ne: Simd.f64x2_ne,
  lt: Simd.f64x2_lt,
  le: Simd.f64x2_le,
  ge: Simd.f64x2_ge,
  gt: Simd.f64x2_gt,
  pmin: Simd.f64x2_pmin,
  pmax: Simd.f64x2_pmax,
  abs: Simd.f64x2_abs,
  intShl: Simd.i64x2_shl,
  intShrU: Simd.i64x2_shr_u,
  intAdd: Simd.i64x2_add,
  intEq: Simd.i64x2_eq,
  intGt: Simd.i64x2_gt_s,
  bitmask: Simd.i64x2_bitmask,
  scalarAdd: Op.f64_add,
  scalarSub: Op.f64_sub,
  scalarMul: Op.f64_mul,
  scalarDiv: Op.f64_div,
  scalarSqrt: Op.f64_sqrt,
  scalarLt: Op.f64_lt,
  scalarEq: Op.f64_eq,
  ...DOUBLE_LAYOUT,
  ranges: FloatRanges.double,
};

/** The shape of an instruction on a format. */
export function shapeOf(format: Format, packed: boolean): number {
  return (format.bytes === 8 ? Shape.sd : Shape.ss) + (packed ? 2 : 0);
}

export function formatOf(shape: number): Format {
  return shape === Shape.sd || shape === Shape.pd ? DOUBLE : SINGLE;
}

export function isPacked(shape: number): boolean {
  return shape === Shape.ps || shape === Shape.pd;
}

/** Locals of an operation's operands: a, the destination register's own, and b, the source. */
export interface Operands {
  readonly a: number;
  readonly b: number;
}

/** Operand 0 and a local with operand 1, of which `bytes` are accessed if it is memory. */
export function operands(e: Emitter, insn: Insn, bytes: number): Operands {
  if (bytes === 16) vector(e, insn, 1);
  else lowVector(e, insn, 1, bytes);
  const b = e.toTemp(Type.v128);
  return { a: e.xmm(xmmNumber(insn, 0)), b };
}

/** Operands of an instruction of this shape. */
export function shapeOperands(e: Emitter, insn: Insn, shape: number): Operands {
  return operands(e, insn, isPacked(shape) ? 16 : formatOf(shape).bytes);
}

/** Pushes the exact result (v128) of an operation on two locals; leaves the region if it raises an exception. */
export function callExact(e: Emitter, kind: number, shape: number, imm: number, { a, b }: Operands): void {
  const { c } = e;
  e.mayFault();
  c.get(Emitter.CPU).i32(sseOperation(kind, shape)).i32(imm).get(a).get(b);
  e.callHelper('sse');
  e.faultIf();
}

/** Pushes CpuState.mxcsrSlow. */
export function slowness(e: Emitter): void {
  e.c.get(Emitter.CPU).mem(Op.i32_load, CpuState.mxcsrSlow);
}

/** Where the checks are written to: an Emitter, or a function of the runtime. */
export interface Sink {
  readonly c: Code;
  /** Pops the value on the stack into a fresh local. */
  toTemp(type: number): number;
}

const asUnsigned = (format: Format, value: bigint) => BigInt.asUintN(Number(format.bits), value);

/** Twice the bits of a number (without its sign): of the least normal one, and of infinity. */
const leastNormal = (f: Format) => 2n << f.fraction;
const infinity = (f: Format) => (1n << f.bits) - leastNormal(f);
const half = (f: Format) => 1n << (f.bits - 1n);

/** Pushes lanes of ones where a v128 local is denormal, or the least normal number: twice the bits, less 1, are small; zeros wrap around. */
export function denormal(e: Sink, f: Format, value: number): void {
  const { c } = e;
  c.get(value).i32(1).simd(f.intShl);
  c.v128(-1n, -1n).simd(f.intAdd);
  c.i32(Number(f.fraction + 1n)).simd(f.intShrU);
  c.v128(0n, 0n).simd(f.intEq);
}

/**
 * A check that pushes lanes of ones where a v128 local is in a range, if MXCSR is as `bounds` says: floatBounds or floatBoundsExact
 * of CpuState.
 */
export function within(e: Emitter, f: Format, range: FloatRange, bounds: number): (value: number) => void {
  // What an operation changes in MXCSR can only widen the bounds.
  const move = e.keptField(CpuState.floatMoves + VECTOR * range.index);
  const bound = e.keptField(bounds + VECTOR * range.index);
  return (value) => {
    e.c.get(value).i32(1).simd(f.intShl).get(move).simd(f.intAdd).get(bound).simd(f.intGt);
  };
}

/** A check that pushes lanes of ones where a v128 local is in a range, or a zero if those are right too, whatever MXCSR is. */
export function rightly(e: Sink, f: Format, range: FloatRange, zeros: boolean): (value: number) => void {
  const { c } = e;
  return (value) => {
    c.get(value).i32(1).simd(f.intShl);
    const twice = e.toTemp(Type.v128);
    c.get(twice).v128(range.move, range.move).simd(f.intAdd);
    c.v128(range.bound, range.bound).simd(f.intGt);
    if (zeros) c.get(twice).v128(0n, 0n).simd(f.intEq).simd(Simd.or);
  };
}

/**
 * Pushes lanes of ones where a v128 local is not a normal number, or is the least one, to which a tiny result may have been
 * rounded. Moved so that `low` is the least signed number, one signed comparison checks both bounds of twice the bits.
 */
export function extraordinary(e: Sink, f: Format, value: number): void {
  const { c } = e;
  const low = leastNormal(f) + 2n;
  c.get(value).i32(1).simd(f.intShl);
  splat(e, f.bytes, asUnsigned(f, half(f) - low));
  c.simd(f.intAdd);
  splat(e, f.bytes, asUnsigned(f, half(f) + infinity(f) - low - 1n));
  c.simd(f.intGt);
}

/** Pushes lanes of ones where a v128 local is infinite or NaN. */
export function notFinite(e: Sink, f: Format, value: number): void {
  const { c } = e;
  c.get(value).get(value).simd(f.sub);
  const difference = e.toTemp(Type.v128);
  c.get(difference).get(difference).simd(f.ne);
}

/** Pushes lanes of ones where a v128 local is NaN. */
export function notNumber(e: Sink, f: Format, value: number): void {
  e.c.get(value).get(value).simd(f.ne);
}

/** Pushes a v128 that is 0 in lanes whose significand has no more than half of the format's bits: products of such are exact. */
export function longSignificand(e: Sink, f: Format, value: number): void {
  const halfBits = (f.fraction + 2n) / 2n;
  e.c
    .get(value)
    .i32(Number(f.bits - halfBits))
    .simd(f.intShl);
}

/** Lanes [a0, b0] (and again, for f32). */
export function pairs(e: Emitter, f: Format, a: number, b: number): number {
  const order = f.bytes === 8 ? [0, 2] : [0, 4, 0, 4];
  e.c
    .get(a)
    .get(b)
    .shuffle(lanes(f.bytes, ...order));
  return e.toTemp(Type.v128);
}

/** Runs `emit` for each instruction with its operands in locals; it pushes the destination's new value. */
export function floatLower(
  shape: number,
  emit: (e: Emitter, insn: Insn, operands: Operands, shape: number) => void,
): Lower {
  return (e, insn) => {
    emit(e, insn, shapeOperands(e, insn, shape), shape);
    setXmm(e, insn);
  };
}
