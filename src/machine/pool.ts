import { createRequire } from 'node:module';
import type { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { MAX_CPUS } from '../memory/layout.js';
import { compiledFile } from '../startup/package-file.js';

const require = createRequire(import.meta.url);

let early: Piscina | null = null;

/**
 * Makes the pool of the next machine, with a thread that has been begun before Piscina was loaded.
 * @param first a worker of Piscina's file and our options
 */
export function startPool(first: Worker): void {
  // Piscina makes its threads itself, the first in its constructor; it looks the class up here.
  const threads = require('node:worker_threads') as { Worker: object };
  const { Worker } = threads;
  let taken = false;
  threads.Worker = new Proxy(Worker, {
    construct: () => {
      taken = true;
      return first;
    },
  });
  try {
    early = makePool(MAX_CPUS);
  } finally {
    threads.Worker = Worker;
  }
  if (!taken) void first.terminate();
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
