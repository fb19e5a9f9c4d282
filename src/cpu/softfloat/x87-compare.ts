/** FCOM, FUCOM, FCOMI, FUCOMI, FTST and FXAM (SDM vol. 2A). */
import { compareNumbers } from './arithmetic.js';
import {
  A,
  B,
  C0,
  C1,
  C2,
  C3,
  CC,
  type F80,
  F80_ZERO,
  type X87Env,
  begin,
  denormal,
  raise,
  unpack,
} from './float80.js';
import { IE } from './rounding.js';
import { INFINITY, QNAN, SNAN, UNSUPPORTED, ZERO } from './unpacked.js';

/** Results of the ordered comparisons. */
const LESS = -1;
const EQUAL = 0;
const GREATER = 1;
const UNORDERED = 2;

function compare(env: X87Env, a: F80, b: F80, memoryDenormal: boolean, quietNans: boolean): number {
  begin(env);
  unpack(A, a);
  unpack(B, b);
  if (A.class >= QNAN || B.class >= QNAN) {
    if (!quietNans || A.class >= SNAN || B.class >= SNAN) raise(env, IE);
    return UNORDERED;
  }
  denormal(env, A.denormal || B.denormal || memoryDenormal);
  return compareNumbers(A, B);
}

const CODES = { [LESS]: C0, [EQUAL]: C3, [GREATER]: 0, [UNORDERED]: C0 | C2 | C3 } as Record<number, number>;
/** ZF = 0x40, PF = 0x04, CF = 0x01. */
const EFLAGS = { [LESS]: 0x01, [EQUAL]: 0x40, [GREATER]: 0, [UNORDERED]: 0x45 } as Record<number, number>;

/** Sets the condition codes, which unmasked exceptions don't keep from changing. */
function setCodes(env: X87Env, relation: number): void {
  env.ccMask = CC;
  env.cc = CODES[relation];
}

/** FCOM, FCOMP, FCOMPP: compares a (ST0) with b into C3, C2, C0; any NaN raises IE. memoryDenormal as for fadd. */
export function fcom(env: X87Env, a: F80, b: F80, memoryDenormal = false): void {
  setCodes(env, compare(env, a, b, memoryDenormal, false));
}

/** FUCOM, FUCOMP, FUCOMPP: as fcom, but quiet NaNs raise nothing. */
export function fucom(env: X87Env, a: F80, b: F80): void {
  setCodes(env, compare(env, a, b, false, true));
}

/** FTST: compares a with 0.0. */
export function ftst(env: X87Env, a: F80): void {
  setCodes(env, compare(env, a, F80_ZERO, false, false));
}

/** FCOMI, FCOMIP: returns the new EFLAGS bits ZF (0x40), PF (0x04), CF (0x01); OF, SF, AF are cleared by the caller. */
export function fcomi(env: X87Env, a: F80, b: F80): number {
  return EFLAGS[compare(env, a, b, false, false)];
}

/** FUCOMI, FUCOMIP: as fcomi, but quiet NaNs raise nothing. */
export function fucomi(env: X87Env, a: F80, b: F80): number {
  return EFLAGS[compare(env, a, b, false, true)];
}

/** FXAM: the class in C3, C2, C0 and the sign in C1. An empty register still has a sign. */
export function fxam(env: X87Env, a: F80, empty = false): void {
  begin(env);
  unpack(A, a);
  let code: number;
  if (empty) code = C3 | C0;
  else if (A.class === UNSUPPORTED) code = 0;
  else if (A.class >= QNAN) code = C0;
  else if (A.class === INFINITY) code = C2 | C0;
  else if (A.class === ZERO) code = C3;
  else code = A.denormal ? C3 | C2 : C2;
  env.ccMask = CC;
  env.cc = code | (A.sign === 1 ? C1 : 0);
}
