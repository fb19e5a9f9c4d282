import { Op, Type } from '../../wasm/opcodes.js';
import { Simd } from '../../wasm/simd.js';
import type { Row } from '../row.js';
import { Shape, SseKind } from '../sse-operations.js';
import { strange } from './sse-arithmetic.js';
import { callExact, floatLower, type Format, formatOf, isPacked, shapeOperands } from './sse-float.js';
import { imm8, type Lower, sseRow } from './sse-operands.js';

/** CMPxx, COMISx, UCOMISx. With neither NaN nor denormals they raise nothing, whatever MXCSR says. */

/** Opcode of a predicate (imm8[2:0]) for ordered operands; null for those that are then always false or true. */
const predicate = (f: Format, imm: number): number | null =>
  [f.eq, f.lt, f.le, null, f.ne, f.ge, f.gt, null][imm & 7];

function compare(shape: number): Lower {
  const f = formatOf(shape);
  const packed = isPacked(shape);
  return floatLower(shape, (e, insn, o) => {
    const { c } = e;
    // Legacy encodings ignore the immediate's upper five bits.
    const imm = imm8(insn, 2) & 7;
    strange(e, f, o, packed);
    e.mayFault();
    c.unlikely().if(Type.v128);
    callExact(e, SseKind.compare, shape, imm, o);
    c.else();
    if (!packed) c.get(o.a);
    const opcode = predicate(f, imm);
    if (opcode === null) c.v128(imm === 7 ? -1n : 0n, imm === 7 ? -1n : 0n);
    else c.get(o.a).get(o.b).simd(opcode);
    if (!packed) {
      if (f.bytes === 8) c.simdLane(Simd.i64x2_extract_lane, 0).simdLane(Simd.i64x2_replace_lane, 0);
      else c.simdLane(Simd.i32x4_extract_lane, 0).simdLane(Simd.i32x4_replace_lane, 0);
    }
    c.end();
  });
}

function compareFlags(kind: number, shape: number): Lower {
  const f = formatOf(shape);
  return (e, insn) => {
    const { c } = e;
    const o = shapeOperands(e, insn, shape);
    strange(e, f, o, false);
    e.mayFault();
    c.unlikely().if(Type.i32);
    callExact(e, kind, shape, 0, o);
    c.simdLane(Simd.i32x4_extract_lane, 0);
    c.else();
    // CF for a < b, ZF for equal; PF would be unordered.
    const operands = () => c.get(o.a).simdLane(f.extract, 0).get(o.b).simdLane(f.extract, 0);
    operands().op(f.scalarEq).i32(6).op(Op.i32_shl);
    operands().op(f.scalarLt).op(Op.i32_or);
    c.end();
    e.setFlagBits();
  };
}

const raising = { mayRaise: true };
const flags = { mayRaise: true, killsFlags: true };

export const rows: readonly Row[] = [
  ...sseRow('Cmpss_xmm_xmmm32_imm8', compare(Shape.ss), raising),
  ...sseRow('Cmpsd_xmm_xmmm64_imm8', compare(Shape.sd), raising),
  ...sseRow('Cmpps_xmm_xmmm128_imm8', compare(Shape.ps), raising),
  ...sseRow('Cmppd_xmm_xmmm128_imm8', compare(Shape.pd), raising),
  ...sseRow('Comiss_xmm_xmmm32', compareFlags(SseKind.comi, Shape.ss), flags),
  ...sseRow('Comisd_xmm_xmmm64', compareFlags(SseKind.comi, Shape.sd), flags),
  ...sseRow('Ucomiss_xmm_xmmm32', compareFlags(SseKind.ucomi, Shape.ss), flags),
  ...sseRow('Ucomisd_xmm_xmmm64', compareFlags(SseKind.ucomi, Shape.sd), flags),
];
