import { CpuMode, CpuState, cpuPointer, Interrupt } from '../cpu/state.js';
import { MACHINE, MAX_CPUS, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import { hasMutant, Mutant } from '../memory/mutants.js';
import { AddressSpace, Invalidation, RING_ENTRIES } from './address-space.js';
import type { MmuCpu } from './mmu-cpu.js';

/**
 * TLB shootdown: after page-table entries have lost rights, changed their key or gone, no CPU may use the old ones.
 *
 * The initiator holds the address space's lock and is in kernel mode. It
 *   1. has changed the entries, each by one atomic operation;
 *   2. writes the range into the ring, then increments tlbGeneration;
 *   3. sets Interrupt.flush for every CPU whose CpuState.mm is the address space, then looks at its mode;
 *   4. waits for those in mode `user` or `uaccess` until they have flushed or have been seen in kernel mode.
 * A CPU enters mode `user` or `uaccess` by storing the mode first. Then it
 *   - for `user`: looks at `interrupt` (and the generation), flushes if need be, and only then runs guest code;
 *   - for `uaccess`: walks the tables, without a TLB.
 * So either the initiator sees the mode and waits, or the CPU sees what the initiator did before it looked (both sides store,
 * then load, sequentially consistent). A CPU that takes an address space stores CpuState.mm, then flushes all, then reads the
 * generation: an initiator that missed it in step 3 has changed its entries before that flush.
 *
 * Nobody waits for a CPU in kernel mode, so CPUs may wait for locks, and initiators of several address spaces for each other's
 * CPUs, without a cycle: a CPU in `user` flushes at its next safe point by itself, and `uaccess` ends by itself.
 */
export class Shootdown {
  private readonly memory: Memory;
  private readonly base: number;
  private readonly cpuCount: number;
  private readonly skipOthers: boolean;
  private readonly skipWait: boolean;
  private readonly spins: number;
  private readonly targets = new Int32Array(MAX_CPUS);

  /** @param hostCores threads that can really run at once; spinning is useless beyond it */
  constructor(
    private readonly cpu: MmuCpu,
    hostCores: number,
  ) {
    this.memory = cpu.memory;
    this.base = cpu.base;
    this.cpuCount = this.memory.load32(MACHINE + Machine.cpuCount);
    this.skipOthers = hasMutant(this.memory, Mutant.noShootdown);
    this.skipWait = hasMutant(this.memory, Mutant.shootdownWithoutWait);
    this.spins = this.cpuCount <= hostCores ? 4000 : 100;
  }

  /** Makes an address space (0: none) the CPU's; nothing is cached of it afterwards. */
  load(space: number): void {
    const { memory, base, cpu } = this;
    Atomics.store(memory.i32, (base + CpuState.mm) >>> 2, space);
    memory.store32(base + CpuState.cr3, space === 0 ? 0 : memory.load32(space + AddressSpace.root));
    const generation = space === 0 ? 0 : Atomics.load(memory.i32, (space + AddressSpace.tlbGeneration) >>> 2);
    cpu.flushTlb();
    cpu.dropCode();
    Atomics.store(memory.i32, (base + CpuState.tlbGeneration) >>> 2, generation);
  }

  /**
   * Makes every CPU drop what it caches of a range whose entries have changed. The caller holds the lock of the space.
   * @param code whether translated code of the range goes too: the pages are no longer there, or not executable
   */
  invalidate(space: number, start: number, end: number, code: boolean): void {
    const generation = this.publish(space, start, end, code);
    if (this.memory.loadU32(this.base + CpuState.mm) === space) this.dropOwn(generation, start, end, code);
    if (this.cpuCount > 1 && !this.skipOthers) this.others(space, generation);
  }

  /** Step 2: announces a range; returns its generation. */
  private publish(space: number, start: number, end: number, code: boolean): number {
    const { memory } = this;
    const { i32, f64 } = memory;
    const word = (space + AddressSpace.tlbGeneration) >>> 2;
    const generation = (Atomics.load(i32, word) + 1) | 0;
    const entry = ringEntry(space, generation);
    // Readers compare the entry's generation before and after: an entry half rewritten never has the right one twice.
    Atomics.store(i32, (entry + Invalidation.generation) >>> 2, generation - RING_ENTRIES - 1);
    i32[(entry + Invalidation.code) >>> 2] = code ? 1 : 0;
    f64[(entry + Invalidation.start) >>> 3] = start;
    f64[(entry + Invalidation.end) >>> 3] = end;
    Atomics.store(i32, (entry + Invalidation.generation) >>> 2, generation);
    if (code) Atomics.store(i32, (space + AddressSpace.codeGeneration) >>> 2, generation);
    Atomics.store(i32, word, generation);
    return generation;
  }

  /** This CPU drops the range that it has announced; nothing else is to be dropped if it was up to date before. */
  private dropOwn(generation: number, start: number, end: number, code: boolean): void {
    const { memory, cpu } = this;
    const own = (this.base + CpuState.tlbGeneration) >>> 2;
    if (((memory.i32[own] + 1) | 0) !== generation) {
      this.dropOld();
      return;
    }
    cpu.flushTlbRange(start, end);
    if (code) cpu.dropCode(start, end);
    Atomics.store(memory.i32, own, generation);
    wakeWaiters(memory, this.base);
  }

  /** Steps 3 and 4. */
  private others(space: number, generation: number): void {
    const { memory, base, targets } = this;
    const { i32 } = memory;
    let count = 0;
    for (let id = 0; id < this.cpuCount; id++) {
      const other = cpuPointer(id);
      if (other === base || Atomics.load(i32, (other + CpuState.mm) >>> 2) !== space) continue;
      Atomics.or(i32, (other + CpuState.interrupt) >>> 2, Interrupt.flush | Interrupt.any);
      targets[count++] = other;
    }
    if (count === 0) return;
    memory.count(base + CpuState.shootdownsSent, count);
    if (this.skipWait) return;
    for (let i = 0; i < count; i++) {
      const other = targets[i];
      waitForCpu(memory, other, this.spins, () => {
        if (Atomics.load(i32, (other + CpuState.mode) >>> 2) === CpuMode.kernel) return true;
        // The generation before the mm: if the CPU has changed to another one, it has flushed everything since.
        const done = Atomics.load(i32, (other + CpuState.tlbGeneration) >>> 2);
        return Atomics.load(i32, (other + CpuState.mm) >>> 2) !== space || ((done - generation) | 0) >= 0;
      });
    }
  }

  /**
   * The target's side: drops what was invalidated since this CPU last looked. Called in mode `user` before guest code runs, and
   * wherever the CPU takes Interrupt.flush (clearing the bit first).
   */
  catchUp(): void {
    if (this.dropOld()) this.memory.count(this.base + CpuState.shootdownsReceived);
  }

  /** Returns whether there was anything to drop. */
  private dropOld(): boolean {
    const { memory, base, cpu } = this;
    const { i32 } = memory;
    const space = memory.loadU32(base + CpuState.mm);
    if (space === 0) return false;
    const own = (base + CpuState.tlbGeneration) >>> 2;
    const generation = Atomics.load(i32, (space + AddressSpace.tlbGeneration) >>> 2);
    const seen = i32[own];
    if (seen === generation) return false;
    if (!this.replay(space, seen, generation)) {
      cpu.flushTlb();
      const code = Atomics.load(i32, (space + AddressSpace.codeGeneration) >>> 2);
      if (((code - seen) | 0) > 0) cpu.dropCode();
    }
    Atomics.store(i32, own, generation);
    wakeWaiters(memory, base);
    return true;
  }

  /** Drops range by range; false if the ring no longer has them all. Dropping some twice does no harm. */
  private replay(space: number, seen: number, generation: number): boolean {
    const { memory, cpu } = this;
    const { i32, f64 } = memory;
    if (((generation - seen) | 0) > RING_ENTRIES || ((generation - seen) | 0) < 0) return false;
    for (let g = (seen + 1) | 0; ; g = (g + 1) | 0) {
      const entry = ringEntry(space, g);
      const word = (entry + Invalidation.generation) >>> 2;
      if (Atomics.load(i32, word) !== g) return false;
      const code = i32[(entry + Invalidation.code) >>> 2];
      const start = f64[(entry + Invalidation.start) >>> 3];
      const end = f64[(entry + Invalidation.end) >>> 3];
      if (Atomics.load(i32, word) !== g) return false;
      cpu.flushTlbRange(start, end);
      if (code) cpu.dropCode(start, end);
      if (g === generation) return true;
    }
  }
}

function ringEntry(space: number, generation: number): number {
  return space + AddressSpace.ring + (generation & (RING_ENTRIES - 1)) * Invalidation.size;
}

/**
 * Waits until `done` is true of a CPU. Whoever makes it true calls `wakeWaiters` (catching up) or `enterKernel`, or leaves
 * `uaccess` (user-ops.ts): each changes the state first and looks at flushWaiters then; here flushWaiters is raised
 * first and the state looked at then. So a waiter that finds the old state parks on a value of flushDone that is about to change.
 */
export function waitForCpu(memory: Memory, cpu: number, spins: number, done: () => boolean): void {
  for (let i = 0; i < spins; i++) if (done()) return;
  const { i32 } = memory;
  const word = (cpu + CpuState.flushDone) >>> 2;
  Atomics.add(i32, (cpu + CpuState.flushWaiters) >>> 2, 1);
  for (;;) {
    const before = Atomics.load(i32, word);
    if (done()) break;
    Atomics.wait(i32, word, before);
  }
  Atomics.sub(i32, (cpu + CpuState.flushWaiters) >>> 2, 1);
}

/** Wakes those who wait for this CPU; the state they wait for has been stored before. */
export function wakeWaiters(memory: Memory, base: number): void {
  const { i32 } = memory;
  if (Atomics.load(i32, (base + CpuState.flushWaiters) >>> 2) === 0) return;
  Atomics.add(i32, (base + CpuState.flushDone) >>> 2, 1);
  Atomics.notify(i32, (base + CpuState.flushDone) >>> 2);
}

/** The CPU leaves guest code: every change of CpuState.mode from `user` to `kernel` goes through here. */
export function enterKernel(memory: Memory, base: number): void {
  Atomics.store(memory.i32, (base + CpuState.mode) >>> 2, CpuMode.kernel);
  wakeWaiters(memory, base);
}

/** The CPU is about to run guest code; the caller looks at `interrupt` and catches up afterwards. */
export function enterUser(memory: Memory, base: number): void {
  Atomics.store(memory.i32, (base + CpuState.mode) >>> 2, CpuMode.user);
}
