import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { WORKLOADS } from '../../src/observe/scale/workloads.js';
import { EUROPA, guest, Scratch } from '../machine/fixtures.js';

const scratch = new Scratch();
afterAll(() => scratch.cleanUp());

function scale(...args: string[]) {
  return spawnSync(process.execPath, [EUROPA, 'scale', ...args], { encoding: 'utf8', timeout: 55_000 });
}

test('every workload gives figures, as text, JSON and SVG', () => {
  const json = scratch.file('scale.json', '');
  const svg = scratch.file('scale.svg', '');
  const { status, stdout, stderr } = scale(
    ...['--cpus', '2,1', '--runs', '1', '--seconds', '0.05', '--memory', '64M', '--json', json, '--svg', svg],
  );
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout).toMatch(/^\d+ host cores?/);
  const report = JSON.parse(readFileSync(json, 'utf8'));
  expect(report.counts).toEqual([1, 2]);
  expect(report.results.map(({ name }: { name: string }) => name)).toEqual(WORKLOADS.map(({ name }) => name));
  for (const result of report.results) {
    expect(stdout).toContain(result.name);
    for (const { throughput } of result.counts) expect(throughput.value).toBeGreaterThan(0);
  }
  expect(readFileSync(svg, 'utf8').match(/<circle /g)).toHaveLength(2 * WORKLOADS.length + 1);
});

test("a program of the user's, told its number of CPUs", () => {
  const json = join(scratch.path, 'program.json');
  const { status, stderr } = scale(
    ...['--cpus', '1,2', '--runs', '1', '--json', json, '--', guest('scale-compute'), '{cpus}', '0.05'],
  );
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const [{ counts, unit }] = JSON.parse(readFileSync(json, 'utf8')).results;
  expect(unit).toBe('runs');
  // A run lasts its warm-up and window at least.
  for (const { throughput } of counts) expect(throughput.value).toBeLessThan(1 / 0.075);
});

test('debug clear can be measured', () => {
  const json = scratch.file('clear.json', '');
  const { status, stdout } = scale(
    ...['context-switch', '--debug-fpu', '--abi', 'minimal', '--cpus', '1', '--runs', '1'],
    ...['--seconds', '0.05', '--json', json],
  );
  expect(status).toBe(0);
  expect(stdout).toContain('ABI minimal with debug clear');
  expect(JSON.parse(readFileSync(json, 'utf8')).debugFpu).toBe(true);
});

describe('mistakes are one clear line and status 2', () => {
  test.each([
    [['walk'], /^europa: there is no workload 'walk'; there are compute, .*\n$/],
    [['--cpus', '1,x'], /^europa: .*Write CPU counts as 1,2,4,8\.\n$/],
    [['--cpus', '0'], /^europa: a machine has 1 to 64 CPUs, not 0\n$/],
    [['--cpus', '65'], /^europa: a machine has 1 to 64 CPUs, not 65\n$/],
    [['--runs', '0'], /^europa: --runs is 1 or more\n$/],
    [['--seconds', '0'], /^europa: --seconds is more than 0 .*\n$/],
    [['--seconds', 'long'], /^europa: .*Write seconds as .*\n$/],
    [['--json', '/no/such/directory/x'], /^europa: .*cannot be written.*\n$/],
    [['compute', '--', '/bin/true'], /^europa: measure either workloads or a program\n$/],
    [['--', '/no/such/program'], /^europa: \/no\/such\/program: no such file\n$/],
    [['--cpus', '1', '--', guest('scale-compute')], /scale-compute failed on 1 CPUs \(exit status 2\)\n$/],
  ])('%j', (args, message) => {
    const { status, stderr } = scale(...args);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/ at .*:\d+/);
    expect(status).toBe(2);
  });
});
