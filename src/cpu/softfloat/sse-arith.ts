/** ADD SUB MUL DIV SQRT MIN MAX DP of scalar f32 and f64 (SDM vol. 2A and 2B). Shapes: see sse.ts. */
import { ADD, DIV, MUL, SUB, arith, compareNumbers, squareRoot } from './arithmetic.js';
import { DE, IE, ZE } from './rounding.js';
import {
  A,
  B,
  F32,
  F64,
  type Format,
  R,
  type SseEnv,
  packF32,
  packF64,
  quietNan,
  sseInvalid,
  sseNanResult,
  sseRound,
  sseRounding,
  sseStep,
  sseUnmasked,
  unpackF32,
  unpackF64,
} from './sse.js';
import { QNAN, SNAN, ZERO } from './unpacked.js';

/** R = A op B. With an unmasked IE, DE or ZE, R is meaningless. */
function binary(env: SseEnv, op: number, format: Format): void {
  if (A.class >= QNAN || B.class >= QNAN) {
    sseNanResult(env);
    return;
  }
  const exception = arith(op, R, A, B, sseRounding(env));
  if (exception === ZE) env.raised |= ZE;
  else if (exception !== 0) sseInvalid(env);
  else if (denormal(env, A.denormal || B.denormal)) return;
  else sseRound(env, format);
}

function denormal(env: SseEnv, either: boolean): boolean {
  if (!either) return false;
  env.raised |= DE;
  return sseUnmasked(env, DE);
}

function sqrt(env: SseEnv, format: Format): void {
  if (A.class >= QNAN) {
    if (A.class === SNAN) env.raised |= IE;
    quietNan(A);
  } else if (squareRoot(R, A) !== 0) sseInvalid(env);
  else if (!denormal(env, A.denormal)) sseRound(env, format);
}

function binaryF32(env: SseEnv, op: number, a: number, b: number): number {
  unpackF32(A, env, a);
  unpackF32(B, env, b);
  binary(env, op, F32);
  return packF32();
}

function binaryF64(env: SseEnv, op: number, aHi: number, aLo: number, bHi: number, bLo: number): void {
  unpackF64(A, env, aHi, aLo);
  unpackF64(B, env, bHi, bLo);
  binary(env, op, F64);
  packF64(env);
}

/** a + b; a is the destination operand (the first source). */
export const f32Add = (env: SseEnv, a: number, b: number): number => binaryF32(env, ADD, a, b);
/** a − b. */
export const f32Sub = (env: SseEnv, a: number, b: number): number => binaryF32(env, SUB, a, b);
/** a · b. */
export const f32Mul = (env: SseEnv, a: number, b: number): number => binaryF32(env, MUL, a, b);
/** a / b. */
export const f32Div = (env: SseEnv, a: number, b: number): number => binaryF32(env, DIV, a, b);

/** (aHi, aLo) + (bHi, bLo). */
export const f64Add = (env: SseEnv, aHi: number, aLo: number, bHi: number, bLo: number): void =>
  binaryF64(env, ADD, aHi, aLo, bHi, bLo);
/** (aHi, aLo) − (bHi, bLo). */
export const f64Sub = (env: SseEnv, aHi: number, aLo: number, bHi: number, bLo: number): void =>
  binaryF64(env, SUB, aHi, aLo, bHi, bLo);
/** (aHi, aLo) · (bHi, bLo). */
export const f64Mul = (env: SseEnv, aHi: number, aLo: number, bHi: number, bLo: number): void =>
  binaryF64(env, MUL, aHi, aLo, bHi, bLo);
/** (aHi, aLo) / (bHi, bLo). */
export const f64Div = (env: SseEnv, aHi: number, aLo: number, bHi: number, bLo: number): void =>
  binaryF64(env, DIV, aHi, aLo, bHi, bLo);

/** √a. */
export function f32Sqrt(env: SseEnv, a: number): number {
  unpackF32(A, env, a);
  sqrt(env, F32);
  return packF32();
}

/** √(hi, lo). */
export function f64Sqrt(env: SseEnv, hi: number, lo: number): void {
  unpackF64(A, env, hi, lo);
  sqrt(env, F64);
  packF64(env);
}

/**
 * Whether MIN (or MAX) takes the first operand. The second one is taken if either is a NaN, which raises IE even if it is
 * quiet and is passed on as it is, or if both are zeros or equal.
 */
function takesFirst(env: SseEnv, sign: number): boolean {
  if (A.class >= QNAN || B.class >= QNAN) {
    env.raised |= IE;
    return false;
  }
  if (A.denormal || B.denormal) env.raised |= DE;
  return compareNumbers(A, B) === sign;
}

function minMaxF32(env: SseEnv, sign: number, a: number, b: number): number {
  unpackF32(A, env, a);
  unpackF32(B, env, b);
  if (takesFirst(env, sign)) return A.class === ZERO ? (a & 0x80000000) >>> 0 : a >>> 0;
  return B.class === ZERO ? (b & 0x80000000) >>> 0 : b >>> 0;
}

function minMaxF64(env: SseEnv, sign: number, aHi: number, aLo: number, bHi: number, bLo: number): void {
  unpackF64(A, env, aHi, aLo);
  unpackF64(B, env, bHi, bLo);
  const first = takesFirst(env, sign);
  const zero = (first ? A : B).class === ZERO;
  env.hi = (first ? aHi : bHi) >>> 0;
  env.lo = (first ? aLo : bLo) >>> 0;
  if (zero) {
    env.hi = (env.hi & 0x80000000) >>> 0;
    env.lo = 0;
  }
}

/** MINSS: a if a < b, else b. */
export const f32Min = (env: SseEnv, a: number, b: number): number => minMaxF32(env, -1, a, b);
/** MAXSS: a if a > b, else b. */
export const f32Max = (env: SseEnv, a: number, b: number): number => minMaxF32(env, 1, a, b);
/** MINSD. */
export const f64Min = (env: SseEnv, aHi: number, aLo: number, bHi: number, bLo: number): void =>
  minMaxF64(env, -1, aHi, aLo, bHi, bLo);
/** MAXSD. */
export const f64Max = (env: SseEnv, aHi: number, aLo: number, bHi: number, bLo: number): void =>
  minMaxF64(env, 1, aHi, aLo, bHi, bLo);

/**
 * DPPS: a and b are four f32 each, lane 0 first; the result, in `out`, likewise. The products are rounded one by one, then
 * (p0 + p1) + (p2 + p3). Lanes that imm8[7:4] leaves out count as +0; imm8[3:0] chooses the lanes that get the sum.
 */
export function f32DotProduct(
  env: SseEnv,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  imm8: number,
  out: Uint32Array,
): void {
  const p = [0, 0, 0, 0];
  for (let i = 0; i < 4; i++) if ((imm8 >>> (4 + i)) & 1) p[i] = f32Mul(env, a[i], b[i]);
  let sum = 0;
  if (sseStep(env)) {
    const low = f32Add(env, p[0], p[1]);
    const high = f32Add(env, p[2], p[3]);
    if (sseStep(env)) sum = f32Add(env, low, high);
  }
  for (let i = 0; i < 4; i++) out[i] = (imm8 >>> i) & 1 ? sum : 0;
}

/** DPPD: a, b and out are two f64 each as words lo0, hi0, lo1, hi1. imm8 as for DPPS with two lanes. */
export function f64DotProduct(
  env: SseEnv,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  imm8: number,
  out: Uint32Array,
): void {
  const p = [0, 0, 0, 0];
  for (let i = 0; i < 2; i++) {
    if (((imm8 >>> (4 + i)) & 1) === 0) continue;
    f64Mul(env, a[2 * i + 1], a[2 * i], b[2 * i + 1], b[2 * i]);
    p[2 * i] = env.lo;
    p[2 * i + 1] = env.hi;
  }
  if (sseStep(env)) f64Add(env, p[1], p[0], p[3], p[2]);
  for (let i = 0; i < 2; i++) {
    const on = (imm8 >>> i) & 1;
    out[2 * i] = on ? env.lo : 0;
    out[2 * i + 1] = on ? env.hi : 0;
  }
}
