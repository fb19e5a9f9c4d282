import { CpuState } from '../../cpu/state.js';
import { MACHINE, Machine } from '../../memory/layout.js';
import type { Memory } from '../../memory/memory.js';
import { flowOf, FlowControl } from '../flow-control.js';
import type { Insn } from '../insn.js';
import { findHandler, GO_ON, type Handler, type HandlerExports, type HandlerIndex } from './handlers.js';
import { TARGETS_NOTED, ThreadedBlock, ThreadedInsn } from './layout.js';
import { registerOffsets, type Variant, virtualRegisters } from './shape.js';

/** What a machine's CPUs execute threaded code with; can be posted to workers. */
export interface Handlers {
  readonly module: WebAssembly.Module;
  readonly index: HandlerIndex;
}

/** Instructions of a block. */
const LONGEST_BLOCK = 32;

/**
 * Instructions that a block executes before it is translated. A region costs a millisecond or two until it runs, and V8's optimising
 * compiler much more; measured between 400 and 8,000 executions of a block, programs with one loop lose nothing, and those with many
 * gain, up to the latter.
 */
const HEAT = 15_000;

/** A block that has executed this part of its HEAT by the time another is translated is taken along. */
const WARM = 1 / 16;

/** An instruction may end several blocks that overlap; so many, the latest, are asked where it went. */
const BLOCKS_ASKED = 4;

/** How much longer a block waits for its translation for each time that its code was dropped. */
const PATIENCE = 8;

/** Executions of a block of `count` instructions until it is translated. */
function executions(count: number): number {
  return Math.ceil(HEAT / count);
}

/** An instruction and how it is executed. */
interface Decoded {
  readonly insn: Insn;
  readonly handler: Handler;
  readonly variant: Variant;
  readonly offsets: readonly number[];
}

/**
 * Threaded code of one CPU: writes blocks into its part of the machine's code store, one behind the other. When that is full, all
 * blocks must be dropped at once (`reset`).
 */
export class ThreadedCode {
  /** Blocks that note the targets of the indirect jump at an address, with which they end. */
  private readonly noting = new Map<number, number[]>();
  private readonly start: number;
  private readonly end: number;
  private next: number;

  /** @param cpu number of the CPU */
  constructor(
    private readonly memory: Memory,
    readonly exports: HandlerExports,
    private readonly index: HandlerIndex,
    cpu: number,
  ) {
    const base = memory.loadU32(MACHINE + Machine.codeBase);
    const room = memory.loadU32(MACHINE + Machine.codeEnd) - base;
    const share = Math.floor(room / memory.load32(MACHINE + Machine.cpuCount)) & -64;
    this.start = this.next = base + cpu * share;
    this.end = this.start + share;
  }

  /** Whether there is room for another block. */
  get full(): boolean {
    return this.next + ThreadedBlock.size + (LONGEST_BLOCK + 1) * ThreadedInsn.size > this.end;
  }

  /** Gives all blocks' room back; none may be used any more. */
  reset(): void {
    this.noting.clear();
    this.next = this.start;
  }

  /**
   * Decodes the basic block at `entry`, as far as there are handlers.
   * @param fetch decodes the instruction at an address; null if it cannot be fetched or is no instruction
   * @param rewritten how many versions of the code there were before: the more, the longer until it is translated
   * @returns its instructions and its pointer; null if there is no handler for the first; 'fault' if that cannot be fetched
   */
  write(
    entry: number,
    fetch: (ip: number) => Insn | null,
    rewritten = 0,
    most = LONGEST_BLOCK,
  ): { insns: Insn[]; block: number } | null | 'fault' {
    const decoded: Decoded[] = [];
    let ends = false;
    for (let ip = entry; decoded.length < most && !ends; ) {
      const insn = fetch(ip);
      if (!insn) {
        if (decoded.length === 0) return 'fault';
        break;
      }
      const registers = virtualRegisters(insn);
      const found = findHandler(this.index, insn, registers);
      if (!found) break;
      decoded.push({ insn, ...found, offsets: registerOffsets(registers) });
      ends = flowOf(insn).kind !== FlowControl.next;
      ip = insn.next;
    }
    if (decoded.length === 0) return null;
    const { memory } = this;
    const block = this.next;
    memory.store32(block + ThreadedBlock.count, decoded.length);
    memory.store32(block + ThreadedBlock.heat, executions(decoded.length) * PATIENCE ** rewritten);
    const { insn: last } = decoded[decoded.length - 1];
    const indirect = flowOf(last).indirect === true;
    memory.store32(block + ThreadedBlock.indirect, indirect ? 1 : 0);
    memory.store32(block + ThreadedBlock.seen, 0);
    if (indirect)
      this.noting.set(last.ip, [block, ...(this.noting.get(last.ip) ?? [])].slice(0, BLOCKS_ASKED));
    let at = block + ThreadedBlock.size;
    decoded.forEach((one, i) => {
      this.writeInsn(at, one, decoded.length - i);
      at += ThreadedInsn.size;
    });
    if (!ends) {
      memory.store32(at + ThreadedInsn.handler, GO_ON);
      memory.storeNumber(at + ThreadedInsn.next, decoded[decoded.length - 1].insn.next);
      at += ThreadedInsn.size;
    }
    this.next = at;
    return { insns: decoded.map(({ insn }) => insn), block };
  }

  /** Where an indirect jump, call or return at an address has gone lately, and which part of the times; commonest first. */
  targets(ip: number): { target: number; share: number }[] {
    const counts = new Map<number, number>();
    let all = 0;
    for (const block of this.noting.get(ip) ?? []) {
      const seen = Math.min(TARGETS_NOTED, this.memory.loadU32(block + ThreadedBlock.seen));
      all += seen;
      for (let i = 0; i < seen; i++) {
        const target = this.memory.loadNumber(block + ThreadedBlock.targets + 8 * i);
        counts.set(target, (counts.get(target) ?? 0) + 1);
      }
    }
    return [...counts].sort((a, b) => b[1] - a[1]).map(([target, n]) => ({ target, share: n / all }));
  }

  /** Whether a block has run often enough to be part of the region of another. */
  isWarm(block: number): boolean {
    const all = executions(this.memory.load32(block + ThreadedBlock.count));
    return all - this.memory.load32(block + ThreadedBlock.heat) >= all * WARM;
  }

  /** A region contains the block: it is translated by itself only if it is still entered often. */
  cool(block: number): void {
    const count = this.memory.load32(block + ThreadedBlock.count);
    this.memory.store32(block + ThreadedBlock.heat, executions(count));
  }

  private writeInsn(at: number, { insn, handler, variant, offsets }: Decoded, left: number): void {
    const { memory } = this;
    const { u16 } = memory;
    memory.store32(at + ThreadedInsn.handler, handler.index);
    memory.store32(at + ThreadedInsn.left, left);
    memory.storeNumber(at + ThreadedInsn.ip, insn.ip);
    memory.storeNumber(at + ThreadedInsn.next, insn.next);
    for (const op of insn.ops) {
      if (op.kind === 'branch') memory.storeNumber(at + ThreadedInsn.target, op.target);
      else if (op.kind === 'imm') this.store64(at + ThreadedInsn.imm, op.value);
    }
    const { mem } = insn;
    if (mem) {
      const offset = (register: number) => (register < 0 ? CpuState.zero : CpuState.gpr + 8 * register);
      this.store64(at + ThreadedInsn.disp, mem.disp);
      u16[(at + ThreadedInsn.base) >>> 1] = offset(mem.base);
      u16[(at + ThreadedInsn.index) >>> 1] = offset(mem.index);
      memory.store32(at + ThreadedInsn.shift, Math.log2(mem.scale));
    }
    if (variant.registers) {
      offsets.forEach((offset, i) => {
        u16[((at + ThreadedInsn.registers) >>> 1) + i] = offset;
      });
    }
  }

  private store64(pointer: number, value: number | bigint): void {
    this.memory.u64[pointer >>> 3] = BigInt.asUintN(64, BigInt(value));
  }
}
