import { CpuState, Exit } from '../cpu/state.js';
import { Frame, MACHINE, Machine } from '../memory/layout.js';
import { type Memory, PAGE_SHIFT, PAGE_SIZE } from '../memory/memory.js';
import { heapAllocate } from '../memory/slab.js';
import type { RuntimeExports } from '../translate/runtime.js';
import { type SharedAccess, SwitchPoint } from '../translate/shared-access.js';
import type { Dependence } from '../scheduler/seeded/schedule.js';
import { GRANULE, granuleAt, pageAt } from '../scheduler/seeded/shared-objects.js';
import { copyBytes, firstWord } from './bytes.js';
import { StoreBuffer } from './store-buffer.js';
import { KIND_NUMBER, type StepKind, TraceHash, type TraceStep } from './trace.js';
import { Visibility } from './visibility.js';

/** What decides at the switch points: the machine. */
export interface SwitchDecider {
  /** Whether the thread of `cpu` may go on; if not, another is to run first. */
  goesOn(cpu: SeededCpu, kind: StepKind): boolean;
  /** Whether a store of `owner` stays in its buffer while `cpu` reads or commits the same bytes. */
  delays(cpu: SeededCpu, owner: SeededCpu, older: boolean): boolean;
  /** The limit of steps is passed; called at each further step. */
  overrun(): void;
}

/** Accesses of one instruction that are kept for answering them again. */
const LOGGED = 16;
const LINE = 64;

/** One CPU of a seeded machine, as the memory system sees it. */
export class SeededCpu {
  /** Number of the thread that is loaded, −1 for none. */
  thread = -1;
  readonly buffer: StoreBuffer;
  /** What the accesses of the current instruction have read (LINE bytes each), for when it is run again after a switch. */
  readonly log: number;
  /** Where loads that the store buffer answers are put together. */
  readonly forwarded: number;
  /** Accesses of the instruction at `replayedRip` that are answered from the log. */
  replayed = 0;
  replayedRip = -1;
  /** The switch point at which the CPU was left has been decided. */
  decided = false;
  /** The instruction has a locked access: its stores go to memory at once. */
  locked = false;
  pkru = 0;

  constructor(
    memory: Memory,
    readonly id: number,
    readonly base: number,
  ) {
    this.buffer = new StoreBuffer(memory);
    this.log = heapAllocate(memory, LOGGED * LINE);
    this.forwarded = heapAllocate(memory, LOGGED * LINE);
  }
}

/**
 * Guest memory of a seeded machine: every access is counted, hashed, and may be a switch point; stores of a CPU wait in its buffer.
 */
export class SeededAccesses implements SharedAccess {
  readonly hash = new TraceHash();
  readonly visibility = new Visibility();
  readonly cpus: SeededCpu[] = [];
  /** The CPU that runs. */
  current!: SeededCpu;
  /** Accesses and other steps so far. */
  step = 0;
  /** Switch points among them. */
  points = 0;
  /** False while only one thread can run: then there is nothing to decide or to hide. */
  several = false;
  /** Whether steps are watched: from the second thread's first step on. */
  watching = false;
  /** Is told what threads share, if it is not null. */
  dependence: Dependence | null = null;
  /** Collects steps if it is not null. */
  trace: TraceStep[] | null = null;
  /** More steps than this end the run. */
  limit = Infinity;
  /** The key of the page at an address, for traces. */
  keyOf: (address: number) => number = () => 0;
  /** Where an address of the program's lies in memory; 0 if nowhere. */
  translate: (address: number) => number = () => 0;
  private readonly steps: number[] = [];
  private order = 0;
  private runtime!: RuntimeExports &
    Record<'load' | 'store' | 'modify', (cpu: number, address: bigint, size: number) => number>;
  private pkruGlobal!: WebAssembly.Global;

  constructor(
    private readonly memory: Memory,
    private readonly decider: SwitchDecider,
    /** Whether stores are buffered (x86-TSO) or happen at once (sequential consistency). */
    private readonly buffered: boolean,
  ) {}

  connect(runtime: RuntimeExports, pkru: WebAssembly.Global): void {
    this.runtime = runtime as typeof this.runtime;
    this.pkruGlobal = pkru;
  }

  /** Steps of one thread. */
  stepsOf(thread: number): number {
    return this.steps[thread] ?? 0;
  }

  /** Starts a run in which nothing has happened yet. */
  begin(current: SeededCpu): void {
    this.current = current;
    this.step = this.points = this.order = 0;
    this.steps.length = 0;
    this.hash.reset();
    this.visibility.begin();
  }

  // --- SharedAccess ----------------------------------------------------------------------------------------------------

  load(base: number, address: bigint, size: number): number {
    const cpu = this.current;
    const index = this.enter(cpu);
    if (index < cpu.replayed) return this.again(cpu, index);
    const at = Number(address);
    const visible = this.watching && this.visibility.touch(at, size, cpu.thread, false);
    if (visible && !this.goesOn(cpu, index, 'load')) return 0;
    let pointer = this.runtime.load(base, address, size) >>> 0;
    if (pointer === 0) return 0;
    if (visible) this.conflicts(cpu, pointer, size, Infinity, false);
    this.touches(at, size, false, pointer);
    const { buffer } = cpu;
    if (buffer.stores.length > 0) {
      // An access across pages has been copied from memory already; real processors wait for their stores there, too.
      if (crosses(at, size)) {
        this.drain(cpu);
        pointer = this.runtime.load(base, address, size) >>> 0;
      } else if (buffer.upTo(pointer, size) > 0) {
        const target = cpu.forwarded + Math.min(index, LOGGED - 1) * LINE;
        buffer.read(pointer, size, target);
        pointer = target;
      }
    }
    this.note(cpu, 'load', at, size, pointer, visible);
    this.keep(cpu, index, pointer, size);
    return pointer;
  }

  store(base: number, address: bigint, size: number): number {
    const cpu = this.current;
    const index = this.enter(cpu);
    if (index < cpu.replayed) return 1;
    const at = Number(address);
    const visible = this.watching && this.visibility.touch(at, size, cpu.thread, true);
    if (visible && !this.goesOn(cpu, index, 'store')) return 0;
    const bounce = base + CpuState.bounce;
    if (!this.buffered || !this.several || cpu.locked || crosses(at, size)) {
      if (!this.storeAtOnce(cpu, address, size)) return 0;
    } else {
      const pointer = this.runtime.modify(base, address, size) >>> 0;
      if (pointer === 0) return 0;
      if (this.hasCode(pointer)) {
        if (!this.storeAtOnce(cpu, address, size)) return 0;
      } else if (visible || cpu.buffer.upTo(pointer, size) > 0) {
        // What nobody else looks at need not wait, unless an older store to the same bytes does.
        if (cpu.buffer.full) this.commit(cpu);
        this.buffers(at, size, pointer);
        cpu.buffer.push(at, pointer, size, bounce, this.order++);
      } else {
        copyBytes(this.memory, pointer, bounce, size);
        this.touches(at, size, true, pointer);
      }
    }
    this.note(cpu, 'store', at, size, bounce, visible);
    this.keep(cpu, index, bounce, size);
    return 1;
  }

  private storeAtOnce(cpu: SeededCpu, address: bigint, size: number): boolean {
    this.drain(cpu);
    if (this.runtime.store(cpu.base, address, size) === 0) return false;
    this.touches(Number(address), size, true);
    return true;
  }

  modify(base: number, address: bigint, size: number): number {
    const cpu = this.current;
    const bounce = base + CpuState.bounce;
    const index = this.enter(cpu);
    if (index < cpu.replayed) {
      const kept = this.again(cpu, index);
      copyBytes(this.memory, bounce, kept, size);
      return bounce;
    }
    const at = Number(address);
    const visible = this.watching && this.visibility.touch(at, size, cpu.thread, true);
    if (visible && !this.goesOn(cpu, index, 'load')) return 0;
    if (crosses(at, size)) this.drain(cpu);
    const pointer = this.runtime.modify(base, address, size) >>> 0;
    if (pointer === 0) return 0;
    if (visible) this.conflicts(cpu, pointer, size, Infinity, false);
    this.touches(at, size, false, pointer);
    if (pointer !== bounce) cpu.buffer.read(pointer, size, bounce);
    this.note(cpu, 'load', at, size, bounce, visible);
    this.keep(cpu, index, bounce, size);
    return bounce;
  }

  modifyLocked(base: number, address: bigint, size: number): number {
    const cpu = this.current;
    const index = this.enter(cpu);
    const at = Number(address);
    const visible = this.watching && this.visibility.touch(at, size, cpu.thread, true);
    const alone = this.memory.load32(base + CpuState.exclusive) !== 0;
    if (visible && !alone && !this.goesOn(cpu, index, 'locked')) return 0;
    this.drain(cpu);
    cpu.locked = true;
    const pointer = this.runtime.modify(base, address, size) >>> 0;
    if (pointer === 0) return 0;
    if (visible) this.conflicts(cpu, pointer, size, Infinity, false);
    this.touches(at, size, true, pointer);
    this.note(cpu, 'locked', at, size, pointer, visible);
    return pointer;
  }

  fence(_base: number): number {
    const cpu = this.current;
    cpu.locked = false;
    if ((cpu.decided || cpu.buffer.stores.length > 0) && !this.goesOn(cpu, 0, 'fence')) return 0;
    this.drain(cpu);
    return 1;
  }

  point(base: number, kind: number): number {
    const cpu = this.current;
    const name = kind === SwitchPoint.wrpkru ? 'wrpkru' : 'pause';
    this.enter(cpu);
    this.memory.store32(base + CpuState.accesses, 0);
    if (this.watching && !this.goesOn(cpu, 0, name)) return 0;
    this.note(cpu, name, 0, 0, 0, true);
    return 1;
  }

  // --- the kernel's side -----------------------------------------------------------------------------------------------

  /** The switch point before a system call or exception of the running thread. */
  leaves(cpu: SeededCpu, kind: StepKind): boolean {
    this.abandon(cpu);
    if (!this.watching || this.goesOn(cpu, 0, kind)) return true;
    cpu.decided = false;
    return false;
  }

  /** A system call or exception is served: all earlier stores of the CPU are done. @param detail number or vector */
  serves(cpu: SeededCpu, kind: StepKind, detail: number): void {
    this.abandon(cpu);
    this.drain(cpu);
    this.note(cpu, kind, detail, 0, 0, true);
  }

  /** The instruction that was left in its middle will not go on: its accesses are made anew if it is run again. */
  abandon(cpu: SeededCpu): void {
    cpu.replayed = 0;
    cpu.replayedRip = -1;
    cpu.decided = false;
    cpu.locked = false;
  }

  /**
   * The running thread uses memory that others may use.
   * @param pointer where it is, if that is known; not used for accesses that cross pages
   */
  touches(address: number, size: number, writes: boolean, pointer = 0): void {
    const { dependence, current } = this;
    if (dependence === null) return;
    const first = crosses(address, size) ? 0 : pointer;
    for (let done = 0; done < size; ) {
      const at = first === 0 ? this.translate(address + done) : first + done;
      dependence.touches(current.thread, granuleAt(at), writes);
      if (done === 0 || (address + done) % PAGE_SIZE < GRANULE)
        dependence.touches(current.thread, pageAt(address + done), false);
      done += GRANULE - ((address + done) % GRANULE);
    }
  }

  private buffers(address: number, size: number, pointer: number): void {
    const { dependence, current } = this;
    if (dependence === null) return;
    dependence.touches(current.thread, pageAt(address), false);
    const last = granuleAt(pointer + size - 1);
    for (let granule = granuleAt(pointer); granule <= last; granule++)
      dependence.buffers(current.thread, granule, this.order);
  }

  /** Makes all stores of a CPU visible. */
  drain(cpu: SeededCpu): void {
    while (cpu.buffer.stores.length > 0) this.commit(cpu);
  }

  drainAll(): void {
    // In the order in which they were made.
    for (;;) {
      let oldest: SeededCpu | null = null;
      for (const cpu of this.cpus) {
        const first = cpu.buffer.stores[0];
        if (first && (!oldest || first.order < oldest.buffer.stores[0].order)) oldest = cpu;
      }
      if (!oldest) return;
      this.commitOldest(oldest);
    }
  }

  // --- inside ----------------------------------------------------------------------------------------------------------

  /** Counts an access; returns its number within its instruction. */
  private enter(cpu: SeededCpu): number {
    const { i32 } = this.memory;
    const word = (cpu.base + CpuState.accesses) >>> 2;
    const index = i32[word]++;
    if (index === 0) {
      cpu.locked = false;
      // A signal handler may have come in between.
      if (
        cpu.decided &&
        cpu.replayedRip >= 0 &&
        this.memory.loadNumber(cpu.base + CpuState.rip) !== cpu.replayedRip
      )
        this.abandon(cpu);
    }
    return index;
  }

  /** Where an access that was made before a switch has its bytes. */
  private again(cpu: SeededCpu, index: number): number {
    return cpu.log + index * LINE;
  }

  private keep(cpu: SeededCpu, index: number, pointer: number, size: number): void {
    if (!this.several || index >= LOGGED) return;
    copyBytes(this.memory, cpu.log + index * LINE, pointer, size);
  }

  /** The switch point before an access. */
  private goesOn(cpu: SeededCpu, index: number, kind: StepKind): boolean {
    if (cpu.decided) {
      cpu.decided = false;
      cpu.replayed = 0;
      return true;
    }
    if (this.step >= this.limit) {
      this.decider.overrun();
      return this.leave(cpu, index);
    }
    if (!this.several || index >= LOGGED) {
      this.dependence?.passes(cpu.thread);
      return true;
    }
    this.points++;
    return this.decider.goesOn(cpu, kind) || this.leave(cpu, index);
  }

  /** Leaves guest code before the access. */
  private leave(cpu: SeededCpu, index: number): false {
    cpu.decided = true;
    cpu.replayed = index;
    cpu.replayedRip = this.memory.loadNumber(cpu.base + CpuState.rip);
    this.memory.store32(cpu.base + CpuState.exit, Exit.yielded);
    return false;
  }

  /**
   * Other CPUs' stores to the same bytes as an access: each is done before, or stays where it is.
   * @param alone without those that should come before them in turn: for a store that is itself on its way to memory
   */
  private conflicts(cpu: SeededCpu, pointer: number, size: number, order: number, alone: boolean): void {
    for (const other of this.cpus) {
      if (other === cpu || other.buffer.stores.length === 0) continue;
      for (
        let count = other.buffer.upTo(pointer, size);
        count > 0;
        count = other.buffer.upTo(pointer, size)
      ) {
        const older = other.buffer.stores[count - 1].order < order;
        if (this.decider.delays(cpu, other, older)) break;
        while (count-- > 0) {
          if (alone) this.commitOldest(other);
          else this.commit(other);
        }
      }
    }
  }

  /** Makes a CPU's oldest store visible, after those of others to the same bytes that are to come before. */
  private commit(cpu: SeededCpu): void {
    const { pointer, size, order } = cpu.buffer.stores[0];
    this.conflicts(cpu, pointer, size, order, true);
    this.commitOldest(cpu);
  }

  private commitOldest(cpu: SeededCpu): void {
    const { pointer, size, address, bytes, order } = cpu.buffer.stores[0];
    cpu.buffer.commit();
    const { dependence, current } = this;
    if (dependence !== null) {
      const last = granuleAt(pointer + size - 1);
      for (let granule = granuleAt(pointer); granule <= last; granule++)
        dependence.commits(current.thread, cpu.thread, granule, order);
    }
    this.trace?.push({
      step: this.step,
      kind: 'commit',
      thread: cpu.thread,
      cpu: cpu.id,
      rip: 0,
      address,
      size,
      value: littleEndian(this.memory.u8, bytes, size),
      key: 0,
      pkru: 0,
      visible: true,
    });
    this.hash.add(KIND_NUMBER.commit, cpu.thread, pointer & (PAGE_SIZE - 1), size);
  }

  private hasCode(pointer: number): boolean {
    const { memory } = this;
    const number = (pointer - memory.loadU32(MACHINE + Machine.framesBase)) >>> PAGE_SHIFT;
    const entry = memory.loadU32(MACHINE + Machine.frameTable) + number * Frame.size;
    return memory.load32(entry + Frame.codeMask) !== 0;
  }

  private note(
    cpu: SeededCpu,
    kind: StepKind,
    address: number,
    size: number,
    pointer: number,
    visible: boolean,
  ): void {
    this.steps[cpu.thread] = this.stepsOf(cpu.thread) + 1;
    if (++this.step > this.limit) this.decider.overrun();
    this.hash.add(KIND_NUMBER[kind], cpu.thread, address, firstWord(this.memory, pointer, size));
    if (this.trace === null) return;
    this.trace.push({
      step: this.step,
      kind,
      thread: cpu.thread,
      cpu: cpu.id,
      rip: this.memory.loadNumber(cpu.base + CpuState.rip),
      address,
      size,
      value: littleEndian(this.memory.u8, pointer, size),
      key: size > 0 ? this.keyOf(address) : 0,
      pkru: (this.pkruGlobal.value as number) >>> 0,
      visible,
    });
  }
}

function crosses(address: number, size: number): boolean {
  return (address % PAGE_SIZE) + size > PAGE_SIZE;
}

/** The first eight bytes at most, as a number. */
function littleEndian(bytes: Uint8Array, at: number, size: number): bigint {
  let value = 0n;
  for (let i = Math.min(size, 8); i-- > 0; ) value = (value << 8n) | BigInt(bytes[at + i]);
  return value;
}
