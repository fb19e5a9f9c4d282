/**
 * Numbers of the SSE floating-point operations that the `sse` helper carries out: kind * 4 + shape. An operation takes
 * two v128, the destination's old value a and the source b, and gives the destination's new value; results that are
 * integers or flags are in the lowest lane of theirs.
 */

/** Lanes: the lowest f32 or f64 alone, the others being those of a, or all of them. */
export const Shape = { ss: 0, sd: 1, ps: 2, pd: 3 } as const;

export const SseKind = {
  add: 0,
  sub: 1,
  mul: 2,
  div: 3,
  sqrt: 4,
  min: 5,
  max: 6,
  /** imm: the predicate. */
  compare: 7,
  /** COMISx and UCOMISx: result is the flags. */
  comi: 8,
  ucomi: 9,
  /** imm as in ROUNDSS. */
  round: 10,
  addsub: 11,
  hadd: 12,
  hsub: 13,
  /** imm as in DPPS. */
  dot: 14,
  /** To 32-bit integers, as MXCSR says or truncating: CVTSS2SI r32, CVTPS2DQ … */
  toI32: 15,
  truncateToI32: 16,
  /** To a 64-bit integer: CVTSS2SI r64 … */
  toI64: 17,
  truncateToI64: 18,
  /** From b's 32-bit or 64-bit integers to the shape. */
  fromI32: 19,
  fromI64: 20,
  /** From the other floating-point format to the shape: CVTSD2SS (ss), CVTPD2PS (ps) … */
  convert: 21,
} as const;

export function sseOperation(kind: number, shape: number): number {
  return kind * 4 + shape;
}

/** Where in CpuState.scratch the helper passes a, b and the result to and from TypeScript. */
export const SSE_A = 0;
export const SSE_B = 16;
export const SSE_RESULT = 32;
