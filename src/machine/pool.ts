import { Piscina } from 'piscina';
import { MAX_CPUS } from '../memory/layout.js';
import { compiledFile } from '../startup/package-file.js';

let early: Piscina | null = null;

/** Makes the pool of the next machine now, so that its first worker loads while this thread does. */
export function startPool(): void {
  early ??= makePool(MAX_CPUS);
}

/** The pool of a machine with so many CPUs. */
export function takePool(cpus: number): Piscina {
  const pool = early ?? makePool(cpus);
  early = null;
  return pool;
}

function makePool(cpus: number): Piscina {
  return new Piscina({
    filename: compiledFile('start/cpu.js'),
    // One worker loads while the machine is made; the others start when the program has, so as not to hold it up.
    minThreads: 1,
    maxThreads: cpus,
    concurrentTasksPerWorker: 1,
    idleTimeout: Infinity,
    atomics: 'disabled',
    recordTiming: false,
    // Files that the guest opens belong to the machine, not to the CPU that opened them.
    trackUnmanagedFds: false,
  });
}
