import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { benchmarks } from '../../bench/in-process/index.js';
import { type Benchmark, measure } from '../../bench/in-process/measure.js';
import { duration, rate } from '../../bench/in-process/report.js';
import { compiledFile } from '../../src/startup/package-file.js';
import { Scratch } from '../machine/fixtures.js';

const scratch = new Scratch();
afterAll(() => scratch.cleanUp());

/** Shootdowns differ in the number of workers only: the fewest and the most will do. */
const different = benchmarks.filter(({ name }) => !/^shootdown-[2-6]$/.test(name));

describe('every benchmark works', () => {
  test.each(different.map((benchmark) => [benchmark.name, benchmark] as const))(
    '%s',
    async (_, benchmark) => {
      const { mean, samples, operations } = await measure(benchmark, 0);
      expect(samples).toBe(1);
      expect(operations).toBeGreaterThan(0);
      // 0 only where noise exceeds what is left when the empty loop is subtracted.
      expect(mean).toBeGreaterThanOrEqual(0);
      expect(mean).toBeLessThan(60e9);
    },
  );
});

describe('measuring', () => {
  const taking = (sample: () => number, operations = 10): Benchmark => ({
    name: 'x',
    what: '',
    prepare: () => ({ operations, sample }),
  });

  test('divides a sample by its operations', async () => {
    const measured = await measure(
      taking(() => 3),
      1,
    );
    expect(measured.median).toBeCloseTo(0.3e6, 3);
    expect(measured.rate).toBeCloseTo(1e4 / 3, 3);
    expect(measured.samples).toBeGreaterThanOrEqual(5);
  });

  test('never gives less than no time', async () => {
    expect(
      await measure(
        taking(() => -1),
        0,
      ),
    ).toMatchObject({ mean: 0, rate: 0 });
  });

  test('closes what was prepared, also when a sample fails', async () => {
    let closed = 0;
    const failing: Benchmark = {
      name: 'x',
      what: '',
      prepare: () => ({
        operations: 1,
        sample: () => {
          throw new Error('no');
        },
        close: () => {
          closed++;
        },
      }),
    };
    await expect(measure(failing, 0)).rejects.toThrow('no');
    expect(closed).toBe(1);
  });
});

test.each([
  [0.123, '0.12 ns'],
  [9.996, '10.0 ns'],
  [999.7, '1.00 µs'],
  [123_456, '123 µs'],
  [2.5e9, '2.50 s'],
])('%d ns are written %s', (ns, text) => expect(duration(ns)).toBe(text));

test.each([
  [0.5, '0.50 /s'],
  [999.6, '1.00 k/s'],
  [81.25e6, '81.3 M/s'],
])('%d operations a second are written %s', (value, text) => expect(rate(value)).toBe(text));

describe('the command', () => {
  const bench = (...args: string[]) =>
    spawnSync(process.execPath, [compiledFile('bench/in-process.js'), ...args], { encoding: 'utf8' });

  test('prints a table and writes JSON, of all benchmarks whose names begin so', () => {
    const json = scratch.file('bench.json', '');
    const { status, stdout, stderr } = bench('--only', 'tlb,syscall', '--time', '0', '--json', json);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    const { unit, results, host } = JSON.parse(readFileSync(json, 'utf8'));
    expect(unit).toBe('ns');
    expect(host.cores).toBeGreaterThan(0);
    const names = results.map(({ name }: { name: string }) => name);
    expect(names).toEqual(['tlb-hit-load', 'tlb-hit-store', 'tlb-miss', 'syscall']);
    for (const name of names) expect(stdout).toContain(name);
  });

  test.each([
    [['--only', 'nothing'], /No such: nothing\. There are: page-walk, /],
    [['--time', 'long'], /Not a number of milliseconds/],
  ])('%j is a mistake', (args, message) => {
    const { status, stderr } = bench(...args);
    expect(stderr).toMatch(message);
    expect(status).toBe(1);
  });
});
