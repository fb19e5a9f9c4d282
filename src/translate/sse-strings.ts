import { Code } from '../wasm/code.js';
import { Op, Type } from '../wasm/opcodes.js';
import { Simd } from '../wasm/simd.js';

/** Fields of the immediate of PCMPxSTRx (SDM vol. 2B, 4.1). */
export const StringImm = { words: 1, signed: 2, aggregation: 0xc, polarity: 0x30, last: 0x40 } as const;
const Aggregation = { any: 0, ranges: 4, each: 8, ordered: 12 } as const;
const NEGATIVE = 0x10;

/**
 * The body of stringMatch(imm, lengthA, lengthB, a, b) -> i32: IntRes2 of PCMPxSTRx, a bit for each element of b.
 * Lengths are in elements, 0 to 8 or 16.
 */
export function stringMatchBody(): Uint8Array {
  const c = new Code(5);
  const [imm, lengthA, lengthB, a, b] = [0, 1, 2, 3, 4];
  const result = c.local(Type.i32);
  const validB = c.local(Type.i32);
  const all = c.local(Type.i32);
  const words = c.local(Type.i32);
  const i = c.local(Type.i32);
  const found = c.local(Type.v128);
  const low = c.local(Type.v128);

  /** Pops two v128; pushes a byte or word operation on them. */
  const byElement = (bytes: number, wordsOpcode: number) => {
    const y = c.local(Type.v128);
    const x = c.local(Type.v128);
    c.set(y).set(x).get(words);
    c.if(Type.v128).get(x).get(y).simd(wordsOpcode);
    c.else().get(x).get(y).simd(bytes).end();
  };
  /** Pops lanes of ones and zeros; pushes a bit for each. */
  const bits = () => {
    const x = c.local(Type.v128);
    c.set(x).get(words);
    c.if(Type.i32).get(x).simd(Simd.i16x8_bitmask);
    c.else().get(x).simd(Simd.i8x16_bitmask).end();
  };
  /** Pushes a's element number `i` + offset in all elements. */
  const element = (offset: number) => {
    c.get(a);
    c.get(words);
    c.if(Type.v128);
    c.get(i)
      .i32(offset)
      .op(Op.i32_add)
      .i32(0x202)
      .op(Op.i32_mul)
      .i32(0x100)
      .op(Op.i32_add)
      .simd(Simd.i16x8_splat);
    c.else();
    c.get(i).i32(offset).op(Op.i32_add).simd(Simd.i8x16_splat);
    c.end();
    c.simd(Simd.swizzle);
  };
  /** Runs `step` for i = 0, `by`, … while i + by <= lengthA. */
  const loop = (by: number, step: () => void) => {
    c.i32(0).set(i);
    const done = c.block();
    const again = c.loop();
    c.get(i).i32(by).op(Op.i32_add).get(lengthA).op(Op.i32_gt_u).brIf(done);
    step();
    c.get(i).i32(by).op(Op.i32_add).set(i).br(again);
    c.end();
    c.end();
  };
  const mask = (length: () => void) => {
    c.i32(1);
    length();
    c.op(Op.i32_shl).i32(1).op(Op.i32_sub);
  };

  c.get(imm).i32(StringImm.words).op(Op.i32_and).set(words);
  mask(() => c.i32(16).get(words).i32(3).op(Op.i32_shl).op(Op.i32_sub));
  c.set(all);
  mask(() => c.get(lengthB));
  c.set(validB);
  c.v128(0n, 0n).set(found);

  const done = c.block();
  const ordered = c.block();
  const each = c.block();
  const ranges = c.block();
  const any = c.block();
  c.get(imm).i32(2).op(Op.i32_shr_u).i32(3).op(Op.i32_and);
  const targets = { [Aggregation.any]: any, [Aggregation.ranges]: ranges, [Aggregation.each]: each };
  c.brTable([targets[0], targets[4], targets[8]], ordered);

  c.end(); // equal to any element of a
  loop(1, () => {
    element(0);
    c.get(b);
    byElement(Simd.i8x16_eq, Simd.i16x8_eq);
    c.get(found).simd(Simd.or).set(found);
  });
  c.get(found);
  bits();
  c.get(validB).op(Op.i32_and).set(result).br(done);

  c.end(); // within any of a's ranges; unsigned elements are moved to where signed comparison orders them
  c.get(imm).i32(StringImm.signed).op(Op.i32_and).op(Op.i32_eqz);
  c.if();
  c.get(words);
  c.if(Type.v128).i32(0x8000).simd(Simd.i16x8_splat).else().i32(0x80).simd(Simd.i8x16_splat).end();
  c.set(low);
  for (const operand of [a, b]) c.get(operand).get(low).simd(Simd.xor).set(operand);
  c.end();
  loop(2, () => {
    element(0);
    c.get(b);
    byElement(Simd.i8x16_gt_s, Simd.i16x8_gt_s);
    c.get(b);
    element(1);
    byElement(Simd.i8x16_gt_s, Simd.i16x8_gt_s);
    c.simd(Simd.or).simd(Simd.not).get(found).simd(Simd.or).set(found);
  });
  c.get(found);
  bits();
  c.get(validB).op(Op.i32_and).set(result).br(done);

  c.end(); // equal to a's element of the same number, or both past the end
  c.get(a).get(b);
  byElement(Simd.i8x16_eq, Simd.i16x8_eq);
  bits();
  mask(() => c.get(lengthA));
  c.get(validB).op(Op.i32_and).op(Op.i32_and);
  mask(() => c.get(lengthA));
  c.get(validB).op(Op.i32_or).get(all).op(Op.i32_xor).op(Op.i32_or).set(result).br(done);

  c.end(); // a as a substring of b from here on, as far as b's register goes
  c.get(all).set(result);
  loop(1, () => {
    element(0);
    c.get(b);
    byElement(Simd.i8x16_eq, Simd.i16x8_eq);
    bits();
    c.get(validB).op(Op.i32_and).get(i).op(Op.i32_shr_u);
    c.get(all).get(i).op(Op.i32_shr_u).get(all).op(Op.i32_xor).op(Op.i32_or);
    c.get(result).op(Op.i32_and).set(result);
  });
  c.end(); // done

  c.get(result);
  c.get(all).get(validB);
  c.get(imm).i32(StringImm.polarity).op(Op.i32_and).i32(NEGATIVE).op(Op.i32_eq).op(Op.select);
  c.i32(0);
  c.get(imm).i32(NEGATIVE).op(Op.i32_and).op(Op.select);
  c.op(Op.i32_xor);
  return c.finish();
}

/** Castagnoli's polynomial, reflected. */
const CRC32C = 0x82f63b78;

/** The body of crc32(crc ^ value, bits) -> crc, for CRC32 (SDM vol. 2A). */
export function crc32Body(): Uint8Array {
  const c = new Code(2);
  const [value, bits] = [0, 1];
  const again = c.loop();
  c.get(value).i64(1).op(Op.i64_shr_u);
  c.i64(0)
    .get(value)
    .i64(1)
    .op(Op.i64_and)
    .op(Op.i64_sub)
    .i64(CRC32C)
    .op(Op.i64_and)
    .op(Op.i64_xor)
    .set(value);
  c.get(bits).i32(1).op(Op.i32_sub).tee(bits).brIf(again);
  c.end();
  c.get(value);
  return c.finish();
}
