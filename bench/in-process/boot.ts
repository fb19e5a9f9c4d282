import { Machine } from '../../src/machine/machine.js';
import { packageFile } from '../../src/startup/package-file.js';
import type { Benchmark, Prepared } from './measure.js';

const PROGRAM = packageFile('src/guests/bin/calls');

/** Boots a machine, runs a program to its end, closes it; times the first two or the last. */
function life(cpus: number, steps: readonly string[], part: 'run' | 'close'): Prepared {
  return {
    operations: 1,
    sample: async () => {
      const begin = performance.now();
      const machine = await Machine.boot({ cpus, stdout: 'capture' });
      const { exitCode } = await machine.run(PROGRAM, steps);
      const ended = performance.now();
      await machine.close();
      if (exitCode !== 0) throw new Error(`${PROGRAM} ended with status ${exitCode}`);
      return part === 'run' ? ended - begin : performance.now() - ended;
    },
  };
}

const ONE_THREAD = ['getpid'];
const TWO_THREADS = ['thread', 'getpid'];

export const bootBenchmarks: readonly Benchmark[] = [
  {
    name: 'boot',
    what: '1 CPU, to the end of a program of one call',
    prepare: () => life(1, ONE_THREAD, 'run'),
  },
  {
    name: 'boot-4',
    what: '4 CPUs, to the end of a program of two threads',
    prepare: () => life(4, TWO_THREADS, 'run'),
  },
  { name: 'close', what: 'closing that machine', prepare: () => life(4, TWO_THREADS, 'close') },
];
