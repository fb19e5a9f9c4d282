/** FADD FSUB FMUL FDIV and their reversed forms, FSQRT, FABS, FCHS (SDM vol. 2A). */
import { ADD, DIV, MUL, SUB, arith, squareRoot } from './arithmetic.js';
import {
  A,
  B,
  type F80,
  R,
  type X87Env,
  begin,
  denormal,
  invalid,
  nanResult1,
  nanResult2,
  precisionControl,
  raise,
  roundResult,
  roundingControl,
  unpack,
} from './float80.js';
import { ZE } from './rounding.js';
import { QNAN } from './unpacked.js';

function binary(env: X87Env, op: number, a: F80, b: F80, memoryDenormal: boolean): F80 {
  begin(env);
  unpack(A, a);
  unpack(B, b);
  if (A.class >= QNAN || B.class >= QNAN) return nanResult2(env, a, b);
  const exception = arith(op, R, A, B, roundingControl(env));
  if (exception === ZE) {
    // ahead of DE, which a denormal dividend doesn't raise here
    raise(env, ZE);
    return roundResult(env, R, 64);
  }
  if (exception !== 0) return invalid(env);
  if (denormal(env, A.denormal || B.denormal || memoryDenormal)) return a;
  return roundResult(env, R, precisionControl(env));
}

/**
 * a + b. `memoryDenormal`, here and below: the operand that came from memory was a denormal f32 or f64, which its
 * conversion to F80 (operandF32, operandF64) has made normal.
 */
export const fadd = (env: X87Env, a: F80, b: F80, memoryDenormal = false): F80 =>
  binary(env, ADD, a, b, memoryDenormal);
/** a − b. */
export const fsub = (env: X87Env, a: F80, b: F80, memoryDenormal = false): F80 =>
  binary(env, SUB, a, b, memoryDenormal);
/** b − a. */
export const fsubr = (env: X87Env, a: F80, b: F80, memoryDenormal = false): F80 =>
  binary(env, SUB, b, a, memoryDenormal);
/** a · b. */
export const fmul = (env: X87Env, a: F80, b: F80, memoryDenormal = false): F80 =>
  binary(env, MUL, a, b, memoryDenormal);
/** a / b. */
export const fdiv = (env: X87Env, a: F80, b: F80, memoryDenormal = false): F80 =>
  binary(env, DIV, a, b, memoryDenormal);
/** b / a. */
export const fdivr = (env: X87Env, a: F80, b: F80, memoryDenormal = false): F80 =>
  binary(env, DIV, b, a, memoryDenormal);

export function fsqrt(env: X87Env, a: F80): F80 {
  begin(env);
  unpack(A, a);
  if (A.class >= QNAN) return nanResult1(env, a);
  if (squareRoot(R, A) !== 0) return invalid(env);
  if (denormal(env, A.denormal)) return a;
  return roundResult(env, R, precisionControl(env));
}

/** Clears the sign, of NaNs and unsupported encodings too; raises nothing. */
export function fabs(env: X87Env, a: F80): F80 {
  begin(env);
  return { sexp: a.sexp & 0x7fff, hi: a.hi, lo: a.lo };
}

export function fchs(env: X87Env, a: F80): F80 {
  begin(env);
  return { sexp: a.sexp ^ 0x8000, hi: a.hi, lo: a.lo };
}
