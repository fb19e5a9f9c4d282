import type { GuestCpu } from '../../src/cpu/guest-cpu.js';
import { CPU_BLOCK_BYTES, CpuState, cpuPointer, Exit, PfError, Vector } from '../../src/cpu/state.js';
import { FCW_DEFAULT, MXCSR_DEFAULT, setMxcsr } from '../../src/cpu/xsave.js';
import type { InstructionMemory } from '../../src/cpu/xsave-instructions.js';
import { CPUS } from '../../src/memory/layout.js';
import { Memory, PAGE_SIZE } from '../../src/memory/memory.js';
import { alignUp } from '../../src/memory/struct.js';

/** A CPU's registers without a translator behind them, for tests of what works on registers alone. */
export class BareCpu implements GuestCpu {
  readonly memory: Memory;
  readonly base: number;
  pkru = 0;
  rflags = 0x202;

  constructor(
    extraBytes = 0,
    readonly id = 0,
    memory?: Memory,
  ) {
    this.memory = memory ?? Memory.create(alignUp(CPUS + CPU_BLOCK_BYTES + extraBytes, 65536));
    this.base = cpuPointer(id);
    this.memory.u16[(this.base + CpuState.fcw) >> 1] = FCW_DEFAULT;
    this.memory.u16[(this.base + CpuState.ftw) >> 1] = 0xffff;
    setMxcsr(this.memory, this.base, MXCSR_DEFAULT);
  }

  run(): number {
    throw new Error('a bare CPU runs nothing');
  }
  flushTlb(): void {}
  flushTlbRange(): void {}
  dropCode(): void {}
  dropFrame(): void {}
  readonly hasPku = true;
  timestamp(): number {
    return 0;
  }
  translate(): number {
    throw new Error('a bare CPU has no page tables');
  }
  describeInstruction(): null {
    return null;
  }
}

/** A few guest pages at fixed addresses, each with read and write permission. */
export class FlatPages implements InstructionMemory {
  readonly #pages = new Map<number, { pointer: number; read: boolean; write: boolean }>();
  /** Called before each access; may change the pages, as a shootdown during a page fault does. */
  onAccess?: (address: number, write: boolean) => void;

  constructor(private readonly cpu: GuestCpu) {}

  map(address: number, pointer: number, { read = true, write = true } = {}): void {
    this.#pages.set(address / PAGE_SIZE, { pointer, read, write });
  }

  unmap(address: number): void {
    this.#pages.delete(address / PAGE_SIZE);
  }

  read(address: number, size: number): number {
    return this.#find(address, size, false);
  }

  write(address: number, size: number): number {
    return this.#find(address, size, true);
  }

  #find(address: number, size: number, write: boolean): number {
    if (size > 64 || (address % PAGE_SIZE) + size > PAGE_SIZE) throw new RangeError('not one piece');
    this.onAccess?.(address, write);
    const page = this.#pages.get(Math.floor(address / PAGE_SIZE));
    if (page && (write ? page.write : page.read)) return page.pointer + (address % PAGE_SIZE);
    const { memory, base } = this.cpu;
    memory.store32(base + CpuState.exit, Exit.exception);
    memory.store32(base + CpuState.vector, Vector.PF);
    memory.store32(
      base + CpuState.errorCode,
      PfError.user | (page ? PfError.present : 0) | (write ? PfError.write : 0),
    );
    memory.storeNumber(base + CpuState.faultAddress, address);
    return 0;
  }
}
