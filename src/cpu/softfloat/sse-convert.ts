/** Conversions of scalar f32 and f64, and ROUNDSx (SDM vol. 2A and 2B). Shapes: see sse.ts. */
import {
  DE,
  IE,
  PE,
  TRUNCATE,
  fitsSigned,
  renormalizeInteger,
  roundToInteger,
  writeSigned64,
} from './rounding.js';
import {
  A,
  F32,
  F64,
  type Format,
  R,
  type SseEnv,
  packF32,
  packF64,
  quietNan,
  sseRound,
  sseRounding,
  sseUnmasked,
  unpackF32,
  unpackF64,
} from './sse.js';
import { FINITE, QNAN, SNAN, ZERO, normalize } from './unpacked.js';

/** R = A in another format. */
function convert(env: SseEnv, format: Format): void {
  if (A.class >= QNAN) {
    if (A.class === SNAN) env.raised |= IE;
    quietNan(A);
    return;
  }
  if (A.denormal) {
    env.raised |= DE;
    if (sseUnmasked(env, DE)) return;
  }
  R.copy(A);
  sseRound(env, format);
}

/** CVTSS2SD. */
export function f32ToF64(env: SseEnv, a: number): void {
  unpackF32(A, env, a);
  convert(env, F64);
  packF64(env);
}

/** CVTSD2SS. */
export function f64ToF32(env: SseEnv, hi: number, lo: number): number {
  unpackF64(A, env, hi, lo);
  convert(env, F32);
  return packF32();
}

/** Rounds A to a signed integer: its magnitude in R.hi and R.lo. Returns false, with IE, if it doesn't fit. */
function toInteger(env: SseEnv, bits: number, truncate: boolean): boolean {
  R.copy(A);
  if (
    R.class > FINITE ||
    !roundToInteger(R, truncate ? TRUNCATE : sseRounding(env)) ||
    !fitsSigned(R, bits)
  ) {
    env.raised |= IE;
    return false;
  }
  if (R.inexact) env.raised |= PE;
  return true;
}

function toI32(env: SseEnv, truncate: boolean): number {
  if (!toInteger(env, 32, truncate)) return -0x80000000;
  return R.sign === 1 ? -R.lo | 0 : R.lo;
}

function toI64(env: SseEnv, truncate: boolean): void {
  writeSigned64(env, R, toInteger(env, 64, truncate));
}

/** CVTSS2SI r32 and CVTPS2DQ, or with `truncate` CVTTSS2SI and CVTTPS2DQ: a signed number, −2^31 if invalid. */
export function f32ToI32(env: SseEnv, a: number, truncate: boolean): number {
  unpackF32(A, env, a);
  return toI32(env, truncate);
}

/** CVT[T]SD2SI r32, CVT[T]PD2DQ. */
export function f64ToI32(env: SseEnv, hi: number, lo: number, truncate: boolean): number {
  unpackF64(A, env, hi, lo);
  return toI32(env, truncate);
}

/** CVT[T]SS2SI r64: two's complement in env.hi and env.lo. */
export function f32ToI64(env: SseEnv, a: number, truncate: boolean): void {
  unpackF32(A, env, a);
  toI64(env, truncate);
}

/** CVT[T]SD2SI r64: two's complement in env.hi and env.lo. */
export function f64ToI64(env: SseEnv, hi: number, lo: number, truncate: boolean): void {
  unpackF64(A, env, hi, lo);
  toI64(env, truncate);
}

/** R = the two's complement integer (hi, lo), rounded to the format. */
function fromI64(env: SseEnv, hi: number, lo: number, format: Format): void {
  hi >>>= 0;
  lo >>>= 0;
  if (hi === 0 && lo === 0) {
    R.setSpecial(ZERO, 0);
    return;
  }
  const sign = hi >>> 31;
  if (sign === 1) {
    lo = -lo >>> 0;
    hi = (~hi + (lo === 0 ? 1 : 0)) >>> 0;
  }
  R.setFinite(sign, 63, hi, lo, 0);
  normalize(R);
  sseRound(env, format);
}

/** CVTSI2SS r32, CVTDQ2PS: from a signed 32-bit number. */
export function f32FromI32(env: SseEnv, n: number): number {
  fromI64(env, n >> 31, n, F32);
  return packF32();
}

/** CVTSI2SS r64: from two's complement in two words. */
export function f32FromI64(env: SseEnv, hi: number, lo: number): number {
  fromI64(env, hi, lo, F32);
  return packF32();
}

/** CVTSI2SD r32, CVTDQ2PD, CVTPI2PD: exact. */
export function f64FromI32(env: SseEnv, n: number): void {
  fromI64(env, n >> 31, n, F64);
  packF64(env);
}

/** CVTSI2SD r64. */
export function f64FromI64(env: SseEnv, hi: number, lo: number): void {
  fromI64(env, hi, lo, F64);
  packF64(env);
}

/** R = A rounded to an integer; imm8[1:0] is the rounding mode unless imm8[2] asks for MXCSR's, imm8[3] hides PE. */
function round(env: SseEnv, imm8: number): void {
  if (A.class >= QNAN) {
    if (A.class === SNAN) env.raised |= IE;
    quietNan(A);
    return;
  }
  R.copy(A);
  // from 2^63 on every number is an integer, and too large for roundToInteger
  if (R.class !== FINITE || R.exp >= 63) return;
  const { sign } = R;
  roundToInteger(R, (imm8 & 4) !== 0 ? sseRounding(env) : imm8 & 3);
  if (R.inexact && (imm8 & 8) === 0) env.raised |= PE;
  if (!renormalizeInteger(R)) R.setSpecial(ZERO, sign);
}

/** ROUNDSS, ROUNDPS. */
export function f32Round(env: SseEnv, a: number, imm8: number): number {
  unpackF32(A, env, a);
  round(env, imm8);
  return packF32();
}

/** ROUNDSD, ROUNDPD. */
export function f64Round(env: SseEnv, hi: number, lo: number, imm8: number): void {
  unpackF64(A, env, hi, lo);
  round(env, imm8);
  packF64(env);
}
