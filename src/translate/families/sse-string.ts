import { Flag } from '../../cpu/flags.js';
import { Gpr } from '../../cpu/state.js';
import { Op, Type } from '../../wasm/opcodes.js';
import { Simd } from '../../wasm/simd.js';
import type { Emitter } from '../emitter.js';
import type { Insn } from '../insn.js';
import type { Row } from '../row.js';
import { StringImm } from '../sse-strings.js';
import { imm8, type Lower, splat, sseRow, vector, xmmNumber } from './sse-operands.js';

/** PCMPESTRI PCMPESTRM PCMPISTRI PCMPISTRM and CRC32. */

/** Number of elements of a string that ends before its first zero element. */
function implicitLength(e: Emitter, value: number, words: boolean): void {
  const { c } = e;
  c.get(value).v128(0n, 0n);
  if (words) c.simd(Simd.i16x8_eq).simd(Simd.i16x8_bitmask);
  else c.simd(Simd.i8x16_eq).simd(Simd.i8x16_bitmask);
  c.i32(words ? 0x100 : 0x1_0000)
    .op(Op.i32_or)
    .op(Op.i32_ctz);
}

/** Number of elements as RAX or RDX says (EAX or EDX without REX.W): the absolute value, and no more than fit. */
function explicitLength(e: Emitter, register: number, wide: boolean, count: number): void {
  const { c } = e;
  c.get(e.gpr(register));
  if (!wide) c.op(Op.i64_extend32_s);
  const given = e.toTemp(Type.i64);
  c.i64(0).get(given).op(Op.i64_sub).get(given).get(given).i64(0).op(Op.i64_lt_s).op(Op.select);
  const length = e.toTemp(Type.i64);
  c.get(length).i64(count).get(length).i64(count).op(Op.i64_lt_u).op(Op.select).op(Op.i32_wrap_i64);
}

/** @param explicit lengths in registers: false, or whether they are 64-bit */
function compareStrings(explicit: false | { wide: boolean }, toMask: boolean): Lower {
  return (e, insn) => {
    const { c } = e;
    vector(e, insn, 1, false);
    const b = e.toTemp(Type.v128);
    const a = e.xmm(xmmNumber(insn, 0));
    const imm = imm8(insn, 2);
    const words = (imm & StringImm.words) !== 0;
    const count = words ? 8 : 16;
    if (explicit) explicitLength(e, Gpr.rax, explicit.wide, count);
    else implicitLength(e, a, words);
    const lengthA = e.toTemp(Type.i32);
    if (explicit) explicitLength(e, Gpr.rdx, explicit.wide, count);
    else implicitLength(e, b, words);
    const lengthB = e.toTemp(Type.i32);
    c.i32(imm).get(lengthA).get(lengthB).get(a).get(b);
    e.callHelper('stringMatch');
    const match = e.toTemp(Type.i32);

    // CF: any; ZF, SF: b, a ends; OF: the first.
    c.get(match).i32(0).op(Op.i32_ne);
    c.get(lengthB).i32(count).op(Op.i32_lt_u).i32(Math.log2(Flag.ZF)).op(Op.i32_shl).op(Op.i32_or);
    c.get(lengthA).i32(count).op(Op.i32_lt_u).i32(Math.log2(Flag.SF)).op(Op.i32_shl).op(Op.i32_or);
    c.get(match).i32(1).op(Op.i32_and).i32(Math.log2(Flag.OF)).op(Op.i32_shl).op(Op.i32_or);
    e.setFlagBits();

    const last = (imm & StringImm.last) !== 0;
    if (!toMask) {
      if (last) {
        // Without a match: the number of elements.
        c.i32(31).get(match).op(Op.i32_clz).op(Op.i32_sub);
        c.i32(count).get(match).op(Op.select);
      } else
        c.get(match)
          .i32(1 << count)
          .op(Op.i32_or)
          .op(Op.i32_ctz);
      c.op(Op.i64_extend_i32_u).set(e.gprW(Gpr.rcx));
    } else if (last) {
      expand(e, match, words);
      c.set(e.xmmW(0));
    } else c.v128(0n, 0n).get(match).simdLane(Simd.i32x4_replace_lane, 0).set(e.xmmW(0));
  };
}

/** Pushes lanes of ones for the bits of a mask (i32 local). */
function expand(e: Emitter, match: number, words: boolean): void {
  const { c } = e;
  if (words) {
    c.get(match).simd(Simd.i16x8_splat).v128(0x0008_0004_0002_0001n, 0x0080_0040_0020_0010n);
    const bits = e.toTemp(Type.v128);
    c.get(bits).simd(Simd.and).get(bits).simd(Simd.i16x8_eq);
    return;
  }
  // The low byte in the lower eight lanes, the high byte in the upper eight.
  c.get(match).simd(Simd.i16x8_splat);
  c.v128(0n, 0x0101_0101_0101_0101n).simd(Simd.swizzle);
  splat(e, 8, 0x8040_2010_0804_0201n);
  const bits = e.toTemp(Type.v128);
  c.get(bits).simd(Simd.and).get(bits).simd(Simd.i8x16_eq);
}

function crc32(e: Emitter, insn: Insn): void {
  const { c } = e;
  const [to, from] = insn.ops;
  if (to.kind !== 'reg') return;
  const bytes = from.kind === 'reg' ? from.size : insn.memorySize;
  e.readOp(1, bytes);
  if (bytes < 8) c.op(Op.i64_extend_i32_u);
  c.get(e.gpr(to.num))
    .i64(0xffff_ffff)
    .op(Op.i64_and)
    .op(Op.i64_xor)
    .i32(8 * bytes);
  e.callHelper('crc32');
  c.set(e.gprW(to.num));
}

const flags = { killsFlags: true };

export const rows: readonly Row[] = [
  ...sseRow('Pcmpistri_xmm_xmmm128_imm8', compareStrings(false, false), flags),
  ...sseRow('Pcmpistrm_xmm_xmmm128_imm8', compareStrings(false, true), flags),
  ...sseRow('Pcmpestri_xmm_xmmm128_imm8', compareStrings({ wide: false }, false), flags),
  ...sseRow('Pcmpestrm_xmm_xmmm128_imm8', compareStrings({ wide: false }, true), flags),
  ...sseRow('Pcmpestri64_xmm_xmmm128_imm8', compareStrings({ wide: true }, false), flags),
  ...sseRow('Pcmpestrm64_xmm_xmmm128_imm8', compareStrings({ wide: true }, true), flags),
  ...sseRow('Crc32_r32_rm8 Crc32_r64_rm8 Crc32_r32_rm16 Crc32_r32_rm32 Crc32_r64_rm64', crc32),
];
