/** The four operations and the square root on numbers that aren't NaN: special operands, then exact arithmetic. */
import { DOWN, IE, ZE } from './rounding.js';
import {
  FINITE,
  INFINITY,
  type Unpacked,
  ZERO,
  addFinite,
  divFinite,
  mulFinite,
  sqrtFinite,
} from './unpacked.js';

export const ADD = 0;
export const SUB = 1;
export const MUL = 2;
export const DIV = 3;

/**
 * r = a op b, unrounded. Returns IE (r undefined), ZE (r is the infinity of the masked response) or 0.
 * Operands are ZERO, FINITE or INFINITY; rc is needed for the sign of an exact zero sum.
 */
export function arith(op: number, r: Unpacked, a: Unpacked, b: Unpacked, rc: number): number {
  if (a.class === FINITE && b.class === FINITE) {
    if (op === MUL) mulFinite(r, a, b);
    else if (op === DIV) divFinite(r, a, b);
    else {
      addFinite(r, a, b, op === SUB ? b.sign ^ 1 : b.sign);
      if (r.class === ZERO && rc === DOWN) r.sign = 1;
    }
    return 0;
  }
  if (op === ADD || op === SUB) {
    const signB = op === SUB ? b.sign ^ 1 : b.sign;
    if (a.class === INFINITY) {
      if (b.class === INFINITY && a.sign !== signB) return IE;
      r.setSpecial(INFINITY, a.sign);
    } else if (b.class === INFINITY) r.setSpecial(INFINITY, signB);
    else if (a.class === FINITE) r.copy(a);
    else if (b.class === FINITE) {
      r.copy(b);
      r.sign = signB;
    } else r.setSpecial(ZERO, a.sign === signB ? signB : rc === DOWN ? 1 : 0);
    return 0;
  }
  const sign = a.sign ^ b.sign;
  if (op === MUL) {
    if (a.class === ZERO || b.class === ZERO) {
      if (a.class === INFINITY || b.class === INFINITY) return IE;
      r.setSpecial(ZERO, sign);
    } else r.setSpecial(INFINITY, sign);
    return 0;
  }
  if (a.class === b.class) return IE; // 0/0 or ∞/∞
  if (a.class === INFINITY) r.setSpecial(INFINITY, sign);
  else if (b.class === ZERO) {
    r.setSpecial(INFINITY, sign);
    return ZE;
  } else r.setSpecial(ZERO, sign);
  return 0;
}

/** r = √a, unrounded. Returns IE for negative numbers other than −0, else 0. */
export function squareRoot(r: Unpacked, a: Unpacked): number {
  if (a.class === ZERO) {
    r.setSpecial(ZERO, a.sign);
    return 0;
  }
  if (a.sign === 1) return IE;
  if (a.class === INFINITY) r.setSpecial(INFINITY, 0);
  else sqrtFinite(r, a);
  return 0;
}

/** −1, 0 or 1 as a <, =, > b; neither may be NaN. */
export function compareNumbers(a: Unpacked, b: Unpacked): number {
  if (a.class === ZERO && b.class === ZERO) return 0;
  if (a.class === ZERO) return b.sign === 1 ? 1 : -1;
  if (b.class === ZERO || a.sign !== b.sign) return a.sign === 1 ? -1 : 1;
  const less = a.sign === 1 ? 1 : -1;
  if (a.class === INFINITY || b.class === INFINITY) {
    if (a.class === b.class) return 0;
    return a.class === INFINITY ? -less : less;
  }
  if (a.exp !== b.exp) return a.exp < b.exp ? less : -less;
  if (a.hi !== b.hi) return a.hi < b.hi ? less : -less;
  if (a.lo !== b.lo) return a.lo < b.lo ? less : -less;
  return 0;
}
