/**
 * x87 double extended numbers (SDM vol. 1, 4.2.2 and 8.2) and the environment their operations run in.
 *
 * Every operation takes an X87Env, reads its control word, and leaves there what the instruction does to the status
 * word. Stack checks (#IS), the top of stack, tags, pointers, ES and B are the caller's.
 */
import { DE, IE, OE, PE, UE, overflowsToInfinity, roundToRange } from './rounding.js';
import { FINITE, INFINITY, QNAN, SNAN, UNSUPPORTED, Unpacked, ZERO, normalize } from './unpacked.js';

/** A register's 80 bits. Treat as immutable: operations return their operands and shared constants. */
export interface F80 {
  /** Sign at bit 15, biased exponent at bits 14:0. */
  readonly sexp: number;
  /** The 64-bit significand with its explicit integer bit (bit 31 of hi), as unsigned 32-bit words. */
  readonly hi: number;
  readonly lo: number;
}

/** Condition code bits of the status word. */
export const C0 = 0x0100;
export const C1 = 0x0200;
export const C2 = 0x0400;
export const C3 = 0x4000;
export const CC = C0 | C1 | C2 | C3;

export class X87Env {
  /** Control word: exception masks in bits 5:0, precision control in 9:8, rounding control in 11:10. Set by the caller. */
  control = 0x037f;
  /** Out: the status-word exception flags (IE … PE, bits 5:0) that the last operation raised; not accumulated. */
  raised = 0;
  /** Out: the new values of the condition codes in ccMask, at their status-word positions. Others keep their values. */
  cc = 0;
  ccMask = 0;
  /**
   * Out: an unmasked exception stopped the operation. The destination, in a register or memory, keeps its value, nothing
   * is pushed or popped, EFLAGS stay, and the returned value is meaningless.
   */
  suppressed = false;
  /** Out, for 64-bit results (f80ToF64, f80ToI64): unsigned 32-bit words. */
  hi = 0;
  lo = 0;

  /** The new status word: C0–C3 replaced where the operation defines them, flags accumulated, ES and B set as due. */
  statusAfter(status: number): number {
    let sw = (status & ~this.ccMask) | (this.cc & this.ccMask) | this.raised;
    if ((sw & ~this.control & 0x3f) !== 0) sw |= 0x8080;
    return sw & 0xffff;
  }
}

export const EMIN = -16382;
export const EMAX = 16383;
const BIAS = 16383;
/** Bias adjustment of unmasked overflow and underflow (SDM vol. 1, 8.5.4). */
const WRAP = 24576;

export const F80_ZERO: F80 = { sexp: 0, hi: 0, lo: 0 };
export const F80_NEG_ZERO: F80 = { sexp: 0x8000, hi: 0, lo: 0 };
export const F80_ONE: F80 = { sexp: 0x3fff, hi: 0x80000000, lo: 0 };
/** The real indefinite: the masked response to an invalid operation without a NaN operand. */
export const F80_INDEFINITE: F80 = { sexp: 0xffff, hi: 0xc0000000, lo: 0 };

/** Working numbers of the operation in progress. */
export const A = new Unpacked();
export const B = new Unpacked();
export const R = new Unpacked();

/** Clears the outputs. C1 is cleared by every operation that doesn't set it. */
export function begin(env: X87Env): void {
  env.raised = 0;
  env.cc = 0;
  env.ccMask = C1;
  env.suppressed = false;
}

/** Raises IE, DE or ZE. Returns true if it is unmasked: the operation is over and its destination stays. */
export function raise(env: X87Env, flag: number): boolean {
  env.raised |= flag;
  if ((flag & ~env.control & 0x3f) !== 0) env.suppressed = true;
  return env.suppressed;
}

export function invalid(env: X87Env): F80 {
  raise(env, IE);
  return F80_INDEFINITE;
}

export const roundingControl = (env: X87Env): number => (env.control >>> 10) & 3;

/** Significant bits under the precision control: 24, 53 or 64 (the reserved value 01 acts as 64). */
export function precisionControl(env: X87Env): number {
  const pc = (env.control >>> 8) & 3;
  return pc === 0 ? 24 : pc === 2 ? 53 : 64;
}

export function unpack(w: Unpacked, a: F80): void {
  const { hi, lo } = a;
  const exp = a.sexp & 0x7fff;
  w.sign = a.sexp >>> 15;
  w.hi = hi;
  w.lo = lo;
  w.ext = 0;
  w.denormal = false;
  if (exp === 0) {
    if (hi === 0 && lo === 0) w.class = ZERO;
    else {
      w.class = FINITE;
      w.denormal = true;
      w.exp = EMIN;
      normalize(w);
    }
  } else if (hi < 0x80000000) w.class = UNSUPPORTED;
  else if (exp !== 0x7fff) {
    w.class = FINITE;
    w.exp = exp - BIAS;
  } else if (hi === 0x80000000 && lo === 0) w.class = INFINITY;
  else w.class = (hi & 0x40000000) !== 0 ? QNAN : SNAN;
}

/** Encodes a zero, infinity, or rounded finite number (denormalised ones have exp = EMIN and a clear top bit). */
export function encode(w: Unpacked): F80 {
  const s = w.sign << 15;
  if (w.class === ZERO) return s === 0 ? F80_ZERO : F80_NEG_ZERO;
  if (w.class === INFINITY) return { sexp: s | 0x7fff, hi: 0x80000000, lo: 0 };
  return { sexp: s | (w.hi >= 0x80000000 ? w.exp + BIAS : 0), hi: w.hi, lo: w.lo };
}

/**
 * Rounds a working result to the given precision and the exponent range of a register, raises OE, UE and PE, and sets
 * C1 if rounding increased the magnitude.
 */
export function roundResult(env: X87Env, w: Unpacked, precision: number): F80 {
  if (w.class !== FINITE) return encode(w);
  const rc = roundingControl(env);
  const unmaskedUnderflow = (env.control & UE) === 0;
  const tiny = roundToRange(w, precision, EMIN, rc, !unmaskedUnderflow);
  if (w.inexact) env.raised |= PE;
  if (w.up) env.cc |= C1;
  if (tiny) {
    if (unmaskedUnderflow) {
      env.raised |= UE;
      w.exp += WRAP;
      if (w.exp < EMIN) {
        // only fscale gets further down than the wrap can mend
        env.raised |= PE;
        env.cc &= ~C1;
        w.setSpecial(ZERO, w.sign);
      }
    } else if (w.inexact) env.raised |= UE;
  } else if (w.exp > EMAX) {
    env.raised |= OE;
    if ((env.control & OE) === 0) {
      w.exp -= WRAP;
      if (w.exp > EMAX) {
        env.raised |= PE;
        env.cc |= C1;
        w.setSpecial(INFINITY, w.sign);
      }
    } else {
      env.raised |= PE;
      if (overflowsToInfinity(rc, w.sign)) {
        env.cc |= C1;
        w.setSpecial(INFINITY, w.sign);
      } else {
        env.cc &= ~C1;
        return largestFinite(w.sign, precision);
      }
    }
  }
  return encode(w);
}

function largestFinite(sign: number, precision: number): F80 {
  const sexp = (sign << 15) | 0x7ffe;
  if (precision === 64) return { sexp, hi: 0xffffffff, lo: 0xffffffff };
  return precision === 53 ? { sexp, hi: 0xffffffff, lo: 0xfffff800 } : { sexp, hi: 0xffffff00, lo: 0 };
}

export const quiet = (a: F80): F80 => ({ sexp: a.sexp, hi: (a.hi | 0x40000000) >>> 0, lo: a.lo });

/** The result for one operand, in A, that is a NaN or unsupported. */
export function nanResult1(env: X87Env, a: F80): F80 {
  if (A.class === UNSUPPORTED) return invalid(env);
  if (A.class === SNAN) raise(env, IE);
  return quiet(a);
}

/** The result for two operands, in A and B, of which at least one is a NaN or unsupported (SDM vol. 1, table 4-7). */
export function nanResult2(env: X87Env, a: F80, b: F80): F80 {
  if (A.class === UNSUPPORTED || B.class === UNSUPPORTED) return invalid(env);
  if (A.class === SNAN || B.class === SNAN) raise(env, IE);
  if (B.class < QNAN) return quiet(a);
  if (A.class < QNAN) return quiet(b);
  if (A.class !== B.class) return A.class === QNAN ? a : b;
  // the larger significand; of equal ones the positive number
  if (a.hi !== b.hi) return quiet(a.hi > b.hi ? a : b);
  if (a.lo !== b.lo) return quiet(a.lo > b.lo ? a : b);
  return quiet(a.sexp < b.sexp ? a : b);
}

/** Raises DE if either operand is denormal. Returns true if the operation is over. */
export function denormal(env: X87Env, either: boolean): boolean {
  return either && raise(env, DE);
}

/** A JavaScript integer below 2^53 in magnitude, exactly; for results such as fxtract's exponent. */
export function f80FromSafeInteger(n: number): F80 {
  if (n === 0) return F80_ZERO;
  const m = Math.abs(n);
  R.setFinite(n < 0 ? 1 : 0, 63, Math.floor(m / 0x100000000), m >>> 0, 0);
  normalize(R);
  return encode(R);
}
