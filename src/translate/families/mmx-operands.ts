import { CpuState } from '../../cpu/state.js';
import { Op, Type } from '../../wasm/opcodes.js';
import { Simd } from '../../wasm/simd.js';
import { Emitter } from '../emitter.js';
import type { Insn } from '../insn.js';
import type { Row } from '../row.js';
import { type Lower, sseRow } from './sse-operands.js';
import { raisePending } from './x87.js';

/**
 * MMX registers are the significands of the x87 registers, in physical order (SDM vol. 1, 9.2). They are handled as v128
 * values whose upper half means nothing; from registers and memory it comes as zeros.
 */

/** Offset of an MMX register in the CPU block. */
export function mmxField(num: number): number {
  return CpuState.fpr + 16 * num;
}

/** The MMX register number of operand `i`, which is a register. */
export function mmxNumber(insn: Insn, i: number): number {
  const op = insn.ops[i];
  if (op.kind !== 'reg' || op.class !== 'mm') throw new Error(`operand ${i} is no MMX register`);
  return op.num;
}

/** Pushes an MMX register (v128). */
export function readMmx(e: Emitter, num: number): void {
  e.c.get(Emitter.CPU).simdMem(Simd.load64_zero, mmxField(num));
}

/** Pushes operand `i` (v128), an MMX register or memory of 8 bytes, or of 4 for PUNPCKLxx. */
export function mmxOperand(e: Emitter, insn: Insn, i: number): void {
  const op = insn.ops[i];
  if (op.kind === 'reg') {
    readMmx(e, op.num);
    return;
  }
  const bytes = insn.memorySize;
  e.ea();
  e.loadWith(bytes, Type.v128, () => e.c.simdMem(bytes === 4 ? Simd.load32_zero : Simd.load64_zero));
}

/** Pops a v128 into an MMX register. Sign and exponent become ones, as they do on processors. */
export function writeMmx(e: Emitter, num: number): void {
  const { c } = e;
  const value = e.toTemp(Type.v128);
  c.get(Emitter.CPU).get(value).simdMemLane(Simd.store64_lane, 0, mmxField(num));
  c.get(Emitter.CPU)
    .i64(0xffff)
    .mem(Op.i64_store, mmxField(num) + 8);
}

/** What every MMX instruction does to the x87 unit, and nothing before its last possible fault: TOP = 0, all registers in use. */
export function enterMmx(e: Emitter): void {
  const { c } = e;
  // Status and tag word lie side by side.
  c.get(Emitter.CPU).get(Emitter.CPU).mem(Op.i32_load, CpuState.fsw).i32(0xc7ff).op(Op.i32_and);
  c.mem(Op.i32_store, CpuState.fsw);
}

/** An MMX instruction: a pending x87 exception comes first, the change of the x87 unit last. */
function mmx(lower: Lower): Lower {
  return (e, insn) => {
    raisePending(e);
    lower(e, insn);
    enterMmx(e);
  };
}

/** Rows of MMX instructions, by names of codes. */
export function mmxRow(names: string, lower: Lower): Row[] {
  return sseRow(names, mmx(lower), { mayRaise: true });
}

/** An instruction of two operands, the first being the destination too: gets them in locals, and pushes the result. */
export function binaryMmx(op: (e: Emitter, a: number, b: number) => void): Lower {
  return (e, insn) => {
    mmxOperand(e, insn, 1);
    const b = e.toTemp(Type.v128);
    const to = mmxNumber(insn, 0);
    readMmx(e, to);
    op(e, e.toTemp(Type.v128), b);
    writeMmx(e, to);
  };
}

/** `binaryMmx` with one SIMD opcode. */
export function binaryMmxOp(opcode: number): Lower {
  return binaryMmx((e, a, b) => e.c.get(a).get(b).simd(opcode));
}

/** An instruction of one operand (operand 1) and a destination register. */
export function unaryMmx(op: (e: Emitter) => void): Lower {
  return (e, insn) => {
    mmxOperand(e, insn, 1);
    op(e);
    writeMmx(e, mmxNumber(insn, 0));
  };
}
