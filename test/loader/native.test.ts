import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { At, buildStack, loadProgram, ProgramFile, SymbolTable } from '../../src/loader/index.js';
import { Folder, noNativePrograms, options, RecordingTarget } from './fixtures.js';

const unavailable = noNativePrograms();
if (unavailable) console.log(`skipped: comparison of the loader with the host's: ${unavailable}`);

const folder = new Folder();
afterAll(() => folder.remove());
const here = import.meta.dirname;

const FLAGS = ['-O1', '-nostdlib', '-ffreestanding', '-fno-builtin', '-fno-stack-protector'];

/** What dump.c printed. */
function parseDump(dump: Buffer) {
  const number = (at: number) => Number(dump.readBigUInt64LE(at));
  const [sp, top, base, entry] = [0, 8, 16, 24].map(number);
  const stack = dump.subarray(32, 32 + top - sp);
  const segments: { start: number; bytes: Buffer }[] = [];
  for (let at = 32 + top - sp; at < dump.length; ) {
    const start = number(at);
    const bytes = dump.subarray(at + 16, at + 16 + number(at + 8) - start);
    segments.push({ start, bytes });
    at += 16 + bytes.length;
  }
  return { sp, top, base, entry, stack, segments };
}

function auxvOf(stack: Buffer): [number, number][] {
  let at = 8 * (Number(stack.readBigUInt64LE(0)) + 2);
  while (stack.readBigUInt64LE(at) !== 0n) at += 8;
  const auxv: [number, number][] = [];
  for (at += 8; ; at += 16) {
    const type = Number(stack.readBigUInt64LE(at));
    if (type === At.NULL) return auxv;
    auxv.push([type, Number(stack.readBigUInt64LE(at + 8))]);
  }
}

describe.skipIf(unavailable)('a program as the host kernel loads it', () => {
  const programs: [string, string[]][] = [
    ['static', ['-static', '-no-pie']],
    ['static-PIE', ['-static-pie']],
    ['static, sections close together', ['-static', '-no-pie', '-Wl,-z,noseparate-code']],
  ];

  it.each(programs)('%s: the same bytes in memory', (name, flags) => {
    const path = folder.compile(name.replaceAll(/\W+/g, '-'), join(here, 'dump.c'), ...FLAGS, ...flags);
    const native = parseDump(execFileSync('setarch', ['-R', path], { maxBuffer: 1 << 24 }));
    const target = new RecordingTarget();
    const file = ProgramFile.open(path);
    const loaded = loadProgram(target, file, options());
    file.close();
    expect(native.segments.length).toBeGreaterThan(1);
    for (const { start, bytes } of native.segments) {
      const from = start - native.base + loaded.base;
      const ours = Buffer.from(target.read(from, from + bytes.length));
      expect(ours.equals(bytes), `segment at ${from.toString(16)}`).toBe(true);
    }
    expect(loaded.entry - loaded.base).toBe(native.entry - native.base);
    const auxv = new Map(auxvOf(native.stack));
    const ours = new Map(auxvOf(Buffer.from(target.read(loaded.stackPointer, loaded.stackEnd))));
    expect(ours.get(At.PHDR)! - loaded.base).toBe(auxv.get(At.PHDR)! - native.base);
    for (const type of [At.PHENT, At.PHNUM, At.PAGESZ, At.BASE, At.FLAGS, At.CLKTCK, At.SECURE]) {
      expect(ours.get(type), `auxv ${type}`).toBe(auxv.get(type));
    }
  });

  it('lays out the initial stack byte for byte alike', () => {
    const path = folder.compile('stack', join(here, 'dump.c'), ...FLAGS, '-static', '-no-pie');
    for (let length = 0; length < 20; length++) {
      const argv = [path, 'x'.repeat(length), '', 'café'];
      const env = length % 2 ? { A: 'b', LONG: 'y'.repeat(length) } : {};
      const envArgs = Object.entries(env).map(([key, value]) => `${key}=${value}`);
      const native = parseDump(
        execFileSync('setarch', ['-R', 'env', '-i', ...envArgs, ...argv], { maxBuffer: 1 << 24 }),
      );
      const auxv = auxvOf(native.stack);
      const random = new Map(auxv).get(At.RANDOM)! - native.sp;
      const stack = buildStack({
        top: native.top,
        argv: argv.map((s) => Buffer.from(s)),
        envp: envArgs.map((s) => Buffer.from(s)),
        execfn: Buffer.from(path),
        random: native.stack.subarray(random, random + 16),
        auxv,
      });
      expect(stack.stackPointer).toBe(native.sp);
      expect(Buffer.from(stack.bytes).equals(native.stack)).toBe(true);
    }
  });

  it('finds the symbols that nm finds', () => {
    const path = folder.compile('symbols', join(here, 'dump.c'), ...FLAGS, '-static-pie');
    const table = new SymbolTable(path, 0x10_0000);
    const lines = execFileSync('nm', ['-S', path], { encoding: 'utf8' }).trim().split('\n');
    let functions = 0;
    for (const line of lines) {
      const match = /^(\w+) (\w+) [TtRrDdBb] (\w+)$/.exec(line);
      if (!match) continue;
      functions++;
      const address = Number.parseInt(match[1], 16) + 0x10_0000;
      const size = Number.parseInt(match[2], 16);
      expect(table.find(match[3])).toBe(address);
      expect(table.describe(address)).toBe(match[3]);
      expect(table.describe(address + size - 1)).toBe(`${match[3]}+0x${(size - 1).toString(16)}`);
    }
    expect(functions).toBeGreaterThan(3);
    expect(table.describe(0)).toBe(null);
    expect(table.describe(0x7fff_0000_0000)).toBe(null);
    expect(new SymbolTable(folder.file('missing'), 0).describe(0x1000)).toBe(null);
  });
});
