import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  MAX_CODE,
  type MemoryRun,
  type TestCase,
  type TestDriver,
  type TestResult,
  TIMEOUT,
} from './driver.js';

/** Why the host's processor can't serve as the reference here, or `undefined` if it can. */
export function nativeUnavailable(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `the reference is an x86-64 processor under Linux; this is ${process.arch} under ${process.platform}`;
  }
  return spawnSync('gcc', ['--version']).status === 0 ? undefined : 'gcc is missing';
}

/** Feature names of the host's processor, as in /proc/cpuinfo ("sse4_2", "bmi1" …). */
export function hostFeatures(): Set<string> {
  const flags = /^flags\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
  return new Set(flags?.[1].split(' ') ?? []);
}

// Record formats, little endian; struct test_case, struct result and struct run of native.c.
const CASE_SIZE = 472;
const CASE_GPR = 24;
const CASE_XMM = 152;
const CASE_CODE = 408;
const RESULT_SIZE = 688;
const RESULT_GPR = 24;
const RESULT_RIP = 152;
const RESULT_RFLAGS = 160;
const RESULT_FX = 168;
const RESULT_RUNS = 680;
const NO_EXCEPTION = 0xffff_ffff;
const FX_SIZE = 512;

const padded = (length: number): number => (length + 7) & ~7;

function encodeCases(cases: readonly TestCase[]): Uint8Array {
  const sizes = cases.map(
    (c) =>
      CASE_SIZE +
      (c.state.fx ? FX_SIZE : 0) +
      c.memory.reduce((sum, run) => sum + 8 + padded(run.bytes.length), 0),
  );
  const out = new Uint8Array(sizes.reduce((a, b) => a + b, 0));
  const view = new DataView(out.buffer);
  let at = 0;
  cases.forEach(({ code, state, memory }, index) => {
    if (code.length > MAX_CODE) throw new RangeError(`code of ${code.length} bytes`);
    view.setUint32(at, sizes[index], true);
    view.setUint32(at + 4, code.length, true);
    view.setUint32(at + 8, state.fx ? 1 : 0, true);
    view.setUint32(at + 12, memory.length, true);
    view.setUint32(at + 16, state.rflags, true);
    view.setUint32(at + 20, state.mxcsr, true);
    for (let i = 0; i < 16; i++) view.setBigUint64(at + CASE_GPR + 8 * i, state.gpr[i], true);
    out.set(state.xmm, at + CASE_XMM);
    out.fill(0xcc, at + CASE_CODE, at + CASE_CODE + MAX_CODE);
    out.set(code, at + CASE_CODE);
    at += CASE_SIZE;
    if (state.fx) {
      out.set(state.fx, at);
      at += FX_SIZE;
    }
    for (const run of memory) {
      view.setUint32(at, run.address, true);
      view.setUint32(at + 4, run.bytes.length, true);
      out.set(run.bytes, at + 8);
      at += 8 + padded(run.bytes.length);
    }
  });
  return out;
}

function decodeResults(data: Uint8Array): TestResult[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const results: TestResult[] = [];
  for (let at = 0; at < data.length; at += view.getUint32(at, true)) {
    const vector = view.getUint32(at + 4, true);
    const gpr = new BigUint64Array(16);
    for (let i = 0; i < 16; i++) gpr[i] = view.getBigUint64(at + RESULT_GPR + 8 * i, true);
    const fx = data.slice(at + RESULT_FX, at + RESULT_FX + FX_SIZE);
    const memory: MemoryRun[] = [];
    let p = at + RESULT_SIZE;
    for (let i = view.getUint32(at + RESULT_RUNS, true); i > 0; i--) {
      const length = view.getUint32(p + 4, true);
      memory.push({ address: view.getUint32(p, true), bytes: data.slice(p + 8, p + 8 + length) });
      p += 8 + padded(length);
    }
    results.push({
      exception:
        vector === NO_EXCEPTION
          ? null
          : {
              vector,
              errorCode: Number(view.getBigUint64(at + 8, true)),
              address: view.getBigUint64(at + 16, true),
            },
      gpr,
      rip: view.getBigUint64(at + RESULT_RIP, true),
      rflags: Number(view.getBigUint64(at + RESULT_RFLAGS, true) & 0xffff_ffffn),
      xmm: fx.slice(160, 416),
      mxcsr: new DataView(fx.buffer, fx.byteOffset).getUint32(24, true),
      fx,
      memory,
    });
  }
  return results;
}

/** Compiles native.c, once for each version of it, and returns the path of the executable. */
function build(): string {
  const source = fileURLToPath(new URL('./native.c', import.meta.url));
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16);
  const uid = process.getuid?.() ?? 0;
  const directory = join(tmpdir(), `europa-oracle-${uid}`);
  const executable = join(directory, `native-${hash}`);
  if (!existsSync(executable)) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const fresh = `${executable}.${process.pid}`;
    execFileSync('gcc', ['-O3', '-Wall', '-Wextra', '-Werror', '-o', fresh, source]);
    renameSync(fresh, executable);
  }
  return executable;
}

/** How long a locked access across a cache line takes here, in nanoseconds. */
export function splitLockNanoseconds(): number {
  return Number(execFileSync(build(), { encoding: 'utf8' }));
}

/** In native.c's ticks: five seconds of user time. */
const LONG_PATIENCE = 100;

/** The host's processor as a driver. Each `run` is one process of native.c. */
export class NativeDriver implements TestDriver {
  readonly name = 'native';
  readonly #executable = build();

  /** What did not end in a second is run again alone, with more patience: a busy host may delay a split lock as long. */
  run(cases: readonly TestCase[]): TestResult[] {
    return this.runWithin(cases).map((result, i) =>
      result.exception?.vector === TIMEOUT ? this.runWithin([cases[i]], LONG_PATIENCE)[0] : result,
    );
  }

  private runWithin(cases: readonly TestCase[], ticks?: number): TestResult[] {
    const directory = mkdtempSync(join(tmpdir(), 'europa-oracle-'));
    try {
      const input = join(directory, 'cases');
      const output = join(directory, 'results');
      writeFileSync(input, encodeCases(cases));
      const { status, signal, stderr } = spawnSync(
        this.#executable,
        [input, output, ...(ticks === undefined ? [] : [String(ticks)])],
        { encoding: 'utf8' },
      );
      if (status !== 0)
        throw new Error(`native driver ended with ${signal ?? `status ${status}`}: ${stderr}`);
      const results = decodeResults(new Uint8Array(readFileSync(output)));
      if (results.length !== cases.length)
        throw new Error(`${results.length} results of ${cases.length} cases`);
      return results;
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
}
