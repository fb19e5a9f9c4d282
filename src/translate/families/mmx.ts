import { CpuState } from '../../cpu/state.js';
import { Op, Type } from '../../wasm/opcodes.js';
import { Simd } from '../../wasm/simd.js';
import { Emitter } from '../emitter.js';
import type { Insn } from '../insn.js';
import type { Row } from '../row.js';
import { Shape, SseKind } from '../sse-operations.js';
import { destinationSize } from '../operand-size.js';
import { enterMmx, mmxField, mmxNumber, mmxOperand, mmxRow, readMmx, writeMmx } from './mmx-operands.js';
import { callExact } from './sse-float.js';
import { imm8, type Lower, setXmm, sseRow, storeMemory, vector, xmmNumber } from './sse-operands.js';
import { raisePending } from './x87.js';

/** MMX moves, conversions between MMX and XMM registers, EMMS. */

/** MOVD, MOVQ from a general register or memory. */
function fromGeneral(bytes: 4 | 8): Lower {
  return (e, insn) => {
    const { c } = e;
    const to = mmxNumber(insn, 0);
    e.readOp(1, bytes);
    if (bytes === 4) c.op(Op.i64_extend_i32_u);
    c.simd(Simd.i64x2_splat);
    writeMmx(e, to);
  };
}

/** MOVD, MOVQ to a general register or memory. */
function toGeneral(bytes: 4 | 8): Lower {
  return (e, insn) => {
    e.c.get(Emitter.CPU).mem(bytes === 8 ? Op.i64_load : Op.i32_load, mmxField(mmxNumber(insn, 1)));
    e.writeOp(0, bytes);
  };
}

const load: Lower = (e, insn) => {
  mmxOperand(e, insn, 1);
  writeMmx(e, mmxNumber(insn, 0));
};

/** MOVQ to a register or memory, MOVNTQ. */
const store: Lower = (e, insn) => {
  const { c } = e;
  const [to] = insn.ops;
  const from = mmxNumber(insn, 1);
  if (to.kind === 'reg') {
    readMmx(e, from);
    writeMmx(e, to.num);
    return;
  }
  storeMemory(e, 8, (offset) => {
    c.get(Emitter.CPU).mem(Op.i64_load, mmxField(from)).mem(Op.i64_store, offset);
  });
};

/** MOVQ2DQ: clears the upper half. */
const toXmm: Lower = (e, insn) => {
  readMmx(e, mmxNumber(insn, 1));
  setXmm(e, insn);
};

const fromXmm: Lower = (e, insn) => {
  e.c.get(e.xmm(xmmNumber(insn, 1)));
  writeMmx(e, mmxNumber(insn, 0));
};

/** MASKMOVQ: the bytes whose mask has its top bit set, to [RDI]. */
const maskedStore: Lower = (e, insn) => {
  const { c } = e;
  e.ea();
  const m = e.modify(8);
  readMmx(e, mmxNumber(insn, 1));
  const from = e.toTemp(Type.v128);
  readMmx(e, mmxNumber(insn, 2));
  c.simd(Simd.i8x16_bitmask);
  const mask = e.toTemp(Type.i32);
  for (let i = 0; i < 8; i++) {
    c.get(mask)
      .i32(1 << i)
      .op(Op.i32_and);
    c.if();
    c.get(m.pointer).get(from).simdMemLane(Simd.store8_lane, i, i);
    c.end();
  }
  e.commit(m);
};

/** PINSRW: the word comes from a register's low half or from memory. */
const insertWord: Lower = (e, insn) => {
  const { c } = e;
  const to = mmxNumber(insn, 0);
  const from = insn.ops[1];
  if (from.kind === 'reg') c.get(e.gpr(from.num)).op(Op.i32_wrap_i64);
  else {
    e.ea();
    e.load(2);
  }
  const word = e.toTemp(Type.i32);
  c.get(Emitter.CPU)
    .get(word)
    .mem(Op.i32_store16, mmxField(to) + 2 * (imm8(insn, 2) & 3));
  c.get(Emitter.CPU)
    .i64(0xffff)
    .mem(Op.i64_store, mmxField(to) + 8);
};

/** Pops an i32 into operand 0, a general register of 4 or 8 bytes. */
function toRegister(e: Emitter, insn: Insn): void {
  if (destinationSize(insn) === 8) e.c.op(Op.i64_extend_i32_u);
  e.writeOp(0, destinationSize(insn));
}

const extractWord: Lower = (e, insn) => {
  e.c.get(Emitter.CPU).mem(Op.i32_load16_u, mmxField(mmxNumber(insn, 1)) + 2 * (imm8(insn, 2) & 3));
  toRegister(e, insn);
};

/** PMOVMSKB: the upper half has no signs. */
const moveMask: Lower = (e, insn) => {
  readMmx(e, mmxNumber(insn, 1));
  e.c.simd(Simd.i8x16_bitmask);
  toRegister(e, insn);
};

/** A conversion: does by itself what `mmxRow` does for others, in an order of its own. */
function conversion(name: string, lower: Lower): Row[] {
  return sseRow(name, lower, { mayRaise: true });
}

// --- conversions -------------------------------------------------------------------------------------------------------

// #XM leaves the x87 unit in MMX state, as AMD's processors do.

/** CVTPS2PI, CVTPD2PI and the truncating ones. The lanes of zeros beside two singles raise nothing. */
function toIntegers(kind: number, double: boolean): Lower {
  return (e, insn) => {
    const { c } = e;
    raisePending(e);
    const from = insn.ops[1];
    if (double) vector(e, insn, 1);
    else if (from.kind === 'reg') {
      c.get(e.xmm(from.num)).v128(-1n, 0n).simd(Simd.and);
    } else {
      e.ea();
      e.loadWith(8, Type.v128, () => c.simdMem(Simd.load64_zero));
    }
    const b = e.toTemp(Type.v128);
    enterMmx(e);
    callExact(e, kind, double ? Shape.pd : Shape.ps, 0, { a: b, b });
    writeMmx(e, mmxNumber(insn, 0));
  };
}

/** CVTPI2PS and CVTPI2PD push what to write. From memory they have nothing to do with the x87 unit. */
function fromIntegers(convert: (e: Emitter, insn: Insn) => void): Lower {
  return (e, insn) => {
    const fromRegister = insn.ops[1].kind === 'reg';
    if (fromRegister) raisePending(e);
    mmxOperand(e, insn, 1);
    if (fromRegister) enterMmx(e);
    convert(e, insn);
    setXmm(e, insn);
  };
}

/** The upper half of the destination stays. */
const toSingles = fromIntegers((e, insn) => {
  const { c } = e;
  const b = e.toTemp(Type.v128);
  callExact(e, SseKind.fromI32, Shape.ps, 0, { a: b, b });
  const result = e.toTemp(Type.v128);
  c.get(e.xmm(xmmNumber(insn, 0)));
  c.get(result).simdLane(Simd.i64x2_extract_lane, 0).simdLane(Simd.i64x2_replace_lane, 0);
});

/** Exact. */
const toDoubles = fromIntegers((e) => e.c.simd(Simd.f64x2_convert_low_i32x4_s));

/** EMMS: all x87 registers are empty, and TOP = 0. */
const leave: Lower = (e) => {
  raisePending(e);
  enterMmx(e);
  e.c.get(Emitter.CPU).i32(0xffff).mem(Op.i32_store16, CpuState.ftw);
};

export const rows: readonly Row[] = [
  ...mmxRow('Movd_mm_rm32', fromGeneral(4)),
  ...mmxRow('Movq_mm_rm64', fromGeneral(8)),
  ...mmxRow('Movd_rm32_mm', toGeneral(4)),
  ...mmxRow('Movq_rm64_mm', toGeneral(8)),
  ...mmxRow('Movq_mm_mmm64', load),
  ...mmxRow('Movq_mmm64_mm Movntq_m64_mm', store),
  ...mmxRow('Movq2dq_xmm_mm', toXmm),
  ...mmxRow('Movdq2q_mm_xmm', fromXmm),
  ...mmxRow('Maskmovq_rDI_mm_mm', maskedStore),
  ...mmxRow('Pinsrw_mm_r32m16_imm8 Pinsrw_mm_r64m16_imm8', insertWord),
  ...mmxRow('Pextrw_r32_mm_imm8 Pextrw_r64_mm_imm8', extractWord),
  ...mmxRow('Pmovmskb_r32_mm Pmovmskb_r64_mm', moveMask),
  ...conversion('Cvtps2pi_mm_xmmm64', toIntegers(SseKind.toI32, false)),
  ...conversion('Cvttps2pi_mm_xmmm64', toIntegers(SseKind.truncateToI32, false)),
  ...conversion('Cvtpd2pi_mm_xmmm128', toIntegers(SseKind.toI32, true)),
  ...conversion('Cvttpd2pi_mm_xmmm128', toIntegers(SseKind.truncateToI32, true)),
  ...conversion('Cvtpi2ps_xmm_mmm64', toSingles),
  ...conversion('Cvtpi2pd_xmm_mmm64', toDoubles),
  ...sseRow('Emms', leave, { mayRaise: true }),
];
