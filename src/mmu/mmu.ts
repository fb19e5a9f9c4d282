import type { Memory } from '../memory/memory.js';
import { heapAllocate } from '../memory/slab.js';
import { CodeDropper } from './code-drops.js';
import type { MmuCpu } from './mmu-cpu.js';
import { createTableOps, type TableOps } from './pte-ops.js';
import { Shootdown } from './shootdown.js';

/** The memory management of one CPU: what it takes to change page tables and to tell the other CPUs. */
export class Mmu {
  readonly memory: Memory;
  readonly ops: TableOps;
  readonly shootdown: Shootdown;
  readonly code: CodeDropper;
  /** A few words of kernel memory for results of `ops`; nothing keeps anything there. */
  readonly scratch: number;

  /** @param hostCores threads of the host that can run at once */
  constructor(
    readonly cpu: MmuCpu,
    hostCores: number,
  ) {
    this.memory = cpu.memory;
    this.ops = createTableOps(this.memory);
    this.shootdown = new Shootdown(cpu, hostCores);
    this.code = new CodeDropper(cpu, hostCores);
    this.scratch = heapAllocate(this.memory, 64);
  }

  /** Makes an mm (an AddressSpace; 0 for none) the CPU's. */
  load(mm: number): void {
    this.shootdown.load(mm);
  }

  /** Drops what this CPU caches and must not use any more. In mode `user` before guest code runs, and on Interrupt.flush. */
  catchUp(): void {
    this.shootdown.catchUp();
    this.code.catchUp();
  }
}
