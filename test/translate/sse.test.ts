/**
 * SSE floating point where its inline checks decide: all pairs of operands around the formats' limits, with MXCSR as
 * programs have it (PE set or not) and two other settings, on the host's processor and the emulated one.
 */
import { describe, expect, it } from 'vitest';
import { initialState, type TestCase } from '../oracle/driver.js';
import { EmulatorDriver } from '../oracle/emulator.js';
import { NativeDriver, nativeUnavailable } from '../oracle/native.js';

const unavailable = nativeUnavailable();

const f64 = (value: number): bigint => new BigUint64Array(new Float64Array([value]).buffer)[0];
const f32 = (value: number): bigint => BigInt(new Uint32Array(new Float32Array([value]).buffer)[0]);

const ORDINARY = [
  0,
  1,
  1.5,
  2,
  3,
  7,
  0.1,
  1 / 3,
  1e10,
  123456789.75,
  2 ** 24 - 1,
  2 ** 24 + 1,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
];

/** Bit patterns of doubles: ordinary numbers, those around each limit, halves of the exponent range, NaNs; both signs. */
const DOUBLES: bigint[] = [
  ...ORDINARY.map(f64),
  ...[
    2 ** 52 + 0.5,
    2 ** 53 - 1,
    2 ** 53,
    2 ** 63,
    1e300,
    1e-300,
    2 ** -511,
    2 ** -512,
    3 * 2 ** -537,
    2 ** 511.5,
    2 ** 512,
  ].map(f64),
  ...[2 ** 26 + 1, 2 ** 27 + 1, (2 ** 26 + 1) * 2 ** -600, 2147483647.5, -2147483648.5, 0.5, 1.0000001].map(
    f64,
  ),
  0x1n,
  0x7n,
  0x000f_ffff_ffff_ffffn,
  0x0010_0000_0000_0000n,
  0x0010_0000_0000_0001n,
  0x0008_0000_0000_0000n,
  0x0020_0000_0000_0000n,
  0x7fef_ffff_ffff_ffffn,
  0x7fe0_0000_0000_0000n,
  0x7ff0_0000_0000_0000n,
  0x7ff8_0000_0000_0000n,
  0x7ff0_0000_0000_0123n,
  0x7ffc_0000_0000_0456n,
  0x3810_0000_0000_0000n,
  0x380f_ffff_ffff_ffffn,
  0x36a0_0000_0000_0000n,
  0x47ef_ffff_e000_0000n,
  0x47ef_ffff_f000_0000n,
].flatMap((bits) => [bits, bits | (1n << 63n)]);

const SINGLES: bigint[] = [
  ...ORDINARY.map(f32),
  ...[
    2 ** 23 + 0.5,
    2 ** 12 + 1,
    2 ** 11 + 1,
    1e30,
    1e-30,
    2 ** -63,
    2 ** -64,
    3 * 2 ** -75,
    2 ** 63,
    2 ** 64,
    0.5,
  ].map(f32),
  0x1n,
  0x7n,
  0x7f_ffffn,
  0x80_0000n,
  0x80_0001n,
  0x40_0000n,
  0x100_0000n,
  0x7f7f_ffffn,
  0x7f00_0000n,
  0x7f80_0000n,
  0x7fc0_0000n,
  0x7f80_0123n,
  0x7fe0_0456n,
].flatMap((bits) => [bits, bits | (1n << 31n)]);

/** Instructions with operands XMM1 and XMM2, by what fills their lanes. */
const group = (
  names: string,
  opcodes: readonly number[],
  prefix: readonly number[],
  tail: readonly number[] = [],
) => names.split(' ').map((name, i) => ({ name, code: [...prefix, 0x0f, opcodes[i], 0xca, ...tail] }));

const BINARY = 'add mul sub min div max sqrt';
const BINARY_OPCODES = [0x58, 0x59, 0x5c, 0x5d, 0x5e, 0x5f, 0x51];
const predicates = (prefix: number[]) =>
  [0, 1, 2, 3, 4, 5, 6, 7].flatMap((imm) => group(`cmp${imm}`, [0xc2], prefix, [imm]));
const rounds = (opcode: number) =>
  [0, 1, 2, 3, 4, 8, 9, 12].map((imm) => ({
    name: `round${imm}`,
    code: [0x66, 0x0f, 0x3a, opcode, 0xca, imm],
  }));

const INSTRUCTIONS = {
  sd: [
    ...group(BINARY, BINARY_OPCODES, [0xf2]),
    ...predicates([0xf2]),
    ...group('ucomisd comisd', [0x2e, 0x2f], [0x66]),
    ...group('cvtsd2ss cvttsd2si cvtsd2si', [0x5a, 0x2c, 0x2d], [0xf2]),
    ...group('cvttsd2si64 cvtsd2si64', [0x2c, 0x2d], [0xf2, 0x48]),
    ...rounds(0x0b),
  ],
  ss: [
    ...group(BINARY, BINARY_OPCODES, [0xf3]),
    ...predicates([0xf3]),
    ...group('ucomiss comiss', [0x2e, 0x2f], []),
    ...group('cvtss2sd cvttss2si cvtss2si', [0x5a, 0x2c, 0x2d], [0xf3]),
    ...group('cvttss2si64 cvtss2si64', [0x2c, 0x2d], [0xf3, 0x48]),
    ...rounds(0x0a),
  ],
  pd: [
    ...group(BINARY, BINARY_OPCODES, [0x66]),
    ...predicates([0x66]),
    ...group('haddpd hsubpd addsubpd cvtpd2ps cvttpd2dq', [0x7c, 0x7d, 0xd0, 0x5a, 0xe6], [0x66]),
    ...group('cvtpd2dq', [0xe6], [0xf2]),
    ...rounds(0x09),
  ],
  ps: [
    ...group(BINARY, BINARY_OPCODES, []),
    ...predicates([]),
    ...group('haddps hsubps addsubps', [0x7c, 0x7d, 0xd0], [0xf2]),
    ...group('cvtps2pd', [0x5a], []),
    ...group('cvtps2dq', [0x5b], [0x66]),
    ...group('cvttps2dq', [0x5b], [0xf3]),
    ...rounds(0x08),
  ],
};

/** Every how many of the operand pairs to take; 1 for all of them, which takes minutes. */
const EVERY = Number(process.env.EUROPA_SSE_EVERY ?? 16);

const MXCSRS = [0x1f80, 0x1fa0, 0x1fc0, 0x7f80, 0x1d80];

/** An XMM register file with lanes in XMM1 and XMM2. */
function registers(bytes: 4 | 8, a: readonly bigint[], b: readonly bigint[]): Uint8Array {
  const xmm = new Uint8Array(256);
  const view = new DataView(xmm.buffer);
  for (const [register, values] of [a, b].entries()) {
    for (const [lane, value] of values.entries()) {
      const at = 16 * (register + 1) + bytes * lane;
      if (bytes === 8) view.setBigUint64(at, value, true);
      else view.setUint32(at, Number(value), true);
    }
  }
  return xmm;
}

/** Pairs always tested: the product, the quotient of the second, is rounded up to the least normal number and tiny nevertheless. */
const TINY = {
  8: [
    [0x3fef_ffff_ffff_ffffn, 0x0010_0000_0000_0000n],
    [0x001f_ffff_ffff_ffffn, 0x4000_0000_0000_0000n],
  ],
  4: [
    [0x3f7f_ffffn, 0x0080_0000n],
    [0x00ff_ffffn, 0x4000_0000n],
  ],
};

/** Operand pairs of a shape: every value with every other one, a packed instruction taking several pairs at a time. */
function states(bytes: 4 | 8, packed: boolean): Uint8Array[] {
  const values = bytes === 8 ? DOUBLES : SINGLES;
  const lanes = packed ? 16 / bytes : 1;
  const list: Uint8Array[] = [];
  for (let i = 0; i < values.length; i++)
    for (let j = 0; j < values.length; j += lanes) {
      // Lanes far apart in the list: most combinations of common and rare cases in one register come up.
      const at = (lane: number) => values[(j + lane * 17) % values.length];
      const a = Array.from({ length: lanes }, (_, lane) => values[(i + 5 * lane) % values.length]);
      list.push(
        registers(
          bytes,
          a,
          Array.from({ length: lanes }, (_, lane) => at(lane)),
        ),
      );
    }
  return list;
}

describe.skipIf(unavailable)('SSE floating point at its limits, on the host and emulated', () => {
  const native = unavailable ? undefined : new NativeDriver();
  const emulator = new EmulatorDriver();
  for (const [shape, bytes] of [
    ['sd', 8],
    ['ss', 4],
    ['pd', 8],
    ['ps', 4],
  ] as const) {
    it(shape, async () => {
      const inputs = states(bytes, shape.startsWith('p'));
      for (const [n, { name, code }] of INSTRUCTIONS[shape].entries()) {
        const unaryOrCompare = /round|cvt|sqrt|cmp|comi/.test(name);
        const cases: TestCase[] = inputs
          .filter((_, i) => (i + n) % EVERY === 0 && (!unaryOrCompare || i % 7 === 0))
          .concat(TINY[bytes].map(([a, b]) => registers(bytes, [a], [b])))
          .flatMap((xmm, i) =>
            // The two settings that programs run with for all operands, the others for some.
            MXCSRS.filter((_, m) => m < 2 || (i + m) % 8 === 0).map((mxcsr) => ({
              code: Uint8Array.from(code),
              state: initialState({ xmm, mxcsr }),
              memory: [],
            })),
          );
        const expected = await native!.run(cases);
        const actual = emulator.run(cases);
        const wrong = cases.findIndex((_, i) => summary(expected[i]) !== summary(actual[i]));
        if (wrong >= 0) {
          const { xmm, mxcsr } = cases[wrong].state;
          const operands = [16, 32].map((at) =>
            Buffer.from(xmm.slice(at, at + 16).reverse()).toString('hex'),
          );
          expect.fail(
            `${name} ${shape} ${operands.join(' ')} mxcsr ${mxcsr.toString(16)}: ` +
              `expected ${summary(expected[wrong])}, got ${summary(actual[wrong])}`,
          );
        }
      }
    }, 600_000);
  }
});

/** Around the limits of what the formats hold exactly, as 64-bit patterns; their lower halves serve as 32-bit integers. */
const INTEGERS = [
  0n,
  1n,
  3n,
  2n ** 23n,
  2n ** 24n,
  2n ** 25n,
  2n ** 30n,
  2n ** 31n,
  2n ** 32n,
  2n ** 53n,
  2n ** 54n,
  2n ** 62n,
  2n ** 63n,
]
  .flatMap((value) => [value - 1n, value, value + 1n, value + 5n])
  .flatMap((value) => [BigInt.asUintN(64, value), BigInt.asUintN(64, -value)]);

/** Conversions from EDX, RDX or XMM2 to XMM1. */
const FROM_INTEGERS = [
  { name: 'cvtsi2ss', code: [0xf3, 0x0f, 0x2a, 0xca] },
  { name: 'cvtsi2sd', code: [0xf2, 0x0f, 0x2a, 0xca] },
  { name: 'cvtsi2ss64', code: [0xf3, 0x48, 0x0f, 0x2a, 0xca] },
  { name: 'cvtsi2sd64', code: [0xf2, 0x48, 0x0f, 0x2a, 0xca] },
  { name: 'cvtdq2ps', code: [0x0f, 0x5b, 0xca] },
  { name: 'cvtdq2pd', code: [0xf3, 0x0f, 0xe6, 0xca] },
];

describe.skipIf(unavailable)('conversions from integers, on the host and emulated', () => {
  const emulator = new EmulatorDriver();
  for (const { name, code } of FROM_INTEGERS) {
    it(name, async () => {
      const cases = INTEGERS.flatMap((value, i) =>
        MXCSRS.map((mxcsr): TestCase => {
          const xmm = registers(8, [f64(1.5), f64(2.5)], [value, INTEGERS[(i + 3) % INTEGERS.length]]);
          const state = initialState({ xmm, mxcsr });
          state.gpr[2] = value;
          return { code: Uint8Array.from(code), state, memory: [] };
        }),
      );
      const expected = await new NativeDriver().run(cases);
      expect(emulator.run(cases).map(summary)).toEqual(expected.map(summary));
    });
  }
});

/** What an instruction can change: XMM1, RCX, flags, MXCSR, exception. */
function summary(result: Awaited<ReturnType<NativeDriver['run']>>[number]): string {
  const xmm1 = Buffer.from(result.xmm.slice(16, 32).reverse()).toString('hex');
  const { gpr, rflags, mxcsr, exception } = result;
  return `${xmm1} rcx ${gpr[1].toString(16)} flags ${(rflags & 0x8d5).toString(16)} mxcsr ${mxcsr.toString(16)} exception ${exception?.vector ?? 'none'}`;
}
