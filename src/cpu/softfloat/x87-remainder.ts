/** FPREM, FPREM1, FRNDINT, FSCALE, FXTRACT (SDM vol. 2A). */
import {
  A,
  B,
  C0,
  C1,
  C2,
  C3,
  CC,
  EMAX,
  type F80,
  R,
  type X87Env,
  begin,
  denormal,
  encode,
  f80FromSafeInteger,
  invalid,
  nanResult1,
  nanResult2,
  raise,
  roundResult,
  roundingControl,
  unpack,
} from './float80.js';
import { PE, TRUNCATE, ZE, renormalizeInteger, roundToInteger } from './rounding.js';
import { FINITE, INFINITY, QNAN, ZERO, setFromBigInt, significand } from './unpacked.js';

/**
 * The partial remainder a rem b. C2 = 1 says that the reduction isn't complete: the exponent difference was 64 or more
 * and went down by 32 to 63. When complete, C0, C3 and C1 are bits 2, 1 and 0 of the quotient.
 */
function partialRemainder(env: X87Env, a: F80, b: F80, nearest: boolean): F80 {
  begin(env);
  env.ccMask = C1 | C2;
  unpack(A, a);
  unpack(B, b);
  if (A.class >= QNAN || B.class >= QNAN) return nanResult2(env, a, b);
  if (A.class === INFINITY || B.class === ZERO) return invalid(env);
  if (denormal(env, A.denormal || B.denormal)) return a;
  env.ccMask = CC;
  if (A.class === ZERO || B.class === INFINITY) {
    R.copy(A);
    return roundResult(env, R, 64);
  }
  const d = A.exp - B.exp;
  if (d < (nearest ? -1 : 0)) {
    R.copy(A);
    return roundResult(env, R, 64);
  }
  const divisor = significand(B);
  if (d >= 64) {
    // how far one step reduces is the processor's choice; this is what they do
    const n = 32 + (d & 31);
    const rest = (significand(A) << BigInt(n)) % divisor;
    env.cc = C2;
    if (rest === 0n) R.setSpecial(ZERO, A.sign);
    else setFromBigInt(R, A.sign, B.exp - 63 + d - n, rest, false);
    return roundResult(env, R, 64);
  }
  // with d = −1 the unit is half of the divisor's
  const unit = d < 0 ? 1n : 0n;
  const dividend = significand(A) << BigInt(Math.max(d, 0));
  const modulus = divisor << unit;
  let quotient = dividend / modulus;
  let rest = dividend % modulus;
  let sign = A.sign;
  if (nearest && (rest * 2n > modulus || (rest * 2n === modulus && (quotient & 1n) === 1n))) {
    quotient++;
    rest = modulus - rest;
    sign ^= 1;
  }
  const q = Number(quotient & 7n);
  env.cc = ((q & 4) !== 0 ? C0 : 0) | ((q & 2) !== 0 ? C3 : 0) | ((q & 1) !== 0 ? C1 : 0);
  if (rest === 0n) R.setSpecial(ZERO, A.sign);
  else setFromBigInt(R, sign, (d < 0 ? A.exp : B.exp) - 63, rest, false);
  return roundResult(env, R, 64);
}

/** FPREM: a − b·q with q truncated. */
export const fprem = (env: X87Env, a: F80, b: F80): F80 => partialRemainder(env, a, b, false);
/** FPREM1: a − b·q with q rounded to nearest, ties to even (the IEEE remainder). */
export const fprem1 = (env: X87Env, a: F80, b: F80): F80 => partialRemainder(env, a, b, true);

/** FRNDINT: rounds to an integer by the rounding control. */
export function frndint(env: X87Env, a: F80): F80 {
  begin(env);
  unpack(A, a);
  if (A.class >= QNAN) return nanResult1(env, a);
  if (denormal(env, A.denormal)) return a;
  if (A.class !== FINITE || A.exp >= 63) return a;
  R.copy(A);
  roundToInteger(R, roundingControl(env));
  if (R.inexact) env.raised |= PE;
  if (R.up) env.cc |= C1;
  if (!renormalizeInteger(R)) R.setSpecial(ZERO, A.sign);
  return encode(R);
}

/** FSCALE: a · 2^trunc(b). */
export function fscale(env: X87Env, a: F80, b: F80): F80 {
  begin(env);
  unpack(A, a);
  unpack(B, b);
  if (A.class >= QNAN || B.class >= QNAN) return nanResult2(env, a, b);
  if (B.class === INFINITY) {
    if (A.class === (B.sign === 1 ? INFINITY : ZERO)) return invalid(env);
    if (denormal(env, A.denormal)) return a;
    R.setSpecial(B.sign === 1 ? ZERO : INFINITY, A.sign);
    return encode(R);
  }
  if (denormal(env, A.denormal || B.denormal)) return a;
  if (A.class !== FINITE) return a;
  R.copy(B);
  let n = 0;
  // beyond ±65536 every scale gives the same overflow or underflow
  if (R.class === FINITE) n = R.exp > 16 ? 0x10000 : roundToInteger(R, TRUNCATE) ? R.lo : 0;
  R.copy(A);
  R.exp += B.sign === 1 ? -n : n;
  return roundResult(env, R, 64);
}

export interface Extracted {
  /** Goes to ST0 after the push. */
  significand: F80;
  /** Replaces the operand, ST1 after the push. */
  exponent: F80;
}

/** FXTRACT: the significand, in [1, 2) with the operand's sign, and the unbiased exponent as a number. */
export function fxtract(env: X87Env, a: F80): Extracted {
  begin(env);
  unpack(A, a);
  if (A.class >= QNAN) {
    const nan = nanResult1(env, a);
    return { significand: nan, exponent: nan };
  }
  if (A.class === ZERO) {
    raise(env, ZE);
    return { significand: a, exponent: { sexp: 0xffff, hi: 0x80000000, lo: 0 } };
  }
  if (A.class === INFINITY) return { significand: a, exponent: { sexp: 0x7fff, hi: 0x80000000, lo: 0 } };
  denormal(env, A.denormal);
  return {
    significand: { sexp: (A.sign << 15) | EMAX, hi: A.hi, lo: A.lo },
    exponent: f80FromSafeInteger(A.exp),
  };
}
