import type { GuestRunner } from '../verify/check.js';
import { type GuestProcess, processArguments } from '../verify/plan.js';
import type { GuestOutput } from '../verify/verdicts.js';
import { Machine } from './machine.js';
import { packageFile } from '../startup/package-file.js';

/** CPUs of a machine that shows properties: concurrency needs two, and the CPUs of the host are shared by several machines. */
const CPUS = 2;
const MEMORY = 64 << 20;
/** A program that takes longer than this, in ms, hangs. */
const PATIENCE = 60_000;

/**
 * Runs guest processes on machines of their own.
 * @param mutants deliberate defects of the machines (src/memory/mutants.ts)
 * @param patience ms after which a program counts as hanging
 */
export function machineRunner(mutants = 0, patience = PATIENCE): GuestRunner {
  return async (process: GuestProcess): Promise<GuestOutput> => {
    const machine = await Machine.boot({
      abi: process.abi,
      cpus: CPUS,
      memory: MEMORY,
      debugFpu: process.flags.includes('debug'),
      stdout: 'capture',
      mutants,
    });
    let hangs = false;
    const timer = setTimeout(() => {
      hangs = true;
      machine.stop();
    }, patience);
    try {
      const path = packageFile(`src/guests/bin/verify-${process.program}`);
      const result = await machine.run(path, processArguments(process), {});
      const failure = hangs
        ? `no answer within ${patience / 1000} s`
        : result.signal !== null
          ? `the program was killed by ${result.signal}`
          : null;
      return { output: result.output.toString('utf8'), failure };
    } catch (error) {
      return { output: '', failure: `the machine failed: ${(error as Error).message}` };
    } finally {
      clearTimeout(timer);
      await machine.close();
    }
  };
}
