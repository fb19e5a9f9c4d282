import { Machine } from '../machine/machine.js';
import type { Failure } from './campaign-types.js';
import { type RunOutcome, type SeededOptions, SKIPPED } from './options.js';

/** A run without news for so long is taken to hang. */
const HANG_MS = 120_000;

/** Runs a program again and again on parallel machines, one CPU a thread of the host: load and soak, nothing to replay. */
export async function runFree(options: {
  readonly machine: SeededOptions;
  readonly runs: number;
  readonly seconds: number;
  readonly keepGoing: boolean;
  readonly progress?: (runs: number, failures: number, perSecond: number) => void;
}): Promise<{ runs: number; seconds: number; failures: readonly Failure[]; skipped: number }> {
  const begin = performance.now();
  const failures: Failure[] = [];
  let runs = 0;
  let skipped = 0;
  const elapsed = () => (performance.now() - begin) / 1000;
  while (runs < options.runs && elapsed() < options.seconds) {
    const outcome = await once(options.machine);
    if (outcome.exitCode === SKIPPED) skipped++;
    if (outcome.kind !== null) failures.push({ run: runs, seed: 0, outcome });
    runs++;
    options.progress?.(runs, failures.length, runs / elapsed());
    if (failures.length > 0 && !options.keepGoing) break;
  }
  return { runs, seconds: elapsed(), failures, skipped };
}

async function once({
  path,
  args,
  env,
  cpus,
  abi,
  debugFpu,
  memory,
  mutants,
  stdin,
}: SeededOptions): Promise<RunOutcome> {
  const machine = await Machine.boot({
    cpus,
    abi,
    debugFpu,
    memory,
    mutants,
    stdout: 'capture',
    stdin: Buffer.from(stdin, 'base64'),
  });
  let hung = false;
  const timer = setTimeout(() => {
    hung = true;
    machine.stop();
  }, HANG_MS);
  try {
    const variables = Object.fromEntries(env.map((entry) => entry.split(/=(.*)/s).slice(0, 2)));
    const result = await machine.run(path, args, variables);
    const { exitCode, signal } = result;
    const bad = exitCode !== 0 && exitCode !== SKIPPED;
    return {
      kind: hung ? 'no-progress' : signal !== null ? 'signal' : bad ? 'exit' : null,
      exitCode,
      signal,
      traceHash: '',
      switches: 0,
      preemptions: 0,
      steps: 0,
      points: 0,
      threads: 0,
      output: result.output.toString('utf8'),
      notes: result.notes,
    };
  } finally {
    clearTimeout(timer);
    await machine.close();
  }
}
