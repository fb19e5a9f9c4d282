/** FBLD and FBSTP: 18-digit packed decimal numbers (SDM vol. 1, 4.7). */
import { A, C1, type F80, R, type X87Env, begin, encode, raise, roundingControl, unpack } from './float80.js';
import { IE, PE, roundToInteger } from './rounding.js';
import { FINITE, setFromBigInt, significand } from './unpacked.js';

const LIMIT = 10n ** 18n;

/** FBLD: ten bytes, digits from the least significant, sign in bit 7 of the last. Invalid digits count as they stand. */
export function f80FromBcd(env: X87Env, bytes: Uint8Array): F80 {
  begin(env);
  let m = 0n;
  for (let i = 8; i >= 0; i--) m = m * 100n + BigInt((bytes[i] >>> 4) * 10 + (bytes[i] & 15));
  const sign = bytes[9] >>> 7;
  if (m === 0n) R.setSpecial(0, sign);
  else setFromBigInt(R, sign, 0, m, false);
  return encode(R);
}

/** FBSTP: ten bytes; FFFFC000000000000000H if the number is no integer of 18 digits after rounding. */
export function f80ToBcd(env: X87Env, a: F80): Uint8Array {
  begin(env);
  const bytes = new Uint8Array(10);
  unpack(A, a);
  R.copy(A);
  if (R.class > FINITE || !roundToInteger(R, roundingControl(env)) || significand(R) >= LIMIT) {
    raise(env, IE);
    bytes[9] = bytes[8] = 0xff;
    bytes[7] = 0xc0;
    return bytes;
  }
  if (R.inexact) env.raised |= PE;
  if (R.up) env.cc |= C1;
  let m = significand(R);
  for (let i = 0; i < 9; i++) {
    const pair = Number(m % 100n);
    bytes[i] = (Math.floor(pair / 10) << 4) | (pair % 10);
    m /= 100n;
  }
  bytes[9] = R.sign << 7;
  return bytes;
}
