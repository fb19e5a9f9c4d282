import { describe, expect, test } from 'vitest';
import { analyse } from '../../src/observe/scale/analysis.js';
import { terminalChart } from '../../src/observe/scale/chart.js';
import { measureRounds } from '../../src/observe/scale/measure.js';
import { short, withInterval } from '../../src/observe/scale/numbers.js';
import { renderHeading, renderResult } from '../../src/observe/scale/report.js';
import { renderSvg } from '../../src/observe/scale/svg.js';

const ABOUT = { name: 'a<b', description: 'for a & b', unit: 'calls' };
/** The second round is twice as slow throughout. */
const ROUNDS = [
  [100, 190, 320],
  [50, 95, 160],
];

describe('analysis', () => {
  test('takes speed-ups within a round, so that a slower round does not blur them', () => {
    const { counts } = analyse(ABOUT, [1, 2, 4], ROUNDS, 2);
    expect(counts.map(({ aboveHost }) => aboveHost)).toEqual([false, false, true]);
    expect(counts[1].speedUp.value).toBeCloseTo(1.9, 12);
    expect(counts[1].speedUp.interval![1]).toBeCloseTo(1.9, 9);
    expect(counts[2].efficiency.value).toBeCloseTo(0.8, 12);
    expect(counts[0].throughput.value).toBeCloseTo(Math.sqrt(5000), 9);
    expect(counts[0].throughput.interval![0]).toBeLessThan(50);
  });

  test('speed-up and efficiency refer to the smallest count', () => {
    const { baseline, counts } = analyse(ABOUT, [2, 4], [[100, 150]], 8);
    expect(baseline).toBe(2);
    expect(counts[1].speedUp.value).toBe(1.5);
    expect(counts[1].efficiency.value).toBe(0.75);
  });

  test('fits the counts within the host when there are three of them', () => {
    const throughputs = [1, 2, 4, 8].map((cpus) => (cpus <= 4 ? 10 * cpus : 20));
    const within = analyse(ABOUT, [1, 2, 4, 8], [throughputs], 4).law!;
    expect(within).toMatchObject({ counts: [1, 2, 4], includesAboveHost: false, sigma: 0, peakCpus: null });
    const all = analyse(ABOUT, [1, 2, 4, 8], [throughputs], 2).law!;
    expect(all).toMatchObject({ counts: [1, 2, 4, 8], includesAboveHost: true });
    expect(all.sigma + all.kappa).toBeGreaterThan(0.01);
    expect(analyse(ABOUT, [1, 2], [[1, 2]], 2).law).toBeNull();
  });
});

test('rounds alternate their order', async () => {
  const order: number[] = [];
  const rounds = await measureRounds([1, 2, 4], 2, async (cpus) => {
    order.push(cpus);
    return 10 * cpus;
  });
  expect(order).toEqual([1, 2, 4, 4, 2, 1]);
  expect(rounds).toEqual([
    [10, 20, 40],
    [10, 20, 40],
  ]);
});

describe('report', () => {
  const result = analyse(ABOUT, [1, 2, 4], ROUNDS, 2);

  test('says how many cores there are and marks counts above', () => {
    const heading = { counts: [1, 2, 4], abi: 'linux', debugFpu: false, runs: 2, seconds: 0.5 };
    expect(renderHeading({ ...heading, hostCores: 2 })).toMatch(/^2 host cores; .*marked \*/);
    expect(renderHeading({ ...heading, hostCores: 4 })).toMatch(/^4 host cores, enough/);
    const text = renderResult(result, 2);
    expect(text).toMatch(/4\*.*3\.20 \[3\.20, 3\.20\].*80 % \[80 %, 80 %\]/);
    expect(text).not.toMatch(/2\*/);
    expect(text).toMatch(/σ = .*κ = .*peak/);
  });

  test('says so when debug clear is on', () => {
    const heading = { hostCores: 4, counts: [1], abi: 'minimal', runs: 2, seconds: 0.5 };
    expect(renderHeading({ ...heading, debugFpu: true })).toContain('ABI minimal with debug clear,');
    expect(renderHeading({ ...heading, debugFpu: false })).not.toContain('debug clear');
  });

  test('says what other programs took of the host', () => {
    const disturbed = (otherLoad: number | null) =>
      renderResult(analyse(ABOUT, [1, 2, 4], ROUNDS, 2, otherLoad), 2);
    expect(disturbed(1.26)).toMatch(/^disturbed: other programs kept 1\.3 of the 2 host cores busy/m);
    expect(disturbed(0.02)).not.toContain('disturbed');
    expect(disturbed(null)).not.toContain('disturbed');
  });

  test('says when the law does not describe the figures', () => {
    // No law of this shape falls and rises again.
    const zigzag = analyse(ABOUT, [1, 2, 3, 4], [[100, 20, 300, 40]], 8);
    expect(zigzag.law!.misfit).toBeGreaterThan(1);
    expect(renderResult(zigzag, 8)).toMatch(/describes these figures poorly: off by \d{3} %/);
    const exact = analyse(ABOUT, [1, 2, 4], [[10, 20, 40]], 8);
    expect(exact.law!.misfit).toBeCloseTo(0, 9);
    expect(renderResult(exact, 8)).not.toContain('poorly');
  });

  test('the chart has the counts below their columns', () => {
    const lines = terminalChart(result, false).trimEnd().split('\n');
    expect(lines.at(-1)).toMatch(/^ {8}1 {19}2 {39}4 +CPUs$/);
    expect(lines[0]).toMatch(/^ +3\.20 /);
    for (const line of lines.slice(0, -1)) expect(line[8]).toMatch(/[┤┼]/);
    expect(lines.join('')).not.toContain('\x1b');
    expect(terminalChart(analyse(ABOUT, [2], [[5]], 2), false)).toBe('');
  });

  test('the SVG escapes names and has a point for each count', () => {
    const svg = renderSvg([result, result], 2);
    expect(svg).toContain('a&lt;b');
    expect(svg).toContain('for a &amp; b');
    // And one in the legend.
    expect(svg.match(/<circle /g)).toHaveLength(7);
    expect(svg).toContain('above 2 host cores');
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    expect(renderSvg([analyse(ABOUT, [2], [[5]], 1)], 1)).not.toMatch(/NaN|Infinity|undefined/);
  });

  test('an interval that says nothing is not printed', () => {
    const write = (x: number) => x.toFixed(1);
    expect(withInterval({ value: 2, interval: [1, 4] }, write)).toBe('2.0 [1.0, 4.0]');
    expect(withInterval({ value: 2, interval: [0.1, 40] }, write)).toBe('2.0 [too noisy]');
    expect(withInterval({ value: 2, interval: null }, write)).toBe('2.0');
  });

  test.each([
    [1234567, '1.23 M'],
    [999_600, '1.00 M'],
    [999.6, '1.00 k'],
    [12.34, '12.3'],
    [0.0123, '0.0123'],
  ])('%d is written %s', (value, text) => expect(short(value)).toBe(text));
});
