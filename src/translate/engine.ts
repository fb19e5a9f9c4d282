import { CpuState, Exit, JUMP_ENTRIES, JumpEntry } from '../cpu/state.js';
import { type Memory, PAGE_SIZE } from '../memory/memory.js';
import { machineCode, prepareFlags } from '../wasm/v8.js';
import { type CachedRegion, CodeCache, singleKey } from './code-cache.js';
import { type FetchingCpu, GuestCode } from './guest-code.js';
import { HELPERS } from './helpers.js';
import type { Insn } from './insn.js';
import { COLD, discover, type Growth, HOT, type Profile, PROFILED, SINGLE } from './region.js';
import { type RuntimeExports, runtimeModule } from './runtime.js';
import { emitRegion } from './translate.js';
import type { SharedAccess } from './shared-access.js';
import { ThreadedBlock } from './threaded/layout.js';
import type { HandlerExports } from './threaded/handlers.js';
import { type Handlers, ThreadedCode } from './threaded/threaded-code.js';
import { moduleOf, type TranslationStore } from './translation-store.js';
import { typescriptHelpers } from './ts-helpers.js';

/** What the engine needs of a CPU that it runs code for. */
export interface EngineCpu extends FetchingCpu {
  /** PKRU while another CPU of the engine is active. */
  savedPkru: number;
}

/** A function that has a region of its own is taken along in others only if that has at most so many instructions. */
const SMALL = 40;

/** Index of the last entry of a jump cache. */
const LAST_JUMP = JUMP_ENTRIES - 1;

/** Pointer of the entry of a CPU's jump cache for an address. */
function jumpEntry(base: number, rip: number): number {
  return base + CpuState.jumps + (rip & LAST_JUMP) * JumpEntry.size;
}

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
  private readonly code: GuestCode;
  private readonly imports: WebAssembly.Imports;
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
    this.code = new GuestCode(memory);
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
    const entry = jumpEntry(cpu.base, rip);
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
    const { code } = this;
    const threaded = this.threaded!;
    if (threaded.full) {
      this.cache.forgetThreaded();
      this.forgetJumps();
      threaded.reset();
    }
    const { drops } = code;
    const rewritten = this.cache.dropped(key).length;
    const written = threaded.write(entry, code.source(cpu), rewritten, most);
    if (written === null || written === 'fault') return written;
    const { block, count, end } = written;
    const pages = [Math.floor(entry / PAGE_SIZE)];
    if (Math.floor((end - 1) / PAGE_SIZE) !== pages[0]) pages.push(Math.floor((end - 1) / PAGE_SIZE));
    code.copy(cpu, entry, end, threaded.copyOf(block));
    const region: CachedRegion = {
      slot: this.interpretSlot,
      block,
      key,
      code: threaded.exports.interpret,
      source: null,
      pages,
      frames: code.framesOf(cpu, pages),
      hot: false,
      samples: 0,
      insns: count,
    };
    if (drops !== code.drops) return this.thread(cpu, entry, key, most);
    this.cache.add(region);
    return region;
  }

  private compile(cpu: EngineCpu, entry: number, growth: Growth, old?: CachedRegion): CachedRegion | null {
    const key = growth === SINGLE ? singleKey(entry) : entry;
    if (!old) {
      const again = this.revive(cpu, key);
      if (again) return again;
    }
    const { code } = this;
    const { drops } = code;
    const profile = growth === PROFILED ? this.profile : undefined;
    const found = discover(entry, code.fetcher(cpu), growth, profile);
    if (!found) return null;
    const bytes = emitRegion(found, {
      chain: growth !== SINGLE,
      seeded: this.shared !== null,
      cpu: this.shared ? null : cpu.base,
      exactSoFar: growth !== SINGLE && this.memory.load32(cpu.base + CpuState.mxcsrSlow) === 1,
    });
    const module = new WebAssembly.Module(bytes);
    const entered = this.instantiate(module);
    if (profile && found.entryBlock.isLoopHeader && bytes.length <= SMALL_LOOP)
      machineCode()?.optimise(entered);
    const region: CachedRegion = {
      slot: old?.block === 0 ? old.slot : this.cache.allocate(entered),
      block: 0,
      key,
      code: entered,
      source: code.bytesOf(
        cpu,
        [...found.blocks.values()].map(({ insns }) => insns),
      ),
      pages: [...found.pages],
      frames: code.framesOf(cpu, found.pages),
      hot: growth === HOT || found.complete,
      samples: 0,
      insns: found.insns,
      ...(this.store && growth !== SINGLE
        ? { module: { bytes, module, code: null, profiled: profile !== undefined } }
        : {}),
    };
    for (const start of found.blocks.keys()) this.cool(start);
    if (drops !== code.drops) {
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
    const { source, insns } = stored;
    if (!this.code.isUnchanged(cpu, source)) {
      this.store!.drop(key);
      return null;
    }
    const module = moduleOf(stored);
    const code = this.instantiate(module.module);
    const pages = [...new Set(source.map(({ address }) => Math.floor(address / PAGE_SIZE)))];
    const region: CachedRegion = {
      slot: this.cache.allocate(code),
      block: 0,
      key,
      code,
      source,
      pages,
      frames: this.code.framesOf(cpu, pages),
      hot: true,
      samples: 0,
      insns,
      module,
    };
    this.cache.add(region);
    this.memory.count(cpu.base + CpuState.regionsRestored);
    return region;
  }

  /** Writes the store, if this run has something for it that it has not got. */
  saveTranslations(): void {
    this.store?.saveNew(this.cache.values());
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

  /** Takes back a dropped region if its code is what it was translated from. */
  private revive(cpu: EngineCpu, key: number): CachedRegion | null {
    this.code.begin();
    for (const region of this.cache.dropped(key)) {
      region.source ??= this.threaded!.source(region.block);
      if (!this.code.isUnchanged(cpu, region.source)) continue;
      const frames = this.code.framesOf(cpu, region.pages);
      const slot = region.block === 0 ? this.cache.allocate(region.code) : region.slot;
      const again = { ...region, slot, frames };
      this.cache.add(again);
      return again;
    }
    return this.restore(cpu, key);
  }

  /** Drops translated code: of the pages [start, end), of a frame, or all. Jump caches are emptied with it. */
  dropCode(start?: number, end?: number): void {
    if (start === undefined || end === undefined) {
      this.cache.clear();
      this.forgetJumps();
    } else this.cache.dropPages(Math.floor(start / PAGE_SIZE), Math.ceil(end / PAGE_SIZE));
    this.code.dropped();
  }

  dropFrame(frame: number): void {
    this.cache.dropFrame(frame);
    this.code.dropped();
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
      const address = jumpEntry(base, rip) + JumpEntry.rip;
      if (this.memory.loadNumber(address) === rip)
        this.memory.storeNumber(address, (rip & LAST_JUMP) === LAST_JUMP ? 0 : -1);
    }
  }

  fetch(cpu: EngineCpu, ip: number): Insn | null {
    return this.code.fetch(cpu, ip);
  }

  describeInstruction(cpu: EngineCpu, address: number): { bytes: Uint8Array; text: string } | null {
    return this.code.describe(cpu, address);
  }
}
