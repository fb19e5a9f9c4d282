import type { MmuCpu } from '../../src/mmu/mmu-cpu.js';
import { CPU_BLOCK_BYTES, CpuState, cpuPointer } from '../../src/cpu/state.js';
import { MACHINE, Machine, memoryMap } from '../../src/memory/layout.js';
import { Memory } from '../../src/memory/memory.js';
import { createHeapClasses } from '../../src/memory/slab.js';
import { createMemoryManagement } from '../../src/kernel/memory/boot.js';

/** A machine's memory as boot leaves it, without workers. */
export function bareMemory({ guestBytes = 4 << 20, cpus = 1, mutants = 0 } = {}): Memory {
  const map = memoryMap(guestBytes, cpus, CPU_BLOCK_BYTES);
  const memory = Memory.create(map.total);
  memory.store32(MACHINE + Machine.cpuCount, cpus);
  memory.store32(MACHINE + Machine.mutants, mutants);
  memory.store32(MACHINE + Machine.framesBase, map.framesBase);
  memory.store32(MACHINE + Machine.frameCount, map.frameCount);
  memory.store32(MACHINE + Machine.frameTable, map.frameTable);
  memory.store32(MACHINE + Machine.heapBase, map.heapBase);
  memory.store32(MACHINE + Machine.heapEnd, map.heapEnd);
  memory.store32(MACHINE + Machine.heapNext, map.heapBase);
  createHeapClasses(memory);
  createMemoryManagement(memory);
  for (let id = 0; id < cpus; id++) memory.store32(cpuPointer(id) + CpuState.id, id);
  return memory;
}

/** A CPU that runs nothing and writes down what it is asked to drop. */
export class RecordingCpu implements MmuCpu {
  readonly base: number;
  pkru = 0;
  readonly dropped: string[] = [];

  constructor(
    readonly memory: Memory,
    readonly id = 0,
  ) {
    this.base = cpuPointer(id);
  }

  flushTlb(): void {
    this.dropped.push('tlb');
  }
  flushTlbRange(start: number, end: number): void {
    this.dropped.push(`tlb ${start.toString(16)}-${end.toString(16)}`);
  }
  dropCode(start?: number, end?: number): void {
    this.dropped.push(start === undefined ? 'code' : `code ${start.toString(16)}-${end!.toString(16)}`);
  }
  dropFrame(frame: number): void {
    this.dropped.push(`frame ${frame.toString(16)}`);
  }
}
