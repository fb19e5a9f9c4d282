import { Op, Type } from '../../wasm/opcodes.js';
import { Simd } from '../../wasm/simd.js';
import type { Emitter } from '../emitter.js';
import type { Row } from '../row.js';
import { imm8, type Lower, setXmm, sseRow, vector, xmmNumber } from './sse-operands.js';

/** SSE shifts: PSLLx, PSRLx, PSRAx by immediate and by register, PSLLDQ, PSRLDQ, PALIGNR. */

export interface Shift {
  readonly name: string;
  readonly opcode: number;
  readonly bits: number;
  /** Counts beyond the lane fill with the sign instead of 0. */
  readonly arithmetic?: boolean;
}

/** The shifts of words, doublewords and quadwords; MMX has the same. */
export const SHIFTS: readonly Shift[] = [
  { name: 'Psllw', opcode: Simd.i16x8_shl, bits: 16 },
  { name: 'Pslld', opcode: Simd.i32x4_shl, bits: 32 },
  { name: 'Psllq', opcode: Simd.i64x2_shl, bits: 64 },
  { name: 'Psrlw', opcode: Simd.i16x8_shr_u, bits: 16 },
  { name: 'Psrld', opcode: Simd.i32x4_shr_u, bits: 32 },
  { name: 'Psrlq', opcode: Simd.i64x2_shr_u, bits: 64 },
  { name: 'Psraw', opcode: Simd.i16x8_shr_s, bits: 16, arithmetic: true },
  { name: 'Psrad', opcode: Simd.i32x4_shr_s, bits: 32, arithmetic: true },
];

function byImmediate({ opcode, bits, arithmetic }: Shift): Lower {
  return (e, insn) => {
    const { c } = e;
    const count = imm8(insn, 1);
    if (count >= bits && !arithmetic) c.v128(0n, 0n);
    else
      c.get(e.xmm(xmmNumber(insn, 0)))
        .i32(Math.min(count, bits - 1))
        .simd(opcode);
    setXmm(e, insn);
  };
}

/** Pushes `a` shifted by `count` (both locals, the count 64 bits), which wasm's shifts would take modulo the lane. */
export function shiftBy(e: Emitter, { opcode, bits, arithmetic }: Shift, a: number, count: number): void {
  const { c } = e;
  const inRange = () => c.get(count).i64(bits).op(Op.i64_lt_u);
  if (arithmetic) {
    c.get(a)
      .get(count)
      .i64(bits - 1);
    inRange();
    c.op(Op.select).op(Op.i32_wrap_i64).simd(opcode);
  } else {
    c.get(a).get(count).op(Op.i32_wrap_i64).simd(opcode).v128(0n, 0n);
    inRange();
    c.op(Op.select);
  }
}

/** The count is the operand's whole lower half. */
function byVector(shift: Shift): Lower {
  return (e, insn) => {
    vector(e, insn, 1);
    e.c.simdLane(Simd.i64x2_extract_lane, 0);
    const count = e.toTemp(Type.i64);
    shiftBy(e, shift, e.xmm(xmmNumber(insn, 0)), count);
    setXmm(e, insn);
  };
}

/** Pushes sixteen bytes of `high`:`low`, both locals, from byte `from` (0 to 16) on. */
function window(e: Emitter, low: number, high: number, from: number): void {
  e.c
    .get(low)
    .get(high)
    .shuffle(Array.from({ length: 16 }, (_, i) => from + i));
}

function zeroLocal(e: Emitter): number {
  e.c.v128(0n, 0n);
  return e.toTemp(Type.v128);
}

function bytesLeft(left: boolean): Lower {
  return (e, insn) => {
    const count = Math.min(imm8(insn, 1), 16);
    const a = e.xmm(xmmNumber(insn, 0));
    const zero = zeroLocal(e);
    if (left) window(e, zero, a, 16 - count);
    else window(e, a, zero, count);
    setXmm(e, insn);
  };
}

/** PALIGNR: bytes of a:b from byte imm on; beyond both, zeros. */
const align: Lower = (e, insn) => {
  vector(e, insn, 1);
  const b = e.toTemp(Type.v128);
  const a = e.xmm(xmmNumber(insn, 0));
  const from = imm8(insn, 2);
  if (from <= 16) window(e, b, a, from);
  else window(e, a, zeroLocal(e), Math.min(from - 16, 16));
  setXmm(e, insn);
};

export const rows: readonly Row[] = [
  ...SHIFTS.flatMap((shift) => sseRow(`${shift.name}_xmm_imm8`, byImmediate(shift))),
  ...SHIFTS.flatMap((shift) => sseRow(`${shift.name}_xmm_xmmm128`, byVector(shift))),
  ...sseRow('Pslldq_xmm_imm8', bytesLeft(true)),
  ...sseRow('Psrldq_xmm_imm8', bytesLeft(false)),
  ...sseRow('Palignr_xmm_xmmm128_imm8', align),
];
