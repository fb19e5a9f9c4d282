/** Builds and runs the C programs that answer test cases with the host's own processor. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Why the host can't be the reference, or undefined if it can. */
export function missing(): string | undefined {
  if (process.arch !== 'x64') return `the host is ${process.arch}, not x86-64`;
  if (spawnSync('gcc', ['--version']).status !== 0) return 'gcc is missing';
  return undefined;
}

/** How many times as many cases as usual: SOFTFLOAT_FUZZ=100 for a long run. SOFTFLOAT_SEED changes the cases. */
export const FUZZ = Number(process.env.SOFTFLOAT_FUZZ ?? 1);
export const SEED = Number(process.env.SOFTFLOAT_SEED ?? 1);

export class Host {
  readonly #folder = mkdtempSync(join(tmpdir(), 'softfloat-'));
  readonly #program = join(this.#folder, 'oracle');

  constructor(source: string) {
    const flags = ['-O1', '-Wall', '-Werror', '-mno-red-zone', '-o', this.#program];
    execFileSync('gcc', [...flags, join(import.meta.dirname, source)]);
  }

  /** Answers records of 64 bytes with records of 64 bytes. */
  run(cases: Uint8Array): DataView {
    const { stdout, status, signal } = spawnSync(this.#program, {
      input: cases,
      maxBuffer: cases.length + 1024,
      timeout: 60_000,
    });
    if (status !== 0 || stdout.length !== cases.length) {
      throw new Error(`oracle ended with ${signal ?? status} after ${stdout.length / 64} answers`);
    }
    return new DataView(stdout.buffer, stdout.byteOffset, stdout.length);
  }

  close(): void {
    rmSync(this.#folder, { recursive: true });
  }
}

/** xorshift128+ on 32-bit words: the same cases on every run. */
export class Random {
  #a = 0x9e3779b9;
  #b = 0x243f6a88;
  #c = 0xb7e15162;
  #d: number;

  constructor(seed: number) {
    this.#d = (seed * 2654435761) >>> 0;
    for (let i = 0; i < 16; i++) this.word();
  }

  /** An unsigned 32-bit word. */
  word(): number {
    let t = this.#d;
    const s = this.#a;
    this.#d = this.#c;
    this.#c = this.#b;
    this.#b = s;
    t ^= t << 11;
    t ^= t >>> 8;
    this.#a = (t ^ s ^ (s >>> 19)) >>> 0;
    return this.#a;
  }

  below(n: number): number {
    return this.word() % n;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)];
  }
}
