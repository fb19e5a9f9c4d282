import { CpuState } from '../cpu/state.js';
import type { Code, Label } from '../wasm/code.js';
import { Op } from '../wasm/opcodes.js';

/** Pieces of the x87 functions in WebAssembly; all have the CPU block as local 0. */

/** Functions that they call. */
export interface Functions {
  /** The helper in TypeScript, for everything: (cpu, operation, i, lo, hi) -> result. */
  readonly slow: number;
  /** (cpu, significand, sign and exponent) -> 1, or 0 if there is no room. */
  readonly push: number;
  /** (cpu) */
  readonly pop: number;
}

/** Bits of the status word. */
export const C1 = 0x200;
export const TOP = 0x3800;
/** Bits of the control word: exception masks, precision and rounding control. */
export const MASKS = 0x3f;
export const PRECISION = 0x300;
export const ROUNDING = 0xc00;

/** The sign bit, and the integer bit of a significand. */
export const TOP_BIT = -0x8000_0000_0000_0000n;

/** Offsets of a register's significand, and of its sign and exponent, from `cpu + 16 * physical number`. */
export const SIGNIFICAND = CpuState.fpr;
export const EXPONENT = CpuState.fpr + 8;

/** Pushes the status word. */
export const status = (c: Code) => c.get(0).mem(Op.i32_load16_u, CpuState.fsw);
export const control = (c: Code) => c.get(0).mem(Op.i32_load16_u, CpuState.fcw);

/** Sets `physical` and `pointer` to those of ST(`index`), and branches to `elsewhere` if it is empty. */
export function register(
  c: Code,
  index: () => void,
  physical: number,
  pointer: number,
  elsewhere: Label,
): void {
  status(c).i32(11).op(Op.i32_shr_u);
  index();
  c.op(Op.i32_add)
    .i32(7)
    .op(Op.i32_and)
    .tee(physical)
    .i32(4)
    .op(Op.i32_shl)
    .get(0)
    .op(Op.i32_add)
    .set(pointer);
  tag(c, physical).i32(3).op(Op.i32_eq).brIf(elsewhere);
}

/** Pushes the tag of a physical register. */
export function tag(c: Code, physical: number): Code {
  c.get(0).mem(Op.i32_load16_u, CpuState.ftw).get(physical).i32(1).op(Op.i32_shl).op(Op.i32_shr_u);
  return c.i32(3).op(Op.i32_and);
}

/** Pushes the tag word with a physical register marked as empty. */
export function emptied(c: Code, physical: number): void {
  c.get(0).mem(Op.i32_load16_u, CpuState.ftw);
  c.i32(3).get(physical).i32(1).op(Op.i32_shl).op(Op.i32_shl).op(Op.i32_or);
}

/** Pops a status word; pushes it with TOP one further. */
export function further(c: Code, temporary: number): void {
  c.tee(temporary).i32(~TOP).op(Op.i32_and);
  c.get(temporary).i32(0x800).op(Op.i32_add).i32(TOP).op(Op.i32_and).op(Op.i32_or);
}

export const clearC1 = (c: Code) =>
  c
    .get(0)
    .get(0)
    .mem(Op.i32_load16_u, CpuState.fsw)
    .i32(~C1)
    .op(Op.i32_and)
    .mem(Op.i32_store16, CpuState.fsw);

/** Splits the f64 in `bits` (i64 local) that is normal or zero; branches to `elsewhere` for any other. */
export function splitF64(
  c: Code,
  bits: number,
  significand: number,
  exponent: number,
  elsewhere: Label,
): void {
  c.get(bits).i64(52).op(Op.i64_shr_u).op(Op.i32_wrap_i64).i32(0x7ff).op(Op.i32_and).tee(exponent);
  c.i32(0x7ff).op(Op.i32_eq).brIf(elsewhere);
  c.get(exponent).op(Op.i32_eqz);
  c.if();
  c.get(bits).i64(1).op(Op.i64_shl).op(Op.i64_eqz).op(Op.i32_eqz).brIf(elsewhere);
  c.i64(0).set(significand);
  c.else();
  c.get(bits).i64(11).op(Op.i64_shl).i64(TOP_BIT).op(Op.i64_or).set(significand);
  c.get(exponent)
    .i32(16383 - 1023)
    .op(Op.i32_add)
    .set(exponent);
  c.end();
  c.get(bits).i64(48).op(Op.i64_shr_u).op(Op.i32_wrap_i64).i32(0x8000).op(Op.i32_and);
  c.get(exponent).op(Op.i32_or).set(exponent);
}

/** Pushes the f32 in `bits` (i32 local), normal or zero, as an f64's bits; branches to `elsewhere` for any other. */
export function widenF32(c: Code, bits: number, elsewhere: Label): void {
  // Twice the bits: those of denormals and of infinities and NaNs are at the ends.
  c.get(bits).i32(1).op(Op.i32_shl).i32(0x0100_0000).op(Op.i32_sub).i32(-0x0200_0000).op(Op.i32_ge_u);
  c.get(bits).i32(1).op(Op.i32_shl).i32(0).op(Op.i32_ne).op(Op.i32_and).brIf(elsewhere);
  c.get(bits).op(Op.f32_reinterpret_i32).op(Op.f64_promote_f32).op(Op.i64_reinterpret_f64);
}

/** Pushes the two words of an i64 local. */
export function words(c: Code, value: number): void {
  c.get(value).op(Op.i32_wrap_i64).get(value).i64(32).op(Op.i64_shr_u).op(Op.i32_wrap_i64);
}

/** Sets `up` to whether the fraction in an i64 local, of `half` = 2^63, rounds an integer of lowest bit `odd` up, to nearest. */
export function roundNearest(c: Code, fraction: number, odd: () => void, up: number): void {
  c.get(fraction).i64(TOP_BIT).op(Op.i64_gt_u).get(fraction).i64(TOP_BIT).op(Op.i64_eq);
  odd();
  c.op(Op.i32_and).op(Op.i32_or).set(up);
}
