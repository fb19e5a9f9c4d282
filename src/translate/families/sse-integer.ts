import { Op, Type } from '../../wasm/opcodes.js';
import { Simd } from '../../wasm/simd.js';
import type { Emitter } from '../emitter.js';
import type { Row } from '../row.js';
import {
  binaryLocals,
  binaryOp,
  lanes,
  setXmm,
  splat,
  sseRow,
  unary,
  vector,
  xmmNumber,
} from './sse-operands.js';

/** SSE integer arithmetic, comparison and logic on XMM registers, logic of floating-point registers, PTEST. */

/** What an instruction computes from its operands, two v128 locals: pushes the result. The MMX forms share it. */
export type OnLocals = (e: Emitter, a: number, b: number) => void;

/** Instructions that are one SIMD opcode of the same meaning, a = a op b: those that MMX has too. */
export const DIRECT_OF_MMX: readonly (readonly [string, number])[] = [
  ['Paddb', Simd.i8x16_add],
  ['Paddw', Simd.i16x8_add],
  ['Paddd', Simd.i32x4_add],
  ['Paddq', Simd.i64x2_add],
  ['Psubb', Simd.i8x16_sub],
  ['Psubw', Simd.i16x8_sub],
  ['Psubd', Simd.i32x4_sub],
  ['Psubq', Simd.i64x2_sub],
  ['Paddsb', Simd.i8x16_add_sat_s],
  ['Paddsw', Simd.i16x8_add_sat_s],
  ['Paddusb', Simd.i8x16_add_sat_u],
  ['Paddusw', Simd.i16x8_add_sat_u],
  ['Psubsb', Simd.i8x16_sub_sat_s],
  ['Psubsw', Simd.i16x8_sub_sat_s],
  ['Psubusb', Simd.i8x16_sub_sat_u],
  ['Psubusw', Simd.i16x8_sub_sat_u],
  ['Pmullw', Simd.i16x8_mul],
  ['Pmaddwd', Simd.i32x4_dot_i16x8_s],
  ['Pavgb', Simd.i8x16_avgr_u],
  ['Pavgw', Simd.i16x8_avgr_u],
  ['Pminub', Simd.i8x16_min_u],
  ['Pminsw', Simd.i16x8_min_s],
  ['Pmaxub', Simd.i8x16_max_u],
  ['Pmaxsw', Simd.i16x8_max_s],
  ['Pcmpeqb', Simd.i8x16_eq],
  ['Pcmpeqw', Simd.i16x8_eq],
  ['Pcmpeqd', Simd.i32x4_eq],
  ['Pcmpgtb', Simd.i8x16_gt_s],
  ['Pcmpgtw', Simd.i16x8_gt_s],
  ['Pcmpgtd', Simd.i32x4_gt_s],
  ['Pand', Simd.and],
  ['Por', Simd.or],
  ['Pxor', Simd.xor],
];

/** All of them. */
const DIRECT: typeof DIRECT_OF_MMX = [
  ...DIRECT_OF_MMX,
  ['Pmulld', Simd.i32x4_mul],
  ['Pminsb', Simd.i8x16_min_s],
  ['Pminuw', Simd.i16x8_min_u],
  ['Pminsd', Simd.i32x4_min_s],
  ['Pminud', Simd.i32x4_min_u],
  ['Pmaxsb', Simd.i8x16_max_s],
  ['Pmaxuw', Simd.i16x8_max_u],
  ['Pmaxsd', Simd.i32x4_max_s],
  ['Pmaxud', Simd.i32x4_max_u],
  ['Pcmpeqq', Simd.i64x2_eq],
  ['Pcmpgtq', Simd.i64x2_gt_s],
  ['Andps', Simd.and],
  ['Andpd', Simd.and],
  ['Orps', Simd.or],
  ['Orpd', Simd.or],
  ['Xorps', Simd.xor],
  ['Xorpd', Simd.xor],
];

/** A register XORed with or subtracted from itself is 0: said as such, its old value need not be known. */
const ZERO_IDIOMS = new Set(['Pxor', 'Xorps', 'Xorpd', 'Psubb', 'Psubw', 'Psubd', 'Psubq']);

function direct(name: string, opcode: number): Row[] {
  const lower = binaryOp(opcode);
  if (!ZERO_IDIOMS.has(name)) return sseRow(`${name}_xmm_xmmm128`, lower);
  return sseRow(`${name}_xmm_xmmm128`, (e, insn) => {
    const from = insn.ops[1];
    if (from.kind !== 'reg' || from.num !== xmmNumber(insn, 0)) {
      lower(e, insn);
      return;
    }
    e.c.v128(0n, 0n);
    setXmm(e, insn);
  });
}

/** PANDN, ANDNPS, ANDNPD: b & ~a. */
const andNot = binaryLocals((e, a, b) => e.c.get(b).get(a).simd(Simd.andnot));

/** PMULHW, PMULHUW: upper halves of 16x16-bit products. */
function multiplyHigh(low: number, high: number) {
  const odd = lanes(2, 1, 3, 5, 7, 9, 11, 13, 15);
  return binaryLocals((e, a, b) => e.c.get(a).get(b).simd(low).get(a).get(b).simd(high).shuffle(odd));
}

/** PMULUDQ, PMULDQ: 64-bit products of the even 32-bit lanes. */
function multiplyEven(multiply: number) {
  const even = lanes(4, 0, 2, 0, 2);
  return binaryLocals((e, a, b) =>
    e.c.get(a).get(a).shuffle(even).get(b).get(b).shuffle(even).simd(multiply),
  );
}

/** PMULHRSW: the wasm operation saturates the one product that the instruction wraps, 8000h squared. */
export const multiplyRound: OnLocals = (e, a, b) => {
  const { c } = e;
  c.get(a).get(b).simd(Simd.i16x8_q15mulr_sat_s);
  for (const operand of [a, b]) {
    c.get(operand);
    splat(e, 2, 0x8000n);
    c.simd(Simd.i16x8_eq);
  }
  c.simd(Simd.and).simd(Simd.xor);
};

/** PMADDUBSW: unsigned bytes of a by signed bytes of b, pairs added with saturation. */
export const multiplyAddBytes: OnLocals = (e, a, b) => {
  const { c } = e;
  c.get(a);
  splat(e, 2, 0xffn);
  c.simd(Simd.and);
  c.get(b).i32(8).simd(Simd.i16x8_shl).i32(8).simd(Simd.i16x8_shr_s).simd(Simd.i16x8_mul);
  c.get(a).i32(8).simd(Simd.i16x8_shr_u).get(b).i32(8).simd(Simd.i16x8_shr_s).simd(Simd.i16x8_mul);
  c.simd(Simd.i16x8_add_sat_s);
};

/** PSADBW: the sum of absolute differences of each half's bytes. */
export const sumOfDifferences: OnLocals = (e, a, b) => {
  const { c } = e;
  c.get(a).get(b).simd(Simd.i8x16_max_u).get(a).get(b).simd(Simd.i8x16_min_u).simd(Simd.i8x16_sub);
  c.simd(Simd.i16x8_extadd_pairwise_i8x16_u).simd(Simd.i32x4_extadd_pairwise_i16x8_u);
  const pairs = e.toTemp(Type.v128);
  c.get(pairs).get(pairs).i32(32).simd(Simd.i64x2_shr_u).simd(Simd.i32x4_add);
  splat(e, 8, 0xffff_ffffn);
  c.simd(Simd.and);
};

/** MPSADBW: eight sums of four absolute differences, of a's bytes from offset imm[2] on to one block of b's. */
const multipleSums: Row['lower'] = (e, insn) => {
  const { c } = e;
  vector(e, insn, 1);
  const b = e.toTemp(Type.v128);
  const a = e.xmm(xmmNumber(insn, 0));
  const op = insn.ops[2];
  const imm = op.kind === 'imm' ? Number(op.value) : 0;
  const aOffset = imm & 4;
  const bOffset = (imm & 3) * 4;
  const zero = e.temp(Type.v128);
  c.v128(0n, 0n).set(zero);
  /** Bytes as words: lane numbers of eight bytes, 16 and up meaning 0. */
  const words = (byte: (lane: number) => number) =>
    Array.from({ length: 16 }, (_, i) => (i & 1 ? 16 : byte(i >> 1)));
  for (let k = 0; k < 4; k++) {
    c.get(a)
      .get(zero)
      .shuffle(words((lane) => aOffset + k + lane));
    c.get(b)
      .get(zero)
      .shuffle(words(() => bOffset + k));
    c.simd(Simd.i16x8_sub).simd(Simd.i16x8_abs);
    if (k) c.simd(Simd.i16x8_add);
  }
  setXmm(e, insn);
};

/** PHADDx, PHSUBx: operation on the even and the odd lanes of a, then of b. */
function horizontal(bytes: 2 | 4, opcode: number) {
  const count = 32 / bytes;
  const even = lanes(bytes, ...Array.from({ length: count / 2 }, (_, i) => 2 * i));
  const odd = lanes(bytes, ...Array.from({ length: count / 2 }, (_, i) => 2 * i + 1));
  return binaryLocals((e, a, b) => e.c.get(a).get(b).shuffle(even).get(a).get(b).shuffle(odd).simd(opcode));
}

/** PSIGNx: a negated where b is negative, 0 where b is 0. */
export function sign(lessThan: number, equal: number, subtract: number): OnLocals {
  return (e, a, b) => {
    const { c } = e;
    c.get(b).v128(0n, 0n).simd(lessThan);
    const negative = e.toTemp(Type.v128);
    c.get(a).get(negative).simd(Simd.xor).get(negative).simd(subtract);
    c.get(b).v128(0n, 0n).simd(equal).simd(Simd.andnot);
  };
}

/** PHMINPOSUW: the least word, and its index above it: with the index below the word, the minimum finds both. */
const minimumPosition = unary((e) => {
  const { c } = e;
  const source = e.toTemp(Type.v128);
  for (const [extend, low, high] of [
    [Simd.i32x4_extend_low_i16x8_u, 0x1_0000_0000n, 0x3_0000_0002n],
    [Simd.i32x4_extend_high_i16x8_u, 0x5_0000_0004n, 0x7_0000_0006n],
  ] as const) {
    c.get(source).simd(extend).i32(16).simd(Simd.i32x4_shl).v128(low, high).simd(Simd.or);
  }
  c.simd(Simd.i32x4_min_u);
  const best = e.toTemp(Type.v128);
  for (const order of [
    [2, 3, 0, 1],
    [1, 0, 3, 2],
  ]) {
    c.get(best)
      .get(best)
      .get(best)
      .shuffle(lanes(4, ...order))
      .simd(Simd.i32x4_min_u)
      .set(best);
  }
  c.v128(0n, 0n).get(best).simdLane(Simd.i32x4_extract_lane, 0).i32(16).op(Op.i32_rotl);
  c.simdLane(Simd.i32x4_replace_lane, 0);
});

/** PTEST: ZF for a & b == 0, CF for b & ~a == 0; the other flags are cleared. */
const test: Row['lower'] = (e, insn) => {
  const { c } = e;
  vector(e, insn, 1);
  const b = e.toTemp(Type.v128);
  const a = e.xmm(xmmNumber(insn, 0));
  c.get(a).get(b).simd(Simd.and).simd(Simd.any_true).op(Op.i32_eqz).i32(6).op(Op.i32_shl);
  c.get(b).get(a).simd(Simd.andnot).simd(Simd.any_true).op(Op.i32_eqz).op(Op.i32_or);
  e.setFlagBits();
};

const opcode = (simd: number) => unary((e: Emitter) => e.c.simd(simd));

export const rows: readonly Row[] = [
  ...DIRECT.flatMap(([name, simd]) => direct(name, simd)),
  ...sseRow('Pandn_xmm_xmmm128 Andnps_xmm_xmmm128 Andnpd_xmm_xmmm128', andNot),
  ...sseRow(
    'Pmulhw_xmm_xmmm128',
    multiplyHigh(Simd.i32x4_extmul_low_i16x8_s, Simd.i32x4_extmul_high_i16x8_s),
  ),
  ...sseRow(
    'Pmulhuw_xmm_xmmm128',
    multiplyHigh(Simd.i32x4_extmul_low_i16x8_u, Simd.i32x4_extmul_high_i16x8_u),
  ),
  ...sseRow('Pmuludq_xmm_xmmm128', multiplyEven(Simd.i64x2_extmul_low_i32x4_u)),
  ...sseRow('Pmuldq_xmm_xmmm128', multiplyEven(Simd.i64x2_extmul_low_i32x4_s)),
  ...sseRow('Pmulhrsw_xmm_xmmm128', binaryLocals(multiplyRound)),
  ...sseRow('Pmaddubsw_xmm_xmmm128', binaryLocals(multiplyAddBytes)),
  ...sseRow('Psadbw_xmm_xmmm128', binaryLocals(sumOfDifferences)),
  ...sseRow('Mpsadbw_xmm_xmmm128_imm8', multipleSums),
  ...sseRow('Phaddw_xmm_xmmm128', horizontal(2, Simd.i16x8_add)),
  ...sseRow('Phaddd_xmm_xmmm128', horizontal(4, Simd.i32x4_add)),
  ...sseRow('Phaddsw_xmm_xmmm128', horizontal(2, Simd.i16x8_add_sat_s)),
  ...sseRow('Phsubw_xmm_xmmm128', horizontal(2, Simd.i16x8_sub)),
  ...sseRow('Phsubd_xmm_xmmm128', horizontal(4, Simd.i32x4_sub)),
  ...sseRow('Phsubsw_xmm_xmmm128', horizontal(2, Simd.i16x8_sub_sat_s)),
  ...sseRow('Psignb_xmm_xmmm128', binaryLocals(sign(Simd.i8x16_lt_s, Simd.i8x16_eq, Simd.i8x16_sub))),
  ...sseRow('Psignw_xmm_xmmm128', binaryLocals(sign(Simd.i16x8_lt_s, Simd.i16x8_eq, Simd.i16x8_sub))),
  ...sseRow('Psignd_xmm_xmmm128', binaryLocals(sign(Simd.i32x4_lt_s, Simd.i32x4_eq, Simd.i32x4_sub))),
  ...sseRow('Pabsb_xmm_xmmm128', opcode(Simd.i8x16_abs)),
  ...sseRow('Pabsw_xmm_xmmm128', opcode(Simd.i16x8_abs)),
  ...sseRow('Pabsd_xmm_xmmm128', opcode(Simd.i32x4_abs)),
  ...sseRow('Phminposuw_xmm_xmmm128', minimumPosition),
  ...sseRow('Ptest_xmm_xmmm128', test, { killsFlags: true }),
];
