import type { Insn } from './insn.js';

/** Bytes of operand 0: a register's own size, or the memory operand's. */
export function destinationSize(insn: Insn): number {
  const op = insn.ops[0];
  return op.kind === 'reg' ? op.size : insn.memorySize;
}
