import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Exit } from '../../src/cpu/state.js';
import { TranslationStore } from '../../src/translate/translation-store.js';
import { machineCode } from '../../src/wasm/v8.js';
import { CODE } from '../oracle/driver.js';
import { ThreadedCpu } from './threaded-cpu.js';

/** mov ecx, 20000000; L: add rax, rcx; dec ecx; jne L; syscall: long enough for V8 to optimise it. */
const LOOP = 'b9002d3101 4801c8 ffc9 75f9 0f05';
const SUM = (20_000_000 * 20_000_001) / 2;
/** The same with XOR. */
const OTHER_LOOP = 'b9002d3101 4831c8 ffc9 75f9 0f05';
/** The exclusive or of 1 to n is n if that is a multiple of 4. */
const OTHER_RESULT = 20_000_000;

const lacks = `V8 ${process.versions.v8} cannot keep machine code`;

describe.skipIf(!machineCode())(machineCode() ? 'translation store' : `skipped: ${lacks}`, () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'europa-store-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  /** One run of the code with the store, as a CPU worker makes it. */
  function run(hex: string): { rax: number; translated: number; restored: number } {
    const cpu = new ThreadedCpu();
    cpu.engine.useStore(TranslationStore.open(directory, 'program', 0));
    cpu.place(hex);
    expect(cpu.start()).toBe(Exit.syscall);
    cpu.engine.saveTranslations();
    return {
      rax: cpu.gpr('rax'),
      translated: cpu.count('regionsTranslated'),
      restored: cpu.count('regionsRestored'),
    };
  }

  const files = () => readdirSync(directory).map((name) => join(directory, name));

  /** Runs until what is kept is optimised: that takes V8 a while. */
  function fill(hex: string): void {
    for (let runs = 0; runs < 20; runs++) {
      run(hex);
      const code = TranslationStore.open(directory, 'program', 0)?.get(CODE + 5)?.code;
      if (code) return;
    }
    throw new Error('nothing was optimised');
  }

  it('a later run begins with what an earlier one has translated', () => {
    expect(run(LOOP)).toEqual({ rax: SUM, translated: 1, restored: 0 });
    expect(run(LOOP)).toEqual({ rax: SUM, translated: 0, restored: 1 });
    fill(LOOP);
    expect(run(LOOP)).toEqual({ rax: SUM, translated: 0, restored: 1 });
  });

  it('takes nothing that is not of the code that is there', () => {
    fill(LOOP);
    expect(run(OTHER_LOOP)).toEqual({ rax: OTHER_RESULT, translated: 1, restored: 0 });
    // And keeps the new in its place.
    expect(run(OTHER_LOOP)).toEqual({ rax: OTHER_RESULT, translated: 0, restored: 1 });
  });

  it('takes no file in which a bit is wrong', () => {
    fill(LOOP);
    const [path] = files();
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1] ^= 1;
    writeFileSync(path, bytes);
    expect(run(LOOP)).toEqual({ rax: SUM, translated: 1, restored: 0 });
  });

  it('takes no file that is cut off', () => {
    fill(LOOP);
    const [path] = files();
    writeFileSync(path, readFileSync(path).subarray(0, 20));
    expect(run(LOOP)).toEqual({ rax: SUM, translated: 1, restored: 0 });
  });

  it('is of one program and one CPU', () => {
    fill(LOOP);
    expect(TranslationStore.open(directory, 'program', 0)!.size).toBe(1);
    expect(TranslationStore.open(directory, 'program', 1)!.size).toBe(0);
    expect(TranslationStore.open(directory, 'another', 0)!.size).toBe(0);
  });

  it('is not used where others may write', () => {
    chmodSync(directory, 0o777);
    expect(TranslationStore.open(directory, 'program', 0)).toBe(null);
  });

  it('is not used where no directory can be made', () => {
    expect(TranslationStore.open('/dev/null/europa', 'program', 0)).toBe(null);
  });

  it('forgets regions that a run has not used when they are too many', () => {
    const region = (key: number) => ({ key, insns: 1, source: [], bytes: new Uint8Array(0), code: null });
    const keys = Array.from({ length: 1000 }, (_, key) => key);
    TranslationStore.open(directory, 'program', 0)!.save(keys.map(region));
    const store = TranslationStore.open(directory, 'program', 0)!;
    expect(store.size).toBe(1000);
    store.get(7);
    store.save([region(1000)]);
    const left = TranslationStore.open(directory, 'program', 0)!;
    expect(left.size).toBe(2);
    expect([left.get(7), left.get(1000)]).toEqual([region(7), region(1000)]);
  });

  it('deletes what was used longest ago when there are too many files', () => {
    const old = join(directory, 'old.translations');
    writeFileSync(old, '');
    utimesSync(old, 1, 1);
    for (let i = 0; i < 511; i++) writeFileSync(join(directory, `${i}.translations`), '');
    run(LOOP);
    expect(files()).toHaveLength(512);
    expect(files()).not.toContain(old);
  });
});
