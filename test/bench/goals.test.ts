import { describe, expect, test } from 'vitest';
import { type Goal, goals, judge, renderGoals } from '../../bench/goals.js';
import { type Report, type Runs, render, summarise } from '../../bench/peer-report.js';
import { type PeerName, type ProgramRun, parseRun, peerNames } from '../../bench/peer-runs.js';
import { benchPrograms } from '../../bench/programs.js';
import { comparisonName, DEBUG_CLEAR, measureScaling } from '../../bench/scaling.js';

/** A run whose measurements all took so many seconds. */
function run(program: (typeof benchPrograms)[number], seconds: number): ProgramRun {
  const timings = Object.fromEntries(program.measurements.map((name) => [name, { seconds, operations: 1 }]));
  return { program: program.name, timings, output: '', wallSeconds: seconds, maxRssKib: 200 * 1024 };
}

/** Seconds for one operation by peer, and what else is wanted. */
function report(seconds: Partial<Record<PeerName, number>>, others: Partial<Report> = {}): Report {
  const runs: Runs = new Map();
  for (const peer of peerNames) {
    const value = seconds[peer];
    if (value === undefined) continue;
    const able = benchPrograms.filter(({ europaCpus }) => peer === 'europa' || !europaCpus);
    runs.set(
      peer,
      able.map((program) => run(program, value)),
    );
  }
  return {
    ...summarise(benchPrograms, runs, { rounds: 1, cpus: 2, missing: {}, otherLoad: [], scaling: [] }),
    ...others,
  };
}

const SCALING = [
  { name: comparisonName('compute', 2, 1), ratios: [1.95, 1.2, 1.96] },
  { name: comparisonName('domain-switch', 2, 1), ratios: [1.89] },
  { name: comparisonName('compute', 8, 2), ratios: [0.9] },
  { name: comparisonName('domain-switch', 8, 2), ratios: [0.8, 0.89] },
  { name: DEBUG_CLEAR, ratios: [0.99] },
];

const result = (work: RegExp, of: Report) => judge(of).find((goal) => work.test(goal.work))!;

describe('goals', () => {
  test('are judged by the figures of the report', () => {
    const even = report({ europa: 0.2, 'qemu-system': 0.4, 'qemu-user': 0.199 }, { scaling: SCALING });
    expect(result(/^integer and floating point.*system/, even)).toMatchObject({ measured: 2, reached: true });
    expect(result(/^integer and floating point.*user/, even)).toMatchObject({ reached: false });
    expect(result(/^the slowest of them/, even)).toMatchObject({ measured: 2, reached: true });
    expect(result(/^floating point/, even)).toMatchObject({ goal: '≥ 4 ×', reached: false });
    expect(result(/^getppid/, even)).toMatchObject({ reached: true });
    expect(result(/^static hello.*process/, even)).toMatchObject({ measured: 0.2, reached: true });
    expect(result(/^static hello.*memory/, even)).toMatchObject({ measured: 200, reached: true });
    expect(result(/^private compute, 2/, even)).toMatchObject({ measured: 1.95, reached: true });
    expect(result(/^private domain switching, 2/, even)).toMatchObject({ reached: false });
    expect(result(/^private compute, 8/, even)).toMatchObject({ reached: true });
    expect(result(/^private domain switching, 8/, even)).toMatchObject({ reached: false });
    const clear = result(/debug clear/, even);
    expect(clear.measured).toBeCloseTo(1.01, 2);
    expect(clear.reached).toBe(true);
  });

  test('the slowest program is named', () => {
    const slow = report({ europa: 1, 'qemu-system': 3 });
    slow.rows.find(({ measurement }) => measurement === 'compress')!.ratios['qemu-system'] = 0.7;
    expect(result(/^the slowest of them/, slow)).toMatchObject({
      measured: 0.7,
      of: 'compress',
      reached: false,
    });
  });

  test('without all that it takes nothing is claimed', () => {
    const alone = report({ europa: 0.2 });
    const open = judge(alone).filter(({ reached }) => reached === null);
    expect(open).toHaveLength(goals.length - 2);
    const part = report({ europa: 1, 'qemu-system': 3 });
    part.rows.splice(
      part.rows.findIndex(({ measurement }) => measurement === 'sort'),
      1,
    );
    expect(result(/^integer and floating point.*system/, part)).toMatchObject({
      measured: null,
      reached: null,
    });
    expect(result(/^floating point/, part)).toMatchObject({ measured: expect.closeTo(3, 9) });
  });

  test('are printed with what was measured, or that it was not', () => {
    const own: Goal[] = [
      { work: 'a', atLeast: 2, unit: '×', measured: () => ({ value: 2.004, of: 'x' }) },
      { work: 'b', atMost: 250, unit: 'MiB', measured: () => ({ value: 251 }) },
      { work: 'c', atMost: 1, unit: 's', measured: () => null },
    ];
    const text = renderGoals(judge(report({}), own));
    expect(text).toMatch(/a +│ +≥ 2 × +│ +2\.00 × \(x\) +│ yes/);
    expect(text).toMatch(/b +│ +≤ 250 MiB +│ +251 MiB +│ no/);
    expect(text).toMatch(/c +│ +≤ 1 s +│ +— +│ not measured/);
  });
});

test('a report says what a peer lacks, and which results were wrong', () => {
  const [hello, , sieve] = benchPrograms;
  const runs: Runs = new Map([
    ['native', [{ ...run(sieve, 1), output: '7' }]],
    ['europa', [{ ...run(sieve, 1), output: '8' }]],
  ]);
  const facts = { rounds: 1, cpus: 2, missing: { 'qemu-user': 'needs the Debian package qemu-user' } };
  const text = render(
    summarise([hello, sieve], runs, { ...facts, otherLoad: [0.02, 1.27, null], scaling: SCALING }),
    ['native', 'europa'],
  );
  expect(text).toContain('disturbed: other programs kept 0.0, 1.3, ? cores busy before the rounds.');
  expect(text).toContain('qemu-user needs the Debian package qemu-user.');
  expect(text).toMatch(/europa: wrong result: 8 \(sieve\)/);
  expect(text).toMatch(/compute, 2 CPUs \/ 1 +│ +1\.95×/);
});

test('what the goals need to know of scaling is measured', async () => {
  const rounds: number[] = [];
  const comparisons = await measureScaling({ rounds: 1, cpus: 1, seconds: 0.02 }, (round) =>
    rounds.push(round),
  );
  expect(rounds).toEqual([1]);
  expect(comparisons.map(({ name }) => name).sort()).toEqual(SCALING.map(({ name }) => name).sort());
  for (const { ratios } of comparisons) {
    expect(ratios).toHaveLength(1);
    expect(ratios[0]).toBeGreaterThan(0);
  }
});

test('measurements are read from the output of the programs', () => {
  const text = '@@begin a\nT x 0.500000000 100\nT y unsupported\n42\n\n@@end a 0 0.750000000 2048\n';
  expect(parseRun(text, 'a')).toEqual({
    program: 'a',
    timings: { x: { seconds: 0.5, operations: 100 }, y: 'unsupported' },
    output: '42',
    wallSeconds: 0.75,
    maxRssKib: 2048,
  });
  expect(parseRun(text.replace('@@end a 0', '@@end a 139'), 'a').failure).toBe('status 139: 42');
  expect(parseRun('', 'a').failure).toBe('did not start');
});
