import type { GuestCpu } from '../cpu/guest-cpu.js';
import { CpuState, Vector } from '../cpu/state.js';
import type { InstructionMemory } from '../cpu/xsave-instructions.js';
import { Access } from '../mmu/walk.js';
import { type Insn, usesStackSegment } from './insn.js';

/** What instructions that run in TypeScript (`execute` of their row) need of the translator. */

/** Linear address of an instruction's memory operand, computed from the CPU block's registers; signed, as by Memory.loadAddress. */
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
  return Number(BigInt.asIntN(64, address));
}

/**
 * As GuestCpu.translate; an address that is not canonical raises #SS if it is relative to the stack segment (SDM vol. 1, 3.3.7.1).
 * @param stack whether it is
 */
export function translate(cpu: GuestCpu, address: number, access: number, stack: boolean): number {
  const pointer = cpu.translate(address, access);
  if (pointer === 0 && stack) {
    const vector = (cpu.base + CpuState.vector) >>> 2;
    if (cpu.memory.i32[vector] === Vector.GP) cpu.memory.i32[vector] = Vector.SS;
  }
  return pointer;
}

/** Guest memory with the CPU's own checks, demand paging and faults, for the memory operand of an instruction. */
export function instructionMemory(cpu: GuestCpu, insn: Insn): InstructionMemory {
  const stack = usesStackSegment(insn);
  return {
    read: (address) => translate(cpu, address, Access.read, stack),
    write: (address) => translate(cpu, address, Access.write, stack),
  };
}
