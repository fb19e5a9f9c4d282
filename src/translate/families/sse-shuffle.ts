import { Op, Type } from '../../wasm/opcodes.js';
import { Simd } from '../../wasm/simd.js';
import type { Row } from '../row.js';
import {
  binaryLocals,
  binaryOp,
  imm8,
  lanes,
  lowVector,
  type Lower,
  setXmm,
  splat,
  sseRow,
  storeMemory,
  vector,
  xmmNumber,
} from './sse-operands.js';

/** SSE shuffles, unpacks, packs, blends, lane inserts and extracts, PMOVSX and PMOVZX. */

/** A shuffle of a (lanes from 0 on) and b (lanes from 16 / bytes on) that the immediate, if any, decides. */
function shuffle(bytes: number, order: (imm: number) => number[]): Lower {
  return (e, insn) => {
    const { c } = e;
    vector(e, insn, 1);
    const b = e.toTemp(Type.v128);
    const imm = insn.ops.length > 2 ? imm8(insn, 2) : 0;
    c.get(e.xmm(xmmNumber(insn, 0)))
      .get(b)
      .shuffle(lanes(bytes, ...order(imm)));
    setXmm(e, insn);
  };
}

/** A shuffle of the source alone. */
function permute(bytes: number, order: (imm: number) => number[]): Lower {
  return (e, insn) => {
    vector(e, insn, 1);
    const source = e.toTemp(Type.v128);
    e.c
      .get(source)
      .get(source)
      .shuffle(lanes(bytes, ...order(imm8(insn, 2))));
    setXmm(e, insn);
  };
}

/** Lanes of a and b in turn, from the lower or the upper half. */
function interleave(bytes: number, high: boolean): Lower {
  const count = 16 / bytes;
  const order = Array.from(
    { length: count },
    (_, i) => (i >> 1) + (high ? count / 2 : 0) + (i & 1 ? count : 0),
  );
  return shuffle(bytes, () => order);
}

/** The i-th 2-bit field. */
const field = (imm: number, i: number) => (imm >> (2 * i)) & 3;
const FOUR = [0, 1, 2, 3];

/** PSHUFB: wasm's swizzle gives 0 for any index above 15, the instruction for those with bit 7. */
const shuffleBytes = binaryLocals((e, a, b) => {
  e.c.get(a).get(b);
  splat(e, 1, 0x8fn);
  e.c.simd(Simd.and).simd(Simd.swizzle);
});

/** PBLENDW, BLENDPS, BLENDPD: lanes of b where the immediate has a 1. */
function blend(bytes: number): Lower {
  const count = 16 / bytes;
  return shuffle(bytes, (imm) => Array.from({ length: count }, (_, i) => i + ((imm >> i) & 1 ? count : 0)));
}

/** PBLENDVB, BLENDVPS, BLENDVPD: lanes of b where XMM0's sign bit is set. */
function blendBySign(lessThan: number): Lower {
  return (e, insn) => {
    const { c } = e;
    vector(e, insn, 1);
    c.get(e.xmm(xmmNumber(insn, 0)));
    c.get(e.xmm(0)).v128(0n, 0n).simd(lessThan);
    c.simd(Simd.bitselect);
    setXmm(e, insn);
  };
}

/** PMOVSXxx, PMOVZXxx: `bytes` of source, widened step by step. */
function widen(bytes: number, ...steps: number[]): Lower {
  return (e, insn) => {
    lowVector(e, insn, 1, bytes);
    for (const step of steps) e.c.simd(step);
    setXmm(e, insn);
  };
}

/** PINSRx. From a register the low bits count. */
function insertLane(bytes: 1 | 2 | 4 | 8, opcode: number): Lower {
  return (e, insn) => {
    const { c } = e;
    const from = insn.ops[1];
    if (from.kind === 'reg') {
      c.get(e.gpr(from.num));
      if (bytes < 8) c.op(Op.i32_wrap_i64);
    } else e.readOp(1, bytes);
    const value = e.toTemp(bytes === 8 ? Type.i64 : Type.i32);
    c.get(e.xmm(xmmNumber(insn, 0)))
      .get(value)
      .simdLane(opcode, imm8(insn, 2) & (16 / bytes - 1));
    setXmm(e, insn);
  };
}

/** PEXTRx, EXTRACTPS: into memory, or zero-extended into a register. */
function extractLane(bytes: 1 | 2 | 4 | 8, extract: number, store: number): Lower {
  return (e, insn) => {
    const { c } = e;
    const from = e.xmm(xmmNumber(insn, 1));
    const lane = imm8(insn, 2) & (16 / bytes - 1);
    const to = insn.ops[0];
    if (to.kind === 'reg') {
      c.get(from).simdLane(extract, lane);
      if (bytes < 8) c.op(Op.i64_extend_i32_u);
      c.set(e.gprW(to.num));
    } else storeMemory(e, bytes, (offset) => c.get(from).simdMemLane(store, lane, offset));
  };
}

/** INSERTPS: imm[7:6] chooses the source's lane if it is a register, imm[5:4] the destination's, imm[3:0] clears lanes. */
const insertSingle: Lower = (e, insn) => {
  const { c } = e;
  const imm = imm8(insn, 2);
  const from = insn.ops[1].kind === 'reg' ? imm >> 6 : 0;
  lowVector(e, insn, 1, 4);
  const source = e.toTemp(Type.v128);
  const order = FOUR.map((i) => (i === ((imm >> 4) & 3) ? 4 + from : i));
  c.get(e.xmm(xmmNumber(insn, 0)))
    .get(source)
    .shuffle(lanes(4, ...order));
  if (imm & 15) {
    const keep = FOUR.map((i) => ((imm >> i) & 1 ? 0n : 0xffff_ffffn));
    c.v128(keep[0] | (keep[1] << 32n), keep[2] | (keep[3] << 32n)).simd(Simd.and);
  }
  setXmm(e, insn);
};

const extractWord = extractLane(2, Simd.i16x8_extract_lane_u, Simd.store16_lane);

export const rows: readonly Row[] = [
  ...sseRow('Punpcklbw_xmm_xmmm128', interleave(1, false)),
  ...sseRow('Punpcklwd_xmm_xmmm128', interleave(2, false)),
  ...sseRow('Punpckldq_xmm_xmmm128 Unpcklps_xmm_xmmm128', interleave(4, false)),
  ...sseRow('Punpcklqdq_xmm_xmmm128 Unpcklpd_xmm_xmmm128', interleave(8, false)),
  ...sseRow('Punpckhbw_xmm_xmmm128', interleave(1, true)),
  ...sseRow('Punpckhwd_xmm_xmmm128', interleave(2, true)),
  ...sseRow('Punpckhdq_xmm_xmmm128 Unpckhps_xmm_xmmm128', interleave(4, true)),
  ...sseRow('Punpckhqdq_xmm_xmmm128 Unpckhpd_xmm_xmmm128', interleave(8, true)),
  ...sseRow('Packsswb_xmm_xmmm128', binaryOp(Simd.i8x16_narrow_i16x8_s)),
  ...sseRow('Packuswb_xmm_xmmm128', binaryOp(Simd.i8x16_narrow_i16x8_u)),
  ...sseRow('Packssdw_xmm_xmmm128', binaryOp(Simd.i16x8_narrow_i32x4_s)),
  ...sseRow('Packusdw_xmm_xmmm128', binaryOp(Simd.i16x8_narrow_i32x4_u)),
  ...sseRow(
    'Pshufd_xmm_xmmm128_imm8',
    permute(4, (imm) => FOUR.map((i) => field(imm, i))),
  ),
  ...sseRow(
    'Pshuflw_xmm_xmmm128_imm8',
    permute(2, (imm) => [...FOUR.map((i) => field(imm, i)), 4, 5, 6, 7]),
  ),
  ...sseRow(
    'Pshufhw_xmm_xmmm128_imm8',
    permute(2, (imm) => [...FOUR, ...FOUR.map((i) => 4 + field(imm, i))]),
  ),
  ...sseRow(
    'Shufps_xmm_xmmm128_imm8',
    shuffle(4, (imm) => FOUR.map((i) => field(imm, i) + (i < 2 ? 0 : 4))),
  ),
  ...sseRow(
    'Shufpd_xmm_xmmm128_imm8',
    shuffle(8, (imm) => [imm & 1, 2 + ((imm >> 1) & 1)]),
  ),
  ...sseRow('Pshufb_xmm_xmmm128', shuffleBytes),
  ...sseRow('Pblendw_xmm_xmmm128_imm8', blend(2)),
  ...sseRow('Blendps_xmm_xmmm128_imm8', blend(4)),
  ...sseRow('Blendpd_xmm_xmmm128_imm8', blend(8)),
  ...sseRow('Pblendvb_xmm_xmmm128', blendBySign(Simd.i8x16_lt_s)),
  ...sseRow('Blendvps_xmm_xmmm128', blendBySign(Simd.i32x4_lt_s)),
  ...sseRow('Blendvpd_xmm_xmmm128', blendBySign(Simd.i64x2_lt_s)),
  ...sseRow('Pmovsxbw_xmm_xmmm64', widen(8, Simd.i16x8_extend_low_i8x16_s)),
  ...sseRow('Pmovsxbd_xmm_xmmm32', widen(4, Simd.i16x8_extend_low_i8x16_s, Simd.i32x4_extend_low_i16x8_s)),
  ...sseRow(
    'Pmovsxbq_xmm_xmmm16',
    widen(2, Simd.i16x8_extend_low_i8x16_s, Simd.i32x4_extend_low_i16x8_s, Simd.i64x2_extend_low_i32x4_s),
  ),
  ...sseRow('Pmovsxwd_xmm_xmmm64', widen(8, Simd.i32x4_extend_low_i16x8_s)),
  ...sseRow('Pmovsxwq_xmm_xmmm32', widen(4, Simd.i32x4_extend_low_i16x8_s, Simd.i64x2_extend_low_i32x4_s)),
  ...sseRow('Pmovsxdq_xmm_xmmm64', widen(8, Simd.i64x2_extend_low_i32x4_s)),
  ...sseRow('Pmovzxbw_xmm_xmmm64', widen(8, Simd.i16x8_extend_low_i8x16_u)),
  ...sseRow('Pmovzxbd_xmm_xmmm32', widen(4, Simd.i16x8_extend_low_i8x16_u, Simd.i32x4_extend_low_i16x8_u)),
  ...sseRow(
    'Pmovzxbq_xmm_xmmm16',
    widen(2, Simd.i16x8_extend_low_i8x16_u, Simd.i32x4_extend_low_i16x8_u, Simd.i64x2_extend_low_i32x4_u),
  ),
  ...sseRow('Pmovzxwd_xmm_xmmm64', widen(8, Simd.i32x4_extend_low_i16x8_u)),
  ...sseRow('Pmovzxwq_xmm_xmmm32', widen(4, Simd.i32x4_extend_low_i16x8_u, Simd.i64x2_extend_low_i32x4_u)),
  ...sseRow('Pmovzxdq_xmm_xmmm64', widen(8, Simd.i64x2_extend_low_i32x4_u)),
  ...sseRow('Pinsrb_xmm_r32m8_imm8 Pinsrb_xmm_r64m8_imm8', insertLane(1, Simd.i8x16_replace_lane)),
  ...sseRow('Pinsrw_xmm_r32m16_imm8 Pinsrw_xmm_r64m16_imm8', insertLane(2, Simd.i16x8_replace_lane)),
  ...sseRow('Pinsrd_xmm_rm32_imm8', insertLane(4, Simd.i32x4_replace_lane)),
  ...sseRow('Pinsrq_xmm_rm64_imm8', insertLane(8, Simd.i64x2_replace_lane)),
  ...sseRow(
    'Pextrb_r32m8_xmm_imm8 Pextrb_r64m8_xmm_imm8',
    extractLane(1, Simd.i8x16_extract_lane_u, Simd.store8_lane),
  ),
  ...sseRow(
    'Pextrw_r32_xmm_imm8 Pextrw_r64_xmm_imm8 Pextrw_r32m16_xmm_imm8 Pextrw_r64m16_xmm_imm8',
    extractWord,
  ),
  ...sseRow(
    'Pextrd_rm32_xmm_imm8 Extractps_rm32_xmm_imm8 Extractps_r64m32_xmm_imm8',
    extractLane(4, Simd.i32x4_extract_lane, Simd.store32_lane),
  ),
  ...sseRow('Pextrq_rm64_xmm_imm8', extractLane(8, Simd.i64x2_extract_lane, Simd.store64_lane)),
  ...sseRow('Insertps_xmm_xmmm32_imm8', insertSingle),
];
