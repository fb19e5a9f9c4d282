import type { CpuHooks, GuestCpu } from '../cpu/guest-cpu.js';
import { CpuState, Exit, JUMP_ENTRIES, JumpEntry, Vector } from '../cpu/state.js';
import { Frame, MACHINE, Machine } from '../memory/layout.js';
import { type Memory, PAGE_SHIFT, PAGE_SIZE } from '../memory/memory.js';
import { Access } from '../mmu/walk.js';
import { machineCode, prepareFlags } from '../wasm/v8.js';
import { type CachedRegion, CodeCache, pieces, type SourceBytes, singleKey } from './code-cache.js';
import { HELPERS } from './helpers.js';
import { disassemble } from './iced/library.js';
import { type Insn, InsnDecoder, MAX_INSN } from './insn.js';
import { COLD, discover, type Growth, HOT, type Profile, PROFILED, SINGLE } from './region.js';
import { type RuntimeExports, runtimeModule } from './runtime.js';
import { emitRegion } from './translate.js';
import type { SharedAccess } from './shared-access.js';
import { ThreadedBlock } from './threaded/layout.js';
import type { HandlerExports } from './threaded/handlers.js';
import { type CodeSource, type Handlers, ThreadedCode } from './threaded/threaded-code.js';
import { Templates } from './template.js';
import type { StoredRegion, TranslationStore } from './translation-store.js';
import { typescriptHelpers } from './ts-helpers.js';

/** What the engine needs of a CPU that it runs code for. */
export interface EngineCpu extends GuestCpu {
  readonly hooks: CpuHooks;
  /** PKRU while another CPU of the engine is active. */
  savedPkru: number;
  /** Notes an exception at the current instruction. */
  setException(vector: number, errorCode: number): void;
}

/** A function that has a region of its own is taken along in others only if that has at most so many instructions. */
const SMALL = 40;

/** Index of the last entry of a jump cache. */
const LAST_JUMP = JUMP_ENTRIES - 1;

/** Decoded instructions kept: some hundred bytes each. */
const DECODED_KEPT = 20_000;

/**
 * Bytes of the module of a loop that is optimised at once: V8 does so in two milliseconds or three, and would otherwise begin when
 * programs that consist of one such loop are half done. (Rejected: all regions; no program gained, and some lost.)
 */
const SMALL_LOOP = 3000;

/** A region at whose entry the budget ran out so often is grown. */
const HOT_SAMPLES = 2;

/**
 * The translator at work in one worker: finds, translates and keeps regions, for one CPU (parallel mode) or for all CPUs
 * of a machine (seeded mode), which then share translations and take turns with the PKRU global.
 *
 * The code cache belongs to one address space: it is emptied when the CPUs move to another.
 */
export class Engine {
  /** PKRU of the CPU that runs now. Only this worker can reach it. */
  readonly pkru = new WebAssembly.Global({ value: 'i32', mutable: true }, 0);
  readonly runtime: RuntimeExports;
  private readonly cache = new CodeCache((key) => this.forgetJump(key));
  private readonly imports: WebAssembly.Imports;
  /** Made when the first instruction is fetched: a CPU that never runs anything doesn't load the decoder. */
  private lazyDecoder: InsnDecoder | null = null;

  private get decoder(): InsnDecoder {
    return (this.lazyDecoder ??= new InsnDecoder());
  }
  private readonly cpus = new Map<number, EngineCpu>();

  /** The CPU whose PKRU the global holds. */
  private current: EngineCpu | null = null;

  /** Runs code that is not hot; null: everything is translated to regions at once. */
  private readonly threaded: ThreadedCode | null = null;
  private interpretSlot = 0;

  /** Regions of earlier runs; null: none are kept. */
  private store: TranslationStore | null = null;

  /**
   * @param shared makes this the engine of a seeded machine: all accesses to guest memory go through it
   * @param handlers for threaded code; only for an engine with one CPU, of number `cpuId`
   */
  constructor(
    readonly memory: Memory,
    readonly shared: SharedAccess | null = null,
    handlers: Handlers | null = null,
    cpuId = 0,
  ) {
    prepareFlags();
    const env = { m: memory.wasm, t: this.cache.table, p: this.pkru };
    const cpu = (base: number) => this.cpus.get(base >>> 0)!;
    const runtime = new WebAssembly.Instance(runtimeModule(), {
      e: {
        ...env,
        pageFault: (base: number): number => (cpu(base).hooks.pageFault(cpu(base)) ? 1 : 0),
        codeWritten: (base: number, frame: number): void =>
          cpu(base).hooks.codeWritten(cpu(base), frame >>> 0),
      },
    });
    this.runtime = runtime.exports as unknown as RuntimeExports;
    const helpers = typescriptHelpers(memory);
    for (const name of Object.keys(HELPERS)) helpers[name] ??= this.runtime[name];
    helpers.modifyLocked = this.runtime.modify;
    if (shared) {
      for (const name of ['load', 'store', 'modify', 'modifyLocked'] as const) {
        helpers[name] = (base: number, address: bigint, size: number) =>
          shared[name](base >>> 0, address, size);
      }
      helpers.fence = (base: number) => shared.fence(base >>> 0);
      helpers.point = (base: number, kind: number) => shared.point(base >>> 0, kind);
      // Whole runs at once would hide the accesses from the schedule: one element at a time, then.
      helpers.bulkCopy = helpers.bulkFill = () => 0n;
    }
    this.imports = { e: env, h: helpers as WebAssembly.ModuleImports };
    if (handlers) {
      const exports = new WebAssembly.Instance(handlers.module, this.imports).exports;
      this.threaded = new ThreadedCode(memory, exports as unknown as HandlerExports, handlers, cpuId);
      this.interpretSlot = this.cache.reserve(exports.interpret);
    }
  }

  /** Puts a CPU's PKRU into the global, saving that of the one before. */
  activate(cpu: EngineCpu): void {
    if (this.current === cpu) return;
    if (this.current) this.current.savedPkru = this.pkru.value as number;
    this.current = cpu;
    this.pkru.value = cpu.savedPkru;
  }

  isActive(cpu: EngineCpu): boolean {
    return this.current === cpu;
  }

  /** Takes a CPU on; its block must belong to this engine's memory. */
  attach(cpu: EngineCpu): void {
    this.cpus.set(cpu.base, cpu);
  }

  /** Table slot of the region at `rip`, which is entered in the CPU's jump cache; 0 if it can't be fetched (exception in CpuState). */
  lookup(cpu: EngineCpu, rip: number): number {
    const region = this.cache.get(rip) ?? this.first(cpu, rip);
    if (!region) return 0;
    const entry = cpu.base + CpuState.jumps + (rip % JUMP_ENTRIES) * JumpEntry.size;
    this.memory.storeNumber(entry + JumpEntry.rip, rip);
    this.memory.store32(entry + JumpEntry.slot, region.slot);
    this.memory.store32(entry + JumpEntry.block, region.block);
    return region.slot;
  }

  /** What code is run as when it is met for the first time. */
  private first(cpu: EngineCpu, rip: number): CachedRegion | null {
    const block = this.threaded && this.thread(cpu, rip, rip);
    if (block === 'fault') return null;
    return block ?? this.compile(cpu, rip, COLD);
  }

  /** The threaded block at `rip` has run often enough to be translated. */
  promote(cpu: EngineCpu, rip: number): void {
    const block = this.cache.get(rip);
    if (block?.block && !this.compile(cpu, rip, PROFILED, block)) this.cache.drop(block);
    this.forgetJump(rip);
  }

  /**
   * The budget ran out at `rip`, a region's entry or a loop's header: a sample of where time goes. Hot regions are translated
   * again with more in them; where there is threaded code, its profile has decided that already.
   */
  sample(cpu: EngineCpu, rip: number): void {
    const region = this.cache.get(rip);
    if (region && !region.hot && !this.threaded && ++region.samples >= HOT_SAMPLES)
      this.compile(cpu, rip, HOT, region);
  }

  /** Runs the instruction at RIP alone. @returns an Exit */
  single(cpu: EngineCpu): number {
    const { memory, threaded } = this;
    const rip = memory.loadAddress(cpu.base + CpuState.rip);
    const key = singleKey(rip);
    let region: CachedRegion | 'fault' | null = this.cache.get(key) ?? null;
    region ??= threaded && this.thread(cpu, rip, key, 1);
    region ??= this.compile(cpu, rip, SINGLE);
    if (region === null || region === 'fault') return Exit.exception;
    if (region.block === 0) return this.runtime.enter(cpu.base, region.slot);
    return threaded!.exports.single(cpu.base, region.block + ThreadedBlock.size);
  }

  /** Makes threaded code of the basic block at `entry`, of at most so many instructions; null if there is no handler for the first. */
  private thread(cpu: EngineCpu, entry: number, key: number, most?: number): CachedRegion | 'fault' | null {
    const again = this.revive(cpu, key);
    if (again) return again;
    const threaded = this.threaded!;
    if (threaded.full) {
      this.cache.forgetThreaded();
      this.forgetJumps();
      threaded.reset();
    }
    const { drops } = this;
    this.fetchedPage = -1;
    this.fetching = cpu;
    const rewritten = this.cache.dropped(key).length;
    const written = threaded.write(entry, this.codeSource, rewritten, most);
    if (written === null || written === 'fault') return written;
    const { block, count, end } = written;
    const pages = [Math.floor(entry / PAGE_SIZE)];
    if (Math.floor((end - 1) / PAGE_SIZE) !== pages[0]) pages.push(Math.floor((end - 1) / PAGE_SIZE));
    const copy = threaded.copyOf(block);
    for (const { address, length } of pieces(entry, end)) {
      const pointer = this.codePointer(cpu, address);
      this.memory.u8.copyWithin(copy + address - entry, pointer, pointer + length);
    }
    const region: CachedRegion = {
      slot: this.interpretSlot,
      block,
      key,
      code: threaded.exports.interpret,
      source: null,
      pages,
      frames: this.framesOf(cpu, pages),
      hot: false,
      samples: 0,
      insns: count,
    };
    if (drops !== this.drops) return this.thread(cpu, entry, key, most);
    this.cache.add(region);
    return region;
  }

  private compile(cpu: EngineCpu, entry: number, growth: Growth, old?: CachedRegion): CachedRegion | null {
    const key = growth === SINGLE ? singleKey(entry) : entry;
    if (!old) {
      const again = this.revive(cpu, key);
      if (again) return again;
    }
    const { drops } = this;
    this.fetchedPage = -1;
    const profile = growth === PROFILED ? this.profile : undefined;
    const found = discover(entry, (ip) => this.fetchFrom(cpu, ip), growth, profile);
    if (!found) return null;
    const bytes = emitRegion(found, {
      chain: growth !== SINGLE,
      seeded: this.shared !== null,
      cpu: this.shared ? null : cpu.base,
      exactSoFar: growth !== SINGLE && this.memory.load32(cpu.base + CpuState.mxcsrSlow) === 1,
    });
    const module = new WebAssembly.Module(bytes);
    const code = this.instantiate(module);
    if (profile && found.entryBlock.isLoopHeader && bytes.length <= SMALL_LOOP) machineCode()?.optimise(code);
    const region: CachedRegion = {
      slot: old?.block === 0 ? old.slot : this.cache.allocate(code),
      block: 0,
      key,
      code,
      source: this.source(
        cpu,
        [...found.blocks.values()].map(({ insns }) => insns),
      ),
      pages: [...found.pages],
      frames: this.framesOf(cpu, found.pages),
      hot: growth === HOT || found.complete,
      samples: 0,
      insns: found.insns,
      ...(this.store && growth !== SINGLE
        ? { module: { bytes, module, code: null, profiled: profile !== undefined } }
        : {}),
    };
    for (const start of found.blocks.keys()) this.cool(start);
    if (drops !== this.drops) {
      // A page fault of ours served a request to drop code, perhaps of what was just read.
      if (old?.block !== 0) this.cache.release(region);
      return this.compile(cpu, entry, growth, old && this.cache.get(key) === old ? old : undefined);
    }
    if (old) this.cache.replace(old, region);
    else this.cache.add(region);
    this.memory.count(cpu.base + CpuState.regionsTranslated);
    return region;
  }

  private instantiate(module: WebAssembly.Module): WebAssembly.ExportValue {
    return new WebAssembly.Instance(module, this.imports).exports.r;
  }

  /** Uses regions of earlier runs from here on, and keeps those of this run for `saveTranslations`. */
  useStore(store: TranslationStore | null): void {
    this.store = store;
  }

  /** The region of an earlier run at `key`, if its code is what it was translated from. */
  private restore(cpu: EngineCpu, key: number): CachedRegion | null {
    const stored = this.store?.get(key);
    if (!stored) return null;
    if (!this.isUnchanged(cpu, stored.source)) {
      this.store!.drop(key);
      return null;
    }
    const { bytes, source } = stored;
    const native = stored.code && machineCode()?.deserialize(stored.code, bytes);
    const module = native ?? new WebAssembly.Module(bytes);
    const code = this.instantiate(module);
    const pages = [...new Set(source.map(({ address }) => Math.floor(address / PAGE_SIZE)))];
    const region: CachedRegion = {
      slot: this.cache.allocate(code),
      block: 0,
      key,
      code,
      source,
      pages,
      frames: this.framesOf(cpu, pages),
      hot: true,
      samples: 0,
      insns: stored.insns,
      module: { bytes, module, code: native ? stored.code : null, profiled: true },
    };
    this.cache.add(region);
    this.memory.count(cpu.base + CpuState.regionsRestored);
    return region;
  }

  /** Writes the store, if this run has something for it that it has not got. */
  saveTranslations(): void {
    const native = machineCode();
    if (!this.store || !native) return;
    const news: StoredRegion[] = [];
    for (const { key, insns, source, module, code } of this.cache.values()) {
      if (!module || module.code || !source) continue;
      const optimised = native.isOptimised(code);
      // What was translated when it was met may have run once.
      if (!optimised && (!module.profiled || this.store.get(key))) continue;
      const { bytes } = module;
      news.push({ key, insns, source, bytes, code: optimised ? native.serialize(module.module) : null });
    }
    if (news.length > 0) this.store.save(news);
  }

  /** What threaded code has noted. */
  private readonly profile: Profile = {
    warm: (ip, elsewhere) => {
      const known = this.cache.get(ip);
      if (!known) return false;
      if (known.block === 0) return !elsewhere || known.insns <= SMALL;
      return this.threaded!.isWarm(known.block);
    },
    targets: (ip) => this.threaded!.targets(ip),
  };

  private cool(ip: number): void {
    const known = this.cache.get(ip);
    if (known?.block) this.threaded!.cool(known.block);
  }

  private framesOf(cpu: EngineCpu, pages: Iterable<number>): number[] {
    return [...pages].map((page) => (this.codePointer(cpu, page * PAGE_SIZE) & -PAGE_SIZE) >>> 0);
  }

  /** A copy of the bytes that the instructions of these basic blocks are made of. */
  private source(cpu: EngineCpu, blocks: readonly (readonly Insn[])[]): SourceBytes[] {
    const source: SourceBytes[] = [];
    for (const insns of blocks) {
      // A block's instructions are contiguous.
      const end = insns[insns.length - 1].next;
      for (const { address, length } of pieces(insns[0].ip, end)) {
        const pointer = this.codePointer(cpu, address);
        source.push({ address, bytes: this.memory.u8.slice(pointer, pointer + length) });
      }
    }
    return source;
  }

  /** Takes back a dropped region if its code is what it was translated from. */
  private revive(cpu: EngineCpu, key: number): CachedRegion | null {
    this.fetchedPage = -1;
    for (const region of this.cache.dropped(key)) {
      region.source ??= this.threaded!.source(region.block);
      if (!this.isUnchanged(cpu, region.source)) continue;
      const frames = this.framesOf(cpu, region.pages);
      const slot = region.block === 0 ? this.cache.allocate(region.code) : region.slot;
      const again = { ...region, slot, frames };
      this.cache.add(again);
      return again;
    }
    return this.restore(cpu, key);
  }

  private isUnchanged(cpu: EngineCpu, source: readonly SourceBytes[]): boolean {
    const { drops } = this;
    const { u8 } = this.memory;
    for (const { address, bytes } of source) {
      const pointer = this.codePointer(cpu, address);
      if (pointer === 0) return false;
      // Marked first: a store from now on drops what is made of them.
      this.markCode(cpu, pointer, bytes.length);
      for (let i = 0; i < bytes.length; i++) if (u8[pointer + i] !== bytes[i]) return false;
    }
    // A page fault of ours may have served a request to drop code, of what was compared before.
    return drops === this.drops;
  }

  /**
   * Decoded instructions by address: each is met as threaded code and again in every region that contains it. Their bytes are noted as
   * code, so whatever changes them drops code, and all of these.
   */
  private readonly decoded = new Map<number, Insn>();

  /** How often code was dropped. */
  private drops = 0;

  /** Drops translated code: of the pages [start, end), of a frame, or all. Jump caches are emptied with it. */
  dropCode(start?: number, end?: number): void {
    if (start === undefined || end === undefined) {
      this.cache.clear();
      this.forgetJumps();
    } else this.cache.dropPages(Math.floor(start / PAGE_SIZE), Math.ceil(end / PAGE_SIZE));
    this.codeDropped();
  }

  dropFrame(frame: number): void {
    this.cache.dropFrame(frame);
    this.codeDropped();
  }

  private codeDropped(): void {
    this.drops++;
    this.decoded.clear();
    this.fetchedPage = -1;
  }

  /** Empties the jump caches. An empty entry has an address that belongs into another: programs jump to all of them. */
  private forgetJumps(): void {
    for (const base of this.cpus.keys()) {
      const jumps = (base + CpuState.jumps) >>> 2;
      this.memory.i32.fill(-1, jumps, jumps + (JUMP_ENTRIES * JumpEntry.size) / 4);
      this.memory.storeNumber(base + CpuState.jumps + LAST_JUMP * JumpEntry.size + JumpEntry.rip, 0);
    }
  }

  /** Empties the jump caches' entries for one address. */
  private forgetJump(rip: number): void {
    for (const base of this.cpus.keys()) {
      const index = rip & LAST_JUMP;
      const address = base + CpuState.jumps + index * JumpEntry.size + JumpEntry.rip;
      if (this.memory.loadNumber(address) === rip)
        this.memory.storeNumber(address, index === LAST_JUMP ? 0 : -1);
    }
  }

  // --- fetching --------------------------------------------------------------------------------------------------------

  /**
   * Decodes the instruction at a guest address and notes that its bytes are translated code.
   * @returns null if it cannot be fetched or is none, with the #PF or #UD in CpuState
   */
  fetch(cpu: EngineCpu, ip: number): Insn | null {
    this.fetchedPage = -1;
    return this.fetchFrom(cpu, ip);
  }

  private fetchFrom(cpu: EngineCpu, ip: number): Insn | null {
    const known = this.decoded.get(ip);
    if (known) return known;
    const first = this.codePointer(cpu, ip);
    if (first === 0) return null;
    const room = PAGE_SIZE - (first & (PAGE_SIZE - 1));
    const { u8 } = this.memory;
    const template = this.templates.find(u8, first, room, ip);
    if (template) {
      // A store between reading the bytes and marking them went unnoticed: read what is marked for the first time again.
      if (this.markCode(cpu, first, template.length)) return this.fetchFrom(cpu, ip);
      return this.keepDecoded(template.insn(u8, first, ip));
    }
    let bytes = u8.subarray(first, first + Math.min(MAX_INSN, room));
    let second = 0;
    if (room < MAX_INSN) {
      second = this.codePointer(cpu, ip + room);
      const joined = new Uint8Array(second === 0 ? room : MAX_INSN);
      joined.set(bytes);
      if (second !== 0) joined.set(u8.subarray(second, second + MAX_INSN - room), room);
      bytes = joined;
    }
    const insn = this.decoder.decode(bytes, ip);
    if (!insn) {
      const wantsMore = this.decoder.wantsMore();
      // The exception is that of the second page's first byte.
      if (wantsMore && bytes.length < MAX_INSN)
        return this.codePointer(cpu, ip + room) === 0 ? null : this.fetchFrom(cpu, ip);
      // More than 15 bytes are #GP (SDM vol. 2, 2.3.11).
      cpu.setException(wantsMore ? Vector.GP : Vector.UD, 0);
      return null;
    }
    const length = insn.next - ip;
    let marked = length > room && this.markCode(cpu, second, length - room);
    marked = this.markCode(cpu, first, Math.min(length, room)) || marked;
    // A store between reading the bytes and marking them went unnoticed: read what is marked for the first time again.
    if (marked) return this.fetchFrom(cpu, ip);
    this.templates.learn(this.decoder, insn, bytes);
    return this.keepDecoded(insn);
  }

  private keepDecoded(insn: Insn): Insn {
    if (this.decoded.size >= DECODED_KEPT) this.decoded.clear();
    this.decoded.set(insn.ip, insn);
    return insn;
  }

  private readonly templates = new Templates();

  /** The CPU for which threaded code is being made. */
  private fetching: EngineCpu | null = null;

  private readonly codeSource: CodeSource = {
    locate: (ip) => this.codePointer(this.fetching!, ip),
    codeMask: (pointer) => this.codeMask(pointer),
    mark: (pointer, length) => this.markCode(this.fetching!, pointer, length),
    fetch: (ip) => this.fetchFrom(this.fetching!, ip),
  };

  /** The page that the latest instruction of the region in the making was fetched from, −1 for none, and its pointer. */
  private fetchedPage = -1;
  private fetchedPointer = 0;

  /** Pointer of a byte that may be executed; 0 with the exception in CpuState. */
  private codePointer(cpu: EngineCpu, ip: number): number {
    // Of a negative address too, as those of the kernel's half are.
    const offset = ip & (PAGE_SIZE - 1);
    if (ip - offset === this.fetchedPage) return this.fetchedPointer + offset;
    const pointer = cpu.translate(ip, Access.fetch);
    if (pointer !== 0) {
      this.fetchedPage = ip - offset;
      this.fetchedPointer = pointer - offset;
    }
    return pointer;
  }

  /**
   * Notes that `length` bytes at a pointer (within one frame) are translated code.
   * @returns whether any of them were not noted before
   */
  private markCode(cpu: EngineCpu, pointer: number, length: number): boolean {
    const { memory } = this;
    const offset = pointer & (PAGE_SIZE - 1);
    let mask = 0;
    for (let bit = offset >>> 7; bit <= (offset + length - 1) >>> 7; bit++) mask |= 1 << bit;
    const index = this.codeMask(pointer) >>> 2;
    if ((Atomics.load(memory.i32, index) & mask) === mask) return false;
    if (Atomics.or(memory.i32, index, mask) === 0) cpu.hooks.codeMarked(cpu, (pointer - offset) >>> 0);
    return true;
  }

  /** Pointer of the codeMask of the frame with a pointer. */
  private codeMask(pointer: number): number {
    const { memory } = this;
    const number = (pointer - memory.loadU32(MACHINE + Machine.framesBase)) >>> PAGE_SHIFT;
    return memory.loadU32(MACHINE + Machine.frameTable) + number * Frame.size + Frame.codeMask;
  }

  describeInstruction(cpu: EngineCpu, address: number): { bytes: Uint8Array; text: string } | null {
    const { u8 } = this.memory;
    this.fetchedPage = -1;
    const saved = u8.slice(cpu.base + CpuState.vector, cpu.base + CpuState.faultAddress + 8);
    const pointer = this.codePointer(cpu, address);
    u8.set(saved, cpu.base + CpuState.vector);
    if (pointer === 0) return null;
    const room = Math.min(15, PAGE_SIZE - (pointer & (PAGE_SIZE - 1)));
    const bytes = u8.slice(pointer, pointer + room);
    const insn = this.decoder.decode(bytes, address);
    const length = insn ? Math.min(insn.next - address, room) : Math.min(room, 8);
    return { bytes: bytes.slice(0, length), text: disassemble(bytes, address) };
  }
}
