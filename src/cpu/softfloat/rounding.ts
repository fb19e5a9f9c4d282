/** Rounding of working numbers to the precisions of the hardware. */
import { type Unpacked, normalize, shiftRightJam } from './unpacked.js';

/** Rounding control, encoded alike in the x87 control word (bits 11:10) and MXCSR (bits 14:13). */
export const NEAREST = 0;
export const DOWN = 1;
export const UP = 2;
export const TRUNCATE = 3;

/** Exception flags, at the same bits in the x87 status word and in MXCSR; their masks have the same order. */
export const IE = 1;
export const DE = 2;
export const ZE = 4;
export const OE = 8;
export const UE = 0x10;
export const PE = 0x20;

/**
 * Whether rounding increases the magnitude, given the lowest kept bit, the first dropped bit and the OR of the others.
 */
export function roundsUp(rc: number, sign: number, odd: boolean, half: boolean, sticky: boolean): boolean {
  if (rc === NEAREST) return half && (sticky || odd);
  return rc === (sign === 0 ? UP : DOWN) && (half || sticky);
}

/**
 * Rounds the significand to its top 24, 53 or 64 bits, counted from the fixed top position (so a denormalised
 * significand keeps fewer). Sets inexact and up; a carry out of the top gives 1.0 and the next exponent.
 */
export function roundSignificand(w: Unpacked, precision: number, rc: number): void {
  const { hi, lo, ext } = w;
  let up: boolean;
  let carry = 0;
  if (precision === 64) {
    w.inexact = ext !== 0;
    up = w.inexact && roundsUp(rc, w.sign, (lo & 1) !== 0, ext >= 0x80000000, (ext & 0x7fffffff) !== 0);
    w.ext = 0;
    if (up) {
      w.lo = (lo + 1) >>> 0;
      carry = w.lo === 0 ? 1 : 0;
    }
  } else if (precision === 53) {
    const rest = lo & 0x7ff;
    w.inexact = rest !== 0 || ext !== 0;
    up =
      w.inexact &&
      roundsUp(rc, w.sign, (lo & 0x800) !== 0, (rest & 0x400) !== 0, (rest & 0x3ff) !== 0 || ext !== 0);
    w.ext = 0;
    w.lo = (lo & ~0x7ff) >>> 0;
    if (up) {
      w.lo = (w.lo + 0x800) >>> 0;
      carry = w.lo === 0 ? 1 : 0;
    }
  } else {
    const rest = hi & 0xff;
    w.inexact = rest !== 0 || lo !== 0 || ext !== 0;
    up =
      w.inexact &&
      roundsUp(
        rc,
        w.sign,
        (hi & 0x100) !== 0,
        (rest & 0x80) !== 0,
        (rest & 0x7f) !== 0 || lo !== 0 || ext !== 0,
      );
    w.ext = 0;
    w.lo = 0;
    w.hi = (hi & ~0xff) >>> 0;
    carry = up ? 0x100 : 0;
  }
  w.up = up;
  if (carry !== 0) {
    w.hi = (w.hi + carry) >>> 0;
    if (w.hi === 0) {
      w.hi = 0x80000000;
      w.exp++;
    }
  }
}

/** Whether a masked overflow gives infinity (else the largest finite number): SDM vol. 1, table 4-11. */
export function overflowsToInfinity(rc: number, sign: number): boolean {
  return rc === NEAREST || rc === (sign === 0 ? UP : DOWN);
}

/**
 * Rounds a normalised significand to a format whose smallest normal exponent is emin, without an upper bound.
 * Returns true if the result is tiny, judged after rounding as if the exponent had no bound (SDM vol. 1, 4.9.1.5).
 * If it is tiny and `gradual`, the result is the denormalised one (top bit clear, exp = emin); if it is tiny and not
 * `gradual`, it is the unbounded one.
 */
export function roundToRange(
  w: Unpacked,
  precision: number,
  emin: number,
  rc: number,
  gradual: boolean,
): boolean {
  if (w.exp >= emin) {
    roundSignificand(w, precision, rc);
    return false;
  }
  const { exp, hi, lo, ext } = w;
  roundSignificand(w, precision, rc);
  const tiny = w.exp < emin;
  if (tiny && !gradual) return true;
  w.exp = exp;
  w.hi = hi;
  w.lo = lo;
  w.ext = ext;
  shiftRightJam(w, emin - exp);
  w.exp = emin;
  roundSignificand(w, precision, rc);
  return tiny;
}

/**
 * Rounds to an integer: w becomes the integer's magnitude in (hi, lo), right-aligned, with inexact and up set.
 * Returns false, with w undefined, if the magnitude needs more than 64 bits. w must be finite or zero (hi = lo = 0).
 */
export function roundToInteger(w: Unpacked, rc: number): boolean {
  w.inexact = false;
  w.up = false;
  if (w.hi === 0) return true;
  if (w.exp > 63) return false;
  shiftRightJam(w, 63 - w.exp);
  const { ext } = w;
  w.ext = 0;
  if (ext === 0) return true;
  w.inexact = true;
  w.up = roundsUp(rc, w.sign, (w.lo & 1) !== 0, ext >= 0x80000000, (ext & 0x7fffffff) !== 0);
  if (w.up) {
    w.lo = (w.lo + 1) >>> 0;
    if (w.lo === 0) {
      w.hi = (w.hi + 1) >>> 0;
      // 2^64: the carry left the word
      if (w.hi === 0) return false;
    }
  }
  return true;
}

/** Whether the integer left by roundToInteger fits a signed one of 16, 32 or 64 bits. */
export function fitsSigned({ hi, lo, sign }: Unpacked, bits: number): boolean {
  if (bits === 64) return hi < 0x80000000 || (sign === 1 && hi === 0x80000000 && lo === 0);
  const limit = bits === 32 ? 0x80000000 : 0x8000;
  return hi === 0 && (lo < limit || (sign === 1 && lo === limit));
}

/** Writes the integer left by roundToInteger as 64 bits, two's complement; if it doesn't fit, the integer indefinite. */
export function writeSigned64(
  to: { hi: number; lo: number },
  { hi, lo, sign }: Unpacked,
  fits: boolean,
): void {
  if (!fits) {
    to.hi = 0x80000000;
    to.lo = 0;
  } else if (sign === 1) {
    to.lo = -lo >>> 0;
    to.hi = (~hi + (to.lo === 0 ? 1 : 0)) >>> 0;
  } else {
    to.hi = hi;
    to.lo = lo;
  }
}

/** Turns the integer left by roundToInteger back into a normalised number; zero becomes class ZERO. */
export function renormalizeInteger(w: Unpacked): boolean {
  if (w.hi === 0 && w.lo === 0) return false;
  w.exp = 63;
  normalize(w);
  return true;
}
