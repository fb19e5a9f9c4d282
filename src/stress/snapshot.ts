import { CpuState, cpuPointer } from '../cpu/state.js';
import { CPUS, Frame, MACHINE, Machine } from '../memory/layout.js';
import { type Memory, PAGE_SIZE } from '../memory/memory.js';
import { Root, rootPointer } from '../memory/roots.js';
import { FramePool } from '../mmu/frames.js';
import { Code } from '../wasm/code.js';
import { ModuleWriter } from '../wasm/module.js';
import { Type } from '../wasm/opcodes.js';

interface Area {
  readonly from: number;
  readonly bytes: number;
  readonly copy: number;
}

/**
 * The state of a machine's memory at one moment, kept in the same memory (in the code store, which a machine whose CPUs share a
 * worker doesn't use), so that one `memory.copy` each brings it back: the kernel's structures, CPU blocks, and the frames that are
 * in use. TLBs are left alone: the seeded flavour never reads them. So are jump caches, which belong to the translations.
 */
export class MemorySnapshot {
  private readonly areas: Area[] = [];
  private readonly heapEnd: number;
  private readonly frames: number;
  private readonly copy: (to: number, from: number, bytes: number) => void;
  private readonly fill: (to: number, bytes: number) => void;
  /** Bytes that are restored each time. */
  readonly bytes: number;

  /** @throws Error if the machine uses more memory than there is room for */
  constructor(private readonly memory: Memory) {
    const functions = bulkFunctions(memory);
    this.copy = functions.copy;
    this.fill = functions.fill;
    const machine = (offset: number) => memory.loadU32(MACHINE + offset);
    this.heapEnd = machine(Machine.heapNext);
    this.frames = usedFrames(memory);
    let room = machine(Machine.codeBase);
    const add = (from: number, bytes: number) => {
      this.areas.push({ from, bytes, copy: room });
      room += Math.ceil(bytes / 64) * 64;
    };
    add(MACHINE, CPUS - MACHINE);
    for (let id = 0; id < memory.load32(MACHINE + Machine.cpuCount); id++)
      add(cpuPointer(id), CpuState.tlbRead);
    add(machine(Machine.heapBase), this.heapEnd - machine(Machine.heapBase));
    add(machine(Machine.frameTable), this.frames * Frame.size);
    add(machine(Machine.framesBase), this.frames * PAGE_SIZE);
    if (room > machine(Machine.codeEnd)) throw new Error('the program uses too much memory for a snapshot');
    this.bytes = room - machine(Machine.codeBase);
    for (const { from, bytes, copy } of this.areas) this.copy(copy, from, bytes);
  }

  restore(): void {
    const { memory } = this;
    // What was never used at the time was zero.
    const heapNow = memory.loadU32(MACHINE + Machine.heapNext);
    this.fill(this.heapEnd, heapNow - this.heapEnd);
    const more = usedFrames(memory) - this.frames;
    if (more > 0) {
      const at = (offset: number, size: number) => memory.loadU32(MACHINE + offset) + this.frames * size;
      this.fill(at(Machine.frameTable, Frame.size), more * Frame.size);
      this.fill(at(Machine.framesBase, PAGE_SIZE), more * PAGE_SIZE);
    }
    for (const { from, bytes, copy } of this.areas) this.copy(from, copy, bytes);
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
