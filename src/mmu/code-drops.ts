import { CpuMode, CpuState, cpuPointer, Interrupt } from '../cpu/state.js';
import { Frame, MACHINE, MAX_CPUS, Machine } from '../memory/layout.js';
import { lock, unlock } from '../memory/lock.js';
import type { Memory } from '../memory/memory.js';
import { Root, rootPointer, setRoot } from '../memory/roots.js';
import { heapAllocate } from '../memory/slab.js';
import { struct } from '../memory/struct.js';
import { frameTableEntry } from './frames.js';
import type { MmuCpu } from './mmu-cpu.js';
import { waitForCpu, wakeWaiters } from './shootdown.js';
import { TLB_ENTRIES, TLB_INVALID_PAGE, TlbEntry } from './tlb.js';

/**
 * Frames whose translated code, or whose write entries in TLBs, every CPU of the machine has to drop: self-modifying code.
 *
 * The same protocol as shootdown.ts, with a list for the machine instead of one for each address space, since frames may be
 * mapped by several. Who asks for it is in kernel mode meanwhile, so that two CPUs may ask for each other's.
 */
const ENTRIES = 64;

const Entry = struct({ frame: 'u32', what: 'i32' });

const CodeDrops = struct({
  /** Held by the one who asks, until all have dropped: ENTRIES are then always enough for those who are not waited for. */
  lock: 'i32',
  /** Atomic: number of requests so far. */
  generation: 'i32',
  entries: { bytes: ENTRIES * Entry.size, align: 8 },
  /** Atomic, by CPU: requests served. One more for those who are no CPU of the machine. */
  served: ['i32', MAX_CPUS + 1],
});

const What = { code: 1, writeEntries: 2 } as const;

/** Called once at boot. */
export function createCodeDrops(memory: Memory): void {
  const drops = heapAllocate(memory, CodeDrops.size);
  if (drops === 0) throw new Error('the kernel heap has no room for the list of code drops');
  setRoot(memory, Root.codeDrops, drops);
}

export class CodeDropper {
  private readonly memory: Memory;
  private readonly drops: number;
  private readonly cpuCount: number;
  private readonly served: number;
  private readonly spins: number;

  constructor(
    private readonly cpu: MmuCpu,
    hostCores: number,
  ) {
    this.memory = cpu.memory;
    this.drops = rootPointer(this.memory, Root.codeDrops);
    this.cpuCount = this.memory.load32(MACHINE + Machine.cpuCount);
    this.served = (this.drops + CodeDrops.served + 4 * (cpu.id < 0 ? MAX_CPUS : cpu.id)) >>> 2;
    this.spins = this.cpuCount <= hostCores ? 4000 : 100;
  }

  /**
   * Every CPU drops the translations of a frame's code. In kernel mode. The mark goes first: a CPU that translates the frame's
   * code from now on marks it anew, and what was translated before is dropped.
   */
  dropFrame(frame: number): void {
    Atomics.store(this.memory.i32, (frameTableEntry(this.memory, frame) + Frame.codeMask) >>> 2, 0);
    this.request(frame, What.code);
  }

  /** No CPU has a write entry for the frame in its TLB afterwards; whoever walks from now on sees Frame.codeMask. In kernel mode. */
  dropWriteEntries(frame: number): void {
    this.request(frame, What.writeEntries);
  }

  private request(frame: number, what: number): void {
    const { memory, drops } = this;
    const { i32 } = memory;
    lock(memory, drops + CodeDrops.lock);
    const word = (drops + CodeDrops.generation) >>> 2;
    const generation = (Atomics.load(i32, word) + 1) | 0;
    const entry = drops + CodeDrops.entries + (generation & (ENTRIES - 1)) * Entry.size;
    Atomics.store(i32, (entry + Entry.frame) >>> 2, frame);
    Atomics.store(i32, (entry + Entry.what) >>> 2, what);
    Atomics.store(i32, word, generation);
    this.dropOld();
    for (let id = 0; id < this.cpuCount; id++) {
      if (id === this.cpu.id) continue;
      Atomics.or(i32, (cpuPointer(id) + CpuState.interrupt) >>> 2, Interrupt.flush | Interrupt.any);
    }
    for (let id = 0; id < this.cpuCount; id++) {
      if (id === this.cpu.id) continue;
      const other = cpuPointer(id);
      waitForCpu(
        memory,
        other,
        this.spins,
        () =>
          Atomics.load(i32, (other + CpuState.mode) >>> 2) === CpuMode.kernel ||
          ((Atomics.load(i32, (drops + CodeDrops.served + 4 * id) >>> 2) - generation) | 0) >= 0,
      );
    }
    unlock(memory, drops + CodeDrops.lock);
  }

  /** The target's side, called where Shootdown.catchUp is. */
  catchUp(): void {
    if (this.dropOld()) wakeWaiters(this.memory, this.cpu.base);
  }

  private dropOld(): boolean {
    const { memory, drops, cpu } = this;
    const { i32 } = memory;
    const word = (drops + CodeDrops.generation) >>> 2;
    const seen = i32[this.served];
    let generation = Atomics.load(i32, word);
    if (seen === generation) return false;
    for (;;) {
      if (((generation - seen) | 0) >= ENTRIES) {
        cpu.flushTlb();
        cpu.dropCode();
      } else {
        for (let g = seen; g !== generation; ) {
          g = (g + 1) | 0;
          const entry = drops + CodeDrops.entries + (g & (ENTRIES - 1)) * Entry.size;
          const frame = Atomics.load(i32, (entry + Entry.frame) >>> 2) >>> 0;
          if (Atomics.load(i32, (entry + Entry.what) >>> 2) === What.code) cpu.dropFrame(frame);
          else dropWriteEntriesOf(memory, cpu.base, frame);
        }
      }
      // Entries may have been overwritten while they were read, if this CPU was far behind: then drop everything.
      const now = Atomics.load(i32, word);
      if (((now - seen) | 0) < ENTRIES || ((generation - seen) | 0) >= ENTRIES) break;
      generation = now;
    }
    Atomics.store(i32, this.served, generation);
    return true;
  }
}

/** Empties the write entries of a CPU's own TLB that lead to a frame. */
function dropWriteEntriesOf(memory: Memory, base: number, frame: number): void {
  const { i32, u64 } = memory;
  const end = base + CpuState.tlbWrite + TLB_ENTRIES * TlbEntry.size;
  for (let entry = base + CpuState.tlbWrite; entry < end; entry += TlbEntry.size) {
    // The pointer is address + addend modulo 2^32: for the page's first byte that is the frame.
    const page = i32[(entry + TlbEntry.page) >>> 2];
    const pointer = (page + i32[(entry + TlbEntry.addend) >>> 2]) >>> 0;
    if (pointer === frame) u64[(entry + TlbEntry.page) >>> 3] = TLB_INVALID_PAGE;
  }
}
