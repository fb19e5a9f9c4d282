import { Code } from '../wasm/code.js';
import { Op, Type } from '../wasm/opcodes.js';

/** RFLAGS bits (SDM vol. 1, 3.4.3). */
export const Flag = {
  CF: 1,
  PF: 4,
  AF: 0x10,
  ZF: 0x40,
  SF: 0x80,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  OF: 0x800,
  NT: 0x4000,
  AC: 0x4_0000,
  ID: 0x20_0000,
} as const;

/** The arithmetic flags: those kept lazily. */
export const ARITHMETIC_FLAGS = Flag.CF | Flag.PF | Flag.AF | Flag.ZF | Flag.SF | Flag.OF;
/** The others that user mode can write: kept as they are. */
export const KEPT_FLAGS = Flag.TF | Flag.DF | Flag.NT | Flag.AC | Flag.ID;
/** What user mode always shows: bit 1 and IF. */
export const FIXED_FLAGS = 2 | Flag.IF;

/**
 * Lazy flags: instead of flags, the last flag-writing operation is kept and flags are computed when read.
 * `ccOp` = kind * 4 + log2(operand bytes). Values are zero-extended to 64 bits. a and b are the operands, r the result.
 */
export const CcKind = {
  /** src = the six flags themselves, at their RFLAGS positions. */
  flags: 0,
  /** dst = r, src = b. */
  add: 1,
  /** dst = r, src = b, src2 = carry in. */
  adc: 2,
  /** dst = r, src = b. */
  sub: 3,
  /** dst = r, src = b, src2 = borrow in. */
  sbb: 4,
  /** dst = r; CF = OF = AF = 0. */
  logic: 5,
  /** dst = r, src = CF before. */
  inc: 6,
  /** dst = r, src = CF before. */
  dec: 7,
  /** dst = r, src = a shifted by one less: its top bit is CF. */
  shl: 8,
  /** dst = r, src = a shifted by one less (SHR, SAR): its lowest bit is CF. */
  shr: 9,
  /** dst = low half of r, src = 1 if the high half is significant. */
  mul: 10,
  /** Signed product of 64-bit operands: dst = low half of r, src = b, src2 = a; the high half is computed when asked for. */
  imul: 11,
} as const;

/** `ccOp` of a kind for operands of `size` bytes. */
export function ccOp(kind: number, size: number): number {
  return kind * 4 + (31 - Math.clz32(size));
}

/**
 * What instructions do that write only CF, or CF and OF: it lies over the flags of the operation before. `ccOp` has kind * 4 +
 * log2(operand bytes) of it in bits 15:8, and `ccOver` the value that it is computed from.
 */
export const OverKind = {
  none: 0,
  /** over = result of ROL: CF is its lowest bit, OF its top bit xor CF. */
  rol: 1,
  /** over = result of ROR: CF is its top bit, OF that xor the next. */
  ror: 2,
  /** CF = lowest bit of over. */
  carry: 3,
} as const;

const OVER_SHIFT = 8;
/** The bits of `ccOp` that say which operation lies below. */
export const OPERATION = (1 << OVER_SHIFT) - 1;

/** To be added to the `ccOp` of the operation below. */
export function ccOver(kind: number, size: number): number {
  return ccOp(kind, size) << OVER_SHIFT;
}

/**
 * The body of `flags(op: i32, dst: i64, src: i64, src2: i64, over: i64) -> i32`: the six arithmetic flags at their RFLAGS positions.
 * @param operationFlags index of the function of `operationFlagsBody`
 */
export function flagsBody(operationFlags: number): Uint8Array {
  const c = new Code(5);
  const [op, dst, src, src2, over] = [0, 1, 2, 3, 4];
  const below = c.local(Type.i32);
  const kind = c.local(Type.i32);
  const cf = c.local(Type.i32);
  const top = c.local(Type.i32); // the top bit of the value, and the next in the lowest place
  const next = c.local(Type.i32);
  c.get(op).i32(OPERATION).op(Op.i32_and).get(dst).get(src).get(src2).call(operationFlags).set(below);
  c.get(op).i32(OVER_SHIFT).op(Op.i32_shr_u).tee(kind).op(Op.i32_eqz);
  c.if().get(below).ret().end();
  // The value moved to the top of 64 bits.
  c.get(over).i64(64).i64(8).get(kind).i32(3).op(Op.i32_and).op(Op.i64_extend_i32_u).op(Op.i64_shl);
  c.op(Op.i64_sub).op(Op.i64_shl).i64(62).op(Op.i64_shr_u).op(Op.i32_wrap_i64).tee(next);
  c.i32(1).op(Op.i32_shr_u).set(top);
  c.get(next).i32(1).op(Op.i32_and).set(next);
  c.get(top).get(over).op(Op.i32_wrap_i64).i32(1).op(Op.i32_and);
  c.get(kind).i32(2).op(Op.i32_shr_u).tee(kind).i32(OverKind.ror).op(Op.i32_eq).op(Op.select).set(cf);
  c.get(kind).i32(OverKind.carry).op(Op.i32_eq);
  c.if(Type.i32);
  c.get(below).i32(~Flag.CF).op(Op.i32_and);
  c.else();
  c.get(below)
    .i32(~(Flag.CF | Flag.OF))
    .op(Op.i32_and);
  c.get(top).get(next).get(cf).get(kind).i32(OverKind.ror).op(Op.i32_eq).op(Op.select).op(Op.i32_xor);
  c.i32(11).op(Op.i32_shl).op(Op.i32_or);
  c.end();
  c.get(cf).op(Op.i32_or);
  return c.finish();
}

/**
 * The body of `operationFlags(op: i32, dst: i64, src: i64, src2: i64) -> i32`: the six arithmetic flags at their RFLAGS positions.
 * All comparisons are made on operands moved to the top of 64 bits, which makes them independent of the size.
 * @param mulHighS index of the function (a, b) -> high half of the signed product
 */
export function operationFlagsBody(mulHighS: number): Uint8Array {
  const c = new Code(4);
  const [op, dst, src, src2] = [0, 1, 2, 3];
  const kind = c.local(Type.i32);
  const bits = c.local(Type.i32);
  const cf = c.local(Type.i32);
  const of = c.local(Type.i32);
  const af = c.local(Type.i32);
  const up = c.local(Type.i64); // 64 - operand bits
  const r = c.local(Type.i64);
  const b = c.local(Type.i64);
  const a = c.local(Type.i64);

  c.get(op).i32(2).op(Op.i32_shr_u).tee(kind).op(Op.i32_eqz);
  c.if().get(src).op(Op.i32_wrap_i64).i32(ARITHMETIC_FLAGS).op(Op.i32_and).ret().end();
  c.i32(8).get(op).i32(3).op(Op.i32_and).op(Op.i32_shl).set(bits);
  c.i32(64).get(bits).op(Op.i32_sub).op(Op.i64_extend_i32_u).set(up);
  c.get(dst).get(up).op(Op.i64_shl).set(r);
  c.get(src).get(up).op(Op.i64_shl).set(b);

  const done = c.block();
  const cases = [
    CcKind.shr,
    CcKind.shl,
    CcKind.dec,
    CcKind.inc,
    CcKind.logic,
    CcKind.sbb,
    CcKind.sub,
    CcKind.adc,
    CcKind.add,
  ];
  const mul = c.block();
  const labels = new Map<number, number>();
  for (const k of cases) labels.set(k, c.block());
  c.get(kind);
  const order = [
    CcKind.add,
    CcKind.adc,
    CcKind.sub,
    CcKind.sbb,
    CcKind.logic,
    CcKind.inc,
    CcKind.dec,
    CcKind.shl,
    CcKind.shr,
  ];
  c.brTable([mul, ...order.map((k) => labels.get(k)!)], mul);

  /** af = (a ^ b ^ r) & 0x10 on unshifted operands, and of = top bit of `overflow` (left on the stack as i64). */
  const finish = () => c.op(Op.i64_eqz).op(Op.i32_eqz).set(of).br(done);
  const auxiliary = () =>
    c
      .get(a)
      .get(src)
      .op(Op.i64_xor)
      .get(dst)
      .op(Op.i64_xor)
      .op(Op.i32_wrap_i64)
      .i32(0x10)
      .op(Op.i32_and)
      .set(af);
  const top = () => c.i64(63).op(Op.i64_shr_u);

  c.end(); // add: a = r - b
  c.get(dst).get(src).op(Op.i64_sub).set(a);
  auxiliary();
  c.get(r).get(b).op(Op.i64_lt_u).set(cf);
  c.get(a).get(up).op(Op.i64_shl).get(r).op(Op.i64_xor).get(b).get(r).op(Op.i64_xor).op(Op.i64_and);
  top();
  finish();

  c.end(); // adc: a = r - b - carry
  c.get(dst).get(src).op(Op.i64_sub).get(src2).op(Op.i64_sub).set(a);
  auxiliary();
  c.get(r).get(b).op(Op.i64_le_u).get(r).get(b).op(Op.i64_lt_u);
  c.get(src2).op(Op.i32_wrap_i64).op(Op.select).set(cf);
  c.get(a).get(up).op(Op.i64_shl).get(r).op(Op.i64_xor).get(b).get(r).op(Op.i64_xor).op(Op.i64_and);
  top();
  finish();

  c.end(); // sub: a = r + b
  c.get(dst).get(src).op(Op.i64_add).set(a);
  auxiliary();
  c.get(a).get(up).op(Op.i64_shl).tee(a).get(b).op(Op.i64_lt_u).set(cf);
  c.get(a).get(b).op(Op.i64_xor).get(a).get(r).op(Op.i64_xor).op(Op.i64_and);
  top();
  finish();

  c.end(); // sbb: a = r + b + borrow
  c.get(dst).get(src).op(Op.i64_add).get(src2).op(Op.i64_add).set(a);
  auxiliary();
  c.get(a).get(up).op(Op.i64_shl).set(a);
  c.get(a).get(b).op(Op.i64_le_u).get(a).get(b).op(Op.i64_lt_u);
  c.get(src2).op(Op.i32_wrap_i64).op(Op.select).set(cf);
  c.get(a).get(b).op(Op.i64_xor).get(a).get(r).op(Op.i64_xor).op(Op.i64_and);
  top();
  finish();

  c.end(); // logic
  c.br(done);

  c.end(); // inc: overflow when the result is the least integer
  c.get(src).op(Op.i32_wrap_i64).set(cf);
  c.get(dst).op(Op.i32_wrap_i64).i32(15).op(Op.i32_and).op(Op.i32_eqz).i32(4).op(Op.i32_shl).set(af);
  c.get(r).i64(-0x8000_0000_0000_0000n).op(Op.i64_eq).set(of).br(done);

  c.end(); // dec: overflow when the result is the greatest
  c.get(src).op(Op.i32_wrap_i64).set(cf);
  c.get(dst).op(Op.i32_wrap_i64).i32(15).op(Op.i32_and).i32(15).op(Op.i32_eq).i32(4).op(Op.i32_shl).set(af);
  c.get(r)
    .i64(0x7fff_ffff_ffff_ffffn)
    .get(up)
    .op(Op.i64_shr_u)
    .get(up)
    .op(Op.i64_shl)
    .op(Op.i64_eq)
    .set(of)
    .br(done);

  c.end(); // shl
  c.get(b);
  top();
  c.op(Op.i32_wrap_i64).set(cf);
  c.get(b).get(r).op(Op.i64_xor);
  top();
  finish();

  c.end(); // shr, sar
  c.get(src).op(Op.i32_wrap_i64).i32(1).op(Op.i32_and).set(cf);
  c.get(b).get(r).op(Op.i64_xor);
  top();
  finish();

  c.end(); // mul, imul
  c.get(kind).i32(CcKind.imul).op(Op.i32_eq);
  c.if(Type.i32);
  c.get(src).get(src2).call(mulHighS).get(dst).i64(63).op(Op.i64_shr_s).op(Op.i64_ne);
  c.else();
  c.get(src).op(Op.i32_wrap_i64);
  c.end();
  c.tee(cf).set(of);
  c.end(); // done

  c.get(cf);
  c.get(of).i32(11).op(Op.i32_shl).op(Op.i32_or);
  c.get(af).op(Op.i32_or);
  c.get(r).op(Op.i64_eqz).i32(6).op(Op.i32_shl).op(Op.i32_or);
  c.get(r).i64(63).op(Op.i64_shr_u).op(Op.i32_wrap_i64).i32(7).op(Op.i32_shl).op(Op.i32_or);
  c.get(dst).op(Op.i32_wrap_i64).i32(0xff).op(Op.i32_and).op(Op.i32_popcnt).i32(-1).op(Op.i32_xor);
  c.i32(1).op(Op.i32_and).i32(2).op(Op.i32_shl).op(Op.i32_or);
  return c.finish();
}
