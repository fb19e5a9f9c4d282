import { ALL_RANGES, VECTOR } from '../../cpu/float-ranges.js';
import { CpuState, Gpr, Vector } from '../../cpu/state.js';
import { MXCSR_DEFAULT, MXCSR_MASK, MXCSR_PE_BIT, MXCSR_SETTINGS } from '../../cpu/xsave.js';
import { Op, Type } from '../../wasm/opcodes.js';
import { Simd } from '../../wasm/simd.js';
import { Emitter } from '../emitter.js';
import type { Insn } from '../insn.js';
import type { Row } from '../row.js';
import {
  lowVector,
  type Lower,
  setXmm,
  sseRow,
  storeMemory,
  unary,
  vector,
  xmmNumber,
} from './sse-operands.js';

/** SSE data movement: MOVAPS and its kin, MOVSS, MOVSD, MOVD, MOVQ, halves, masks, MASKMOVDQU, LDMXCSR, STMXCSR. */

/** 16 bytes between register or memory and register or memory. */
function moveWhole(aligned: boolean): Lower {
  return (e, insn) => {
    if (insn.ops[0].kind === 'reg') {
      vector(e, insn, 1, aligned);
      setXmm(e, insn);
      return;
    }
    const from = e.xmm(xmmNumber(insn, 1));
    storeMemory(e, 16, (offset) => e.c.get(from).simdMem(Simd.v128_store, offset), aligned);
  };
}

/** MOVSS, MOVSD: from memory clears the rest of the register, from a register keeps it. MOVQ (`zero`) always clears it. */
function moveScalar(bytes: 4 | 8, zero = false): Lower {
  return (e, insn) => {
    const { c } = e;
    const [to, from] = insn.ops;
    if (to.kind === 'mem') {
      const source = e.xmm(xmmNumber(insn, 1));
      const opcode = bytes === 8 ? Simd.store64_lane : Simd.store32_lane;
      storeMemory(e, bytes, (offset) => c.get(source).simdMemLane(opcode, 0, offset));
      return;
    }
    if (from.kind === 'mem') lowVector(e, insn, 1, bytes);
    else {
      if (zero) c.v128(0n, 0n);
      else c.get(e.xmm(xmmNumber(insn, 0)));
      c.get(e.xmm(xmmNumber(insn, 1)));
      if (bytes === 8) c.simdLane(Simd.f64x2_extract_lane, 0).simdLane(Simd.f64x2_replace_lane, 0);
      else c.simdLane(Simd.f32x4_extract_lane, 0).simdLane(Simd.f32x4_replace_lane, 0);
    }
    setXmm(e, insn);
  };
}

/** MOVLPS, MOVHPS and their PD twins: a half between register and memory. */
function moveHalf(lane: 0 | 1): Lower {
  return (e, insn) => {
    const { c } = e;
    if (insn.ops[0].kind === 'mem') {
      const from = e.xmm(xmmNumber(insn, 1));
      storeMemory(e, 8, (offset) => c.get(from).simdMemLane(Simd.store64_lane, lane, offset));
      return;
    }
    const to = e.xmm(xmmNumber(insn, 0));
    e.ea();
    e.loadWith(8, Type.v128, () => c.get(to).simdMemLane(Simd.load64_lane, lane));
    setXmm(e, insn);
  };
}

/** MOVHLPS, MOVLHPS. */
function halfToHalf(from: 0 | 1, to: 0 | 1): Lower {
  return (e, insn) => {
    const { c } = e;
    c.get(e.xmm(xmmNumber(insn, 0))).get(e.xmm(xmmNumber(insn, 1)));
    c.simdLane(Simd.i64x2_extract_lane, from).simdLane(Simd.i64x2_replace_lane, to);
    setXmm(e, insn);
  };
}

/** MOVD, MOVQ from a general-purpose register or memory. */
function fromGeneral(bytes: 4 | 8): Lower {
  return (e, insn) => {
    const { c } = e;
    if (insn.ops[1].kind === 'mem') lowVector(e, insn, 1, bytes);
    else {
      c.v128(0n, 0n);
      e.readOp(1, bytes);
      c.simdLane(bytes === 8 ? Simd.i64x2_replace_lane : Simd.i32x4_replace_lane, 0);
    }
    setXmm(e, insn);
  };
}

/** MOVD, MOVQ to a general-purpose register or memory. */
function toGeneral(bytes: 4 | 8): Lower {
  return (e, insn) => {
    const { c } = e;
    const from = e.xmm(xmmNumber(insn, 1));
    if (insn.ops[0].kind === 'mem') {
      const opcode = bytes === 8 ? Simd.store64_lane : Simd.store32_lane;
      storeMemory(e, bytes, (offset) => c.get(from).simdMemLane(opcode, 0, offset));
      return;
    }
    c.get(from).simdLane(bytes === 8 ? Simd.i64x2_extract_lane : Simd.i32x4_extract_lane, 0);
    e.writeOp(0, bytes);
  };
}

/** MOVMSKPS, MOVMSKPD, PMOVMSKB: sign bits into a register, zero-extended. */
function signMask(opcode: number): Lower {
  return (e, insn) => {
    const to = insn.ops[0];
    if (to.kind !== 'reg') return;
    e.c
      .get(e.xmm(xmmNumber(insn, 1)))
      .simd(opcode)
      .op(Op.i64_extend_i32_u)
      .set(e.gprW(to.num));
  };
}

/** MOVNTI: a plain store; weaker ordering is a permission, not a duty. */
function storeGeneral(bytes: 4 | 8): Lower {
  return (e) => {
    e.readOp(1, bytes);
    e.writeOp(0, bytes);
  };
}

/** MASKMOVDQU: the bytes whose mask has its top bit set, to [RDI] (or EDI, with an FS or GS base). */
function maskedStore(e: Emitter, insn: Insn): void {
  const { c } = e;
  // iced has the implicit operand as insn.mem.
  e.ea(insn.mem ?? { base: Gpr.rdi, index: -1, scale: 1, disp: 0, segment: 'none', addressSize: 8 });
  const m = e.modify(16);
  const from = e.xmm(xmmNumber(insn, 1));
  c.get(e.xmm(xmmNumber(insn, 2))).simd(Simd.i8x16_bitmask);
  const mask = e.toTemp(Type.i32);
  for (let i = 0; i < 16; i++) {
    c.get(mask)
      .i32(1 << i)
      .op(Op.i32_and);
    c.if();
    c.get(m.pointer).get(from).simdMemLane(Simd.store8_lane, i, i);
    c.end();
  }
  e.commit(m);
}

/** LDMXCSR. What follows from it is set as by setMxcsr (src/cpu/xsave.ts); reserved bits are #GP (SDM vol. 1, 10.2.3). */
function loadMxcsr(e: Emitter): void {
  const { c } = e;
  e.ea();
  e.load(4);
  const value = e.toTemp(Type.i32);
  c.get(value).i32(~MXCSR_MASK).op(Op.i32_and);
  e.raiseIf(Vector.GP);
  c.get(Emitter.CPU).get(value).mem(Op.i32_store, CpuState.mxcsr);
  // mxcsrSlow
  c.get(value).i32(MXCSR_SETTINGS).op(Op.i32_and).i32(MXCSR_DEFAULT).op(Op.i32_ne).i32(1).op(Op.i32_shl);
  c.get(value).i32(MXCSR_PE_BIT).op(Op.i32_shr_u).i32(-1).op(Op.i32_xor).i32(1).op(Op.i32_and).op(Op.i32_or);
  const slow = e.toTemp(Type.i32);
  c.get(Emitter.CPU).get(slow).mem(Op.i32_store, CpuState.mxcsrSlow);
  // setFloatRanges, but for what never changes
  for (const range of ALL_RANGES) {
    const bound = (field: number, passable: () => void) => {
      c.get(Emitter.CPU).i64(range.bound).i64(range.impassable).get(slow);
      passable();
      c.op(Op.select)
        .simd(Simd.i64x2_splat)
        .simdMem(Simd.v128_store, field + VECTOR * range.index);
    };
    bound(CpuState.floatBounds, () => c.op(Op.i32_eqz));
    bound(CpuState.floatBoundsExact, () => c.i32(2).op(Op.i32_lt_u));
  }
  e.forgetFields();
}

function storeMxcsr(e: Emitter): void {
  const { c } = e;
  c.get(Emitter.CPU).mem(Op.i32_load, CpuState.mxcsr);
  e.writeOp(0, 4);
}

/** CLFLUSH: nothing to flush, but it is checked as a load of the byte. */
function flushLine(e: Emitter): void {
  e.ea();
  e.readPointer(1);
  e.c.op(Op.drop);
}

/** Doubles lanes: MOVSLDUP, MOVSHDUP. */
const duplicate = (numbers: readonly number[]): Lower =>
  unary((e) => {
    const source = e.toTemp(Type.v128);
    e.c
      .get(source)
      .get(source)
      .shuffle(numbers.flatMap((n) => [4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3]));
  });

/** MOVDDUP. */
function duplicateLow(e: Emitter, insn: Insn): void {
  const { c } = e;
  if (insn.ops[1].kind === 'mem') {
    e.ea();
    e.loadWith(8, Type.v128, () => c.simdMem(Simd.load64_splat));
  } else {
    c.get(e.xmm(xmmNumber(insn, 1)))
      .simdLane(Simd.f64x2_extract_lane, 0)
      .simd(Simd.f64x2_splat);
  }
  setXmm(e, insn);
}

export const rows: readonly Row[] = [
  ...sseRow(
    'Movaps_xmm_xmmm128 Movaps_xmmm128_xmm Movapd_xmm_xmmm128 Movapd_xmmm128_xmm Movdqa_xmm_xmmm128 Movdqa_xmmm128_xmm ' +
      'Movntps_m128_xmm Movntpd_m128_xmm Movntdq_m128_xmm Movntdqa_xmm_m128',
    moveWhole(true),
  ),
  ...sseRow(
    'Movups_xmm_xmmm128 Movups_xmmm128_xmm Movupd_xmm_xmmm128 Movupd_xmmm128_xmm Movdqu_xmm_xmmm128 Movdqu_xmmm128_xmm ' +
      'Lddqu_xmm_m128',
    moveWhole(false),
  ),
  ...sseRow('Movss_xmm_xmmm32 Movss_xmmm32_xmm', moveScalar(4)),
  ...sseRow('Movsd_xmm_xmmm64 Movsd_xmmm64_xmm', moveScalar(8)),
  ...sseRow('Movq_xmm_xmmm64', moveScalar(8, true)),
  ...sseRow('Movq_xmmm64_xmm', (e, insn) => {
    if (insn.ops[0].kind === 'reg') moveScalar(8, true)(e, insn);
    else moveScalar(8)(e, insn);
  }),
  ...sseRow('Movlps_xmm_m64 Movlps_m64_xmm Movlpd_xmm_m64 Movlpd_m64_xmm', moveHalf(0)),
  ...sseRow('Movhps_xmm_m64 Movhps_m64_xmm Movhpd_xmm_m64 Movhpd_m64_xmm', moveHalf(1)),
  ...sseRow('Movhlps_xmm_xmm', halfToHalf(1, 0)),
  ...sseRow('Movlhps_xmm_xmm', halfToHalf(0, 1)),
  ...sseRow('Movd_xmm_rm32', fromGeneral(4)),
  ...sseRow('Movq_xmm_rm64', fromGeneral(8)),
  ...sseRow('Movd_rm32_xmm', toGeneral(4)),
  ...sseRow('Movq_rm64_xmm', toGeneral(8)),
  ...sseRow('Movmskps_r32_xmm Movmskps_r64_xmm', signMask(Simd.i32x4_bitmask)),
  ...sseRow('Movmskpd_r32_xmm Movmskpd_r64_xmm', signMask(Simd.i64x2_bitmask)),
  ...sseRow('Pmovmskb_r32_xmm Pmovmskb_r64_xmm', signMask(Simd.i8x16_bitmask)),
  ...sseRow('Movnti_m32_r32', storeGeneral(4)),
  ...sseRow('Movnti_m64_r64', storeGeneral(8)),
  ...sseRow('Movsldup_xmm_xmmm128', duplicate([0, 0, 2, 2])),
  ...sseRow('Movshdup_xmm_xmmm128', duplicate([1, 1, 3, 3])),
  ...sseRow('Movddup_xmm_xmmm64', duplicateLow),
  ...sseRow('Maskmovdqu_rDI_xmm_xmm', maskedStore, { mayRaise: true }),
  ...sseRow('Ldmxcsr_m32', loadMxcsr),
  ...sseRow('Stmxcsr_m32', storeMxcsr),
  ...sseRow('Clflush_m8', flushLine),
];
