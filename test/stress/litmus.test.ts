import { describe, expect, it } from 'vitest';
import { parseRecords } from '../../src/observe/records.js';
import type { MemoryModel } from '../../src/stress/options.js';
import { guest, run } from '../machine/fixtures.js';
import { explore, options, prepare } from './fixtures.js';

/** What x86-TSO allows and sequential consistency does not: SB and R, unless something drains both buffers. */
const WEAK: Readonly<Record<string, readonly string[]>> = { SB: ['plain', 'half'], R: ['plain', 'half'] };
/** All outcomes of each test, the one that sequential consistency excludes last. */
const OUTCOMES: Readonly<Record<string, readonly string[]>> = {
  SB: ['r0:0,r1:1', 'r0:1,r1:0', 'r0:1,r1:1', 'r0:0,r1:0'],
  MP: ['r0:0,r1:0', 'r0:0,r1:1', 'r0:1,r1:1', 'r0:1,r1:0'],
  LB: ['r0:0,r1:0', 'r0:0,r1:1', 'r0:1,r1:0', 'r0:1,r1:1'],
  R: ['y:1,r0:0', 'y:1,r0:1', 'y:2,r0:1', 'y:2,r0:0'],
  S: ['x:1,r0:0', 'x:1,r0:1', 'x:2,r0:0', 'x:2,r0:1'],
  '2+2W': ['x:1,y:2', 'x:2,y:1', 'x:2,y:2', 'x:1,y:1'],
};
const VARIANTS = ['plain', 'half', 'xchg', 'mfence', 'lock'];

/** The outcomes that all schedules with two preemptions reach. */
function reached(test: string, variant: string, memoryModel: MemoryModel): string[] {
  const prepared = prepare(options('litmus', [test, variant], { memoryModel }), 'exhaustive:2');
  const outcomes = explore(prepared, 5000);
  expect(prepared.schedule.guarantee({ runs: outcomes.length, threads: 2, steps: 0 })).toMatch(/^complete: /);
  for (const { kind } of outcomes) expect(kind).toBeNull();
  return [...new Set(outcomes.map(({ output }) => /outcome=(\S+)/.exec(output)![1]))].sort();
}

describe('x86-TSO under all schedules with two preemptions', () => {
  for (const [test, outcomes] of Object.entries(OUTCOMES)) {
    for (const variant of VARIANTS) {
      const allowed = WEAK[test]?.includes(variant) ? outcomes : outcomes.slice(0, 3);
      it(`${test} ${variant} reaches what is allowed and nothing else`, () => {
        expect(reached(test, variant, 'tso')).toEqual([...allowed].sort());
      });
    }
    it(`${test} is sequentially consistent with --memory-model sc`, () => {
      expect(reached(test, 'plain', 'sc')).toEqual(outcomes.slice(0, 3).sort());
    });
  }

  // Two preemptions reach all that is allowed; one misses the outcome in which each reader sees the other's store first.
  for (const variant of ['plain', 'mfence']) {
    it(`IRIW ${variant} reaches the 15 outcomes that are allowed, and never two orders of the same stores`, () => {
      const all = Array.from(
        { length: 16 },
        (_, i) => `r0:${i & 1},r1:${(i >> 1) & 1},r2:${(i >> 2) & 1},r3:${i >> 3}`,
      );
      const forbidden = 'r0:1,r1:0,r2:1,r3:0';
      expect(reached('IRIW', variant, 'tso')).toEqual(all.filter((outcome) => outcome !== forbidden).sort());
    }, 600_000);
  }
});

describe('x86-TSO on parallel CPUs', () => {
  for (const [test, cpus] of Object.entries({ SB: 2, MP: 2, LB: 2, R: 2, S: 2, '2+2W': 2, IRIW: 4 })) {
    // bench/litmus.ts does ten million of each variant.
    it(`${test}: 20,000 iterations each of three variants show nothing that is forbidden`, async () => {
      for (const variant of ['plain', 'mfence', 'lock']) {
        const { exitCode, output } = await run(guest('litmus'), [test, variant, '20000'], { cpus });
        const records = parseRecords(output.toString());
        expect(records.filter(({ allowed }) => allowed === '0')).toEqual([]);
        expect(records.reduce((sum, { count }) => sum + Number(count), 0)).toBe(20_000);
        expect(exitCode).toBe(0);
      }
    });
  }
});
