/** FLD, FST, FILD, FIST, FISTTP: conversions between registers and memory formats (SDM vol. 2A). */
import {
  A,
  C1,
  type F80,
  F80_NEG_ZERO,
  F80_ZERO,
  R,
  type X87Env,
  begin,
  denormal,
  encode,
  quiet,
  raise,
  roundingControl,
  unpack,
} from './float80.js';
import {
  IE,
  OE,
  PE,
  TRUNCATE,
  UE,
  fitsSigned,
  overflowsToInfinity,
  roundToInteger,
  roundToRange,
  writeSigned64,
} from './rounding.js';
import { FINITE, INFINITY, QNAN, SNAN, UNSUPPORTED, ZERO, normalize } from './unpacked.js';

/** A memory operand of an arithmetic instruction: exact, with signalling NaNs still signalling. */
export interface MemoryOperand {
  value: F80;
  /** The f32 or f64 was denormal: pass it on as `memoryDenormal`. */
  denormal: boolean;
}

/** Decodes IEEE parts: the fraction left-aligned below the integer bit in (hi, lo), bit 31 of hi clear. */
function fromParts(
  sign: number,
  exp: number,
  top: number,
  bias: number,
  hi: number,
  lo: number,
): MemoryOperand {
  const s = sign << 15;
  if (exp === top) return { value: { sexp: s | 0x7fff, hi: (hi | 0x80000000) >>> 0, lo }, denormal: false };
  if (exp !== 0) {
    return { value: { sexp: s | (exp - bias + 16383), hi: (hi | 0x80000000) >>> 0, lo }, denormal: false };
  }
  if (hi === 0 && lo === 0) return { value: sign === 0 ? F80_ZERO : F80_NEG_ZERO, denormal: false };
  R.setFinite(sign, 1 - bias, hi, lo, 0);
  normalize(R);
  return { value: encode(R), denormal: true };
}

/** The m32fp operand of FADD, FCOM and the like; bits unsigned or signed 32-bit. Raises nothing. */
export function operandF32(bits: number): MemoryOperand {
  return fromParts(bits >>> 31, (bits >>> 23) & 0xff, 0xff, 127, (bits & 0x7fffff) << 8, 0);
}

/** The m64fp operand of FADD, FCOM and the like. Raises nothing. */
export function operandF64(hi: number, lo: number): MemoryOperand {
  const fractionHi = (((hi & 0xfffff) << 11) | (lo >>> 21)) >>> 0;
  return fromParts(hi >>> 31, (hi >>> 20) & 0x7ff, 0x7ff, 1023, fractionHi, (lo << 11) >>> 0);
}

function load(env: X87Env, operand: MemoryOperand): F80 {
  begin(env);
  const { value } = operand;
  denormal(env, operand.denormal);
  unpack(A, value);
  if (A.class !== SNAN) return value;
  raise(env, IE);
  return quiet(value);
}

/** FLD m32fp. */
export const f80FromF32 = (env: X87Env, bits: number): F80 => load(env, operandF32(bits));
/** FLD m64fp. */
export const f80FromF64 = (env: X87Env, hi: number, lo: number): F80 => load(env, operandF64(hi, lo));

/** FILD m16int and m32int: a signed 32-bit number, exactly. */
export function f80FromI32(env: X87Env, n: number): F80 {
  begin(env);
  if (n === 0) return F80_ZERO;
  R.setFinite(n < 0 ? 1 : 0, 31, Math.abs(n), 0, 0);
  normalize(R);
  return encode(R);
}

/** FILD m64int: the two's complement in two words, exactly. */
export function f80FromI64(env: X87Env, hi: number, lo: number): F80 {
  begin(env);
  hi >>>= 0;
  lo >>>= 0;
  if (hi === 0 && lo === 0) return F80_ZERO;
  const sign = hi >>> 31;
  if (sign === 1) {
    lo = -lo >>> 0;
    hi = (~hi + (lo === 0 ? 1 : 0)) >>> 0;
  }
  R.setFinite(sign, 63, hi, lo, 0);
  normalize(R);
  return encode(R);
}

/**
 * Rounds A to a memory format into R. Returns the class of the result (R is rounded if it is FINITE, and denormalised
 * with its top bit clear if it is tiny), with OE, UE, PE and C1 raised; unmasked OE and UE suppress the store.
 */
function narrow(env: X87Env, precision: number, emin: number, emax: number): number {
  const rc = roundingControl(env);
  R.copy(A);
  const unmaskedUnderflow = (env.control & UE) === 0;
  const tiny = roundToRange(R, precision, emin, rc, !unmaskedUnderflow);
  if (tiny && unmaskedUnderflow) {
    env.raised |= UE;
    env.suppressed = true;
    return FINITE;
  }
  if (R.exp > emax) {
    env.raised |= OE;
    if ((env.control & OE) === 0) {
      env.suppressed = true;
      return FINITE;
    }
    env.raised |= PE;
    if (!overflowsToInfinity(rc, R.sign)) {
      R.exp = emax;
      R.hi = precision === 24 ? 0xffffff00 : 0xffffffff;
      R.lo = precision === 24 ? 0 : 0xfffff800;
      return FINITE;
    }
    env.cc |= C1;
    return INFINITY;
  }
  if (R.inexact) env.raised |= tiny ? UE | PE : PE;
  if (R.up) env.cc |= C1;
  return FINITE;
}

/** FST m32fp: the f32's bits, unsigned. */
export function f80ToF32(env: X87Env, a: F80): number {
  begin(env);
  unpack(A, a);
  const s = A.sign === 1 ? 0x80000000 : 0;
  if (A.class === ZERO) return s;
  if (A.class === UNSUPPORTED) {
    raise(env, IE);
    return 0xffc00000;
  }
  if (A.class >= QNAN) {
    if (A.class === SNAN) raise(env, IE);
    return (s | 0x7fc00000 | ((A.hi >>> 8) & 0x3fffff)) >>> 0;
  }
  if (A.class === INFINITY || narrow(env, 24, -126, 127) === INFINITY) return (s | 0x7f800000) >>> 0;
  const exp = R.hi >= 0x80000000 ? R.exp + 127 : 0;
  return (s | (exp << 23) | ((R.hi >>> 8) & 0x7fffff)) >>> 0;
}

/** FST m64fp: the f64's bits in env.hi and env.lo. */
export function f80ToF64(env: X87Env, a: F80): void {
  begin(env);
  unpack(A, a);
  const s = A.sign === 1 ? 0x80000000 : 0;
  env.lo = 0;
  env.hi = s;
  if (A.class === ZERO) return;
  if (A.class === UNSUPPORTED) {
    raise(env, IE);
    env.hi = 0xfff80000;
  } else if (A.class >= QNAN) {
    if (A.class === SNAN) raise(env, IE);
    env.hi = (s | 0x7ff80000 | ((A.hi >>> 11) & 0x7ffff)) >>> 0;
    env.lo = ((A.hi << 21) | (A.lo >>> 11)) >>> 0;
  } else if (A.class === INFINITY || narrow(env, 53, -1022, 1023) === INFINITY) {
    env.hi = (s | 0x7ff00000) >>> 0;
  } else {
    const exp = R.hi >= 0x80000000 ? R.exp + 1023 : 0;
    env.hi = (s | (exp << 20) | ((R.hi >>> 11) & 0xfffff)) >>> 0;
    env.lo = ((R.hi << 21) | (R.lo >>> 11)) >>> 0;
  }
}

/**
 * Rounds a to a signed integer of the given width: its magnitude in R.hi and R.lo, its sign in R.sign.
 * Returns false, with IE raised, if it doesn't fit or isn't a number.
 */
function toInteger(env: X87Env, a: F80, bits: number, rc: number): boolean {
  begin(env);
  unpack(A, a);
  R.copy(A);
  if (R.class > FINITE || !roundToInteger(R, rc) || !fitsSigned(R, bits)) {
    raise(env, IE);
    return false;
  }
  if (R.inexact) env.raised |= PE;
  if (R.up) env.cc |= C1;
  return true;
}

function toSmallInteger(env: X87Env, a: F80, bits: number, rc: number): number {
  if (!toInteger(env, a, bits, rc)) return bits === 32 ? -0x80000000 : -0x8000;
  return R.sign === 1 ? -R.lo | 0 : R.lo;
}

function toI64(env: X87Env, a: F80, rc: number): void {
  writeSigned64(env, R, toInteger(env, a, 64, rc));
}

/** FIST m16int: a signed number; 0x8000 as −0x8000 if invalid. */
export const f80ToI16 = (env: X87Env, a: F80): number => toSmallInteger(env, a, 16, roundingControl(env));
/** FIST m32int: a signed number. */
export const f80ToI32 = (env: X87Env, a: F80): number => toSmallInteger(env, a, 32, roundingControl(env));
/** FISTP m64int: two's complement in env.hi and env.lo. */
export const f80ToI64 = (env: X87Env, a: F80): void => toI64(env, a, roundingControl(env));
/** FISTTP, which truncates whatever the rounding control. */
export const f80ToI16Truncate = (env: X87Env, a: F80): number => toSmallInteger(env, a, 16, TRUNCATE);
export const f80ToI32Truncate = (env: X87Env, a: F80): number => toSmallInteger(env, a, 32, TRUNCATE);
export const f80ToI64Truncate = (env: X87Env, a: F80): void => toI64(env, a, TRUNCATE);
