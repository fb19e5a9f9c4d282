import type { Memory } from '../memory/memory.js';
import { CpuState } from './state.js';

/**
 * Operands that emitted SSE arithmetic does at once, because no exception but PE can come of them. A range is looked at by a sum and
 * a comparison of the operands' bits; what these take is in the CPU's block, two constants a range, so that one of them can say too
 * that MXCSR forbids it. (*Rejected*: immediates, which take three instructions of the host each, and MXCSR's part apart from them:
 * the check of an operation was twice as long.)
 */
export interface FloatRange {
  /** Index in the arrays of CpuState. */
  readonly index: number;
  /** Each half of a v128, for each lane: what to add to twice the bits, so that the range ends at the greatest signed number. */
  readonly move: bigint;
  /** Likewise: the moved numbers of the range are greater than this. */
  readonly bound: bigint;
  /** Likewise: a bound that no number passes, the greatest signed one. */
  readonly impassable: bigint;
}

/** The least and (exclusive) the last biased exponent of a range. */
interface Exponents {
  readonly from: bigint;
  readonly to: bigint;
}

/** Bits of a format, and of the significand that it stores. */
export interface FloatLayout {
  readonly bits: bigint;
  readonly fraction: bigint;
}

export const SINGLE_LAYOUT: FloatLayout = { bits: 32n, fraction: 23n };
export const DOUBLE_LAYOUT: FloatLayout = { bits: 64n, fraction: 52n };

/** Biased exponent of infinities and NaN. */
const end = ({ bits, fraction }: FloatLayout) => (1n << (bits - fraction - 1n)) - 1n;

/** Operands whose sum and difference are finite; a tiny sum is exact. */
const summands = (f: FloatLayout): Exponents => ({ from: 1n, to: end(f) - 1n });

/** Operands whose product and quotient are neither tiny nor infinite: exponents of half the range around 1. */
const factors = (f: FloatLayout): Exponents => {
  const one = end(f) >> 1n;
  return { from: one - (one >> 1n) + 1n, to: one + (one >> 1n) };
};

function range(index: number, { bits, fraction }: FloatLayout, { from, to }: Exponents): FloatRange {
  const last = to << (fraction + 1n);
  const half = 1n << (bits - 1n);
  const lanes = (value: bigint) => {
    const lane = BigInt.asUintN(Number(bits), value);
    return bits === 32n ? (lane << 32n) | lane : lane;
  };
  const length = (to - from) << (fraction + 1n);
  return {
    index,
    move: lanes(half - last),
    bound: lanes(half - length - 1n),
    impassable: lanes(half - 1n),
  };
}

/** The ranges of a format. @param first index of the first */
function ranges(first: number, f: FloatLayout) {
  return { summands: range(first, f, summands(f)), factors: range(first + 1, f, factors(f)) };
}

export const FloatRanges = {
  single: ranges(0, SINGLE_LAYOUT),
  double: ranges(2, DOUBLE_LAYOUT),
} as const;

export const ALL_RANGES: readonly FloatRange[] = Object.values(FloatRanges).flatMap((f) => Object.values(f));

/** Bytes of a constant. */
export const VECTOR = 16;

/** Sets the constants of the checks for an MXCSR, of which `mxcsrSlow` (CpuState) is known. */
export function setFloatRanges(memory: Memory, cpu: number, slow: number): void {
  for (const range of ALL_RANGES) {
    const set = (field: number, value: bigint) => {
      const at = (cpu + field + VECTOR * range.index) >>> 3;
      memory.u64.fill(value, at, at + 2);
    };
    set(CpuState.floatMoves, range.move);
    set(CpuState.floatBounds, slow === 0 ? range.bound : range.impassable);
    set(CpuState.floatBoundsExact, slow < 2 ? range.bound : range.impassable);
  }
}
