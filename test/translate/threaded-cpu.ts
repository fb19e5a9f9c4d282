import { CpuState, Gpr } from '../../src/cpu/state.js';
import { loadHandlers } from '../../src/machine/handlers.js';
import { MACHINE, Machine } from '../../src/memory/layout.js';
import { PAGE_SIZE } from '../../src/memory/memory.js';
import type { Engine } from '../../src/translate/engine.js';
import { FORMS_ROOM } from '../../src/translate/threaded/form-layout.js';
import { CODE, STACK } from '../oracle/driver.js';
import { EmulatorDriver } from '../oracle/emulator.js';

/** A CPU of an emulated machine without a kernel, and a page for code, of which everything is translated to regions at once. */
export class CodeCpu extends EmulatorDriver {
  /** Puts instructions at an offset of the page for code; translations of it are dropped, as a store would. */
  place(hex: string, offset = 0): void {
    this.bytes(CODE).set(Buffer.from(hex.replaceAll(' ', ''), 'hex'), offset);
    this.cpu.dropFrame(this.frames.get(CODE)!);
  }

  /** Runs from the page's beginning with all registers 0 but RSP, until something happens; returns the Exit. */
  start(registers: Partial<Record<keyof typeof Gpr, number>> = {}): number {
    const { memory, cpu } = this;
    for (const number of Object.values(Gpr)) memory.storeNumber(cpu.base + CpuState.gpr + 8 * number, 0);
    for (const [name, value] of Object.entries({ rsp: STACK + 4096, ...registers })) {
      memory.storeNumber(cpu.base + CpuState.gpr + 8 * Gpr[name as keyof typeof Gpr], value);
    }
    memory.storeNumber(cpu.base + CpuState.rip, CODE);
    return this.go();
  }

  /** Sets registers, those above 2^53 to the bit. */
  registers(values: Partial<Record<keyof typeof Gpr | 'rip', bigint>>): void {
    for (const [name, value] of Object.entries(values)) {
      const field = name === 'rip' ? CpuState.rip : CpuState.gpr + 8 * Gpr[name as keyof typeof Gpr];
      this.memory.u64[(this.cpu.base + field) >>> 3] = value;
    }
  }

  /** Runs from RIP until something happens; returns the Exit. */
  go(): number {
    const { memory, cpu } = this;
    memory.store32(cpu.base + CpuState.budget, 0x4000_0000);
    memory.store32(cpu.base + CpuState.interrupt, 0);
    return cpu.run();
  }

  gpr(name: keyof typeof Gpr): number {
    return this.memory.loadNumber(this.cpu.base + CpuState.gpr + 8 * Gpr[name]);
  }

  get rip(): number {
    return this.memory.loadNumber(this.cpu.base + CpuState.rip);
  }

  /** A 64-bit number anywhere in mapped guest memory; below 2^53. */
  load64(address: number): number {
    let value = 0;
    for (let i = 7; i >= 0; i--) value = value * 256 + this.page(address + i)[(address + i) % PAGE_SIZE];
    return value;
  }

  store64(address: number, value: number): void {
    for (let i = 0; i < 8; i++)
      this.page(address + i)[(address + i) % PAGE_SIZE] = Math.floor(value / 256 ** i) % 256;
  }

  private page(address: number): Uint8Array {
    return this.bytes(address - (address % PAGE_SIZE));
  }

  /** What the page-fault exception says. */
  get fault(): { address: number; error: number } {
    const { memory, cpu } = this;
    return {
      address: memory.loadNumber(cpu.base + CpuState.faultAddress),
      error: memory.load32(cpu.base + CpuState.errorCode),
    };
  }

  get vector(): number {
    return this.memory.load32(this.cpu.base + CpuState.vector);
  }

  count(field: 'instructions' | 'regionsTranslated' | 'regionsRestored'): number {
    return this.memory.f64[(this.cpu.base + CpuState[field]) >>> 3];
  }
}

/** A CPU with threaded code, as CPU workers have it. */
export class ThreadedCpu extends CodeCpu {
  readonly engine: Engine;

  /** @param room bytes of the code store */
  constructor(room = 1 << 20) {
    super();
    this.memory.store32(
      MACHINE + Machine.codeEnd,
      this.memory.loadU32(MACHINE + Machine.codeBase) + FORMS_ROOM + room,
    );
    this.engine = this.useHandlers(loadHandlers());
  }
}
