/**
 * x87 arithmetic where rounding, cancellation and exponent limits decide: operands built for those cases, which random
 * ones rarely are, on the host's processor and the emulated one.
 */
import { describe, expect, it } from 'vitest';
import { DATA, initialState, type TestCase, type TestResult } from '../oracle/driver.js';
import { EmulatorDriver } from '../oracle/emulator.js';
import { NativeDriver, nativeUnavailable } from '../oracle/native.js';

const unavailable = nativeUnavailable();

/** Sign and exponent (16 bits), significand. */
type Number80 = readonly [number, bigint];

/** Every how many of the operands to take; 1 for all of them, which takes minutes. */
const EVERY = Number(process.env.EUROPA_X87_EVERY ?? 11);
const thin = <T>(list: readonly T[]): T[] => list.filter((_, i) => i % EVERY === 0);

const ONE = 1n << 63n;
const SIGNIFICANDS = [
  ONE,
  ONE + 1n,
  ONE + 2n,
  ONE + 3n,
  2n * ONE - 1n,
  2n * ONE - 2n,
  3n << 62n,
  (3n << 62n) + 1n,
  ONE + (1n << 32n),
  0xffff_ffff_0000_0000n,
  0xaaaa_aaaa_aaaa_aaabn,
  0xc90f_daa2_2168_c235n,
];
const DISTANCES = [0, 1, 2, 3, 31, 32, 33, 62, 63, 64, 65, 66, 67, 127, 128, 129, 1000];
const BIAS = 0x3fff;
const ZERO: Number80 = [0, 0n];

function pairs(): [Number80, Number80][] {
  const list: [Number80, Number80][] = [];
  for (const a of SIGNIFICANDS) {
    for (const b of SIGNIFICANDS) {
      for (const distance of DISTANCES) {
        list.push([
          [BIAS, a],
          [BIAS - distance, b],
        ]);
        list.push([
          [BIAS - distance, a],
          [BIAS | 0x8000, b],
        ]);
      }
    }
  }
  const limits = [1, 2, 0x1fff, 0x2000, 0x5ffe, 0x5fff, 0x7ffd, 0x7ffe];
  for (const a of limits) {
    for (const b of limits) {
      for (const significand of [ONE, ONE + 1n, 2n * ONE - 1n]) {
        list.push([
          [a, significand],
          [b | 0x8000, 2n * ONE - 1n],
        ]);
        list.push([
          [a, significand],
          [b, ONE],
        ]);
      }
    }
  }
  for (const other of [ZERO, [0x8000, 0n], [BIAS, ONE], [BIAS | 0x8000, 3n << 62n]] as Number80[]) {
    list.push([ZERO, other], [other, ZERO], [[0x8000, 0n], other], [other, [0x8000, 0n]]);
  }
  return list;
}

/** An FXSAVE image with these in ST(0) and up, all other registers being empty. */
function image(fcw: number, ...registers: Number80[]): Uint8Array {
  const fx = new Uint8Array(512);
  const view = new DataView(fx.buffer);
  view.setUint16(0, fcw, true);
  // C1 set, so that clearing it shows.
  view.setUint16(2, 0x0200, true);
  registers.forEach(([exponent, significand], i) => {
    view.setBigUint64(32 + 16 * i, significand, true);
    view.setUint16(40 + 16 * i, exponent, true);
    fx[4] |= 1 << i;
  });
  return fx;
}

/** Runs cases on both; returns descriptions of those that differ. */
function differences(cases: readonly TestCase[]): string[] {
  const expected = new NativeDriver().run(cases);
  const actual = new EmulatorDriver().run(cases);
  const text = ({ fx, rflags, memory, exception }: TestResult): string => {
    const stack = Array.from({ length: 3 }, (_, i) =>
      Buffer.from(fx.slice(32 + 16 * i, 42 + 16 * i)).toString('hex'),
    );
    const stored = memory.map(({ address, bytes }) => `${address}:${Buffer.from(bytes).toString('hex')}`);
    return [
      exception?.vector,
      Buffer.from(fx.slice(0, 5)).toString('hex'),
      (rflags & 0x8d5).toString(16),
      ...stack,
      ...stored,
    ].join(' ');
  };
  const list: string[] = [];
  cases.forEach(({ state, code }, i) => {
    const [e, a] = [text(expected[i]), text(actual[i])];
    if (e === a) return;
    const operands = Buffer.from(state.fx!.slice(0, 64)).toString('hex');
    list.push(`${Buffer.from(code).toString('hex')} ${operands}: expected ${e}, got ${a}`);
  });
  return list;
}

const INSTRUCTIONS: readonly (readonly [string, readonly number[]])[] = [
  ['FADD', [0xd8, 0xc1]],
  ['FADDP', [0xde, 0xc1]],
  ['FSUB', [0xd8, 0xe1]],
  ['FSUBRP', [0xde, 0xe1]],
  ['FMUL', [0xdc, 0xc9]],
  ['FMULP', [0xde, 0xc9]],
  ['FDIV', [0xd8, 0xf1]],
  ['FDIVRP', [0xde, 0xf1]],
  ['FCOM', [0xd8, 0xd1]],
  ['FCOMPP', [0xde, 0xd9]],
  ['FUCOMIP', [0xdf, 0xe9]],
];

describe.skipIf(unavailable)(
  `x87 operands at the limits${unavailable ? ` (skipped: ${unavailable})` : ''}`,
  () => {
    const operands = unavailable ? [] : thin(pairs());

    it.each(INSTRUCTIONS)('%s', (_, code) => {
      const cases = operands.map(([a, b]) => ({
        code: Uint8Array.from(code),
        state: initialState({ fx: image(0x037f, a, b) }),
        memory: [],
      }));
      const found = differences(cases);
      expect(found.slice(0, 3), `${found.length} of ${cases.length} differ`).toEqual([]);
    });

    const STORES: readonly (readonly [string, readonly number[], readonly number[]])[] = [
      ['FSTP m32', [0xd9, 0x1e], [24, 40]],
      ['FSTP m64', [0xdd, 0x1e], [53, 11]],
      ['FISTP m16', [0xdf, 0x1e], [15, 16]],
      ['FISTP m32', [0xdb, 0x1e], [31, 32]],
      ['FISTP m64', [0xdf, 0x3e], [62, 63]],
      ['FISTTP m64', [0xdd, 0x0e], [62, 63]],
    ];
    it.each(STORES)('%s', (_, code, points) => {
      const numbers: Number80[] = [ZERO, [0x8000, 0n]];
      const significands = [...SIGNIFICANDS];
      // Ties and their neighbours at the bit where the fraction ends.
      for (const point of [...points, 1, 2, 10]) {
        const half = 1n << BigInt(Math.max(0, 63 - point));
        for (const delta of [-1n, 0n, 1n]) significands.push(ONE | (half + delta), ONE | (3n * half + delta));
      }
      const exponents = [
        -1075, -1023, -1022, -150, -127, -126, -65, -64, -3, -2, -1, 0, 1, 9, 10, 14, 15, 16, 23,
      ];
      exponents.push(24, 30, 31, 32, 52, 53, 61, 62, 63, 64, 126, 127, 128, 1022, 1023, 1024);
      for (const exponent of exponents) {
        for (const significand of significands) {
          const bits = BigInt.asUintN(64, significand) | ONE;
          numbers.push([BIAS + exponent, bits], [(BIAS + exponent) | 0x8000, bits]);
        }
      }
      const cases: TestCase[] = [];
      for (const rounding of [0, 1, 2, 3]) {
        for (const number of thin(numbers)) {
          const state = initialState({ fx: image(0x037f | (rounding << 10), number) });
          state.gpr[6] = BigInt(DATA);
          cases.push({ code: Uint8Array.from(code), state, memory: [] });
        }
      }
      const found = differences(cases);
      expect(found.slice(0, 3), `${found.length} of ${cases.length} differ`).toEqual([]);
    });
  },
);
