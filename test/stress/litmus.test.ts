import { describe, expect, it } from 'vitest';
import type { MemoryModel } from '../../src/stress/options.js';
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
  expect(prepared.schedule.guarantee({ runs: outcomes.length, threads: 2, steps: 0 })).toMatch(/were tried$/);
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

  it('IRIW: no schedule that was tried shows two orders of the same stores', () => {
    for (const schedule of ['random', 'exhaustive:1']) {
      const outcomes = explore(prepare(options('litmus', ['IRIW', 'plain']), schedule), 500);
      for (const { kind } of outcomes) expect(kind).toBeNull();
      expect(outcomes.length).toBeGreaterThan(10);
    }
  });
});
