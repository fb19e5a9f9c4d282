import { MACHINE, Machine } from '../../memory/layout.js';
import { type Memory, PAGE_SIZE } from '../../memory/memory.js';
import { flowOf, FlowControl } from '../flow-control.js';
import { pieces, type SourceBytes } from '../code-cache.js';
import { type Insn, MAX_INSN } from '../insn.js';
import { Written, WRITTEN_LENGTH } from './block-writer.js';
import { FORMS_ROOM } from './form-layout.js';
import type { HandlerIndex } from './handler-index.js';
import { GO_ON, type HandlerExports } from './handlers.js';
import { writeInsn } from './insn-writer.js';
import { NotedTargets, TARGETS_NOTED, ThreadedBlock, ThreadedInsn } from './layout.js';

/** What a machine's CPUs execute threaded code with. */
export interface Handlers {
  readonly module: WebAssembly.Module;
  /** Made when an instruction has no form in the table. */
  readonly index: HandlerIndex;
  /** The table of forms; null: there is none, and all instructions are decoded. */
  forms(): Uint8Array | null;
}

/** States of Machine.forms. */
const Forms = { missing: 0, unfinished: 1, there: 2 } as const;

/**
 * Pointer of the machine's table of forms, which the first CPU that asks puts there; 0 if there is none. A CPU that asks while it is
 * being put there doesn't wait, but decodes, and asks again for the next block.
 */
function sharedForms(memory: Memory, handlers: Handlers): number {
  const state = (MACHINE + Machine.forms) >>> 2;
  const base = memory.loadU32(MACHINE + Machine.codeBase);
  if (Atomics.compareExchange(memory.i32, state, Forms.missing, Forms.unfinished) === Forms.missing) {
    const table = handlers.forms();
    if (!table) return 0;
    memory.u8.set(table, base);
    Atomics.store(memory.i32, state, Forms.there);
  }
  return Atomics.load(memory.i32, state) === Forms.there ? base : 0;
}

/** Instructions of a block. */
const LONGEST_BLOCK = 32;

/**
 * Instructions that a block executes before it is translated. A region costs some 4 ms of processor time, V8's compilers included, in which
 * threaded code executes 400,000. Measured from 15,000 to 480,000: programs of a few loops take the same time with all; sqlite, QuickJS, Lua and
 * programs in Rust and Go, most of whose code is lukewarm, take a third less processor time with 60,000 than with 15,000, and nearly
 * half with 200,000; a program of 170 regions that are all hot loses nothing with 60,000 and a fifth with 200,000.
 */
const HEAT = 60_000;

/** A block that has executed this part of its HEAT by the time another is translated is taken along. */
const WARM = 1 / 16;

/** An instruction may end several blocks that overlap; so many, the latest, are asked where it went. */
const BLOCKS_ASKED = 4;

/** How much longer a block waits for its translation for each time that its code was dropped. */
const PATIENCE = 8;

/** Blocks begin at multiples of this. */
const ALIGNMENT = 64;

/** Bytes of the largest block, with its copy of the code. */
const LARGEST =
  ThreadedBlock.size +
  (LONGEST_BLOCK + 1) * ThreadedInsn.size +
  NotedTargets.size +
  LONGEST_BLOCK * MAX_INSN +
  ALIGNMENT;

/** Executions of a block of `count` instructions until it is translated. */
function executions(count: number): number {
  return Math.ceil(HEAT / count);
}

/** Guest code, as threaded code is made of it. */
export interface CodeSource {
  /** Pointer of the byte at an address; 0 if it cannot be fetched. */
  locate(ip: number): number;
  /** Pointer of the Frame.codeMask of the frame with a pointer. */
  codeMask(pointer: number): number;
  /** Notes that bytes at a pointer, in one frame, are code. */
  mark(pointer: number, length: number): void;
  /** Decodes the instruction at an address, whose bytes are noted as code; null if it cannot be fetched or is none. */
  fetch(ip: number): Insn | null;
}

/**
 * Threaded code of one CPU: writes blocks into its part of the machine's code store, one behind the other. When that is full, all
 * blocks must be dropped at once (`reset`).
 */
export class ThreadedCode {
  /** Pointers of the NotedTargets of the blocks that end with the indirect jump at an address. */
  private readonly noting = new Map<number, number[]>();
  /** Pointer of the machine's table of forms; 0 as long as it has none. */
  private forms = 0;
  private readonly start: number;
  private readonly end: number;
  private next: number;

  /** @param cpu number of the CPU */
  constructor(
    private readonly memory: Memory,
    readonly exports: HandlerExports,
    private readonly handlers: Handlers,
    cpu: number,
  ) {
    const base = memory.loadU32(MACHINE + Machine.codeBase) + FORMS_ROOM;
    const room = Math.max(0, memory.loadU32(MACHINE + Machine.codeEnd) - base);
    const share = Math.floor(room / memory.load32(MACHINE + Machine.cpuCount)) & -64;
    this.start = this.next = base + cpu * share;
    this.end = this.start + share;
  }

  /** Whether there is room for another block. */
  get full(): boolean {
    return this.next + LARGEST > this.end;
  }

  /** Gives all blocks' room back; none may be used any more. */
  reset(): void {
    this.noting.clear();
    this.next = this.start;
  }

  /**
   * Decodes the basic block at `entry`, as far as there are handlers.
   * @param rewritten how many versions of the code there were before: the more, the longer until it is translated
   * @returns its pointer, its instructions' number and the address behind them; null if there is no handler for the first; 'fault' if
   *   that cannot be fetched
   */
  write(
    entry: number,
    source: CodeSource,
    rewritten = 0,
    most = LONGEST_BLOCK,
  ): { block: number; count: number; end: number } | null | 'fault' {
    const { memory } = this;
    const block = this.next;
    memory.storeNumber(block + ThreadedBlock.ip, entry);
    memory.store32(block + ThreadedBlock.count, 0);
    memory.store32(block + ThreadedBlock.length, 0);
    memory.store32(block + ThreadedBlock.targets, 0);
    const ended = this.append(block, source, most);
    if (ended === 'fault') return ended;
    const count = memory.load32(block + ThreadedBlock.count);
    const length = memory.load32(block + ThreadedBlock.length);
    if (count === 0) return null;
    let at = block + ThreadedBlock.size + count * ThreadedInsn.size;
    if (!ended) {
      memory.u16[(at + ThreadedInsn.handler) >>> 1] = GO_ON;
      memory.u8[at + ThreadedInsn.length] = 0;
      memory.storeNumber(at + ThreadedInsn.ip, entry + length);
      at += ThreadedInsn.size;
    }
    memory.store32(block + ThreadedBlock.heat, executions(count) * PATIENCE ** rewritten);
    if (memory.load32(block + ThreadedBlock.targets)) {
      const last = memory.loadAddress(at - ThreadedInsn.size + ThreadedInsn.ip);
      memory.store32(block + ThreadedBlock.targets, at);
      memory.store32(at + NotedTargets.seen, 0);
      this.noting.set(last, [at, ...(this.noting.get(last) ?? [])].slice(0, BLOCKS_ASKED));
      at += NotedTargets.size;
    }
    memory.store32(block + ThreadedBlock.source, at);
    this.next = (at + length + ALIGNMENT - 1) & -ALIGNMENT;
    return { block, count, end: entry + length };
  }

  /** Appends instructions to an empty block. @returns whether the last one ends it; 'fault' if the first cannot be fetched */
  private append(block: number, source: CodeSource, most: number): boolean | 'fault' {
    const { memory } = this;
    const forms = (this.forms ||= sharedForms(memory, this.handlers));
    const entry = memory.loadAddress(block + ThreadedBlock.ip);
    for (;;) {
      const ip = entry + memory.load32(block + ThreadedBlock.length);
      const pointer = forms && source.locate(ip);
      if (pointer) {
        const room = PAGE_SIZE - (pointer & (PAGE_SIZE - 1));
        const written = this.exports.write(block, pointer, room, source.codeMask(pointer), most, forms);
        if (written === Written.ended) return true;
        if (written === Written.full) return false;
        const length = written >> WRITTEN_LENGTH;
        if (length > 0) {
          source.mark(source.locate(entry + memory.load32(block + ThreadedBlock.length)), length);
          continue;
        }
      }
      const count = memory.load32(block + ThreadedBlock.count);
      if (count === most) return false;
      const insn = source.fetch(entry + memory.load32(block + ThreadedBlock.length));
      if (!insn) return count === 0 ? 'fault' : false;
      const at = block + ThreadedBlock.size + count * ThreadedInsn.size;
      if (!writeInsn(memory, at, insn, this.handlers.index)) return false;
      memory.store32(block + ThreadedBlock.count, count + 1);
      memory.store32(block + ThreadedBlock.length, insn.next - entry);
      const { kind, indirect } = flowOf(insn);
      memory.store32(block + ThreadedBlock.targets, indirect ? 1 : 0);
      if (kind !== FlowControl.next) return true;
    }
  }

  /** Where a block's copy of the code that it was made of is: for whoever made it to fill. */
  copyOf(block: number): number {
    return this.memory.loadU32(block + ThreadedBlock.source);
  }

  /** The code that a block was made of, as it was. */
  source(block: number): SourceBytes[] {
    const { memory } = this;
    const start = memory.loadAddress(block + ThreadedBlock.ip);
    const end = start + memory.load32(block + ThreadedBlock.length);
    const copy = this.copyOf(block);
    return pieces(start, end).map(({ address, length }) => {
      const from = copy + address - start;
      return { address, bytes: memory.u8.subarray(from, from + length) };
    });
  }

  /** Where an indirect jump, call or return at an address has gone lately, and which part of the times; commonest first. */
  targets(ip: number): { target: number; share: number }[] {
    const counts = new Map<number, number>();
    let all = 0;
    for (const noted of this.noting.get(ip) ?? []) {
      const seen = Math.min(TARGETS_NOTED, this.memory.loadU32(noted + NotedTargets.seen));
      all += seen;
      for (let i = 0; i < seen; i++) {
        const target = this.memory.loadNumber(noted + NotedTargets.targets + 8 * i);
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
}
