import { Type } from '../../wasm/opcodes.js';
import { Simd } from '../../wasm/simd.js';
import type { Row } from '../row.js';
import {
  binaryMmx,
  binaryMmxOp,
  mmxNumber,
  mmxOperand,
  mmxRow,
  readMmx,
  unaryMmx,
  writeMmx,
} from './mmx-operands.js';
import { DIRECT_OF_MMX, multiplyAddBytes, multiplyRound, sign, sumOfDifferences } from './sse-integer.js';
import { imm8, lanes, type Lower, splat } from './sse-operands.js';
import { SHIFTS, type Shift, shiftBy } from './sse-shift.js';

/** MMX arithmetic, comparison, logic, shifts and shuffles, with the forms that SSE, SSE2 and SSSE3 added. */

/** i8x16.shuffle lanes of which the first eight bytes count: they are repeated. */
const half = (bytes: number, ...numbers: number[]): number[] => {
  const first = lanes(bytes, ...numbers);
  return [...first, ...first];
};

/** Lane numbers, of `bytes`, of b where those of a begin with 0: the shuffle's second operand. */
const second = (bytes: number): number => 16 / bytes;

/** a in the lower half, b in the upper: the lanes of both in a row. */
const JOINED = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];

/** PMULHW, PMULHUW: upper halves of 16x16-bit products. */
const multiplyHigh = (multiply: number): Lower =>
  binaryMmx((e, a, b) => {
    const { c } = e;
    c.get(a).get(b).simd(multiply);
    const products = e.toTemp(Type.v128);
    c.get(products)
      .get(products)
      .shuffle(half(2, 1, 3, 5, 7));
  });

/** PACKSSWB, PACKUSWB, PACKSSDW. */
const pack = (narrow: number): Lower =>
  binaryMmx((e, a, b) => {
    const { c } = e;
    c.get(a).get(b).shuffle(JOINED);
    const joined = e.toTemp(Type.v128);
    c.get(joined).get(joined).simd(narrow);
  });

/** PUNPCKxxx: lanes of a and b in turn, from the lower or the upper half of each. */
function interleave(bytes: number, high: boolean): Lower {
  const count = 8 / bytes;
  const first = high ? count / 2 : 0;
  const order = Array.from({ length: count }, (_, i) => first + (i >> 1) + (i & 1 ? second(bytes) : 0));
  return binaryMmx((e, a, b) =>
    e.c
      .get(a)
      .get(b)
      .shuffle(half(bytes, ...order)),
  );
}

/** PHADDx, PHSUBx: operation on the even and the odd lanes of a, then of b. */
function horizontal(bytes: 2 | 4, opcode: number): Lower {
  const count = 4 / bytes;
  const pick = (odd: number) =>
    [0, second(bytes)].flatMap((from) => Array.from({ length: count }, (_, i) => from + 2 * i + odd));
  return binaryMmx((e, a, b) => {
    e.c
      .get(a)
      .get(b)
      .shuffle(half(bytes, ...pick(0)))
      .get(a)
      .get(b)
      .shuffle(half(bytes, ...pick(1)))
      .simd(opcode);
  });
}

/** PSHUFB: wasm's swizzle gives 0 for any index above 15, the instruction for those with bit 7. */
const shuffleBytes = binaryMmx((e, a, b) => {
  e.c.get(a).get(b);
  splat(e, 1, 0x87n);
  e.c.simd(Simd.and).simd(Simd.swizzle);
});

const shuffleWords: Lower = (e, insn) => {
  mmxOperand(e, insn, 1);
  const source = e.toTemp(Type.v128);
  const imm = imm8(insn, 2);
  e.c
    .get(source)
    .get(source)
    .shuffle(half(2, ...[0, 1, 2, 3].map((i) => (imm >> (2 * i)) & 3)));
  writeMmx(e, mmxNumber(insn, 0));
};

/** PALIGNR: bytes of a:b from byte imm on; beyond both, zeros. */
const align: Lower = (e, insn) => {
  const from = imm8(insn, 2);
  binaryMmx((e, a, b) => {
    const { c } = e;
    c.get(b).get(a).shuffle(JOINED);
    const joined = e.toTemp(Type.v128);
    c.v128(0n, 0n);
    const zero = e.toTemp(Type.v128);
    c.get(joined)
      .get(zero)
      .shuffle(Array.from({ length: 16 }, (_, i) => Math.min(from + i, 16)));
  })(e, insn);
};

function byImmediate({ opcode, bits, arithmetic }: Shift): Lower {
  return (e, insn) => {
    const { c } = e;
    const to = mmxNumber(insn, 0);
    const count = imm8(insn, 1);
    if (count >= bits && !arithmetic) c.v128(0n, 0n);
    else {
      readMmx(e, to);
      c.i32(Math.min(count, bits - 1)).simd(opcode);
    }
    writeMmx(e, to);
  };
}

/** The count is the whole operand. */
const byVector = (shift: Shift): Lower =>
  binaryMmx((e, a, b) => {
    e.c.get(b).simdLane(Simd.i64x2_extract_lane, 0);
    shiftBy(e, shift, a, e.toTemp(Type.i64));
  });

const absolute = (opcode: number): Lower => unaryMmx((e) => e.c.simd(opcode));

export const rows: readonly Row[] = [
  ...DIRECT_OF_MMX.flatMap(([name, opcode]) => mmxRow(`${name}_mm_mmm64`, binaryMmxOp(opcode))),
  ...mmxRow('Pmuludq_mm_mmm64', binaryMmxOp(Simd.i64x2_extmul_low_i32x4_u)),
  ...mmxRow(
    'Pandn_mm_mmm64',
    binaryMmx((e, a, b) => e.c.get(b).get(a).simd(Simd.andnot)),
  ),
  ...mmxRow('Pmulhw_mm_mmm64', multiplyHigh(Simd.i32x4_extmul_low_i16x8_s)),
  ...mmxRow('Pmulhuw_mm_mmm64', multiplyHigh(Simd.i32x4_extmul_low_i16x8_u)),
  ...mmxRow('Pmulhrsw_mm_mmm64', binaryMmx(multiplyRound)),
  ...mmxRow('Pmaddubsw_mm_mmm64', binaryMmx(multiplyAddBytes)),
  ...mmxRow('Psadbw_mm_mmm64', binaryMmx(sumOfDifferences)),
  ...mmxRow('Psignb_mm_mmm64', binaryMmx(sign(Simd.i8x16_lt_s, Simd.i8x16_eq, Simd.i8x16_sub))),
  ...mmxRow('Psignw_mm_mmm64', binaryMmx(sign(Simd.i16x8_lt_s, Simd.i16x8_eq, Simd.i16x8_sub))),
  ...mmxRow('Psignd_mm_mmm64', binaryMmx(sign(Simd.i32x4_lt_s, Simd.i32x4_eq, Simd.i32x4_sub))),
  ...mmxRow('Pabsb_mm_mmm64', absolute(Simd.i8x16_abs)),
  ...mmxRow('Pabsw_mm_mmm64', absolute(Simd.i16x8_abs)),
  ...mmxRow('Pabsd_mm_mmm64', absolute(Simd.i32x4_abs)),
  ...mmxRow('Phaddw_mm_mmm64', horizontal(2, Simd.i16x8_add)),
  ...mmxRow('Phaddd_mm_mmm64', horizontal(4, Simd.i32x4_add)),
  ...mmxRow('Phaddsw_mm_mmm64', horizontal(2, Simd.i16x8_add_sat_s)),
  ...mmxRow('Phsubw_mm_mmm64', horizontal(2, Simd.i16x8_sub)),
  ...mmxRow('Phsubd_mm_mmm64', horizontal(4, Simd.i32x4_sub)),
  ...mmxRow('Phsubsw_mm_mmm64', horizontal(2, Simd.i16x8_sub_sat_s)),
  ...mmxRow('Packsswb_mm_mmm64', pack(Simd.i8x16_narrow_i16x8_s)),
  ...mmxRow('Packuswb_mm_mmm64', pack(Simd.i8x16_narrow_i16x8_u)),
  ...mmxRow('Packssdw_mm_mmm64', pack(Simd.i16x8_narrow_i32x4_s)),
  ...mmxRow('Punpcklbw_mm_mmm32', interleave(1, false)),
  ...mmxRow('Punpcklwd_mm_mmm32', interleave(2, false)),
  ...mmxRow('Punpckldq_mm_mmm32', interleave(4, false)),
  ...mmxRow('Punpckhbw_mm_mmm64', interleave(1, true)),
  ...mmxRow('Punpckhwd_mm_mmm64', interleave(2, true)),
  ...mmxRow('Punpckhdq_mm_mmm64', interleave(4, true)),
  ...mmxRow('Pshufb_mm_mmm64', shuffleBytes),
  ...mmxRow('Pshufw_mm_mmm64_imm8', shuffleWords),
  ...mmxRow('Palignr_mm_mmm64_imm8', align),
  ...SHIFTS.flatMap((shift) => mmxRow(`${shift.name}_mm_imm8`, byImmediate(shift))),
  ...SHIFTS.flatMap((shift) => mmxRow(`${shift.name}_mm_mmm64`, byVector(shift))),
];
