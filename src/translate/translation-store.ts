import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deserialize, serialize } from 'node:v8';
import { readCodeFile, writeCodeFile } from '../startup/code-file.js';
import { machineCode } from '../wasm/v8.js';
import type { CachedRegion, SourceBytes, TranslatedModule } from './code-cache.js';

/** A region that an earlier run has translated. */
export interface StoredRegion {
  /** Its entry address. */
  readonly key: number;
  /** Number of its instructions, and the bytes that they are made of. */
  readonly insns: number;
  readonly source: readonly SourceBytes[];
  /** The WebAssembly module, and V8's machine code of it; null if V8 had not optimised it when the run ended. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly code: Uint8Array | null;
}

/** What a directory of translations may hold: the oldest files go first. */
const MOST_BYTES = 256 << 20;
const MOST_FILES = 512;

/** Regions of one file. A program that generates code at other addresses in every run would leave more and more. */
const MOST_REGIONS = 1000;

const SUFFIX = '.translations';

/**
 * Translations of one program for one CPU, in a file, so that a program's later runs begin where the earlier ones ended.
 *
 * Nothing depends on what the file says being so: a region is used only where the guest's memory holds the very bytes that it was
 * translated from. But V8 executes its machine code as it is, so a file is taken only if its digest is right and if it lies in a
 * directory that nobody else may write to.
 */
export class TranslationStore {
  private readonly regions = new Map<number, StoredRegion>();
  /** Keys of regions that this run has asked for or made. */
  private readonly used = new Set<number>();

  private constructor(
    private readonly directory: string,
    private readonly name: string,
  ) {}

  private get path(): string {
    return join(this.directory, `${this.name}${SUFFIX}`);
  }

  /**
   * @param directory made if it is missing
   * @param program digest of the program's file
   * @param cpu number of the CPU, whose block's address is in the code
   * @returns null if the directory cannot be used, or V8 cannot keep code
   */
  static open(directory: string, program: string, cpu: number): TranslationStore | null {
    if (!machineCode() || !isPrivate(directory)) return null;
    const store = new TranslationStore(directory, storeName(program, cpu));
    store.read();
    return store;
  }

  get size(): number {
    return this.regions.size;
  }

  get(key: number): StoredRegion | undefined {
    const region = this.regions.get(key);
    if (region) this.used.add(key);
    return region;
  }

  /** Forgets a region whose code has changed. */
  drop(key: number): void {
    this.regions.delete(key);
  }

  /** Takes in what a run has made and the store has not got, and writes the file if there is any. */
  saveNew(made: Iterable<CachedRegion>): void {
    const native = machineCode();
    if (!native) return;
    const news: StoredRegion[] = [];
    for (const { key, insns, source, module, code } of made) {
      if (!module || module.code || !source) continue;
      const optimised = native.isOptimised(code);
      // What was translated when it was met may have run once.
      if (!optimised && (!module.profiled || this.get(key))) continue;
      const { bytes } = module;
      news.push({ key, insns, source, bytes, code: optimised ? native.serialize(module.module) : null });
    }
    if (news.length > 0) this.save(news);
  }

  /** Takes regions in, in place of others with the same keys, and writes the file. Errors of the host are no errors of ours: it stays as it was. */
  save(regions: readonly StoredRegion[]): void {
    for (const region of regions) {
      this.regions.set(region.key, region);
      this.used.add(region.key);
    }
    if (this.regions.size > MOST_REGIONS)
      for (const key of [...this.regions.keys()]) if (!this.used.has(key)) this.regions.delete(key);
    const body = serialize([...this.regions.values()]);
    try {
      writeCodeFile(this.path, Buffer.from(this.name), body, 0o600);
      prune(this.directory);
    } catch {
      // There is no room, or another process has pruned at the same time.
    }
  }

  private read(): void {
    const body = readCodeFile(this.path, Buffer.from(this.name));
    if (!body) return;
    for (const region of deserialize(body) as StoredRegion[]) this.regions.set(region.key, region);
    try {
      // `prune` goes by when a file was last used.
      const now = new Date();
      utimesSync(this.path, now, now);
    } catch {
      // Another process has pruned it.
    }
  }
}

/** A stored region's module, made of the kept machine code if V8 takes it. */
export function moduleOf({ bytes, code }: StoredRegion): TranslatedModule {
  const native = code && machineCode()?.deserialize(code, bytes);
  const module = native ?? new WebAssembly.Module(bytes);
  return { bytes, module, code: native ? code : null, profiled: true };
}

/** Bytes of a program's file that its digest is of, beside its size: enough to tell programs from each other. */
const DIGESTED_BYTES = 1 << 20;

/** Digest by which a program's translations are found again; null if it is no file that can be read. */
export function programDigest(path: string): string | null {
  try {
    const { size } = statSync(path);
    const begin = Buffer.alloc(Math.min(size, DIGESTED_BYTES));
    // Opening a FIFO must not wait for a writer.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      readSync(fd, begin);
    } finally {
      closeSync(fd);
    }
    return `${digest(begin).toString('hex')}-${size}`;
  } catch {
    return null;
  }
}

function digest(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** Name of a file: what its contents depend on, this translator and V8 included. */
function storeName(program: string, cpu: number): string {
  const { size, mtimeMs } = statSync(fileURLToPath(import.meta.url));
  const { versions, arch } = process;
  const parts = [program, cpu, versions.node, versions.v8, arch, size, mtimeMs];
  return createHash('sha256').update(parts.join(' ')).digest('hex').slice(0, 40);
}

/** Makes a directory and those above it. (Node's own way to do that never ends where the host says ENOENT, as in /proc.) */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  if (dirname(path) !== path) makeDirectory(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process may have made it meanwhile.
    if (!existsSync(path)) throw error;
  }
}

/** Makes a directory if it is missing. @returns whether it belongs to this user and nobody else can write to it */
function isPrivate(directory: string): boolean {
  try {
    makeDirectory(directory);
    const { uid, mode } = statSync(directory);
    return process.getuid === undefined || (uid === process.geteuid!() && (mode & 0o022) === 0);
  } catch {
    return false;
  }
}

/** Deletes the files that were used longest ago, until the rest is few and small enough. */
function prune(directory: string): void {
  const files = readdirSync(directory)
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => {
      const path = join(directory, name);
      const { mtimeMs, size } = statSync(path);
      return { path, mtimeMs, size };
    })
    .sort((a, b) => b.mtimeMs - a.mtimeMs);
  let bytes = 0;
  files.forEach(({ path, size }, i) => {
    bytes += size;
    if (i >= MOST_FILES || bytes > MOST_BYTES) rmSync(path, { force: true });
  });
}
