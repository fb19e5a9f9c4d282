/**
 * The working form of a floating-point number, shared by the x87 and SSE operations, and the exact arithmetic on it.
 *
 * A finite non-zero number is ±(hi.lo.ext / 2^95) · 2^exp: a 96-bit significand in three 32-bit words whose top bit is
 * set, so the leading digit is worth 2^exp. `hi` and `lo` hold the 64 bits an x87 register has; `ext` holds the bits
 * below, and its lowest bit is sticky: it is the OR of everything that didn't fit. 31 exact bits and a sticky one below
 * 64 are enough to round correctly to any of the hardware's precisions in any rounding mode.
 *
 * Working numbers are reused from one operation to the next instead of being allocated. Nothing here is reentrant, and
 * nothing needs to be: a worker has its own copy of the module.
 */

export const ZERO = 0;
export const FINITE = 1;
export const INFINITY = 2;
export const QNAN = 3;
export const SNAN = 4;
/** x87 only: pseudo-NaN, pseudo-infinity, unnormal (SDM vol. 1, table 8-3). */
export const UNSUPPORTED = 5;

export class Unpacked {
  /** ZERO … UNSUPPORTED. Everything from QNAN on is "not a number". */
  class = ZERO;
  /** The encoding was denormal (or pseudo-denormal) and neither flushed nor zero. */
  denormal = false;
  /** 0 or 1. */
  sign = 0;
  /** Unbiased. */
  exp = 0;
  /** Unsigned 32-bit words, most significant first. For NaNs hi and lo hold the significand, integer bit at bit 31. */
  hi = 0;
  lo = 0;
  ext = 0;
  /** Set by rounding: the result differs from the exact one. */
  inexact = false;
  /** Set by rounding: the magnitude was increased. */
  up = false;

  copy(from: Unpacked): void {
    this.class = from.class;
    this.denormal = from.denormal;
    this.sign = from.sign;
    this.exp = from.exp;
    this.hi = from.hi;
    this.lo = from.lo;
    this.ext = from.ext;
  }

  setFinite(sign: number, exp: number, hi: number, lo: number, ext: number): void {
    this.class = FINITE;
    this.denormal = false;
    this.sign = sign;
    this.exp = exp;
    this.hi = hi;
    this.lo = lo;
    this.ext = ext;
  }

  setSpecial(cls: number, sign: number): void {
    this.class = cls;
    this.denormal = false;
    this.sign = sign;
    this.hi = cls === INFINITY ? 0x80000000 : 0;
    this.lo = 0;
    this.ext = 0;
  }
}

/** Shifts the significand right by n bits; what falls out is kept as the sticky bit. The exponent stays. */
export function shiftRightJam(w: Unpacked, n: number): void {
  if (n <= 0) return;
  let { hi, lo, ext } = w;
  if (n >= 96) {
    w.ext = hi !== 0 || lo !== 0 || ext !== 0 ? 1 : 0;
    w.hi = 0;
    w.lo = 0;
    return;
  }
  let lost = 0;
  while (n >= 32) {
    lost |= ext;
    ext = lo;
    lo = hi;
    hi = 0;
    n -= 32;
  }
  if (n > 0) {
    const m = 32 - n;
    lost |= ext << m;
    ext = ((ext >>> n) | (lo << m)) >>> 0;
    lo = ((lo >>> n) | (hi << m)) >>> 0;
    hi = hi >>> n;
  }
  w.hi = hi;
  w.lo = lo;
  w.ext = lost !== 0 ? (ext | 1) >>> 0 : ext;
}

/** Shifts a non-zero significand left until its top bit is set, and lowers the exponent to match. */
export function normalize(w: Unpacked): void {
  let { hi, lo, ext } = w;
  if (hi >= 0x80000000) return;
  let shift = 0;
  while (hi === 0) {
    hi = lo;
    lo = ext;
    ext = 0;
    shift += 32;
  }
  const n = Math.clz32(hi);
  if (n > 0) {
    const m = 32 - n;
    hi = ((hi << n) | (lo >>> m)) >>> 0;
    lo = ((lo << n) | (ext >>> m)) >>> 0;
    ext = (ext << n) >>> 0;
  }
  w.hi = hi;
  w.lo = lo;
  w.ext = ext;
  w.exp -= shift + n;
}

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit words. */
export function mulHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  // each sum stays below 2^32, so 32-bit integer arithmetic is exact
  const mid = (Math.imul(a1, b0) + (Math.imul(a0, b0) >>> 16)) >>> 0;
  const mid2 = (Math.imul(a0, b1) + (mid & 0xffff)) >>> 0;
  return (Math.imul(a1, b1) + (mid >>> 16) + (mid2 >>> 16)) >>> 0;
}

const mulLow = (a: number, b: number): number => Math.imul(a, b) >>> 0;

const T = 0x100000000;
const aligned = new Unpacked();

/**
 * r = a + b for finite non-zero a and b, where `signB` replaces b's sign (so that subtraction needs no copy).
 * An exact zero result leaves r.class = ZERO with sign 0; its proper sign depends on the rounding mode.
 */
export function addFinite(r: Unpacked, a: Unpacked, b: Unpacked, signB: number): void {
  let signA = a.sign;
  let big = a;
  let small = b;
  if (b.exp > a.exp || (b.exp === a.exp && (b.hi > a.hi || (b.hi === a.hi && b.lo > a.lo)))) {
    big = b;
    small = a;
    const t = signA;
    signA = signB;
    signB = t;
  }
  aligned.hi = small.hi;
  aligned.lo = small.lo;
  aligned.ext = 0;
  shiftRightJam(aligned, big.exp - small.exp);
  const exp = big.exp;
  if (signA === signB) {
    const lo = big.lo + aligned.lo;
    let hi = big.hi + aligned.hi;
    if (lo >= T) hi++;
    r.setFinite(signA, exp, hi >>> 0, lo >>> 0, aligned.ext);
    if (hi >= T) {
      shiftRightJam(r, 1);
      r.hi = (r.hi | 0x80000000) >>> 0;
      r.exp = exp + 1;
    }
    return;
  }
  const ext = -aligned.ext;
  let lo = big.lo - aligned.lo;
  if (ext < 0) lo--;
  let hi = big.hi - aligned.hi;
  if (lo < 0) hi--;
  r.setFinite(signA, exp, hi >>> 0, lo >>> 0, ext >>> 0);
  if (r.hi === 0 && r.lo === 0 && r.ext === 0) r.setSpecial(ZERO, 0);
  else normalize(r);
}

/** r = a · b for finite non-zero a and b. */
export function mulFinite(r: Unpacked, a: Unpacked, b: Unpacked): void {
  const { hi: ah, lo: al } = a;
  const { hi: bh, lo: bl } = b;
  // columns of 32 bits, least significant first: c0 c1 c2 c3
  const c0 = mulLow(al, bl);
  let c1 = mulHigh(al, bl) + mulLow(ah, bl) + mulLow(al, bh);
  let c2 = mulHigh(ah, bl) + mulHigh(al, bh) + mulLow(ah, bh);
  let c3 = mulHigh(ah, bh);
  c2 += Math.floor(c1 / T);
  c1 = c1 >>> 0;
  c3 += Math.floor(c2 / T);
  c2 = c2 >>> 0;
  const exp = a.exp + b.exp;
  const sign = a.sign ^ b.sign;
  if (c3 >= 0x80000000) r.setFinite(sign, exp + 1, c3, c2, c0 !== 0 ? (c1 | 1) >>> 0 : c1);
  else {
    const hi = ((c3 << 1) | (c2 >>> 31)) >>> 0;
    const lo = ((c2 << 1) | (c1 >>> 31)) >>> 0;
    const ext = ((c1 << 1) | (c0 >>> 31)) >>> 0;
    r.setFinite(sign, exp, hi, lo, c0 << 1 !== 0 ? (ext | 1) >>> 0 : ext);
  }
}

/** Remainder of the running division, most significant word first. */
let rem1 = 0;
let rem0 = 0;

/**
 * One digit of a long division in base 2^32: the quotient of (rem1.rem0.digit) by (bh.bl), leaving the remainder.
 * The estimate from doubles is wrong by at most one either way: the quotient is below 2^32 and doubles carry 53 bits.
 */
function divideDigit(digit: number, bh: number, bl: number): number {
  let q = Math.floor(((rem1 * T + rem0) / (bh * T + bl)) * T);
  if (q >= T) q = T - 1;
  // rem − q·b, kept in three words; the top one is small and signed
  let w0 = digit - mulLow(q, bl);
  let w1 = rem0 - mulHigh(q, bl) - mulLow(q, bh);
  let w2 = rem1 - mulHigh(q, bh);
  w1 += Math.floor(w0 / T);
  w0 = w0 >>> 0;
  w2 += Math.floor(w1 / T);
  w1 = w1 >>> 0;
  while (w2 < 0) {
    q--;
    w0 += bl;
    w1 += bh;
    if (w0 >= T) {
      w0 -= T;
      w1++;
    }
    if (w1 >= T) {
      w1 -= T;
      w2++;
    }
  }
  while (w2 > 0 || w1 > bh || (w1 === bh && w0 >= bl)) {
    q++;
    w0 -= bl;
    w1 -= bh;
    if (w0 < 0) {
      w0 += T;
      w1--;
    }
    if (w1 < 0) {
      w1 += T;
      w2--;
    }
  }
  rem1 = w1;
  rem0 = w0;
  return q;
}

/** r = a / b for finite non-zero a and b. */
export function divFinite(r: Unpacked, a: Unpacked, b: Unpacked): void {
  const { hi: bh, lo: bl } = b;
  // start from a/2, so that the first digit is below 2^32
  rem1 = a.hi >>> 1;
  rem0 = ((a.hi << 31) | (a.lo >>> 1)) >>> 0;
  const q2 = divideDigit((a.lo << 31) >>> 0, bh, bl);
  const q1 = divideDigit(0, bh, bl);
  const q0 = divideDigit(0, bh, bl);
  const sticky = rem1 !== 0 || rem0 !== 0 ? 1 : 0;
  r.setFinite(a.sign ^ b.sign, a.exp - b.exp, q2, q1, (q0 | sticky) >>> 0);
  if (q2 < 0x80000000) {
    r.hi = ((q2 << 1) | (q1 >>> 31)) >>> 0;
    r.lo = ((q1 << 1) | (q0 >>> 31)) >>> 0;
    r.ext = ((q0 << 1) | sticky) >>> 0;
    r.exp--;
  }
}

/** The 64-bit significand as a BigInt. */
export const significand = (w: Unpacked): bigint => (BigInt(w.hi) << 32n) | BigInt(w.lo);

/** The integer square root of n < 2^200 (rounded down). */
export function integerSqrt(n: bigint): bigint {
  if (n === 0n) return 0n;
  let x = BigInt(Math.floor(Math.sqrt(Number(n)))) + 1n;
  // one step of Newton's doubles the 53 correct bits
  x = (x + n / x) >> 1n;
  while (x * x > n) x--;
  while ((x + 1n) * (x + 1n) <= n) x++;
  return x;
}

/** r = √a for finite a > 0. */
export function sqrtFinite(r: Unpacked, a: Unpacked): void {
  const odd = a.exp & 1;
  // root with 96 bits: value = m/2^63 · 2^exp, an even exponent is halved
  const n = significand(a) << (odd ? 128n : 127n);
  const root = integerSqrt(n);
  setFromBigInt(r, 0, (a.exp - odd) / 2 - 95, root, root * root !== n);
}

/** r = ±m · 2^exp for m > 0 of any length; `sticky` says that the true value is a little larger in magnitude. */
export function setFromBigInt(r: Unpacked, sign: number, exp: number, m: bigint, sticky: boolean): void {
  const bits = bitLength(m);
  const drop = bits - 96;
  let top: bigint;
  if (drop > 0) {
    top = m >> BigInt(drop);
    if (top << BigInt(drop) !== m) sticky = true;
  } else top = m << BigInt(-drop);
  const ext = Number(top & 0xffffffffn);
  r.setFinite(
    sign,
    exp + bits - 1,
    Number(top >> 64n),
    Number((top >> 32n) & 0xffffffffn),
    sticky ? (ext | 1) >>> 0 : ext,
  );
}

/** The number of bits of m > 0. */
export function bitLength(m: bigint): number {
  return m.toString(16).length * 4 - Math.clz32(Number.parseInt(m.toString(16)[0], 16)) + 28;
}
