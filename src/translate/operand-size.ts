import { icedMemorySize } from './iced/library.js';
import type { Insn } from './insn.js';

/** Bytes of the memory operand, by Code: iced derives it from the encoding. */
const memorySizes: (number | undefined)[] = [];

/** Bytes that the instruction's memory operand has; 0 if it has none or iced gives it no size. */
export function memorySize(insn: Pick<Insn, 'code'>): number {
  return (memorySizes[insn.code] ??= icedMemorySize(insn.code));
}

/** Bytes of operand 0: a register's own size, or the memory operand's. */
export function destinationSize(insn: Insn): number {
  const op = insn.ops[0];
  return op.kind === 'reg' ? op.size : memorySize(insn);
}
