import { PAGE_SIZE } from '../memory/memory.js';

/** One translated region, or a block of threaded code. */
export interface CachedRegion {
  /** Its function's index in the engine's table; for threaded code that of the interpreter, which all blocks share. */
  readonly slot: number;
  /** Pointer of the ThreadedBlock; 0 for a region. */
  readonly block: number;
  /** What it is looked up by: its entry address, or `singleKey` of it. */
  readonly key: number;
  /** Its function, and the bytes it was translated from; null for threaded code, which has them, until they are asked for. */
  readonly code: WebAssembly.ExportValue;
  source: readonly SourceBytes[] | null;
  /** Virtual page numbers of its instructions, and pointers of the frames they were in. */
  readonly pages: readonly number[];
  readonly frames: readonly number[];
  /** Whether it has been grown because it is hot, or there is nothing to grow: its code then stays, and V8 can optimise it. */
  readonly hot: boolean;
  /** How often a budget ran out at its entry. */
  samples: number;
  /** Number of its instructions. */
  readonly insns: number;
  /** Its module, kept for the translation store. */
  readonly module?: TranslatedModule;
}

export interface TranslatedModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly module: WebAssembly.Module;
  /** V8's optimised code of it, if that came from the store. */
  readonly code: Uint8Array | null;
  /** Whether it was translated because it is hot. */
  readonly profiled: boolean;
}

/** Bytes of code at a guest address, within one page. */
export interface SourceBytes {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** [start, end) by page. */
export function pieces(start: number, end: number): { address: number; length: number }[] {
  const found: { address: number; length: number }[] = [];
  for (let address = start; address < end; ) {
    const stop = Math.min(end, (Math.floor(address / PAGE_SIZE) + 1) * PAGE_SIZE);
    found.push({ address, length: stop - address });
    address = stop;
  }
  return found;
}

/** Key of the region that consists of the one instruction at an address; no address itself. */
export function singleKey(address: number): number {
  return address + 0.5;
}

/** Dropped regions kept by key: code that is written again and again often takes turns between a few versions. */
const RETIRED_VERSIONS = 4;
const RETIRED_KEYS = 1000;

/**
 * The table starts with room for this many regions and doubles. V8 gives each module that imports it a copy: the entries count at
 * every instantiation. (Rejected: one dispatching function that has the table alone; calls and returns were 15 % slower.)
 */
const FIRST_SLOTS = 64;

/** Translated regions of one address space, by key, page and frame; and the table that holds their functions. */
export class CodeCache {
  readonly table = new WebAssembly.Table({ element: 'anyfunc', initial: FIRST_SLOTS });
  private readonly regions = new Map<number, CachedRegion>();
  private readonly byPage = new Map<number, Set<CachedRegion>>();
  private readonly byFrame = new Map<number, Set<CachedRegion>>();
  private readonly retired = new Map<number, CachedRegion[]>();
  private readonly freeSlots: number[] = [];
  /** Slot 0 stays empty: it stands for "no region". */
  private nextSlot = 1;
  /** Slots that `clear` leaves alone. */
  private reserved = 1;

  /** @param onDrop called with the key of each region that is dropped by itself */
  constructor(private readonly onDrop: (key: number) => void = () => undefined) {}

  get(key: number): CachedRegion | undefined {
    return this.regions.get(key);
  }

  /** All regions that are in use. */
  values(): Iterable<CachedRegion> {
    return this.regions.values();
  }

  /** Dropped regions with this key, latest first: good again if the code is again what they were translated from. */
  dropped(key: number): readonly CachedRegion[] {
    return this.retired.get(key) ?? [];
  }

  /** A free slot, holding `code` from now on. */
  allocate(code: WebAssembly.ExportValue): number {
    const slot = this.freeSlots.pop() ?? this.nextSlot++;
    if (slot >= this.table.length) this.table.grow(this.table.length);
    this.table.set(slot, code);
    return slot;
  }

  /** A slot that holds `code` for ever; to be called before anything else is added. */
  reserve(code: WebAssembly.ExportValue): number {
    const slot = this.allocate(code);
    this.reserved = this.nextSlot;
    return slot;
  }

  add(region: CachedRegion): void {
    this.regions.set(region.key, region);
    for (const page of region.pages) put(this.byPage, page, region);
    for (const frame of region.frames) put(this.byFrame, frame, region);
  }

  /** Gives back the slot of a region that was not added. */
  release(region: CachedRegion): void {
    if (region.block !== 0) return;
    this.table.set(region.slot, null);
    this.freeSlots.push(region.slot);
  }

  /** Puts a new translation in an old one's place; a region in its slot as well, so that every link to it stays good. */
  replace(old: CachedRegion, next: CachedRegion): void {
    this.forget(old);
    if (old.block === 0) this.table.set(old.slot, next.code);
    this.add(next);
  }

  /** Drops the regions that have instructions in the pages [first, end) (virtual page numbers). */
  dropPages(first: number, end: number): void {
    if (end - first > this.byPage.size) {
      for (const page of [...this.byPage.keys()])
        if (page >= first && page < end) this.dropAll(this.byPage.get(page));
    } else for (let page = first; page < end; page++) this.dropAll(this.byPage.get(page));
  }

  dropFrame(frame: number): void {
    this.dropAll(this.byFrame.get(frame));
  }

  /** Forgets all threaded code, dropped or not: its room is used again. */
  forgetThreaded(): void {
    for (const region of [...this.regions.values()]) if (region.block !== 0) this.forget(region);
    for (const [key, versions] of [...this.retired]) {
      const left = versions.filter((region) => region.block === 0);
      if (left.length) this.retired.set(key, left);
      else this.retired.delete(key);
    }
  }

  clear(): void {
    this.regions.clear();
    this.byPage.clear();
    this.byFrame.clear();
    this.retired.clear();
    this.freeSlots.length = 0;
    for (let slot = this.reserved; slot < this.nextSlot; slot++) this.table.set(slot, null);
    this.nextSlot = this.reserved;
  }

  private dropAll(regions: Set<CachedRegion> | undefined): void {
    for (const region of regions ?? []) this.drop(region);
  }

  /** Drops one region; it may be taken back (`dropped`). */
  drop(region: CachedRegion): void {
    this.forget(region);
    this.release(region);
    this.retire(region);
    this.onDrop(region.key);
  }

  private retire(region: CachedRegion): void {
    const versions = (this.retired.get(region.key) ?? []).filter(
      (other) => other.code !== region.code || other.block !== region.block,
    );
    versions.unshift(region);
    if (versions.length > RETIRED_VERSIONS) versions.pop();
    this.retired.set(region.key, versions);
    if (this.retired.size > RETIRED_KEYS) this.retired.delete(this.retired.keys().next().value!);
  }

  private forget(region: CachedRegion): void {
    this.regions.delete(region.key);
    for (const page of region.pages) remove(this.byPage, page, region);
    for (const frame of region.frames) remove(this.byFrame, frame, region);
  }
}

function put<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set) set.add(value);
  else map.set(key, new Set([value]));
}

function remove<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  // An empty set stays: code that was dropped is mostly translated again.
  set?.delete(value);
}
