import { Op, Type } from '../wasm/opcodes.js';

/**
 * Operand widths. Integer operands of 1, 2 and 4 bytes are handled as wasm i32 (zero-extended), those of 8 bytes as i64:
 * lowering code asks for the opcodes of its width by name.
 */
export interface Width {
  readonly type: number;
  readonly is64: boolean;
  readonly add: number;
  readonly sub: number;
  readonly mul: number;
  readonly and: number;
  readonly or: number;
  readonly xor: number;
  readonly shl: number;
  readonly shrS: number;
  readonly shrU: number;
  readonly rotl: number;
  readonly rotr: number;
  readonly eqz: number;
  readonly eq: number;
  readonly ne: number;
  readonly ltU: number;
  readonly leU: number;
  readonly gtU: number;
  readonly geU: number;
  readonly ltS: number;
  readonly leS: number;
  readonly clz: number;
  readonly ctz: number;
  readonly popcnt: number;
}

export const W32: Width = {
  type: Type.i32,
  is64: false,
  add: Op.i32_add,
  sub: Op.i32_sub,
  mul: Op.i32_mul,
  and: Op.i32_and,
  or: Op.i32_or,
  xor: Op.i32_xor,
  shl: Op.i32_shl,
  shrS: Op.i32_shr_s,
  shrU: Op.i32_shr_u,
  rotl: Op.i32_rotl,
  rotr: Op.i32_rotr,
  eqz: Op.i32_eqz,
  eq: Op.i32_eq,
  ne: Op.i32_ne,
  ltU: Op.i32_lt_u,
  leU: Op.i32_le_u,
  gtU: Op.i32_gt_u,
  geU: Op.i32_ge_u,
  ltS: Op.i32_lt_s,
  leS: Op.i32_le_s,
  clz: Op.i32_clz,
  ctz: Op.i32_ctz,
  popcnt: Op.i32_popcnt,
};

export const W64: Width = {
  type: Type.i64,
  is64: true,
  add: Op.i64_add,
  sub: Op.i64_sub,
  mul: Op.i64_mul,
  and: Op.i64_and,
  or: Op.i64_or,
  xor: Op.i64_xor,
  shl: Op.i64_shl,
  shrS: Op.i64_shr_s,
  shrU: Op.i64_shr_u,
  rotl: Op.i64_rotl,
  rotr: Op.i64_rotr,
  eqz: Op.i64_eqz,
  eq: Op.i64_eq,
  ne: Op.i64_ne,
  ltU: Op.i64_lt_u,
  leU: Op.i64_le_u,
  gtU: Op.i64_gt_u,
  geU: Op.i64_ge_u,
  ltS: Op.i64_lt_s,
  leS: Op.i64_le_s,
  clz: Op.i64_clz,
  ctz: Op.i64_ctz,
  popcnt: Op.i64_popcnt,
};

/** The width for operands of `size` bytes (1, 2, 4 or 8). */
export function width(size: number): Width {
  return size === 8 ? W64 : W32;
}

/** The mask of `size` bytes as a constant of its width: -1 for 4 and 8. */
export function sizeMask(size: number): number {
  return size === 1 ? 0xff : size === 2 ? 0xffff : -1;
}
