import { CodeExt, type Code as IcedCode, MemorySizeExt } from 'iced-x86';
import type { Insn } from './insn.js';

/** Bytes of the memory operand, by Code: iced derives it from the encoding. */
const memorySizes: (number | undefined)[] = [];

/** Bytes that the instruction's memory operand has; 0 if it has none or iced gives it no size. */
export function memorySize(insn: Pick<Insn, 'code'>): number {
  return (memorySizes[insn.code] ??= MemorySizeExt.size(sizeEnum(insn.code)));
}

function sizeEnum(code: IcedCode): number {
  const info = CodeExt.opCode(code);
  const size = info.memorySize;
  info.free();
  return size;
}

/** Bytes of operand 0: a register's own size, or the memory operand's. */
export function destinationSize(insn: Insn): number {
  const op = insn.ops[0];
  return op.kind === 'reg' ? op.size : memorySize(insn);
}
