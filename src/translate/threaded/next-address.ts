import type { Code } from '../../wasm/code.js';
import { Op } from '../../wasm/opcodes.js';
import { ThreadedInsn } from './layout.js';

/** Pushes the address (i64) behind the ThreadedInsn in a local. */
export function nextAddress(c: Code, insn: number): void {
  c.get(insn).mem(Op.i64_load, ThreadedInsn.ip);
  c.get(insn).mem(Op.i64_load8_u, ThreadedInsn.length).op(Op.i64_add);
}
