import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LoadMapping, LoadOptions, LoadTarget } from '../../src/loader/index.js';

/** Why programs cannot be built and run natively here, or undefined. */
export function noNativePrograms(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'the host is not Linux on x86-64';
  for (const tool of ['gcc', 'setarch']) {
    if (spawnSync(tool, ['--version']).error) return `${tool} is missing`;
  }
  return undefined;
}

/** A temporary folder for one test file. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'europa-loader-'));

  file(name: string): string {
    return join(this.path, name);
  }

  write(name: string, bytes: Uint8Array | string, mode = 0o755): string {
    writeFileSync(this.file(name), bytes);
    chmodSync(this.file(name), mode);
    return this.file(name);
  }

  compile(name: string, source: string, ...flags: string[]): string {
    execFileSync('gcc', [...flags, source, '-o', this.file(name)]);
    return this.file(name);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Fields of an ELF-64 header and of its program headers, for files made by hand. */
export interface ElfFields {
  class?: number;
  order?: number;
  type?: number;
  machine?: number;
  version?: number;
  entry?: number;
  phentsize?: number;
  segments?: SegmentFields[];
  /** Bytes of the file; headers only unless given. */
  size?: number;
}

export interface SegmentFields {
  type?: number;
  flags?: number;
  offset?: number;
  vaddr?: number;
  filesz?: number;
  memsz?: number;
  align?: number;
}

/** Builds an ELF file; without fields, a valid program of one readable, executable page at 400000h. */
export function elf(fields: ElfFields = {}): Uint8Array {
  const segments = fields.segments ?? [{}];
  const headers = 64 + 56 * segments.length;
  const bytes = new Uint8Array(fields.size ?? Math.max(headers, 4096));
  const whole = new Uint8Array(headers);
  const view = new DataView(whole.buffer);
  whole.set([0x7f, 0x45, 0x4c, 0x46, fields.class ?? 2, fields.order ?? 1, 1]);
  const little = fields.order !== 2;
  view.setUint16(16, fields.type ?? 2, little);
  view.setUint16(18, fields.machine ?? 62, little);
  view.setUint32(20, fields.version ?? 1, little);
  view.setBigUint64(24, BigInt(fields.entry ?? 0x400080), little);
  view.setBigUint64(32, 64n, little);
  view.setUint16(54, fields.phentsize ?? 56, little);
  view.setUint16(56, segments.length, little);
  segments.forEach((segment, i) => {
    const at = 64 + 56 * i;
    const filesz = segment.filesz ?? 4096;
    view.setUint32(at, segment.type ?? 1, true);
    view.setUint32(at + 4, segment.flags ?? 5, true);
    view.setBigUint64(at + 8, BigInt(segment.offset ?? 0), true);
    view.setBigUint64(at + 16, BigInt(segment.vaddr ?? 0x400000), true);
    view.setBigUint64(at + 32, BigInt(filesz), true);
    view.setBigUint64(at + 40, BigInt(segment.memsz ?? filesz), true);
    view.setBigUint64(at + 48, BigInt(segment.align ?? 4096), true);
  });
  bytes.set(whole.subarray(0, bytes.length));
  return bytes;
}

/** An address space that only remembers: pages by number, and the mappings made. */
export class RecordingTarget implements LoadTarget {
  readonly mappings: LoadMapping[] = [];
  private readonly pages = new Map<number, Uint8Array>();

  /** @param mostPages pages that may be written before memory runs out */
  constructor(private readonly mostPages = Infinity) {}

  map(mapping: LoadMapping): number {
    this.mappings.push(mapping);
    return 0;
  }

  write(address: number, bytes: Uint8Array): number {
    for (let i = 0; i < bytes.length; i++) {
      const number = Math.floor((address + i) / 4096);
      let page = this.pages.get(number);
      if (!page) {
        if (!this.mappings.some((m) => m.start <= address + i && address + i < m.end))
          throw new Error('not mapped');
        if (this.pages.size >= this.mostPages) return -12;
        this.pages.set(number, (page = new Uint8Array(4096)));
      }
      page[(address + i) % 4096] = bytes[i];
    }
    return 0;
  }

  read(start: number, end: number): Uint8Array {
    const bytes = new Uint8Array(end - start);
    for (let i = 0; i < bytes.length; i++) {
      bytes[i] = this.pages.get(Math.floor((start + i) / 4096))?.[(start + i) % 4096] ?? 0;
    }
    return bytes;
  }
}

export function options(changes: Partial<LoadOptions> = {}): LoadOptions {
  return {
    argv: ['prog'],
    envp: [],
    uid: 1,
    euid: 2,
    gid: 3,
    egid: 4,
    random: new Uint8Array(16).map((_, i) => i + 1),
    pku: true,
    cpuCount: 1,
    minSigStack: 3376,
    ...changes,
  };
}
