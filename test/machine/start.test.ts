import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCodeFile, writeCodeFile } from '../../src/startup/code-file.js';
import { keptModule } from '../../src/startup/kept-module.js';
import { packageFile } from '../../src/startup/package-file.js';
import { icedBytes } from '../../src/translate/iced/library.js';
import { runtimeBytes } from '../../src/translate/runtime.js';
import { sseBytes } from '../../src/translate/sse-runtime.js';
import { x87Bytes } from '../../src/translate/x87-runtime.js';
import { machineCode } from '../../src/wasm/v8.js';
import { handlerBytes } from '../../src/machine/handlers.js';

/** A copy of the package whose files can be damaged. */
let copy: string;
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'europa-start-'));
  cpSync(packageFile('dist'), join(copy, 'dist'), { recursive: true });
  cpSync(packageFile('package.json'), join(copy, 'package.json'));
  symlinkSync(packageFile('node_modules'), join(copy, 'node_modules'));
  cpSync(packageFile('src/guests/bin'), join(copy, 'src/guests/bin'), { recursive: true });
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

const start = () => join(copy, 'dist/start');
const codeFiles = () => readdirSync(start()).filter((name) => name.endsWith('.code'));

/** Runs a guest with the copy. @returns the bundles and modules that each thread took from code files, and those that it did not */
function run(): { taken: string[]; refused: string[] } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(copy, 'dist/src/cli/main.js'), 'run', join(copy, 'src/guests/bin/selftest')],
    { encoding: 'utf8', env: { ...process.env, EUROPA_SHOW_CODE: '1' } },
  );
  expect(status, stderr).toBe(0);
  expect(stdout).not.toBe('');
  const of = (word: string) =>
    [...stderr.matchAll(/^europa: code of (\S+) (\w+)$/gm)].filter((m) => m[2] === word).map((m) => m[1]);
  return { taken: of('taken'), refused: of('refused') };
}

/** What `npm run build` keeps on this V8, as far as every program needs it. */
const scripts = ['cli.js', 'cpu-worker.js', 'pool.js'];
const everyModule = ['handlers', 'runtime', 'sse', 'x87'];
const modules = machineCode() ? everyModule : [];

describe('code that is kept', () => {
  it('is taken by every thread', () => {
    const { taken, refused } = run();
    expect(taken).toEqual(expect.arrayContaining([...scripts, ...modules]));
    expect(refused.filter((name) => machineCode() || !everyModule.includes(name))).toEqual([]);
  });

  const unkept = machineCode() ? '' : ' (skipped: this V8 lets no code of modules be kept)';
  it.skipIf(unkept)(`is that of the modules that are loaded${unkept}`, () => {
    const kept = {
      handlers: handlerBytes(),
      iced: icedBytes(),
      runtime: runtimeBytes(),
      sse: sseBytes(),
      x87: x87Bytes(),
    };
    for (const name of Object.keys(kept) as (keyof typeof kept)[]) {
      const path = packageFile(`dist/start/${name}.code`);
      expect(readCodeFile(path, kept[name]), name).not.toBe(null);
      expect(keptModule(name, kept[name])).toBeInstanceOf(WebAssembly.Module);
    }
  });

  it('is not taken with one bit changed, and the program runs', () => {
    const names = codeFiles();
    expect(names).not.toEqual([]);
    for (const name of names) {
      const path = join(start(), name);
      const bytes = readFileSync(path);
      bytes[bytes.length >>> 1] ^= 1;
      writeFileSync(path, bytes);
    }
    const { taken, refused } = run();
    expect(taken).toEqual([]);
    expect(refused).toEqual(expect.arrayContaining([...scripts, ...modules]));
  });

  it('need not be there', () => {
    for (const name of codeFiles()) rmSync(join(start(), name));
    expect(run().taken).toEqual([]);
    expect(existsSync(join(start(), 'cli.js'))).toBe(true);
  });

  it('is not taken with other flags', () => {
    cpSync(packageFile('dist/start'), start(), { recursive: true });
    const run = [join(copy, 'dist/src/cli/main.js'), 'run', join(copy, 'src/guests/bin/selftest')];
    const options = { encoding: 'utf8', env: { ...process.env, EUROPA_SHOW_CODE: '1' } } as const;
    const { status, stderr } = spawnSync(process.execPath, ['--stack-size=900', ...run], options);
    expect(status, stderr).toBe(0);
    expect(stderr).toMatch(/code of cpu-worker.js refused/);
    expect(stderr).not.toMatch(/ taken$/m);
  });
});

describe('a file of code', () => {
  const source = Buffer.from('source');
  const code = Buffer.from('code');
  const path = () => join(copy, 'file.code');

  it('holds the code of one source', () => {
    writeCodeFile(path(), source, code);
    expect(readCodeFile(path(), source)).toEqual(code);
    expect(readCodeFile(path(), Buffer.from('sourcf'))).toBe(null);
    expect(readCodeFile(join(copy, 'none'), source)).toBe(null);
  });

  it('does not count when it is cut off or empty', () => {
    writeCodeFile(path(), source, code);
    const whole = readFileSync(path());
    for (const length of [0, 31, 32, whole.length - 1]) {
      writeFileSync(path(), whole.subarray(0, length));
      expect(readCodeFile(path(), source)).toBe(null);
    }
  });

  it('does not count for another version of Node', () => {
    const script = `
      const { readCodeFile } = await import(${JSON.stringify(packageFile('dist/src/startup/code-file.js'))});
      const read = () => readCodeFile(${JSON.stringify(path())}, Buffer.from('source')) !== null;
      const before = read();
      Object.defineProperty(process, 'versions', { value: { ...process.versions, v8: '1.2.3' } });
      console.log(before, read());`;
    writeCodeFile(path(), source, code);
    const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(out).toBe('true false\n');
  });
});
