import { CpuState } from '../cpu/state.js';
import { x87Helper, x87Operation } from '../cpu/x87-operations.js';
import type { Memory } from '../memory/memory.js';
import { emittedModule } from '../startup/kept-module.js';
import { Code, type Label } from '../wasm/code.js';
import { ModuleWriter } from '../wasm/module.js';
import { Op, Type } from '../wasm/opcodes.js';
import { Simd } from '../wasm/simd.js';
import { addArithmetic } from './x87-arithmetic.js';
import {
  C1,
  clearC1,
  control,
  emptied,
  EXPONENT,
  further,
  type Functions,
  MASKS,
  register,
  ROUNDING,
  roundNearest,
  SIGNIFICAND,
  splitF64,
  status,
  tag,
  TOP,
  widenF32,
  words,
} from './x87-code.js';

const { i32, i64 } = Type;

/**
 * The x87 helpers of regions: the common cases of the common instructions in WebAssembly, all else in TypeScript
 * (src/cpu/x87-operations.ts), which is complete and does the same with these cases too.
 *
 * Common are registers that are in use, normal numbers and zeros, and, where rounding comes in, all exceptions masked and
 * rounding to nearest.
 */

let compiled: WebAssembly.Module | undefined;

/** The x87 helpers, for all CPUs of a memory: see HELPERS. */
export function x87Helpers(memory: Memory): WebAssembly.Exports & { readonly x87: unknown } {
  compiled ??= emittedModule('x87', x87Bytes);
  const x87 = x87Helper(memory);
  return { ...new WebAssembly.Instance(compiled, { e: { m: memory.wasm, x87 } }).exports, x87 };
}

/** Low byte of an `x87Integer` option: bits of the integer. */
export const TRUNCATE = 0x100;
export const POP = 0x200;

/** ST(0) becomes empty and TOP moves on. */
function popBody(): Uint8Array {
  const c = new Code(1);
  const physical = c.local(i32);
  const word = c.local(i32);
  status(c).i32(11).op(Op.i32_shr_u).i32(7).op(Op.i32_and).set(physical);
  c.get(0);
  emptied(c, physical);
  c.mem(Op.i32_store16, CpuState.ftw).get(0);
  status(c);
  further(c, word);
  c.mem(Op.i32_store16, CpuState.fsw);
  return c.finish();
}

/** push(cpu, significand, sign and exponent) -> 1, or 0 if there is no room. */
function pushBody(): Uint8Array {
  const c = new Code(3);
  const [cpu, significand, exponent] = [0, 1, 2];
  const physical = c.local(i32);
  const pointer = c.local(i32);
  status(c).i32(11).op(Op.i32_shr_u).i32(7).op(Op.i32_add).i32(7).op(Op.i32_and).set(physical);
  tag(c, physical).i32(3).op(Op.i32_ne);
  c.if().i32(0).ret().end();
  c.get(physical).i32(4).op(Op.i32_shl).get(cpu).op(Op.i32_add).tee(pointer);
  c.get(significand).mem(Op.i64_store, SIGNIFICAND);
  c.get(pointer).get(exponent).op(Op.i64_extend_i32_u).mem(Op.i64_store, EXPONENT);
  c.get(cpu).get(cpu).mem(Op.i32_load16_u, CpuState.ftw);
  c.i32(3).get(physical).i32(1).op(Op.i32_shl).op(Op.i32_shl).i32(-1).op(Op.i32_xor).op(Op.i32_and);
  c.mem(Op.i32_store16, CpuState.ftw).get(cpu);
  status(c)
    .i32(~(TOP | C1))
    .op(Op.i32_and)
    .get(physical)
    .i32(11)
    .op(Op.i32_shl)
    .op(Op.i32_or);
  c.mem(Op.i32_store16, CpuState.fsw).i32(1);
  return c.finish();
}

function loadF64Body({ slow, push }: Functions): Uint8Array {
  const c = new Code(2);
  const [cpu, bits] = [0, 1];
  const significand = c.local(i64);
  const exponent = c.local(i32);
  const elsewhere = c.block();
  splitF64(c, bits, significand, exponent, elsewhere);
  c.get(cpu).get(significand).get(exponent).call(push).op(Op.i32_eqz).brIf(elsewhere);
  c.ret();
  c.end();
  c.get(cpu).i32(x87Operation('loadF64')).i32(0);
  words(c, bits);
  c.call(slow).op(Op.drop);
  return c.finish();
}

function loadF32Body({ slow }: Functions, loadF64: number): Uint8Array {
  const c = new Code(2);
  const [cpu, bits] = [0, 1];
  const wide = c.local(i64);
  const elsewhere = c.block();
  widenF32(c, bits, elsewhere);
  c.set(wide).get(cpu).get(wide).call(loadF64).ret();
  c.end();
  c.get(cpu).i32(x87Operation('loadF32')).i32(0).get(bits).i32(0).call(slow).op(Op.drop);
  return c.finish();
}

function loadF80Body({ slow, push }: Functions): Uint8Array {
  const c = new Code(3);
  const [cpu, significand, exponent] = [0, 1, 2];
  c.get(cpu).get(significand).get(exponent).call(push).op(Op.i32_eqz);
  c.if();
  c.get(cpu).i32(x87Operation('loadF80')).get(exponent);
  words(c, significand);
  c.call(slow).op(Op.drop);
  c.end();
  return c.finish();
}

function loadI64Body({ slow, push }: Functions): Uint8Array {
  const c = new Code(2);
  const [cpu, value] = [0, 1];
  const magnitude = c.local(i64);
  const zeros = c.local(i64);
  const elsewhere = c.block();
  c.get(cpu).get(value).op(Op.i64_eqz);
  c.if(i64).i64(0).else();
  c.i64(0)
    .get(value)
    .op(Op.i64_sub)
    .get(value)
    .get(value)
    .i64(0)
    .op(Op.i64_lt_s)
    .op(Op.select)
    .tee(magnitude);
  c.get(magnitude).op(Op.i64_clz).tee(zeros).op(Op.i64_shl).end();
  c.get(value).op(Op.i64_eqz);
  c.if(i32).i32(0).else();
  c.i32(16383 + 63)
    .get(zeros)
    .op(Op.i32_wrap_i64)
    .op(Op.i32_sub);
  c.get(value).i64(48).op(Op.i64_shr_u).op(Op.i32_wrap_i64).i32(0x8000).op(Op.i32_and).op(Op.i32_or).end();
  c.call(push).op(Op.i32_eqz).brIf(elsewhere);
  c.ret();
  c.end();
  c.get(cpu).i32(x87Operation('loadI64')).i32(0);
  words(c, value);
  c.call(slow).op(Op.drop);
  return c.finish();
}

// --- stores ------------------------------------------------------------------------------------------------------------

/** Where and how a store leaves its results: as X87.result and X87.defer do. */
class StoreBody {
  readonly c: Code;
  readonly physical: number;
  readonly pointer: number;
  readonly significand: number;
  readonly exponent: number;
  readonly word: number;
  readonly elsewhere: Label;

  constructor(readonly params: number) {
    this.c = new Code(params);
    const { c } = this;
    this.physical = c.local(i32);
    this.pointer = c.local(i32);
    this.significand = c.local(i64);
    this.exponent = c.local(i32);
    this.word = c.local(i32);
    this.elsewhere = c.block();
    register(c, () => c.i32(0), this.physical, this.pointer, this.elsewhere);
    c.get(this.pointer).mem(Op.i64_load, SIGNIFICAND).set(this.significand);
    c.get(this.pointer).mem(Op.i32_load16_u, EXPONENT).set(this.exponent);
  }

  /** Branches elsewhere unless these control bits are such. */
  require(bits: number, value: number): void {
    control(this.c).i32(bits).op(Op.i32_and).i32(value).op(Op.i32_ne).brIf(this.elsewhere);
  }

  /** Pushes 1 for a zero; branches elsewhere for what is neither zero nor normal. */
  isZero(): void {
    const { c, exponent, significand, elsewhere } = this;
    c.get(exponent).i32(0x7fff).op(Op.i32_and).op(Op.i32_eqz);
    c.if(i32);
    c.get(significand).i64(0).op(Op.i64_ne).brIf(elsewhere).i32(1);
    c.else();
    c.get(significand).i64(0).op(Op.i64_ge_s).brIf(elsewhere);
    c.get(exponent).i32(0x7fff).op(Op.i32_and).i32(0x7fff).op(Op.i32_eq).brIf(elsewhere).i32(0);
    c.end();
  }

  /**
   * Ends the function: the new status has C1 for `up` and PE for `inexact` (i32 locals); `pop` pushes a condition.
   * @param operation pushes the operation to call in other cases
   */
  finish(
    slow: number,
    up: number | null,
    inexact: number | null,
    pop: () => void,
    operation: () => void,
  ): Uint8Array {
    const { c, word, physical } = this;
    status(c).i32(~C1).op(Op.i32_and);
    if (up !== null) c.get(up).i32(9).op(Op.i32_shl).op(Op.i32_or);
    if (inexact !== null) c.get(inexact).i32(5).op(Op.i32_shl).op(Op.i32_or);
    c.set(word);
    c.get(0);
    pop();
    c.if(i32);
    c.get(word);
    further(c, word);
    emptied(c, physical);
    c.i32(16).op(Op.i32_shl).op(Op.i32_or).else();
    c.get(word).get(0).mem(Op.i32_load16_u, CpuState.ftw).i32(16).op(Op.i32_shl).op(Op.i32_or).end();
    c.mem(Op.i32_store, CpuState.arg1 + 4)
      .i32(1)
      .ret();
    c.end();
    c.get(0);
    operation();
    c.i32(0).i32(0).i32(0).call(slow);
    return c.finish();
  }
}

function storeF80Body({ slow }: Functions): Uint8Array {
  const body = new StoreBody(1);
  const { c } = body;
  c.get(0).get(body.significand).mem(Op.i64_store, CpuState.arg0);
  c.get(0).get(body.exponent).mem(Op.i32_store, CpuState.arg1);
  return body.finish(
    slow,
    null,
    null,
    () => c.i32(1),
    () => c.i32(x87Operation('storeF80')),
  );
}

/** store(cpu, operation, pop) of an f32 or f64. */
function storeFloatBody({ slow }: Functions, fractionBits: 23 | 52): Uint8Array {
  const body = new StoreBody(3);
  const { c, significand, exponent, elsewhere } = body;
  const [operation, pop] = [1, 2];
  const up = c.local(i32);
  const inexact = c.local(i32);
  const rest = c.local(i64);
  const bits = c.local(i64);
  const bias = fractionBits === 52 ? 1023 : 127;
  const dropped = 63 - fractionBits;
  const signShift = fractionBits === 52 ? 48 : 16;
  body.require(ROUNDING | MASKS, MASKS);
  body.isZero();
  c.if();
  c.i64(0).set(bits);
  c.else();
  const biased = c.local(i32);
  c.get(exponent)
    .i32(0x7fff)
    .op(Op.i32_and)
    .i32(16383 - bias)
    .op(Op.i32_sub)
    .tee(biased);
  c.i32(1)
    .op(Op.i32_sub)
    .i32(2 * bias)
    .op(Op.i32_ge_u)
    .brIf(elsewhere);
  c.get(significand)
    .i64(64 - dropped)
    .op(Op.i64_shl)
    .tee(rest)
    .i64(0)
    .op(Op.i64_ne)
    .set(inexact);
  roundNearest(
    c,
    rest,
    () => c.get(significand).i64(dropped).op(Op.i64_shr_u).op(Op.i32_wrap_i64).i32(1).op(Op.i32_and),
    up,
  );
  // A carry out of the fraction is one more in the exponent.
  c.get(biased).op(Op.i64_extend_i32_u).i64(fractionBits).op(Op.i64_shl);
  c.get(significand)
    .i64(dropped)
    .op(Op.i64_shr_u)
    .i64((1n << BigInt(fractionBits)) - 1n)
    .op(Op.i64_and);
  c.op(Op.i64_add).get(up).op(Op.i64_extend_i32_u).op(Op.i64_add).tee(bits);
  c.i64(fractionBits)
    .op(Op.i64_shr_u)
    .i64(2 * bias + 1)
    .op(Op.i64_eq)
    .brIf(elsewhere);
  c.end();
  c.get(0).get(exponent).i32(0x8000).op(Op.i32_and).op(Op.i64_extend_i32_u).i64(signShift).op(Op.i64_shl);
  c.get(bits).op(Op.i64_or).mem(Op.i64_store, CpuState.arg0);
  return body.finish(
    slow,
    up,
    inexact,
    () => c.get(pop),
    () => c.get(operation),
  );
}

/** store(cpu, operation, options) of an integer: options are bits, TRUNCATE, POP. */
function storeIntegerBody({ slow }: Functions): Uint8Array {
  const body = new StoreBody(3);
  const { c, significand, exponent, elsewhere } = body;
  const [operation, options] = [1, 2];
  const up = c.local(i32);
  const inexact = c.local(i32);
  const negative = c.local(i32);
  const rounding = c.local(i32);
  const shift = c.local(i32);
  const fraction = c.local(i64);
  const value = c.local(i64);
  body.require(MASKS, MASKS);
  body.isZero();
  c.if();
  c.else();
  c.i32(16383 + 63)
    .get(exponent)
    .i32(0x7fff)
    .op(Op.i32_and)
    .op(Op.i32_sub)
    .tee(shift);
  c.i32(1).op(Op.i32_lt_s).brIf(elsewhere);
  c.get(shift).i32(64).op(Op.i32_lt_u);
  c.if();
  c.get(significand).get(shift).op(Op.i64_extend_i32_u).op(Op.i64_shr_u).set(value);
  c.get(significand).i32(64).get(shift).op(Op.i32_sub).op(Op.i64_extend_i32_u).op(Op.i64_shl).set(fraction);
  c.else();
  // Below 1; from 1/2 down to 0 only how it compares with 1/2 matters.
  c.get(significand).i64(1).get(shift).i32(64).op(Op.i32_eq).op(Op.select).set(fraction);
  c.end();
  c.get(fraction).i64(0).op(Op.i64_ne).set(inexact);
  c.get(exponent).i32(15).op(Op.i32_shr_u).set(negative);
  c.i32(3).get(0).mem(Op.i32_load16_u, CpuState.fcw).i32(10).op(Op.i32_shr_u).i32(3).op(Op.i32_and);
  c.get(options).i32(TRUNCATE).op(Op.i32_and).op(Op.select).tee(rounding).op(Op.i32_eqz);
  c.if();
  roundNearest(c, fraction, () => c.get(value).op(Op.i32_wrap_i64).i32(1).op(Op.i32_and), up);
  c.else();
  // Down (1) increases the magnitude of negative numbers, up (2) that of positive ones, truncation (3) none.
  c.get(rounding).i32(2).get(negative).op(Op.i32_sub).op(Op.i32_eq).get(inexact).op(Op.i32_and).set(up);
  c.end();
  c.get(value).get(up).op(Op.i64_extend_i32_u).op(Op.i64_add).tee(value);
  // The greatest magnitude: 2^(bits - 1) - 1, or one more below zero.
  c.i64(-1)
    .i32(65)
    .get(options)
    .i32(0xff)
    .op(Op.i32_and)
    .op(Op.i32_sub)
    .op(Op.i64_extend_i32_u)
    .op(Op.i64_shr_u);
  c.get(negative).op(Op.i64_extend_i32_u).op(Op.i64_add).op(Op.i64_gt_u).brIf(elsewhere);
  c.get(negative);
  c.if().i64(0).get(value).op(Op.i64_sub).set(value).end();
  c.end();
  c.get(0).get(value).mem(Op.i64_store, CpuState.arg0);
  return body.finish(
    slow,
    up,
    inexact,
    () => c.get(options).i32(POP).op(Op.i32_and),
    () => c.get(operation),
  );
}

// --- moves -------------------------------------------------------------------------------------------------------------

/** exchange(cpu, i) */
function exchangeBody({ slow }: Functions): Uint8Array {
  const c = new Code(2);
  const [cpu, index] = [0, 1];
  const physical = c.local(i32);
  const a = c.local(i32);
  const b = c.local(i32);
  const value = c.local(Type.v128);
  const elsewhere = c.block();
  register(c, () => c.i32(0), physical, a, elsewhere);
  register(c, () => c.get(index), physical, b, elsewhere);
  c.get(a).simdMem(Simd.v128_load, CpuState.fpr).set(value);
  c.get(a).get(b).simdMem(Simd.v128_load, CpuState.fpr).simdMem(Simd.v128_store, CpuState.fpr);
  c.get(b).get(value).simdMem(Simd.v128_store, CpuState.fpr);
  clearC1(c).ret();
  c.end();
  c.get(cpu).i32(x87Operation('exchange')).get(index).i32(0).i32(0).call(slow).op(Op.drop);
  return c.finish();
}

/** loadRegister(cpu, i): FLD ST(i). */
function loadRegisterBody({ slow, push }: Functions): Uint8Array {
  const c = new Code(2);
  const [cpu, index] = [0, 1];
  const physical = c.local(i32);
  const pointer = c.local(i32);
  const elsewhere = c.block();
  register(c, () => c.get(index), physical, pointer, elsewhere);
  c.get(cpu).get(pointer).mem(Op.i64_load, SIGNIFICAND).get(pointer).mem(Op.i32_load16_u, EXPONENT);
  c.call(push).op(Op.i32_eqz).brIf(elsewhere);
  c.ret();
  c.end();
  c.get(cpu).i32(x87Operation('loadRegister')).get(index).i32(0).i32(0).call(slow).op(Op.drop);
  return c.finish();
}

/** storeRegister(cpu, operation, i, pop): FST ST(i), FSTP ST(i). */
function storeRegisterBody({ slow, pop }: Functions): Uint8Array {
  const c = new Code(4);
  const [cpu, operation, index, pops] = [0, 1, 2, 3];
  const physical = c.local(i32);
  const from = c.local(i32);
  const elsewhere = c.block();
  register(c, () => c.i32(0), physical, from, elsewhere);
  status(c).i32(11).op(Op.i32_shr_u).get(index).op(Op.i32_add).i32(7).op(Op.i32_and).tee(physical);
  c.i32(4).op(Op.i32_shl).get(cpu).op(Op.i32_add);
  c.get(from).simdMem(Simd.v128_load, CpuState.fpr).simdMem(Simd.v128_store, CpuState.fpr);
  c.get(cpu).get(cpu).mem(Op.i32_load16_u, CpuState.ftw);
  c.i32(3).get(physical).i32(1).op(Op.i32_shl).op(Op.i32_shl).i32(-1).op(Op.i32_xor).op(Op.i32_and);
  c.mem(Op.i32_store16, CpuState.ftw);
  clearC1(c).get(pops);
  c.if().get(cpu).call(pop).end();
  c.ret();
  c.end();
  c.get(cpu).get(operation).get(index).i32(0).i32(0).call(slow).op(Op.drop);
  return c.finish();
}

/** sign(cpu, operation, keep, flip): FABS, FCHS. */
function signBody({ slow }: Functions): Uint8Array {
  const c = new Code(4);
  const [cpu, operation, keep, flip] = [0, 1, 2, 3];
  const physical = c.local(i32);
  const pointer = c.local(i32);
  const elsewhere = c.block();
  register(c, () => c.i32(0), physical, pointer, elsewhere);
  c.get(pointer)
    .get(pointer)
    .mem(Op.i32_load16_u, EXPONENT)
    .get(keep)
    .op(Op.i32_and)
    .get(flip)
    .op(Op.i32_xor);
  c.mem(Op.i32_store16, EXPONENT);
  clearC1(c).ret();
  c.end();
  c.get(cpu).get(operation).i32(0).i32(0).i32(0).call(slow).op(Op.drop);
  return c.finish();
}

export function x87Bytes(): Uint8Array<ArrayBuffer> {
  const m = new ModuleWriter();
  const slow = m.importFunc('e', 'x87', [i32, i32, i32, i32, i32], [i32]);
  m.importMemory('e', 'm');
  const pop = m.func([i32], [], popBody());
  const push = m.func([i32, i64, i32], [i32], pushBody());
  const functions: Functions = { slow, push, pop };
  const loadF64 = m.func([i32, i64], [], loadF64Body(functions));
  m.export('x87LoadF64', loadF64);
  m.export('x87LoadF32', m.func([i32, i32], [], loadF32Body(functions, loadF64)));
  m.export('x87LoadF80', m.func([i32, i64, i32], [], loadF80Body(functions)));
  m.export('x87LoadI64', m.func([i32, i64], [], loadI64Body(functions)));
  m.export('x87StoreF80', m.func([i32], [i32], storeF80Body(functions)));
  m.export('x87StoreF64', m.func([i32, i32, i32], [i32], storeFloatBody(functions, 52)));
  m.export('x87StoreF32', m.func([i32, i32, i32], [i32], storeFloatBody(functions, 23)));
  m.export('x87StoreInteger', m.func([i32, i32, i32], [i32], storeIntegerBody(functions)));
  m.export('x87Exchange', m.func([i32, i32], [], exchangeBody(functions)));
  m.export('x87LoadRegister', m.func([i32, i32], [], loadRegisterBody(functions)));
  m.export('x87StoreRegister', m.func([i32, i32, i32, i32], [], storeRegisterBody(functions)));
  m.export('x87Sign', m.func([i32, i32, i32, i32], [], signBody(functions)));
  addArithmetic(m, functions);
  return m.finish();
}
