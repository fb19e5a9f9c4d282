/**
 * F2XM1, FYL2X, FYL2XP1, FPTAN, FPATAN, FSIN, FCOS, FSINCOS and the constants (SDM vol. 1, 8.3.8 to 8.3.11, vol. 2A).
 *
 * Results are computed to more than 180 bits and rounded once, by the rounding control, to 64 bits: correctly rounded, where
 * processors only promise to be within 1 ulp. As on processors, the trigonometric functions reduce their arguments by
 * the 66-bit approximation of π, and precision control has no effect.
 */
import * as fixed from './fixed-point.js';
import {
  A,
  B,
  C1,
  C2,
  type F80,
  F80_NEG_ZERO,
  F80_ONE,
  F80_ZERO,
  R,
  type X87Env,
  begin,
  denormal,
  encode,
  invalid,
  nanResult1,
  nanResult2,
  raise,
  roundResult,
  roundingControl,
  unpack,
} from './float80.js';
import { PE, ZE, roundSignificand } from './rounding.js';
import { FINITE, INFINITY, QNAN, type Unpacked, ZERO, setFromBigInt, significand } from './unpacked.js';

const { FRACTION, ONE } = fixed;

/** Operands below 2^TINY take the first terms of a series instead, relative to the operand. */
const TINY = -64;

const infinity = (sign: number): F80 => ({ sexp: (sign << 15) | 0x7fff, hi: 0x80000000, lo: 0 });
const zero = (sign: number): F80 => (sign === 1 ? F80_NEG_ZERO : F80_ZERO);

/** The magnitude of w as a fixed-point number; exact if w.exp ≥ −193. */
function toFixed(w: Unpacked): bigint {
  const shift = FRACTION + w.exp - 63;
  if (shift >= 0) return significand(w) << BigInt(shift);
  return shift < -64 ? 0n : significand(w) >> BigInt(-shift);
}

/** Rounds ±value (fixed-point, positive, not exact). */
function inexactResult(env: X87Env, sign: number, value: bigint): F80 {
  setFromBigInt(R, sign, -FRACTION, value, true);
  return roundResult(env, R, 64);
}

/** Rounds w times a positive, inexact fixed-point factor, with the given sign. */
function scaledResult(env: X87Env, sign: number, w: Unpacked, factor: bigint): F80 {
  setFromBigInt(R, sign, w.exp - 63 - FRACTION, significand(w) * factor, true);
  return roundResult(env, R, 64);
}

const atLeastOneUnit = (x: bigint): bigint => (x > 0n ? x : 1n);

/**
 * F2XM1: 2^a − 1 for −1 ≤ a ≤ 1; PE even for ±1. Beyond, where the SDM leaves the result undefined, the operand comes back, with PE, as on
 * AMD's processors.
 */
export function f2xm1(env: X87Env, a: F80): F80 {
  begin(env);
  unpack(A, a);
  if (A.class >= QNAN) return nanResult1(env, a);
  if (A.class === ZERO) return a;
  if (A.class === INFINITY) return A.sign === 1 ? { sexp: 0xbfff, hi: 0x80000000, lo: 0 } : a;
  if (denormal(env, A.denormal)) return a;
  if (A.exp >= 0) {
    env.raised |= PE;
    if (A.sign === 0 || A.exp > 0 || A.hi !== 0x80000000 || A.lo !== 0) return a;
    return { sexp: 0xbffe, hi: 0x80000000, lo: 0 };
  }
  const x = (toFixed(A) * fixed.LN2) >> BigInt(FRACTION);
  const t = A.sign === 1 ? -x : x;
  if (A.exp < TINY) {
    // (e^t − 1)/t = 1 + t/2 + t²/6 + …
    const factor = ONE + (t >> 1n) + ((t * t) >> BigInt(FRACTION)) / 6n;
    return scaledResult(env, A.sign, A, (fixed.LN2 * factor) >> BigInt(FRACTION));
  }
  const result = fixed.expm1(t);
  return inexactResult(env, A.sign, result < 0n ? -result : result);
}

/**
 * b · l for a finite b and a logarithm l, given as a fixed-point number. PE is raised even if the product is exact, as
 * processors do.
 */
function timesLog(env: X87Env, b: Unpacked, l: bigint, exact: boolean): F80 {
  if (l === 0n) return zero(b.sign);
  env.raised |= PE;
  const sign = b.sign ^ (l < 0n ? 1 : 0);
  setFromBigInt(R, sign, b.exp - 63 - FRACTION, significand(b) * (l < 0n ? -l : l), !exact);
  return roundResult(env, R, 64);
}

const isPowerOfTwo = (m: bigint): boolean => (m & (m - 1n)) === 0n;

/** FYL2X: b · log2 a, with a = ST0 and b = ST1. */
export function fyl2x(env: X87Env, a: F80, b: F80): F80 {
  begin(env);
  unpack(A, a);
  unpack(B, b);
  if (A.class >= QNAN || B.class >= QNAN) return nanResult2(env, a, b);
  if (A.class !== ZERO && A.sign === 1) return invalid(env);
  const isOne = A.class === FINITE && A.exp === 0 && A.hi === 0x80000000 && A.lo === 0;
  if (A.class === ZERO) {
    if (B.class === ZERO) return invalid(env);
    if (B.class === FINITE) raise(env, ZE);
    return infinity(B.sign ^ 1);
  }
  if (A.class === INFINITY ? B.class === ZERO : isOne && B.class === INFINITY) return invalid(env);
  if (denormal(env, A.denormal || B.denormal)) return a;
  if (A.class === INFINITY) return infinity(B.sign);
  const below = A.exp < 0 ? 1 : 0;
  if (B.class === INFINITY) return infinity(B.sign ^ below);
  if (B.class === ZERO) return zero(B.sign ^ below);
  const m = significand(A);
  return timesLog(env, B, fixed.log2(m, A.exp - 63), isPowerOfTwo(m));
}

/**
 * FYL2XP1: b · log2(a + 1), with a = ST0 and b = ST1. Defined for |a| < 1 − √½ or so. Beyond that, as on AMD's
 * processors, the result is the mathematical one, and a finite a ≤ −1 comes back with PE.
 */
export function fyl2xp1(env: X87Env, a: F80, b: F80): F80 {
  begin(env);
  unpack(A, a);
  unpack(B, b);
  if (A.class >= QNAN || B.class >= QNAN) return nanResult2(env, a, b);
  if (A.sign === 1 && A.class === INFINITY) return invalid(env);
  if (A.class === INFINITY ? B.class === ZERO : A.class === ZERO && B.class === INFINITY) return invalid(env);
  if (denormal(env, A.denormal || B.denormal)) return a;
  const sign = A.sign ^ B.sign;
  if (A.class === INFINITY || B.class === INFINITY) return infinity(sign);
  if (A.class === ZERO || B.class === ZERO) return zero(sign);
  if (A.sign === 1 && A.exp >= 0) {
    env.raised |= PE;
    return a;
  }
  if (A.exp < TINY) {
    // log2(1 + x) = log2 e · x · (1 − x/2 + x²/3 − …)
    const x = A.sign === 1 ? -toFixed(A) : toFixed(A);
    const factor = ONE - (x >> 1n) + ((x * x) >> BigInt(FRACTION)) / 3n;
    const product = significand(B) * ((fixed.LOG2E * factor) >> BigInt(FRACTION));
    setFromBigInt(R, sign, A.exp + B.exp - 126 - FRACTION, significand(A) * product, true);
    return roundResult(env, R, 64);
  }
  // beyond 2^128 the 1 is out of sight
  const m = significand(A);
  if (A.exp > 128) return timesLog(env, B, fixed.log2(m, A.exp - 63), false);
  const x = toFixed(A) >> BigInt(FRACTION - 128);
  const sum = (1n << 128n) + (A.sign === 1 ? -x : x);
  return timesLog(env, B, fixed.log2(sum, -128), isPowerOfTwo(sum));
}

/** FPATAN: the angle of the point (a, b), with a = ST0 (x) and b = ST1 (y), in (−π, π]. */
export function fpatan(env: X87Env, a: F80, b: F80): F80 {
  begin(env);
  unpack(A, a);
  unpack(B, b);
  if (A.class >= QNAN || B.class >= QNAN) return nanResult2(env, a, b);
  if (denormal(env, A.denormal || B.denormal)) return a;
  const { PI } = fixed;
  const { sign } = B;
  if (A.class === INFINITY && B.class === INFINITY) {
    return inexactResult(env, sign, A.sign === 1 ? (3n * PI) >> 2n : PI >> 2n);
  }
  if (B.class === ZERO || A.class === INFINITY) {
    return A.sign === 1 ? inexactResult(env, sign, PI) : zero(sign);
  }
  if (A.class === ZERO || B.class === INFINITY) return inexactResult(env, sign, PI >> 1n);
  const my = significand(B);
  const mx = significand(A);
  const d = B.exp - A.exp;
  if (d < TINY && A.sign === 0) {
    // arctan q = q (1 − q²/3 + …), always a little below q
    const quotient = (my << BigInt(FRACTION)) / mx;
    const q = d < -FRACTION ? 0n : quotient >> BigInt(-d);
    const factor = ONE - atLeastOneUnit(((q * q) >> BigInt(FRACTION)) / 3n);
    setFromBigInt(R, sign, d - 2 * FRACTION, quotient * factor, true);
    return roundResult(env, R, 64);
  }
  // the smaller over the larger
  const steep = d > 0 || (d === 0 && my > mx);
  const shift = FRACTION + (steep ? -d : d);
  const q = shift < -64 ? 0n : steep ? ratio(mx, my, shift) : ratio(my, mx, shift);
  const angle = fixed.arctan(q);
  if (steep) return inexactResult(env, sign, (PI >> 1n) + (A.sign === 1 ? angle : -angle));
  return inexactResult(env, sign, A.sign === 1 ? PI - angle : angle);
}

const ratio = (p: bigint, q: bigint, shift: number): bigint =>
  shift >= 0 ? (p << BigInt(shift)) / q : p / (q << BigInt(-shift));

/** π/2 by the 66-bit π of the processors, 4 · 0.C90FDAA2 2168C234 C (SDM vol. 1, 8.3.8). */
const HALF_PI_66 = 0xc90fdaa22168c234cn << BigInt(FRACTION - 67);

let quadrant = 0;
let sine = 0n;
let cosine = 0n;

/** Reduces A, between 2^TINY and 2^63, to sine and cosine (fixed-point, signed) of the reduced angle and its quadrant. */
function reduce(): void {
  const x = toFixed(A);
  const k = (x + (HALF_PI_66 >> 1n)) / HALF_PI_66;
  const r = x - k * HALF_PI_66;
  const { sin, cos } = fixed.sinCos(r);
  quadrant = Number(k & 3n);
  sine = quadrant & 1 ? cos : sin;
  cosine = quadrant & 1 ? -sin : cos;
  if (quadrant & 2) {
    sine = -sine;
    cosine = -cosine;
  }
  if (A.sign === 1) sine = -sine;
}

const signed = (env: X87Env, x: bigint): F80 => inexactResult(env, x < 0n ? 1 : 0, x < 0n ? -x : x);

/** x²/n for the tiny operand in A, at least one unit. */
function tinySquare(n: bigint): bigint {
  const x = toFixed(A);
  return atLeastOneUnit(((x * x) >> BigInt(FRACTION)) / n);
}

const sineOfTiny = (env: X87Env): F80 => scaledResult(env, A.sign, A, ONE - tinySquare(6n));
const cosineOfTiny = (env: X87Env): F80 => inexactResult(env, 0, ONE - tinySquare(2n));

let early: F80 = F80_ZERO;

/**
 * Starts a trigonometric function of a, unpacked to A. Returns true if it is over with `early`; C2 = 1 then says that the
 * operand is 2^63 or more and stays.
 */
function startTrigonometric(env: X87Env, a: F80): boolean {
  begin(env);
  env.ccMask = C1 | C2;
  unpack(A, a);
  early = a;
  if (A.class >= QNAN) early = nanResult1(env, a);
  else if (A.class === INFINITY) early = invalid(env);
  else if (A.class === FINITE && A.exp >= 63) env.cc |= C2;
  else return denormal(env, A.denormal);
  return true;
}

/** FSIN. With C2 = 1 in env.cc the operand comes back. */
export function fsin(env: X87Env, a: F80): F80 {
  if (startTrigonometric(env, a)) return early;
  if (A.class === ZERO) return a;
  if (A.exp < TINY) return sineOfTiny(env);
  reduce();
  return signed(env, sine);
}

/** FCOS. With C2 = 1 in env.cc the operand comes back. */
export function fcos(env: X87Env, a: F80): F80 {
  if (startTrigonometric(env, a)) return early;
  if (A.class === ZERO) return F80_ONE;
  if (A.exp < TINY) return cosineOfTiny(env);
  reduce();
  return signed(env, cosine);
}

export interface SineCosine {
  /** Replaces ST0, and is ST1 after the push. */
  sine: F80;
  /** Is pushed, unless C2 = 1 in env.cc. */
  cosine: F80;
}

/** FSINCOS. With C2 = 1 in env.cc nothing is pushed and the operand comes back. */
export function fsincos(env: X87Env, a: F80): SineCosine {
  if (startTrigonometric(env, a)) return { sine: early, cosine: early };
  if (A.class === ZERO) return { sine: a, cosine: F80_ONE };
  if (A.exp < TINY) {
    const s = sineOfTiny(env);
    env.cc &= ~C1;
    return { sine: s, cosine: cosineOfTiny(env) };
  }
  reduce();
  const s = signed(env, sine);
  env.cc &= ~C1;
  return { sine: s, cosine: signed(env, cosine) };
}

export interface Tangent {
  /** Replaces ST0, and is ST1 after the push. */
  tangent: F80;
  /** 1.0, or the NaN if the tangent is one; is pushed, unless C2 = 1 in env.cc. */
  pushed: F80;
}

/** FPTAN. With C2 = 1 in env.cc nothing is pushed and the operand comes back. */
export function fptan(env: X87Env, a: F80): Tangent {
  if (startTrigonometric(env, a)) return { tangent: early, pushed: early };
  if (A.class === ZERO) return { tangent: a, pushed: F80_ONE };
  if (A.exp < TINY) {
    return { tangent: scaledResult(env, A.sign, A, ONE + tinySquare(3n)), pushed: F80_ONE };
  }
  reduce();
  return { tangent: signed(env, (sine << BigInt(FRACTION)) / cosine), pushed: F80_ONE };
}

const LOG2_10 = fixed.log2(10n, 0);
const LOG10_2 = (ONE << BigInt(FRACTION)) / LOG2_10;

/** Rounds a constant by the rounding control only; raises nothing. */
function constant(env: X87Env, value: bigint): F80 {
  begin(env);
  setFromBigInt(R, 0, -FRACTION, value, true);
  roundSignificand(R, 64, roundingControl(env));
  return encode(R);
}

export function fld1(env: X87Env): F80 {
  begin(env);
  return F80_ONE;
}
export function fldz(env: X87Env): F80 {
  begin(env);
  return F80_ZERO;
}
/** log2 10. */
export const fldl2t = (env: X87Env): F80 => constant(env, LOG2_10);
/** log2 e. */
export const fldl2e = (env: X87Env): F80 => constant(env, fixed.LOG2E);
export const fldpi = (env: X87Env): F80 => constant(env, fixed.PI);
/** log10 2. */
export const fldlg2 = (env: X87Env): F80 => constant(env, LOG10_2);
/** ln 2. */
export const fldln2 = (env: X87Env): F80 => constant(env, fixed.LN2);
