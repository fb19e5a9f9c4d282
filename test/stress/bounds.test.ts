import { afterAll, describe, expect, it } from 'vitest';
import { RandomSchedule } from '../../src/scheduler/seeded/random.js';
import { DEFAULT_BOUNDS } from '../../src/stress/options.js';
import { hasGcc, Scratch } from '../machine/fixtures.js';
import { CLONE, explore, options, prepare } from './fixtures.js';

const scratch = new Scratch();
afterAll(() => scratch.cleanUp());

/** The program's runs under a few random schedules. */
function kinds(name: string, body: string, bounds = {}): (string | null)[] {
  const path = scratch.compile(name, CLONE + body);
  const prepared = prepare(options(path, [], { bounds: { ...DEFAULT_BOUNDS, ...bounds } }), 'random');
  return explore(prepared, 5).map(({ kind }) => kind);
}

describe.skipIf(!hasGcc)('bounds', () => {
  it('a loop without accesses ends with a verdict', () => {
    const body = 'void start(long *s) { for (;;) __asm__ volatile(""); }';
    expect(kinds('loop', body, { instructions: 1 << 20 })).toEqual(Array(5).fill('no-progress'));
  });

  it('threads that wait for ever in a loop end with a verdict', () => {
    const body =
      'static void spin(void) { while (!flag); } void start(long *s) { thread(0, spin); while (!flag); }';
    expect(kinds('spin', body, { steps: 50_000 })).toEqual(Array(5).fill('no-progress'));
  });

  it('output without end', () => {
    const body = 'void start(long *s) { for (;;) put("more\\n"); }';
    expect(kinds('output', body, { output: 10_000 })).toEqual(Array(5).fill('output-bound'));
  });

  it('threads without number', () => {
    const body =
      'static void wait(void) { for (;;) sys(202, (long)&flag, 0, 0, 0); }\n' +
      'void start(long *s) { for (int i = 0; i < 512; i++) thread(i, wait); }';
    expect(kinds('bomb', body, { threads: 50 })).toEqual(Array(5).fill('thread-bound'));
  });

  it('a deadlock of all threads', () => {
    const body =
      'static void wait(void) { sys(202, (long)&flag, 0, 0, 0); }\n' +
      'void start(long *s) { thread(0, wait); sys(202, (long)&flag, 0, 0, 0); }';
    expect(kinds('deadlock', body)).toEqual(Array(5).fill('deadlock'));
  });

  it('a thread that spins does not starve the one that it waits for', () => {
    const body =
      'static void set(void) { flag = 1; }\n' +
      'void start(long *s) { thread(0, set); while (!flag); sys(231, 0, 0, 0, 0); }';
    for (const name of ['random', 'pct:1', 'pct:3', 'round-robin', 'exhaustive:0']) {
      const path = scratch.compile('starve', CLONE + body);
      for (const cpus of [1, 2]) {
        const outcomes = explore(prepare(options(path, [], { cpus }), name), 20);
        expect(outcomes.map(({ exitCode }) => exitCode)).toEqual(outcomes.map(() => 0));
      }
    }
  });

  it('sleeping takes no time, and its end comes in order', () => {
    const body = `
      static void late(void) { long t[2] = {3600, 0}; sys(35, (long)t, 0, 0, 0); put("late"); sys(231, 0, 0, 0, 0); }
      static void early(void) { long t[2] = {60, 0}; sys(35, (long)t, 0, 0, 0); put("early "); }
      void start(long *s) { thread(0, late); thread(1, early); for (;;) sys(34, 0, 0, 0, 0); }`;
    const path = scratch.compile('sleep', CLONE + body);
    const { machine } = prepare(options(path, []), 'random');
    const begin = performance.now();
    expect(machine.run(new RandomSchedule(), 1)).toMatchObject({ exitCode: 0, output: 'early late' });
    expect(performance.now() - begin).toBeLessThan(5000);
  });
});
