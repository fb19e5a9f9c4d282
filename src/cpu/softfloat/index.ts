/**
 * Bit-exact floating point of the x87 FPU and of SSE, without dependencies.
 *
 * x87: set env.control, call the operation, then, unless env.suppressed, write the result, pop or push; in any case
 * env.statusAfter(old) is the new status word (without the top of stack, which is the caller's).
 *
 * SSE: set env.mxcsr, sseBegin, one operation a lane, sseFinish; if that returns 0, write the results, else raise #XM; in
 * any case env.mxcsr is the new MXCSR.
 */
export {
  C0,
  C1,
  C2,
  C3,
  CC,
  type F80,
  F80_INDEFINITE,
  F80_NEG_ZERO,
  F80_ONE,
  F80_ZERO,
  X87Env,
} from './float80.js';
export { DE, DOWN, IE, NEAREST, OE, PE, TRUNCATE, UE, UP, ZE } from './rounding.js';
export {
  MXCSR_DAZ,
  MXCSR_FTZ,
  SseEnv,
  sseBegin,
  sseFinish,
} from './sse.js';
export * from './sse-arith.js';
export * from './sse-compare.js';
export * from './sse-convert.js';
export * from './x87-arith.js';
export * from './x87-bcd.js';
export * from './x87-compare.js';
export * from './x87-convert.js';
export * from './x87-remainder.js';
export * from './x87-transcendental.js';
