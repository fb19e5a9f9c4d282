import type { CpuHooks, GuestCpu } from '../cpu/guest-cpu.js';
import { TSC_HZ } from '../cpu/cpuid.js';
import { ccOp, CcKind } from '../cpu/flags.js';
import { CpuState, cpuPointer, Exit, Gpr, JUMP_ENTRIES, JumpEntry, Vector } from '../cpu/state.js';
import { Frame, MACHINE, Machine } from '../memory/layout.js';
import { type Memory, PAGE_SHIFT, PAGE_SIZE } from '../memory/memory.js';
import { TLB_ENTRIES, TLB_INVALID_PAGE, TlbEntry } from '../mmu/tlb.js';
import { Access, NON_CANONICAL } from '../mmu/walk.js';
import { HELPERS } from './helpers.js';
import { type Insn, InsnDecoder, isStackInstruction, usesStackSegment } from './insn.js';
import { COLD, discover, type Growth, HOT, SINGLE } from './region.js';
import { type RuntimeExports, runtimeModule } from './runtime.js';
import { rowOf } from './table.js';
import { emitRegion } from './translate.js';
import { typescriptHelpers } from './ts-helpers.js';

const ARITHMETIC = 0x8d5;
/** RFLAGS bits kept as they are: DF, AC, ID (and TF, which single-steps). */
const KEPT_FLAGS = 0x100 | 0x400 | 0x40000 | 0x200000;
/** Bit 1 always reads as 1; IF is 1 in user mode. */
const FIXED_FLAGS = 0x202;

/** The table starts with room for this many regions and doubles. */
const FIRST_SLOTS = 1024;

interface CachedRegion {
  readonly slot: number;
  readonly entry: number;
  readonly pages: readonly number[];
  /** Pointers of the frames that its bytes were in. */
  readonly frames: readonly number[];
  readonly growth: Growth;
  /** How often the budget ran out at its entry. */
  samples: number;
}

/** A region at whose entry the budget ran out so often is grown. */
const HOT_SAMPLES = 2;

/**
 * One emulated CPU: runs guest code region by region, translating what it has not seen.
 *
 * The code cache belongs to the CPU's current address space: it is emptied when `mm` changes.
 */
export class Cpu implements GuestCpu {
  readonly base: number;
  private readonly pkruGlobal = new WebAssembly.Global({ value: 'i32', mutable: true }, 0);
  private readonly table: WebAssembly.Table;
  private readonly runtime: RuntimeExports;
  private readonly imports: WebAssembly.Imports;
  private readonly decoder = new InsnDecoder();
  /** Cached regions by entry address. */
  private readonly regions = new Map<number, CachedRegion>();
  /** Cached regions by virtual page number. */
  private readonly byPage = new Map<number, Set<CachedRegion>>();
  /** Cached regions by frame pointer. */
  private readonly byFrame = new Map<number, Set<CachedRegion>>();
  private readonly freeSlots: number[] = [];
  private nextSlot = 1;

  constructor(
    readonly memory: Memory,
    readonly id: number,
    private readonly hooks: CpuHooks,
  ) {
    this.base = cpuPointer(id);
    this.table = new WebAssembly.Table({ element: 'anyfunc', initial: FIRST_SLOTS });
    const env = { m: memory.wasm, t: this.table, p: this.pkruGlobal };
    const runtime = new WebAssembly.Instance(runtimeModule(), {
      e: {
        ...env,
        pageFault: (): number => (this.hooks.pageFault(this) ? 1 : 0),
        codeWritten: (_cpu: number, frame: number): void => this.codeWritten(frame >>> 0),
      },
    });
    this.runtime = runtime.exports as unknown as RuntimeExports;
    const helpers: Record<string, unknown> = typescriptHelpers(this);
    for (const name of Object.keys(HELPERS)) helpers[name] ??= this.runtime[name];
    this.imports = { e: env, h: helpers as WebAssembly.ModuleImports };
    const state = memory;
    state.store32(this.base + CpuState.id, id);
    state.store32(this.base + CpuState.mxcsr, 0x1f80);
    state.store32(this.base + CpuState.mxcsrSlow, 1);
    state.u16[(this.base + CpuState.fcw) >>> 1] = 0x37f;
    state.u16[(this.base + CpuState.ftw) >>> 1] = 0xffff;
    this.flushTlb();
    this.dropCode();
  }

  get pkru(): number {
    return (this.pkruGlobal.value as number) >>> 0;
  }

  set pkru(value: number) {
    this.pkruGlobal.value = value | 0;
  }

  get rflags(): number {
    const rest = this.memory.load32(this.base + CpuState.rflags) & KEPT_FLAGS;
    return this.runtime.rflags(this.base) | rest | FIXED_FLAGS;
  }

  set rflags(value: number) {
    const { memory, base } = this;
    memory.store32(base + CpuState.ccOp, ccOp(CcKind.flags, 1));
    memory.storeNumber(base + CpuState.ccSrc, value & ARITHMETIC);
    memory.store32(base + CpuState.rflags, value & KEPT_FLAGS);
  }

  get rip(): number {
    return this.memory.loadNumber(this.base + CpuState.rip);
  }

  /** Protection keys are what this machine is for: always there. */
  readonly hasPku = true;

  timestamp(): number {
    return Math.floor((this.hooks.now(this) * TSC_HZ) / 1e9);
  }

  translate(address: number, access: number): number {
    const high = Math.floor(address / 0x1_0000_0000) | 0;
    const pointer = this.runtime.translate(this.base, address | 0 || address % 0x1_0000_0000, high, access) >>> 0;
    if (pointer === 0 && this.memory.load32(this.base + CpuState.errorCode) === NON_CANONICAL) {
      this.setException(Vector.GP, 0);
    }
    return pointer;
  }

  run(): number {
    const { memory, base } = this;
    const before = memory.load32(base + CpuState.budget);
    let exit: number = Exit.next;
    while (exit === Exit.next) {
      const slot = this.lookup(this.rip);
      exit = slot === 0 ? Exit.exception : this.runtime.enter(base, slot);
      if (exit === Exit.restart) exit = this.step();
      else if (exit === Exit.execute) exit = this.execute();
      else if (exit === Exit.exclusive) exit = this.hooks.exclusive(this, () => this.step());
    }
    if (exit === Exit.interrupt) this.sample(this.rip);
    if (exit === Exit.exception && memory.load32(base + CpuState.errorCode) === NON_CANONICAL) this.nonCanonical();
    if (exit === Exit.syscall) memory.storeNumber(base + CpuState.gpr + 8 * Gpr.r11, this.rflags);
    memory.count(base + CpuState.instructions, before - memory.load32(base + CpuState.budget));
    return exit;
  }

  /** Decides between #GP and #SS for the non-canonical address of the instruction at RIP (SDM vol. 1, 3.3.7.1). */
  private nonCanonical(): void {
    const { memory, base } = this;
    const address = memory.u64[(base + CpuState.faultAddress) >>> 3];
    const rsp = memory.u64[(base + CpuState.gpr + 8 * Gpr.rsp) >>> 3];
    const insn = this.fetch(this.rip, false);
    const stack = insn && (usesStackSegment(insn) || (isStackInstruction(insn) && near(address, rsp)));
    this.setException(stack ? Vector.SS : Vector.GP, 0);
  }

  /** Runs the instruction at RIP alone, allowed to write over translated code. */
  private step(): number {
    const { memory, base } = this;
    const region = discover(this.rip, (ip) => this.fetch(ip, false), SINGLE);
    if (!region) return Exit.exception;
    const instance = new WebAssembly.Instance(new WebAssembly.Module(emitRegion(region, false)), this.imports);
    memory.store32(base + CpuState.codeWriteAllowed, 1);
    try {
      return (instance.exports['r'] as (cpu: number) => number)(base);
    } finally {
      memory.store32(base + CpuState.codeWriteAllowed, 0);
    }
  }

  /** Runs the instruction at RIP in TypeScript. */
  private execute(): number {
    const insn = this.fetch(this.rip, true);
    if (!insn) return Exit.exception;
    const row = rowOf(insn);
    if (!row?.execute) return Exit.unimplemented;
    if (!row.execute(this, insn)) return Exit.exception;
    const { memory, base } = this;
    memory.storeNumber(base + CpuState.rip, insn.next);
    memory.store32(base + CpuState.budget, memory.load32(base + CpuState.budget) - 1);
    return Exit.next;
  }

  // --- the code cache --------------------------------------------------------------------------------------------------

  /** The table slot of the region at `rip`, translated now if need be; 0 if it can't be fetched (exception in CpuState). */
  private lookup(rip: number): number {
    const region = this.regions.get(rip) ?? this.compile(rip, COLD);
    if (!region) return 0;
    const entry = (this.base + CpuState.jumps + (rip % JUMP_ENTRIES) * JumpEntry.size) >>> 0;
    this.memory.storeNumber(entry + JumpEntry.rip, rip);
    this.memory.store32(entry + JumpEntry.slot, region.slot);
    return region.slot;
  }

  /** @param slot where to put it: that of the region it replaces */
  private compile(rip: number, growth: Growth, slot?: number): CachedRegion | null {
    const found = discover(rip, (ip) => this.fetch(ip, ip === rip), growth);
    if (!found) return null;
    const instance = new WebAssembly.Instance(new WebAssembly.Module(emitRegion(found)), this.imports);
    slot ??= this.freeSlots.pop() ?? this.nextSlot++;
    if (slot >= this.table.length) this.table.grow(this.table.length);
    this.table.set(slot, instance.exports['r']);
    const pages = [...found.pages];
    const frames = pages.map((page) => (this.codePointer(page * PAGE_SIZE) & -PAGE_SIZE) >>> 0);
    const region: CachedRegion = { slot, entry: rip, pages, frames, growth, samples: 0 };
    this.regions.set(rip, region);
    for (const page of pages) put(this.byPage, page, region);
    for (const frame of frames) put(this.byFrame, frame, region);
    this.memory.count(this.base + CpuState.regionsTranslated);
    return region;
  }

  /**
   * The budget ran out at `rip`, a region's entry or a loop's header: a sample of where time goes. Hot regions are translated
   * again with more in them, in the same slot, so that all links to them stay good.
   */
  private sample(rip: number): void {
    const region = this.regions.get(rip);
    if (!region || region.growth === HOT || ++region.samples < HOT_SAMPLES) return;
    this.forget(region);
    if (!this.compile(rip, HOT, region.slot)) this.release(region);
  }

  dropCode(start?: number, end?: number): void {
    if (start === undefined || end === undefined) {
      this.regions.clear();
      this.byPage.clear();
      this.byFrame.clear();
      this.freeSlots.length = 0;
      for (let slot = 1; slot < this.nextSlot; slot++) this.table.set(slot, null);
      this.nextSlot = 1;
    } else {
      const first = Math.floor(start / PAGE_SIZE);
      const last = Math.ceil(end / PAGE_SIZE);
      if (last - first > this.byPage.size) {
        for (const page of [...this.byPage.keys()]) if (page >= first && page < last) this.dropPage(page);
      } else for (let page = first; page < last; page++) this.dropPage(page);
    }
    this.forgetJumps();
  }

  dropFrame(frame: number): void {
    for (const region of this.byFrame.get(frame) ?? []) this.drop(region);
    this.forgetJumps();
  }

  private dropPage(page: number): void {
    for (const region of this.byPage.get(page) ?? []) this.drop(region);
  }

  private drop(region: CachedRegion): void {
    this.forget(region);
    this.release(region);
  }

  private release(region: CachedRegion): void {
    this.table.set(region.slot, null);
    this.freeSlots.push(region.slot);
  }

  private forget(region: CachedRegion): void {
    this.regions.delete(region.entry);
    for (const page of region.pages) remove(this.byPage, page, region);
    for (const frame of region.frames) remove(this.byFrame, frame, region);
  }

  /** Empties the jump cache: no address has all bits set. */
  private forgetJumps(): void {
    const jumps = this.base + CpuState.jumps;
    this.memory.u8.fill(0xff, jumps, jumps + JUMP_ENTRIES * JumpEntry.size);
  }

  /** The single instruction being run writes over translated code: everyone drops the frame's regions first. */
  private codeWritten(frame: number): void {
    this.hooks.codeWritten(this, frame);
  }

  // --- fetching --------------------------------------------------------------------------------------------------------

  /**
   * Decodes the instruction at a guest address. If it cannot be fetched the result is null, with the #PF or #UD in
   * CpuState when `raise` is set (for the region's first instruction; others just end the region).
   */
  private fetch(ip: number, raise: boolean): Insn | null {
    const first = this.codePointer(ip);
    if (first === 0) return null;
    const room = PAGE_SIZE - (first & (PAGE_SIZE - 1));
    const { u8 } = this.memory;
    let bytes = u8.slice(first, first + Math.min(15, room));
    let insn = this.decoder.decode(bytes, ip);
    if (insn === 'short') {
      const second = this.codePointer(ip + room);
      if (second === 0) return null;
      const joined = new Uint8Array(15);
      joined.set(bytes);
      joined.set(u8.subarray(second, second + 15 - room), room);
      bytes = joined;
      insn = this.decoder.decode(bytes, ip);
    }
    if (insn && insn !== 'short') {
      this.markCode(first, Math.min(insn.next - ip, room));
      if (insn.next - ip > room) this.markCode(this.codePointer(ip + room), insn.next - ip - room);
      return insn;
    }
    if (raise) this.setException(Vector.UD, 0);
    return null;
  }

  private setException(vector: number, errorCode: number): void {
    this.memory.store32(this.base + CpuState.vector, vector);
    this.memory.store32(this.base + CpuState.errorCode, errorCode);
    this.memory.storeNumber(this.base + CpuState.faultAddress, 0);
  }

  /** Pointer of a byte that may be executed; 0 with the exception in CpuState. */
  private codePointer(ip: number): number {
    return this.runtime.translate(this.base, ip | 0, Math.floor(ip / 0x1_0000_0000) | 0, Access.fetch) >>> 0;
  }

  /** Notes that `length` bytes at a pointer (within one frame) are translated code. */
  private markCode(pointer: number, length: number): void {
    const { memory } = this;
    const base = memory.loadU32(MACHINE + Machine.framesBase);
    const entry = memory.loadU32(MACHINE + Machine.frameTable) + ((pointer - base) >>> PAGE_SHIFT) * Frame.size;
    const offset = pointer & (PAGE_SIZE - 1);
    let mask = 0;
    for (let bit = offset >>> 7; bit <= (offset + length - 1) >>> 7; bit++) mask |= 1 << bit;
    const index = (entry + Frame.codeMask) >>> 2;
    const old = Atomics.load(memory.i32, index);
    if ((old & mask) === mask) return;
    if (Atomics.or(memory.i32, index, mask) === 0) this.hooks.codeMarked(this, (pointer - offset) >>> 0);
  }

  describeInstruction(address: number): { bytes: Uint8Array; text: string } | null {
    const saved = this.memory.u8.slice(this.base + CpuState.vector, this.base + CpuState.faultAddress + 8);
    const pointer = this.codePointer(address);
    this.memory.u8.set(saved, this.base + CpuState.vector);
    if (pointer === 0) return null;
    const room = Math.min(15, PAGE_SIZE - (pointer & (PAGE_SIZE - 1)));
    const bytes = this.memory.u8.slice(pointer, pointer + room);
    const insn = this.decoder.decode(bytes, address);
    const length = insn && insn !== 'short' ? insn.next - address : Math.min(room, 8);
    return { bytes: bytes.slice(0, length), text: this.decoder.text(bytes, address) };
  }

  // --- TLB -------------------------------------------------------------------------------------------------------------

  flushTlb(): void {
    for (const array of [CpuState.tlbRead, CpuState.tlbWrite]) {
      this.memory.u8.fill(0xff, this.base + array, this.base + array + TLB_ENTRIES * TlbEntry.size);
    }
  }

  flushTlbRange(start: number, end: number): void {
    const first = Math.floor(start / PAGE_SIZE);
    const count = Math.ceil(end / PAGE_SIZE) - first;
    if (count >= TLB_ENTRIES) {
      this.flushTlb();
      return;
    }
    for (let page = first; page < first + count; page++) {
      const offset = this.base + (page % TLB_ENTRIES) * TlbEntry.size;
      this.memory.u64[(offset + CpuState.tlbRead) >>> 3] = TLB_INVALID_PAGE;
      this.memory.u64[(offset + CpuState.tlbWrite) >>> 3] = TLB_INVALID_PAGE;
    }
  }
}


/** Whether an address is one that PUSH, POP or CALL uses with this RSP. */
function near(address: bigint, rsp: bigint): boolean {
  return BigInt.asUintN(64, address - rsp + 8n) <= 16n;
}

function put<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set) set.add(value);
  else map.set(key, new Set([value]));
}

function remove<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set?.delete(value) && set.size === 0) map.delete(key);
}
