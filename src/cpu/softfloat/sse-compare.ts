/** CMPxx, COMISx, UCOMISx (SDM vol. 2A). Shapes: see sse.ts. */
import { compareNumbers } from './arithmetic.js';
import { DE, IE } from './rounding.js';
import { A, B, type SseEnv, unpackF32, unpackF64 } from './sse.js';
import { QNAN, SNAN } from './unpacked.js';

const LESS = 1;
const EQUAL = 2;
const GREATER = 4;
const UNORDERED = 8;

/** The relation of A to B as one of the bits above. `signals`: quiet NaNs raise IE too. */
function relation(env: SseEnv, signals: boolean): number {
  if (A.class >= QNAN || B.class >= QNAN) {
    if (signals || A.class === SNAN || B.class === SNAN) env.raised |= IE;
    return UNORDERED;
  }
  if (A.denormal || B.denormal) env.raised |= DE;
  const c = compareNumbers(A, B);
  return c < 0 ? LESS : c > 0 ? GREATER : EQUAL;
}

/** For imm8[3:0] of CMPxx (SDM vol. 2A, table 3-1): the relations for which the predicate holds. */
const HOLDS = [
  EQUAL,
  LESS,
  LESS | EQUAL,
  UNORDERED,
  LESS | GREATER | UNORDERED,
  GREATER | EQUAL | UNORDERED,
  GREATER | UNORDERED,
  LESS | EQUAL | GREATER,
  EQUAL | UNORDERED,
  LESS | UNORDERED,
  LESS | EQUAL | UNORDERED,
  0,
  LESS | GREATER,
  GREATER | EQUAL,
  GREATER,
  LESS | EQUAL | GREATER | UNORDERED,
];
/** The predicates of imm8[3:0] that signal quiet NaNs; imm8[4] inverts that. */
const SIGNALS = 0b0110011001100110;

function predicate(env: SseEnv, imm8: number): boolean {
  const signals = ((SIGNALS >>> (imm8 & 15)) & 1) !== ((imm8 >>> 4) & 1);
  return (HOLDS[imm8 & 15] & relation(env, signals)) !== 0;
}

/** Whether the predicate holds, and the lane becomes all ones. SSE uses imm8 0 to 7, AVX 0 to 31. */
export function f32Compare(env: SseEnv, imm8: number, a: number, b: number): boolean {
  unpackF32(A, env, a);
  unpackF32(B, env, b);
  return predicate(env, imm8);
}

export function f64Compare(
  env: SseEnv,
  imm8: number,
  aHi: number,
  aLo: number,
  bHi: number,
  bLo: number,
): boolean {
  unpackF64(A, env, aHi, aLo);
  unpackF64(B, env, bHi, bLo);
  return predicate(env, imm8);
}

/** EFLAGS by relation: ZF = 0x40, PF = 0x04, CF = 0x01. */
function eflags(env: SseEnv, signals: boolean): number {
  const r = relation(env, signals);
  return r === UNORDERED ? 0x45 : r === LESS ? 0x01 : r === EQUAL ? 0x40 : 0;
}

/** COMISS (signals) and UCOMISS: ZF, PF and CF at their EFLAGS positions; the caller clears OF, SF and AF. */
export function f32Comi(env: SseEnv, signals: boolean, a: number, b: number): number {
  unpackF32(A, env, a);
  unpackF32(B, env, b);
  return eflags(env, signals);
}

/** COMISD (signals) and UCOMISD. */
export function f64Comi(
  env: SseEnv,
  signals: boolean,
  aHi: number,
  aLo: number,
  bHi: number,
  bLo: number,
): number {
  unpackF64(A, env, aHi, aLo);
  unpackF64(B, env, bHi, bLo);
  return eflags(env, signals);
}
