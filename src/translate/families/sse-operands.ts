import type { Code } from '../iced/enums.js';
import { codeByName } from '../iced/library.js';
import { Type } from '../../wasm/opcodes.js';
import { Simd } from '../../wasm/simd.js';
import type { Code as WasmCode } from '../../wasm/code.js';
import type { Emitter } from '../emitter.js';
import type { Insn } from '../insn.js';
import type { Row } from '../row.js';

/** Operands of SSE instructions, and their rows: what the sse-* families share. */

/** Emits an instruction; the shape of `Row.lower`. */
export type Lower = (e: Emitter, insn: Insn) => void;

/** A name in iced's Code enumeration: "Paddd_xmm_xmmm128". */
export type CodeName = keyof typeof Code;

/** One row a code: MMX and SSE forms have their mnemonics in common, so that codes must tell them apart. */
export function sseRow(names: string, lower: Lower, more: Partial<Row> = {}): Row[] {
  return names.split(' ').map((name) => {
    return { codes: [codeByName(name)], lower, ...more };
  });
}

/** The XMM register number of operand `i`, which is a register. */
export function xmmNumber(insn: Insn, i: number): number {
  const op = insn.ops[i];
  if (op.kind !== 'reg' || op.class !== 'xmm') throw new Error(`operand ${i} is no XMM register`);
  return op.num;
}

/** The 8-bit immediate in operand `i`, 0 to 255. */
export function imm8(insn: Insn, i: number): number {
  const op = insn.ops[i];
  if (op.kind !== 'imm') throw new Error(`operand ${i} is no immediate`);
  return Number(op.value) & 0xff;
}

/**
 * Pushes operand `i` (v128): a register, or 16 bytes of memory.
 * @param aligned whether memory must be aligned (#GP(0) otherwise), as it must for all but a few instructions
 */
export function vector(e: Emitter, insn: Insn, i: number, aligned = true): void {
  const op = insn.ops[i];
  if (op.kind === 'reg') e.c.get(e.xmm(op.num));
  else {
    e.ea();
    e.loadWith(16, Type.v128, () => e.c.simdMem(Simd.v128_load), aligned);
  }
}

/** Pushes a v128 with operand `i` in its low `bytes` (2, 4, 8): a register, whose other bytes come along, or memory, with zeros. */
export function lowVector(e: Emitter, insn: Insn, i: number, bytes: number): void {
  const { c } = e;
  const op = insn.ops[i];
  if (op.kind === 'reg') {
    c.get(e.xmm(op.num));
    return;
  }
  e.ea();
  if (bytes === 8) e.loadWith(8, Type.v128, () => c.simdMem(Simd.load64_zero));
  else if (bytes === 4) e.loadWith(4, Type.v128, () => c.simdMem(Simd.load32_zero));
  else {
    e.load(2);
    const value = e.toTemp(Type.i32);
    c.v128(0n, 0n).get(value).simdLane(Simd.i16x8_replace_lane, 0);
  }
}

/** Pops a v128 into operand 0, an XMM register. */
export function setXmm(e: Emitter, insn: Insn): void {
  e.c.set(e.xmmW(xmmNumber(insn, 0)));
}

/** Stores `write(offset)` at operand 0, memory: see MemoryEmitter.storeWith. */
export function storeMemory(
  e: Emitter,
  bytes: number,
  write: (offset: number) => void,
  aligned = false,
): void {
  e.ea();
  e.storeWith(e.toTemp(Type.i64), bytes, write, aligned);
}

/** Pushes a v128 whose lanes of `bytes` all hold a value (taken modulo the lane's size). */
export function splat(e: { readonly c: WasmCode }, bytes: number, value: bigint): void {
  const bits = 8 * bytes;
  let half = 0n;
  for (let at = 0; at < 64; at += bits) half |= BigInt.asUintN(bits, value) << BigInt(at);
  e.c.v128(half, half);
}

/** An instruction of two v128 operands, the first being the destination too: pushes both, in this order, and runs `op`. */
export function binary(op: (e: Emitter) => void): Lower {
  return (e, insn) => {
    // Memory first: its access may leave the region, and pushing it second keeps it the right operand.
    e.c.get(e.xmm(xmmNumber(insn, 0)));
    vector(e, insn, 1);
    op(e);
    setXmm(e, insn);
  };
}

/** `binary` with one SIMD opcode. */
export function binaryOp(opcode: number): Lower {
  return binary((e) => e.c.simd(opcode));
}

/** `binary` that gets its operands in locals, and pushes the result. */
export function binaryLocals(op: (e: Emitter, a: number, b: number) => void): Lower {
  return (e, insn) => {
    vector(e, insn, 1);
    const b = e.toTemp(Type.v128);
    op(e, e.xmm(xmmNumber(insn, 0)), b);
    setXmm(e, insn);
  };
}

/** An instruction of one v128 operand (operand 1) and a destination register. */
export function unary(op: (e: Emitter) => void): Lower {
  return (e, insn) => {
    vector(e, insn, 1);
    op(e);
    setXmm(e, insn);
  };
}

/** i8x16.shuffle lanes from lanes of `bytes`: 0 and up name those of the first operand, then those of the second. */
export function lanes(bytes: number, ...numbers: number[]): number[] {
  return numbers.flatMap((n) => Array.from({ length: bytes }, (_, i) => n * bytes + i));
}
