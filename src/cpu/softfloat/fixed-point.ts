/**
 * Elementary functions on BigInt fixed-point numbers with 256 fraction bits. Truncation errors stay within some 2^-248,
 * which leaves more than 180 good bits for results down to 2^-66: three times what a register holds.
 */
import { bitLength, integerSqrt } from './unpacked.js';

/** Fraction bits. */
export const FRACTION = 256;
const F = BigInt(FRACTION);
export const ONE = 1n << F;
const SQRT2 = integerSqrtFixed(2n);

/** √n, for a small integer n. */
function integerSqrtFixed(n: bigint): bigint {
  // integerSqrt starts from a double, which is too coarse for 512 bits: refine
  let x = integerSqrt(n << 190n) << (F - 95n);
  for (let i = 0; i < 3; i++) x = (x + (n << (2n * F)) / x) >> 1n;
  return x;
}

const mul = (a: bigint, b: bigint): bigint => (a * b) >> F;

/** artanh(p/q) for |p/q| < 1/2 or so. */
function artanh(p: bigint, q: bigint): bigint {
  const x = (p << F) / q;
  const x2 = mul(x, x);
  let power = x;
  let sum = x;
  for (let n = 3n; power !== 0n && power !== -1n; n += 2n) {
    power = mul(power, x2);
    sum += power / n;
  }
  return sum;
}

/** arctan x by its series, for |x| < 1/4 or so. */
function arctanSeries(x: bigint): bigint {
  const x2 = mul(x, x);
  let power = x;
  let sum = x;
  for (let n = 3n; power !== 0n && power !== -1n; n += 2n) {
    power = -mul(power, x2);
    sum += power / n;
  }
  return sum;
}

/** Machin's formula. */
export const PI = 16n * arctanSeries(ONE / 5n) - 4n * arctanSeries(ONE / 239n);
export const LN2 = 2n * artanh(1n, 3n);
export const LOG2E = (ONE << F) / LN2;

/** By j: ln(1 + j/32) and arctan(j/16), filled as needed. */
const lnTable: bigint[] = [];
const arctanTable: bigint[] = [0n];

/** ln x for x in [0.7, 1.42). Exactly 0 for 1, and accurate relative to 1 − x. */
function ln(x: bigint): bigint {
  const j = Number((x - ONE + (ONE >> 6n)) >> (F - 5n));
  const c = ONE + (BigInt(j) << (F - 5n));
  lnTable[j + 32] ??= 2n * artanh(BigInt(j), BigInt(64 + j));
  return lnTable[j + 32] + 2n * artanh(x - c, x + c);
}

/** log2 of m · 2^exp, for m > 0 of at most 250 bits. */
export function log2(m: bigint, exp: number): bigint {
  const bits = bitLength(m);
  let e = exp + bits - 1;
  let x = m << BigInt(FRACTION + 1 - bits);
  if (x > SQRT2) {
    // the dropped bit is zero, as m is short
    x >>= 1n;
    e++;
  }
  return (BigInt(e) << F) + (x === ONE ? 0n : mul(ln(x), LOG2E));
}

/** e^x − 1 for |x| ≤ 1. */
export function expm1(x: bigint): bigint {
  let term = x;
  let sum = x;
  for (let n = 2n; term !== 0n && term !== -1n; n++) {
    term = mul(term, x) / n;
    sum += term;
  }
  return sum;
}

/** arctan x for 0 ≤ x ≤ 1. */
export function arctan(x: bigint): bigint {
  const j = Number((x + (ONE >> 5n)) >> (F - 4n));
  if (j === 0) return arctanSeries(x);
  const c = BigInt(j) << (F - 4n);
  arctanTable[j] ??= arctanOfSixteenths(j);
  return arctanTable[j] + arctanSeries(((x - c) << F) / (ONE + mul(x, c)));
}

/** arctan(j/16), from arctan((j − 1)/16) and the angle between. */
function arctanOfSixteenths(j: number): bigint {
  arctanTable[j - 1] ??= arctanOfSixteenths(j - 1);
  // tan(α − β) = (tan α − tan β) / (1 + tan α tan β), in 256ths
  return arctanTable[j - 1] + arctanSeries((16n * ONE) / BigInt(256 + j * (j - 1)));
}

/** sin x and cos x for |x| < 1. */
export function sinCos(x: bigint): { sin: bigint; cos: bigint } {
  const x2 = mul(x, x);
  let sin = x;
  let cos = ONE;
  let term = x;
  for (let n = 2n; term !== 0n && term !== -1n; n += 2n) {
    term = -mul(term, x2) / (n * (n + 1n));
    sin += term;
  }
  term = ONE;
  for (let n = 1n; term !== 0n && term !== -1n; n += 2n) {
    term = -mul(term, x2) / (n * (n + 1n));
    cos += term;
  }
  return { sin, cos };
}
