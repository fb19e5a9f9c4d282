import { describe, expect, it } from 'vitest';
import { ExhaustiveSchedule } from '../../src/scheduler/seeded/exhaustive.js';
import { packageFile } from '../../src/startup/package-file.js';
import type { SeededOptions } from '../../src/stress/options.js';
import { SeededMachine } from '../../src/stress/seeded-machine.js';
import { workloads } from '../../src/stress/workloads.js';
import { explore, options } from './fixtures.js';

/** What a complete search comes to, and in how many runs. */
function search(settings: SeededOptions, preemptions: number, reduced: boolean) {
  const machine = new SeededMachine(settings);
  machine.boot();
  machine.learn();
  const schedule = new ExhaustiveSchedule(preemptions, true, reduced);
  const outcomes = explore({ machine, schedule }, 20_000);
  expect(schedule.exhausted).toBe(true);
  const ends = outcomes.map(({ kind, signal, output }) => `${kind} ${signal} ${output}`);
  return { runs: outcomes.length, ends: [...new Set(ends)].sort() };
}

/** Both searches end in the same outcomes, the reduced one with no more runs. @returns runs of both */
function compare(settings: SeededOptions, preemptions: number): { plain: number; reduced: number } {
  const plain = search(settings, preemptions, false);
  const reduced = search(settings, preemptions, true);
  expect(reduced.ends).toEqual(plain.ends);
  expect(reduced.runs).toBeLessThanOrEqual(plain.runs);
  return { plain: plain.runs, reduced: reduced.runs };
}

describe('partial-order reduction loses no outcome', () => {
  for (const test of ['SB', 'MP', 'LB', 'R', 'S', '2+2W']) {
    it(`${test} in all variants with two preemptions, and plain with three`, () => {
      const runs = ['plain', 'half', 'xchg', 'mfence', 'lock'].map((variant) =>
        compare(options('litmus', [test, variant]), 2),
      );
      runs.push(compare(options('litmus', [test, 'plain']), 3));
      const total = (of: 'plain' | 'reduced') => runs.reduce((sum, entry) => sum + entry[of], 0);
      expect(total('reduced') / total('plain')).toBeLessThan(0.8);
    });
  }

  it('IRIW with one preemption', () => {
    const { plain, reduced } = compare(options('litmus', ['IRIW', 'plain']), 1);
    expect(reduced / plain).toBeLessThan(1 / 2);
  });

  for (const { name, file, twins, args, failsUnder } of workloads()) {
    // Three threads; a thread that waits in a loop, whose turns a schedule may end anywhere.
    if (!twins || name === 'erim-vault') continue;
    it(`${name}, both twins, with one preemption`, () => {
      const abi = failsUnder.includes('minimal') ? 'minimal' : failsUnder[0];
      for (const list of [args.faulty!, args.fixed])
        compare(options(packageFile(`src/guests/${file}`), list, { abi }), 1);
    });
  }
});
