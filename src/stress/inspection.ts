import { CpuState, Gpr } from '../cpu/state.js';
import { Mm } from '../kernel/memory/mm-layout.js';
import { PAGE_SIZE } from '../memory/memory.js';
import { AddressSpace } from '../mmu/address-space.js';
import { Pte } from '../mmu/pte.js';
import type { LoadedCpu } from './threads.js';

/** A thread as replay shows it. */
export interface ThreadState {
  readonly thread: number;
  readonly cpu: number;
  readonly rip: bigint;
  readonly pkru: number;
  readonly registers: Readonly<Record<string, bigint>>;
  /** Words from RSP on. */
  readonly stack: readonly bigint[];
}

const STACK_WORDS = 16;

/** The page-table entry of an address, as halves; null if there is none. */
function entryOf({ mmu, k }: LoadedCpu, address: number): { low: number; high: number } | null {
  if (k.mm === 0) return null;
  const { memory } = k;
  const root = memory.load32(k.mm + Mm.space + AddressSpace.root);
  if (mmu.ops.entry(root, address - (address % PAGE_SIZE), mmu.scratch) === 0) return null;
  return { low: memory.load32(mmu.scratch), high: memory.load32(mmu.scratch + 4) };
}

/** Where an address of the program's lies in the machine's memory; 0 if nowhere. */
export function translate(cpu: LoadedCpu, address: number): number {
  const entry = entryOf(cpu, address);
  return entry === null ? 0 : ((entry.low & -PAGE_SIZE) | (address % PAGE_SIZE)) >>> 0;
}

/** The key of the page at an address; 0 if there is none. */
export function keyAt(cpu: LoadedCpu, address: number): number {
  return ((entryOf(cpu, address)?.high ?? 0) & Pte.keyMaskHigh) >>> Pte.keyShiftHigh;
}

/** Registers, PKRU and the top of the stack of the thread that a CPU has loaded. */
export function threadState({ k }: LoadedCpu, thread: number): ThreadState {
  const registers = Object.fromEntries(
    Object.entries(Gpr).map(([name, number]) => [
      name,
      k.memory.u64[(k.cpu.base + CpuState.gpr + 8 * number) >>> 3],
    ]),
  );
  const stack: bigint[] = [];
  for (let i = 0; i < STACK_WORDS; i++) {
    const word = k.user.readBytes(k.stackPointer + 8 * i, 8);
    if (word === null) break;
    stack.push(Buffer.from(word).readBigUInt64LE());
  }
  return {
    thread,
    cpu: k.cpu.id,
    rip: k.memory.u64[(k.cpu.base + CpuState.rip) >>> 3],
    pkru: k.cpu.pkru,
    registers,
    stack,
  };
}
