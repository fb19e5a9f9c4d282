import type { GuestCpu } from '../cpu/guest-cpu.js';
import { CpuState } from '../cpu/state.js';
import type { InstructionMemory } from '../cpu/xsave-instructions.js';
import { Access } from '../mmu/walk.js';
import type { Insn } from './insn.js';

/** What instructions that run in TypeScript (`execute` of their row) need of the translator. */

/** Linear address of an instruction's memory operand, computed from the CPU block's registers; rounded above 2^53 (never valid). */
export function effectiveAddress(cpu: GuestCpu, insn: Insn): number {
  const { memory, base } = cpu;
  const mem = insn.mem!;
  const gpr = (num: number) => memory.u64[(base + CpuState.gpr + 8 * num) >>> 3];
  let address = BigInt(mem.disp);
  if (mem.base >= 0) address += gpr(mem.base);
  if (mem.index >= 0) address += gpr(mem.index) * BigInt(mem.scale);
  address = mem.addressSize === 4 ? BigInt.asUintN(32, address) : BigInt.asUintN(64, address);
  if (mem.segment !== 'none') {
    address += memory.u64[(base + (mem.segment === 'fs' ? CpuState.fsBase : CpuState.gsBase)) >>> 3];
  }
  return Number(BigInt.asUintN(64, address));
}

/** Guest memory with the CPU's own checks, demand paging and faults. */
export function instructionMemory(cpu: GuestCpu): InstructionMemory {
  return {
    read: (address) => cpu.translate(address, Access.read),
    write: (address) => cpu.translate(address, Access.write),
  };
}
