import { CpuState } from '../../cpu/state.js';
import type { Memory } from '../../memory/memory.js';
import type { Insn } from '../insn.js';
import { findHandler, type HandlerIndex } from './handler-index.js';
import { ThreadedInsn } from './layout.js';
import { registerOffsets, type Variant, virtualRegisters } from './shape.js';

/**
 * Writes an instruction as a ThreadedInsn.
 * @param at pointer
 * @returns what its handler leaves open; null if there is no handler for it, and then nothing is written
 */
export function writeInsn(memory: Memory, at: number, insn: Insn, index: HandlerIndex): Variant | null {
  const { u8, u16, u64 } = memory;
  const virtual = virtualRegisters(insn);
  const found = findHandler(index, insn, virtual);
  if (!found) return null;
  const { handler, variant } = found;
  const store64 = (field: number, value: number | bigint) => {
    u64[(at + field) >>> 3] = BigInt.asUintN(64, BigInt(value));
  };
  u16[(at + ThreadedInsn.handler) >>> 1] = handler.index;
  u8[at + ThreadedInsn.length] = insn.next - insn.ip;
  memory.storeNumber(at + ThreadedInsn.ip, insn.ip);
  for (const op of insn.ops) {
    if (op.kind === 'branch') memory.storeNumber(at + ThreadedInsn.value, op.target);
    else if (op.kind === 'imm') store64(ThreadedInsn.value, op.value);
  }
  const { mem } = insn;
  if (mem) {
    const offset = (register: number) => (register < 0 ? CpuState.zero : CpuState.gpr + 8 * register);
    store64(ThreadedInsn.disp, mem.disp);
    u16[(at + ThreadedInsn.base) >>> 1] = offset(mem.base);
    u16[(at + ThreadedInsn.index) >>> 1] = offset(mem.index);
    u8[at + ThreadedInsn.shift] = Math.log2(mem.scale);
  }
  if (variant.registers) {
    registerOffsets(virtual).forEach((offset, i) => {
      u16[((at + ThreadedInsn.registers) >>> 1) + i] = offset;
    });
  }
  return variant;
}
