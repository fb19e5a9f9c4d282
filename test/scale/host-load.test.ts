import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism, cpus } from 'node:os';
import { expect, test } from 'vitest';
import { HostLoad } from '../../src/observe/scale/host-load.js';

const cores = cpus().length;
/** CPU time of the work that is seen or not, seconds. */
const WORK = 0.2;

const used = (since: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
};

/** CPU time that others had while `work` ran, and how long that took, seconds. */
async function othersDuring(work: () => unknown): Promise<{ others: number; elapsed: number }> {
  const began = performance.now();
  const load = new HostLoad();
  await work();
  const elapsed = (performance.now() - began) / 1000;
  return { others: load.others()! * elapsed, elapsed };
}

test.runIf(cores === availableParallelism())(
  'the CPU time of another program counts, that of this process does not (only where it may use all cores)',
  async () => {
    const script = `const b = process.cpuUsage(); let u; do u = process.cpuUsage(b); while (u.user + u.system < ${WORK * 1e6});`;
    const seen = await othersDuring(() => once(spawn(process.execPath, ['-e', script]), 'exit'));
    // The host's accounting is in ticks of 10 ms.
    expect(seen.others).toBeGreaterThan(0.8 * WORK);

    const begin = process.cpuUsage();
    const own = await othersDuring(() => {
      while (used(begin) < WORK);
    });
    // All cores less what this process had is the most that others can have had.
    expect(own.others).toBeLessThan(cores * own.elapsed - 0.8 * WORK);
  },
);

test('is unknown where this process may not use all cores that the host counts', () => {
  expect(new HostLoad().others() === null).toBe(cores !== availableParallelism());
});
