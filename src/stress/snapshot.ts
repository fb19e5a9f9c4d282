import { CpuState, cpuPointer } from '../cpu/state.js';
import { CPUS, Frame, MACHINE, Machine } from '../memory/layout.js';
import { type Memory, PAGE_SIZE } from '../memory/memory.js';
import { Root, rootPointer } from '../memory/roots.js';
import { FramePool } from '../mmu/frames.js';
import { Code } from '../wasm/code.js';
import { ModuleWriter } from '../wasm/module.js';
import { Type } from '../wasm/opcodes.js';
import { PageTracker } from './page-tracker.js';

/** A stretch of memory. */
export interface Area {
  readonly pointer: number;
  readonly bytes: number;
}

interface SavedArea extends Area {
  readonly copy: number;
}

/**
 * The state of a machine's memory at one moment, kept in the same memory (in the code store, which a machine whose CPUs share a
 * worker doesn't use), so that one `memory.copy` each brings it back: the kernel's structures, CPU blocks, and the frames that are
 * in use. Of the program's pages only those are brought back that have been written to or unmapped (page-tracker.ts). TLBs
 * are left alone: the seeded flavour never reads them. So are jump caches, which belong to the translations.
 */
export class MemorySnapshot {
  private readonly areas: SavedArea[] = [];
  private readonly tracker: PageTracker;
  /** Where the frame has its copy, by number of the frame. */
  private readonly frameCopies: number;
  private readonly heapEnd: number;
  private readonly frames: number;
  private readonly copy: (to: number, from: number, bytes: number) => void;
  private readonly fill: (to: number, bytes: number) => void;
  /** Bytes that the snapshot has, and those that the last restore has brought back. */
  readonly bytes: number;
  restored = 0;

  /**
   * @param root of the program's page tables
   * @param scratch parts of the kernel's heap whose contents mean nothing, ascending
   * @throws Error if the machine uses more memory than there is room for
   */
  constructor(
    private readonly memory: Memory,
    root: number,
    scratch: readonly Area[],
  ) {
    const functions = bulkFunctions(memory);
    this.copy = functions.copy;
    this.fill = functions.fill;
    const machine = (offset: number) => memory.loadU32(MACHINE + offset);
    this.heapEnd = machine(Machine.heapNext);
    this.frames = usedFrames(memory);
    let room = machine(Machine.codeBase);
    const reserve = (bytes: number) => {
      const at = room;
      room += Math.ceil(bytes / 64) * 64;
      if (room > machine(Machine.codeEnd)) throw new Error('the program uses too much memory for a snapshot');
      return at;
    };
    const add = (pointer: number, bytes: number) => {
      if (bytes > 0) this.areas.push({ pointer, bytes, copy: reserve(bytes) });
    };
    add(MACHINE, CPUS - MACHINE);
    for (let id = 0; id < memory.load32(MACHINE + Machine.cpuCount); id++)
      add(cpuPointer(id), CpuState.tlbRead);
    let from = machine(Machine.heapBase);
    for (const { pointer, bytes } of scratch) {
      add(from, pointer - from);
      from = pointer + bytes;
    }
    add(from, this.heapEnd - from);
    add(machine(Machine.frameTable), this.frames * Frame.size);
    this.frameCopies = reserve(this.frames * PAGE_SIZE);
    this.bytes = room - machine(Machine.codeBase);
    this.tracker = new PageTracker(memory, root, this.frames);
    for (const { pointer, bytes, copy } of this.areas) this.copy(copy, pointer, bytes);
    this.copy(this.frameCopies, machine(Machine.framesBase), this.frames * PAGE_SIZE);
  }

  restore(): void {
    const { memory } = this;
    const framesBase = memory.loadU32(MACHINE + Machine.framesBase);
    // What was never used at the time was zero.
    const heapNow = memory.loadU32(MACHINE + Machine.heapNext);
    this.fill(this.heapEnd, heapNow - this.heapEnd);
    const more = usedFrames(memory) - this.frames;
    if (more > 0) {
      const table = memory.loadU32(MACHINE + Machine.frameTable);
      this.fill(table + this.frames * Frame.size, more * Frame.size);
      this.fill(framesBase + this.frames * PAGE_SIZE, more * PAGE_SIZE);
    }
    this.restored = 0;
    for (const { pointer, bytes, copy } of this.areas) {
      this.copy(pointer, copy, bytes);
      this.restored += bytes;
    }
    this.tracker.changed((frame, count) => {
      const at = frame * PAGE_SIZE;
      this.copy(framesBase + at, this.frameCopies + at, count * PAGE_SIZE);
      this.restored += count * PAGE_SIZE;
    });
  }

  /** Frames with translated code, by number: their marks are to outlive a restore as long as the translations do. */
  codeMasks(): Map<number, number> {
    const { memory } = this;
    const masks = new Map<number, number>();
    const table = (memory.loadU32(MACHINE + Machine.frameTable) + Frame.codeMask) >>> 2;
    const stride = Frame.size >>> 2;
    const end = usedFrames(memory);
    for (let frame = 0; frame < end; frame++) {
      const mask = memory.i32[table + frame * stride];
      if (mask !== 0) masks.set(frame, mask);
    }
    return masks;
  }

  /** Whether a frame existed when the snapshot was made. */
  has(frame: number): boolean {
    return frame < this.frames;
  }

  markCode(masks: ReadonlyMap<number, number>): void {
    const { memory } = this;
    const table = (memory.loadU32(MACHINE + Machine.frameTable) + Frame.codeMask) >>> 2;
    for (const [frame, mask] of masks) memory.i32[table + frame * (Frame.size >>> 2)] |= mask;
  }
}

function usedFrames(memory: Memory): number {
  return memory.load32(rootPointer(memory, Root.framePool) + FramePool.next);
}

let compiled: WebAssembly.Module | undefined;

/** A shared buffer is copied word by word from JavaScript, at full speed from WebAssembly. */
function bulkFunctions(memory: Memory): {
  copy(to: number, from: number, bytes: number): void;
  fill(to: number, bytes: number): void;
} {
  compiled ??= (() => {
    const m = new ModuleWriter();
    m.importMemory('e', 'm');
    const { i32 } = Type;
    m.export('copy', m.func([i32, i32, i32], [], new Code(3).get(0).get(1).get(2).memoryCopy().finish()));
    m.export('fill', m.func([i32, i32], [], new Code(2).get(0).i32(0).get(1).memoryFill().finish()));
    return new WebAssembly.Module(m.finish());
  })();
  const instance = new WebAssembly.Instance(compiled, { e: { m: memory.wasm } });
  return instance.exports as never;
}
