import { closeSync, openSync, writeFileSync } from 'node:fs';
import { say } from '../kernel/host-write.js';
import { describeDeath } from '../observe/death.js';
import { Machine } from './machine.js';
import { type MachineOptions, UsageError } from './options.js';

export interface ProgramRun extends Omit<MachineOptions, 'stdin' | 'stdout'> {
  readonly path: string;
  readonly args: readonly string[];
  /** File for the counters, as JSON. */
  readonly statsFile?: string;
}

/** Signals from outside that are the program's, not ours. */
const FORWARDED = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGTERM: 15,
  SIGCONT: 18,
} as const;

/** An interrupt that the program has ignored this many times stops the machine. */
const PATIENCE = 2;

/**
 * Runs a program as a shell would see it: the host's standard streams, signals passed on, one line on standard error if a
 * signal kills it. For a process that ends afterwards: the machine is not closed, because workers that were still being loaded
 * would have to be waited for.
 * @returns its exit status, or 128 plus the signal's number
 * @throws UsageError, LoadError
 */
export async function runProgram({ path, args, statsFile, ...options }: ProgramRun): Promise<number> {
  const stats = statsFile === undefined ? null : orUsageError(statsFile, () => openSync(statsFile, 'w'));
  const machine = await Machine.boot({ ...options, stdin: 'inherit', stdout: 'inherit' });
  let interrupts = 0;
  const listeners = Object.entries(FORWARDED).map(([name, number]) => {
    const listener = () => {
      if (name === 'SIGINT' && interrupts++ >= PATIENCE) machine.stop();
      else machine.kill(number);
    };
    process.on(name, listener);
    return () => process.off(name, listener);
  });
  try {
    const result = await machine.run(path, args);
    if (stats !== null)
      orUsageError(statsFile!, () => writeFileSync(stats, `${JSON.stringify(result.stats, null, 2)}\n`));
    if (result.death === null) return interrupts > PATIENCE ? 128 + FORWARDED.SIGINT : (result.exitCode ?? 0);
    const line = describeDeath(path, result.death);
    if (line !== null) say(`europa: ${line}\n`);
    return 128 + result.death.signal;
  } finally {
    for (const remove of listeners) remove();
    if (stats !== null) closeSync(stats);
  }
}

function orUsageError<T>(path: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    throw new UsageError(`${path}: cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}
