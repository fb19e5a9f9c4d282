import type { GuestCpu } from '../cpu/guest-cpu.js';
import { CpuState } from '../cpu/state.js';
import { loadImage, saveImage, XCR0, Xfeature } from '../cpu/xsave.js';
import { hasMutant, Mutant } from '../memory/mutants.js';
import { Task } from './task-layout.js';

/** Words of the general registers, RIP, segment bases and selectors, which lie together in CpuState. */
const REGISTER_WORDS = (CpuState.ccDst - CpuState.gpr) >>> 2;

/** Copies a CPU's registers and XSAVE state to a task; the CPU keeps them. */
export function saveTask(cpu: GuestCpu, task: number): void {
  const { memory, base } = cpu;
  const { i32 } = memory;
  const from = (base + CpuState.gpr) >>> 2;
  const to = (task + Task.registers) >>> 2;
  for (let i = 0; i < REGISTER_WORDS; i++) i32[to + i] = i32[from + i];
  memory.store32(task + Task.rflags, cpu.rflags);
  const mask = hasMutant(memory, Mutant.pkruNotSaved) ? XCR0 & ~Xfeature.pkru : XCR0;
  saveImage(cpu, task + Task.image, mask);
}

/** The reverse. */
export function loadTask(cpu: GuestCpu, task: number): void {
  const { memory, base } = cpu;
  const { i32 } = memory;
  const to = (base + CpuState.gpr) >>> 2;
  const from = (task + Task.registers) >>> 2;
  for (let i = 0; i < REGISTER_WORDS; i++) i32[to + i] = i32[from + i];
  cpu.rflags = memory.loadU32(task + Task.rflags);
  const mask = hasMutant(memory, Mutant.pkruNotRestored) ? XCR0 & ~Xfeature.pkru : XCR0;
  loadImage(cpu, task + Task.image, mask);
}
