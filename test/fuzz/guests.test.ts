/** Guests that do anything: it ends in a guest signal, an errno or a status of the guest's, never in an error of the host's. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ABI_NAMES } from '../../src/kernel/pkeys/names.js';
import { hasGcc, Scratch } from '../machine/fixtures.js';
import { Random } from '../oracle/random.js';
import { build, wrongEnd } from './guests.js';

/** Runs of each program. */
const RUNS = Number(process.env.EUROPA_GUESTS ?? 2);
const SEED = Number(process.env.EUROPA_SEED ?? 1);
const PATIENCE = 60;

const scratch = new Scratch();
afterAll(() => scratch.cleanUp());

describe.skipIf(!hasGcc || process.platform !== 'linux')('guests that do anything', () => {
  const programs: Record<string, string> = {};
  beforeAll(() => {
    for (const name of ['random-calls', 'random-code']) programs[name] = build(name, scratch.path);
  });

  const runs = Array.from({ length: RUNS }, (_, n) => SEED * 1000 + n);
  const time = { timeout: PATIENCE * 1000 + 20_000 };

  test.each(runs)('random system calls, seed %i', time, async (seed) => {
    const random = new Random(seed, 1);
    const pick = <T>(list: readonly T[]): T => list[random.below(list.length)];
    const seeded = random.below(4) === 0;
    const options = [
      '--cpus',
      pick(['1', '2', '4', '8']),
      '--abi',
      pick(ABI_NAMES),
      '--memory',
      pick(['64M', '512M']),
    ];
    if (random.below(5) === 0) options.push('--debug-fpu');
    if (random.below(6) === 0) options.push('--strace');
    if (seeded) options.push('--seed', String(seed));
    const args = [
      String(seed),
      pick(seeded ? ['100', '300'] : ['300', '1000', '3000']),
      pick(['1', '2', '4', '8']),
    ];
    const first = random.below(460);
    if (random.below(3) === 0) args.push(String(first), String(first + pick([0, 1, 10])));
    expect(
      await wrongEnd(programs['random-calls'], args, options, PATIENCE),
      JSON.stringify({ options, args }),
    ).toBe(null);
  });

  test.each(runs)('random bytes as code, seed %i', time, async (seed) => {
    const random = new Random(seed, 2);
    const mode = ['step', 'run', 'wild'][random.below(3)];
    const seeded = random.below(4) === 0;
    const options = ['--cpus', random.below(2) ? '1' : '2', ...(seeded ? ['--seed', String(seed)] : [])];
    const args = [String(seed), '0', seeded ? '100' : '1500', mode];
    expect(
      await wrongEnd(programs['random-code'], args, options, PATIENCE),
      JSON.stringify({ options, args }),
    ).toBe(null);
  });
});
