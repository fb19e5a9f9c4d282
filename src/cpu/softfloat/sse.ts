/**
 * The environment and formats of SSE's scalar operations (SDM vol. 1, chapters 4.8, 4.9, 10.2.3 and 11.5).
 *
 * An f32 is a 32-bit word; an f64 two of them, taken as (hi, lo) and returned in env.hi and env.lo. Operand words may be
 * signed or unsigned, results are unsigned. JavaScript numbers would lose NaN payloads.
 *
 * A packed instruction runs the scalar operation once a lane in the same environment: sseBegin, the lanes, then
 * sseFinish says whether the results may be written.
 */
import { DE, IE, OE, PE, UE, ZE, overflowsToInfinity, roundToRange } from './rounding.js';
import { FINITE, INFINITY, QNAN, SNAN, Unpacked, ZERO, normalize } from './unpacked.js';

/** MXCSR bits besides the flags IE … PE (5:0) and, in the same order, their masks (12:7). */
export const MXCSR_DAZ = 0x40;
export const MXCSR_FTZ = 0x8000;

export class SseEnv {
  /** Set by the caller; sseFinish ORs the flags in. */
  mxcsr = 0x1f80;
  /** Flags raised since sseBegin, or by the current step of an instruction that computes in steps. */
  raised = 0;
  /** Flags of its earlier steps. */
  settled = 0;
  /** Out, for 64-bit results: unsigned 32-bit words. */
  hi = 0;
  lo = 0;
}

/** Starts an instruction. */
export function sseBegin(env: SseEnv): void {
  env.raised = 0;
  env.settled = 0;
}

/** Ends a step of an instruction. Returns false if an unmasked exception keeps the next one from being made. */
export function sseStep(env: SseEnv): boolean {
  if ((env.raised & ~(env.mxcsr >>> 7) & 0x3f) !== 0) return false;
  env.settled |= env.raised;
  env.raised = 0;
  return true;
}

/**
 * Ends an instruction: sets its flags in env.mxcsr. Returns the unmasked ones among them, at bits 5:0. If that is not 0
 * the caller raises #XM and writes neither destination nor EFLAGS. An unmasked IE, DE or ZE in any lane is found before
 * anything is computed, so then OE, UE and PE of the other lanes aren't reported (SDM vol. 1, 11.5.2.2).
 */
export function sseFinish(env: SseEnv): number {
  const enabled = ~(env.mxcsr >>> 7) & 0x3f;
  let flags = env.raised;
  if ((flags & enabled & (IE | DE | ZE)) !== 0) flags &= IE | DE | ZE;
  flags |= env.settled;
  env.mxcsr |= flags;
  return flags & enabled;
}

/** Whether the flag's exception is unmasked. */
export const sseUnmasked = (env: SseEnv, flag: number): boolean => (env.mxcsr & (flag << 7)) === 0;

export const sseRounding = (env: SseEnv): number => (env.mxcsr >>> 13) & 3;

export interface Format {
  readonly precision: 24 | 53;
  readonly emin: number;
  readonly emax: number;
}

export const F32: Format = { precision: 24, emin: -126, emax: 127 };
export const F64: Format = { precision: 53, emin: -1022, emax: 1023 };

/** Working numbers of the operation in progress. */
export const A = new Unpacked();
export const B = new Unpacked();
export const R = new Unpacked();

/** Decodes (sign, biased exponent, fraction left-aligned below bit 31 of hi). */
function decode(w: Unpacked, env: SseEnv, format: Format, exp: number, hi: number, lo: number): void {
  w.ext = 0;
  w.denormal = false;
  if (exp === 0) {
    if ((hi === 0 && lo === 0) || (env.mxcsr & MXCSR_DAZ) !== 0) {
      w.class = ZERO;
      w.hi = 0;
      w.lo = 0;
    } else {
      w.class = FINITE;
      w.denormal = true;
      w.exp = format.emin;
      w.hi = hi;
      w.lo = lo;
      normalize(w);
    }
    return;
  }
  w.hi = (hi | 0x80000000) >>> 0;
  w.lo = lo;
  w.exp = exp - format.emax;
  if (w.exp <= format.emax) w.class = FINITE;
  else if (hi === 0 && lo === 0) w.class = INFINITY;
  else w.class = (hi & 0x40000000) !== 0 ? QNAN : SNAN;
}

/** Unpacks an f32; denormals become zeros under DAZ. */
export function unpackF32(w: Unpacked, env: SseEnv, bits: number): void {
  w.sign = bits >>> 31;
  decode(w, env, F32, (bits >>> 23) & 0xff, (bits & 0x7fffff) << 8, 0);
}

/** Unpacks an f64; denormals become zeros under DAZ. */
export function unpackF64(w: Unpacked, env: SseEnv, hi: number, lo: number): void {
  w.sign = hi >>> 31;
  decode(w, env, F64, (hi >>> 20) & 0x7ff, (((hi & 0xfffff) << 11) | (lo >>> 21)) >>> 0, (lo << 11) >>> 0);
}

/** Packs R: a zero, infinity, quiet NaN or rounded number. */
export function packF32(): number {
  const s = R.sign << 31;
  if (R.class === ZERO) return s >>> 0;
  if (R.class === INFINITY) return (s | 0x7f800000) >>> 0;
  const exp = R.class === QNAN ? 0xff : R.hi >= 0x80000000 ? R.exp + 127 : 0;
  return (s | (exp << 23) | ((R.hi >>> 8) & 0x7fffff)) >>> 0;
}

/** Packs R into env.hi and env.lo. */
export function packF64(env: SseEnv): void {
  const s = R.sign << 31;
  env.lo = 0;
  if (R.class === ZERO) env.hi = s >>> 0;
  else if (R.class === INFINITY) env.hi = (s | 0x7ff00000) >>> 0;
  else {
    const exp = R.class === QNAN ? 0x7ff : R.hi >= 0x80000000 ? R.exp + 1023 : 0;
    env.hi = (s | (exp << 20) | ((R.hi >>> 11) & 0xfffff)) >>> 0;
    env.lo = ((R.hi << 21) | (R.lo >>> 11)) >>> 0;
  }
}

/** R = the default NaN (the QNaN floating-point indefinite), with IE. */
export function sseInvalid(env: SseEnv): void {
  env.raised |= IE;
  R.class = QNAN;
  R.sign = 1;
  R.hi = 0xc0000000;
  R.lo = 0;
}

/** R = the operand, quieted. */
export function quietNan(from: Unpacked): void {
  R.copy(from);
  R.class = QNAN;
  R.hi = (from.hi | 0x40000000) >>> 0;
}

/** R = the result for operands of which one is a NaN: the first one that is (SDM vol. 1, table 4-7). */
export function sseNanResult(env: SseEnv): void {
  if (A.class === SNAN || B.class === SNAN) env.raised |= IE;
  quietNan(A.class >= QNAN ? A : B);
}

/** Rounds R to a format with OE, UE, PE and flush-to-zero. */
export function sseRound(env: SseEnv, format: Format): void {
  if (R.class !== FINITE) return;
  const rc = sseRounding(env);
  const unmaskedUnderflow = sseUnmasked(env, UE);
  const flush = (env.mxcsr & MXCSR_FTZ) !== 0 && !unmaskedUnderflow;
  const tiny = roundToRange(R, format.precision, format.emin, rc, !flush && !unmaskedUnderflow);
  if (tiny) {
    if (flush) {
      env.raised |= UE | PE;
      R.setSpecial(ZERO, R.sign);
    } else if (R.inexact) env.raised |= UE | PE;
    else if (unmaskedUnderflow) env.raised |= UE;
    return;
  }
  if (R.exp > format.emax) {
    env.raised |= OE;
    // an unmasked overflow reports PE only if rounding, with the exponent unbounded, lost something
    if (R.inexact || !sseUnmasked(env, OE)) env.raised |= PE;
    if (overflowsToInfinity(rc, R.sign)) R.setSpecial(INFINITY, R.sign);
    else {
      R.exp = format.emax;
      R.hi = format === F32 ? 0xffffff00 : 0xffffffff;
      R.lo = format === F32 ? 0 : 0xfffff800;
    }
  } else if (R.inexact) env.raised |= PE;
}
