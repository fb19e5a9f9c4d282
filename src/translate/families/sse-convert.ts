import { Misc, Op, Type } from '../../wasm/opcodes.js';
import { Simd } from '../../wasm/simd.js';
import type { Emitter } from '../emitter.js';
import type { Insn } from '../insn.js';
import type { Row } from '../row.js';
import { Shape, SseKind } from '../sse-operations.js';
import {
  callExact,
  denormal,
  DOUBLE,
  extraordinary,
  floatLower,
  type Format,
  formatOf,
  isPacked,
  notFinite,
  notNumber,
  SINGLE,
  slowness,
} from './sse-float.js';
import {
  imm8,
  type Lower,
  lowVector,
  setXmm,
  splat,
  sseRow,
  unary,
  vector,
  xmmNumber,
} from './sse-operands.js';

/** CVTxx2xx between integers and the two formats, and ROUNDxx. */

/**
 * Pops whether the result is inexact (i32, any value); pushes a mask that isn't 0 if that matters: unless PE is set and
 * rounding is to nearest. An exact result doesn't depend on MXCSR.
 */
function slowIfInexact(e: Emitter): void {
  const inexact = e.toTemp(Type.i32);
  slowness(e);
  e.c.i32(0).get(inexact).op(Op.select);
}

/** A rounding to an integer: its f64, f32x4 and f64x2 opcodes. */
interface Rounding {
  readonly f64: number;
  readonly f32x4: number;
  readonly f64x2: number;
}

const NEAREST: Rounding = { f64: Op.f64_nearest, f32x4: Simd.f32x4_nearest, f64x2: Simd.f64x2_nearest };
const DOWN: Rounding = { f64: Op.f64_floor, f32x4: Simd.f32x4_floor, f64x2: Simd.f64x2_floor };
const UP: Rounding = { f64: Op.f64_ceil, f32x4: Simd.f32x4_ceil, f64x2: Simd.f64x2_ceil };
const TRUNCATE: Rounding = { f64: Op.f64_trunc, f32x4: Simd.f32x4_trunc, f64x2: Simd.f64x2_trunc };

const packedRounding = (f: Format, mode: Rounding) => (f.bytes === 8 ? mode.f64x2 : mode.f32x4);

/** CVTSS2SI, CVTSD2SI and the truncating CVTTxx2SI. */
function toGeneral(f: Format, bytes: 4 | 8, truncate: boolean): Lower {
  const shape = f.bytes === 8 ? Shape.sd : Shape.ss;
  const kind =
    bytes === 8
      ? truncate
        ? SseKind.truncateToI64
        : SseKind.toI64
      : truncate
        ? SseKind.truncateToI32
        : SseKind.toI32;
  return (e, insn) => {
    const { c } = e;
    const to = insn.ops[0];
    if (to.kind !== 'reg') return;
    lowVector(e, insn, 1, f.bytes);
    const b = e.toTemp(Type.v128);
    c.get(b).simdLane(f.extract, 0);
    if (f.bytes === 4) c.op(Op.f64_promote_f32);
    const x = e.toTemp(Type.f64);
    c.get(x).op((truncate ? TRUNCATE : NEAREST).f64);
    const y = e.toTemp(Type.f64);
    c.get(y).get(x).op(Op.f64_ne);
    slowIfInexact(e);
    // Out of range, or NaN.
    c.get(y)
      .op(Op.f64_abs)
      .f64(2 ** (8 * bytes - 1))
      .op(Op.f64_lt)
      .op(Op.i32_eqz)
      .op(Op.i32_or);
    e.mayFault();
    c.unlikely().if(Type.i64);
    callExact(e, kind, shape, 0, { a: b, b });
    if (bytes === 8) c.simdLane(Simd.i64x2_extract_lane, 0);
    else c.simdLane(Simd.i32x4_extract_lane, 0).op(Op.i64_extend_i32_u);
    c.else();
    c.get(y);
    if (bytes === 8) c.misc(Misc.i64_trunc_sat_f64_s);
    else c.misc(Misc.i32_trunc_sat_f64_s).op(Op.i64_extend_i32_u);
    c.end();
    c.set(e.gprW(to.num));
  };
}

/** CVTSI2SD from 32 bits: always exact. */
function doubleFromI32(e: Emitter, insn: Insn): void {
  const { c } = e;
  e.readOp(1, 4);
  c.op(Op.f64_convert_i32_s);
  const r = e.toTemp(Type.f64);
  c.get(e.xmm(xmmNumber(insn, 0)))
    .get(r)
    .simdLane(Simd.f64x2_replace_lane, 0);
  setXmm(e, insn);
}

/** CVTSI2SS, and CVTSI2SD from 64 bits. Integers of as many bits as the significand has are exact. */
function fromGeneral(f: Format, bytes: 4 | 8): Lower {
  return (e, insn) => {
    const { c } = e;
    e.readOp(1, bytes);
    if (bytes === 4) c.op(Op.i64_extend_i32_s);
    const x = e.toTemp(Type.i64);
    const a = e.xmm(xmmNumber(insn, 0));
    const exact = 1n << (f.fraction + 1n);
    c.get(x)
      .i64(exact)
      .op(Op.i64_add)
      .i64(2n * exact)
      .op(Op.i64_gt_u);
    slowIfInexact(e);
    e.mayFault();
    c.unlikely().if(Type.v128);
    c.get(x).simd(Simd.i64x2_splat);
    const b = e.toTemp(Type.v128);
    callExact(e, SseKind.fromI64, f.bytes === 8 ? Shape.sd : Shape.ss, 0, { a, b });
    c.else();
    c.get(a)
      .get(x)
      .op(f.bytes === 8 ? Op.f64_convert_i64_s : Op.f32_convert_i64_s)
      .simdLane(f.replace, 0);
    c.end();
    setXmm(e, insn);
  };
}

/** CVTSS2SD: exact; only denormals (DE), NaN and, for simplicity, infinities are left to the exact operation. */
const widenScalar: Lower = (e, insn) => {
  const { c } = e;
  lowVector(e, insn, 1, 4);
  const b = e.toTemp(Type.v128);
  const a = e.xmm(xmmNumber(insn, 0));
  denormal(e, SINGLE, b);
  notFinite(e, SINGLE, b);
  c.simd(Simd.or).simd(Simd.i32x4_bitmask).i32(1).op(Op.i32_and);
  e.mayFault();
  c.unlikely().if(Type.v128);
  callExact(e, SseKind.convert, Shape.sd, 0, { a, b });
  c.else();
  c.get(a).get(b).simdLane(Simd.f32x4_extract_lane, 0).op(Op.f64_promote_f32);
  c.simdLane(Simd.f64x2_replace_lane, 0);
  c.end();
  setXmm(e, insn);
};

/** CVTPS2PD. */
const widenPacked: Lower = (e, insn) => {
  const { c } = e;
  lowVector(e, insn, 1, 8);
  const b = e.toTemp(Type.v128);
  denormal(e, SINGLE, b);
  notFinite(e, SINGLE, b);
  c.simd(Simd.or).simd(Simd.i32x4_bitmask).i32(3).op(Op.i32_and);
  e.mayFault();
  c.unlikely().if(Type.v128);
  callExact(e, SseKind.convert, Shape.pd, 0, { a: b, b });
  c.else();
  c.get(b).simd(Simd.f64x2_promote_low_f32x4);
  c.end();
  setXmm(e, insn);
};

/** CVTSD2SS, CVTPD2PS. A result of 0 is that of 0 or has underflown; a denormal double becomes 0. */
function narrow(packed: boolean): Lower {
  return (e, insn) => {
    const { c } = e;
    if (packed) vector(e, insn, 1);
    else lowVector(e, insn, 1, 8);
    const b = e.toTemp(Type.v128);
    const a = packed ? b : e.xmm(xmmNumber(insn, 0));
    c.get(b).simd(Simd.f32x4_demote_f64x2_zero);
    const r = e.toTemp(Type.v128);
    const relevant = () => {
      if (!packed) c.i32(1).op(Op.i32_and);
    };
    c.get(r).simd(Simd.f64x2_promote_low_f32x4).get(b).simd(Simd.f64x2_ne).simd(Simd.i64x2_bitmask);
    relevant();
    slowIfInexact(e);
    extraordinary(e, SINGLE, r);
    c.simd(Simd.i32x4_bitmask);
    c.get(b).v128(0n, 0n).simd(Simd.f64x2_ne).simd(Simd.i64x2_bitmask).op(Op.i32_and);
    relevant();
    c.op(Op.i32_or);
    e.mayFault();
    c.unlikely().if(Type.v128);
    callExact(e, SseKind.convert, packed ? Shape.ps : Shape.ss, 0, { a, b });
    c.else();
    if (packed) c.get(r);
    else {
      c.get(a).get(r).simdLane(Simd.f32x4_extract_lane, 0).simdLane(Simd.f32x4_replace_lane, 0);
    }
    c.end();
    setXmm(e, insn);
  };
}

/** CVTDQ2PS. */
const singlesFromI32: Lower = (e, insn) => {
  const { c } = e;
  vector(e, insn, 1);
  const b = e.toTemp(Type.v128);
  // Outside of ±2^24, moved so that a signed comparison checks both bounds.
  c.get(b);
  splat(e, 4, (1n << 31n) + (1n << 24n));
  c.simd(Simd.i32x4_add);
  splat(e, 4, (1n << 31n) + (1n << 25n));
  c.simd(Simd.i32x4_gt_s).simd(Simd.any_true);
  slowIfInexact(e);
  e.mayFault();
  c.unlikely().if(Type.v128);
  callExact(e, SseKind.fromI32, Shape.ps, 0, { a: b, b });
  c.else();
  c.get(b).simd(Simd.f32x4_convert_i32x4_s);
  c.end();
  setXmm(e, insn);
};

/** CVTDQ2PD: exact. */
const doublesFromI32: Lower = (e, insn) => {
  lowVector(e, insn, 1, 8);
  e.c.simd(Simd.f64x2_convert_low_i32x4_s);
  setXmm(e, insn);
};

/** CVTPS2DQ, CVTPD2DQ and the truncating CVTTxx2DQ. */
function toPackedI32(f: Format, truncate: boolean): Lower {
  return unary((e) => {
    const { c } = e;
    const b = e.toTemp(Type.v128);
    c.get(b).simd(packedRounding(f, truncate ? TRUNCATE : NEAREST));
    const y = e.toTemp(Type.v128);
    c.get(y).get(b).simd(f.ne).simd(Simd.any_true);
    slowIfInexact(e);
    c.get(y).simd(f.abs);
    splat(e, f.bytes, f.bytes === 8 ? 0x41e0_0000_0000_0000n : 0x4f00_0000n); // 2^31
    c.simd(f.lt)
      .simd(f.bytes === 8 ? Simd.i64x2_all_true : Simd.i32x4_all_true)
      .op(Op.i32_eqz)
      .op(Op.i32_or);
    e.mayFault();
    c.unlikely().if(Type.v128);
    const kind = truncate ? SseKind.truncateToI32 : SseKind.toI32;
    callExact(e, kind, f.bytes === 8 ? Shape.pd : Shape.ps, 0, { a: b, b });
    c.else();
    c.get(y).simd(f.bytes === 8 ? Simd.i32x4_trunc_sat_f64x2_s_zero : Simd.i32x4_trunc_sat_f32x4_s);
    c.end();
  });
}

/** ROUNDxx: imm[1:0] is the mode unless imm[2] asks for MXCSR's; imm[3] keeps PE as it is. */
function round(shape: number): Lower {
  const f = formatOf(shape);
  const packed = isPacked(shape);
  return floatLower(shape, (e, insn, o) => {
    const { c } = e;
    const imm = imm8(insn, 2) & 15;
    const mode = imm & 4 ? NEAREST : [NEAREST, DOWN, UP, TRUNCATE][imm & 3];
    c.get(o.b).simd(packedRounding(f, mode));
    const r = e.toTemp(Type.v128);
    const relevant = () => {
      if (!packed) c.i32(1).op(Op.i32_and);
    };
    denormal(e, f, o.b);
    notNumber(e, f, o.b);
    c.simd(Simd.or).simd(f.bitmask);
    relevant();
    if (!(imm & 8) || imm & 4) {
      c.get(r).get(o.b).simd(f.ne).simd(f.bitmask);
      relevant();
      slowIfInexact(e);
      // With PE kept, only the mode matters.
      if (imm & 8) c.i32(2).op(Op.i32_and);
      c.op(Op.i32_or);
    }
    e.mayFault();
    c.unlikely().if(Type.v128);
    callExact(e, SseKind.round, shape, imm, o);
    c.else();
    if (packed) c.get(r);
    else c.get(o.a).get(r).simdLane(f.extract, 0).simdLane(f.replace, 0);
    c.end();
  });
}

const raising = { mayRaise: true };

export const rows: readonly Row[] = [
  ...sseRow('Cvtss2si_r32_xmmm32', toGeneral(SINGLE, 4, false), raising),
  ...sseRow('Cvtss2si_r64_xmmm32', toGeneral(SINGLE, 8, false), raising),
  ...sseRow('Cvtsd2si_r32_xmmm64', toGeneral(DOUBLE, 4, false), raising),
  ...sseRow('Cvtsd2si_r64_xmmm64', toGeneral(DOUBLE, 8, false), raising),
  ...sseRow('Cvttss2si_r32_xmmm32', toGeneral(SINGLE, 4, true), raising),
  ...sseRow('Cvttss2si_r64_xmmm32', toGeneral(SINGLE, 8, true), raising),
  ...sseRow('Cvttsd2si_r32_xmmm64', toGeneral(DOUBLE, 4, true), raising),
  ...sseRow('Cvttsd2si_r64_xmmm64', toGeneral(DOUBLE, 8, true), raising),
  ...sseRow('Cvtsi2sd_xmm_rm32', doubleFromI32),
  ...sseRow('Cvtsi2sd_xmm_rm64', fromGeneral(DOUBLE, 8), raising),
  ...sseRow('Cvtsi2ss_xmm_rm32', fromGeneral(SINGLE, 4), raising),
  ...sseRow('Cvtsi2ss_xmm_rm64', fromGeneral(SINGLE, 8), raising),
  ...sseRow('Cvtss2sd_xmm_xmmm32', widenScalar, raising),
  ...sseRow('Cvtsd2ss_xmm_xmmm64', narrow(false), raising),
  ...sseRow('Cvtps2pd_xmm_xmmm64', widenPacked, raising),
  ...sseRow('Cvtpd2ps_xmm_xmmm128', narrow(true), raising),
  ...sseRow('Cvtdq2ps_xmm_xmmm128', singlesFromI32, raising),
  ...sseRow('Cvtdq2pd_xmm_xmmm64', doublesFromI32),
  ...sseRow('Cvtps2dq_xmm_xmmm128', toPackedI32(SINGLE, false), raising),
  ...sseRow('Cvttps2dq_xmm_xmmm128', toPackedI32(SINGLE, true), raising),
  ...sseRow('Cvtpd2dq_xmm_xmmm128', toPackedI32(DOUBLE, false), raising),
  ...sseRow('Cvttpd2dq_xmm_xmmm128', toPackedI32(DOUBLE, true), raising),
  ...sseRow('Roundss_xmm_xmmm32_imm8', round(Shape.ss), raising),
  ...sseRow('Roundsd_xmm_xmmm64_imm8', round(Shape.sd), raising),
  ...sseRow('Roundps_xmm_xmmm128_imm8', round(Shape.ps), raising),
  ...sseRow('Roundpd_xmm_xmmm128_imm8', round(Shape.pd), raising),
];
