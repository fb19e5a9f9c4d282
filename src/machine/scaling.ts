import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { AbiName } from '../kernel/pkeys/names.js';
import { MAX_CPUS } from '../memory/layout.js';
import { parseRecords } from '../observe/records.js';
import { analyse, type ScaleResult } from '../observe/scale/analysis.js';
import { HostLoad } from '../observe/scale/host-load.js';
import { measureRounds } from '../observe/scale/measure.js';
import { renderHeading, renderResult } from '../observe/scale/report.js';
import { renderSvg } from '../observe/scale/svg.js';
import { WORKLOADS, type Workload } from '../observe/scale/workloads.js';
import { Machine, type RunResult } from './machine.js';
import { UsageError } from './options.js';
import { packageFile } from '../startup/package-file.js';

export interface ScalingOptions {
  /** Names of workloads; all of them if empty. */
  readonly workloads: readonly string[];
  /** A program of the user's and its arguments, in place of workloads; {cpus} in an argument is the number of CPUs. */
  readonly program: readonly string[];
  readonly cpus: readonly number[];
  /** Runs of each CPU count. */
  readonly runs: number;
  /** Seconds measured in each run of a workload. */
  readonly seconds: number;
  readonly abi: AbiName;
  /** Clear key 14's bits at every context switch. */
  readonly debugFpu?: boolean;
  readonly memory: number;
  /** Directory for translations, or null. */
  readonly translations: string | null;
  /** Files for the results. */
  readonly json?: string;
  readonly svg?: string;
  /** Called before each run. */
  readonly onRun?: (name: string, cpus: number, run: number, of: number) => void;
}

/**
 * Seconds of warming up before a window. Every CPU translates and optimises for itself, which takes longer the more of them share
 * a core.
 */
const warmUp = (cpus: number, seconds: number): number =>
  (seconds / 2) * Math.max(1, cpus / availableParallelism());

/** A workload hangs if it takes as long, in ms, beyond its window. */
const PATIENCE = 60_000;
const MOST_SECONDS = 600;

/**
 * `europa scale`: measures and prints.
 * @param print takes each piece of the report as soon as it is known
 * @throws UsageError, LoadError
 */
export async function runScaling(options: ScalingOptions, print: (text: string) => void): Promise<void> {
  const counts = checkCounts(options.cpus);
  const { runs, seconds, abi, debugFpu = false } = options;
  if (!(runs >= 1)) throw new UsageError('--runs is 1 or more');
  if (!(seconds > 0 && seconds <= MOST_SECONDS)) {
    throw new UsageError(`--seconds is more than 0 and at most ${MOST_SECONDS}`);
  }
  if (options.program.length > 0 && options.workloads.length > 0) {
    throw new UsageError('measure either workloads or a program');
  }
  const workloads = options.program.length > 0 ? [] : selectWorkloads(options.workloads);
  for (const path of [options.json, options.svg]) if (path !== undefined) write(path, '');
  const subjects = workloads.length > 0 ? workloads.map(ownWorkload) : [userProgram(options.program)];
  const hostCores = availableParallelism();
  const circumstances = {
    hostCores,
    counts,
    abi,
    debugFpu,
    runs,
    seconds: workloads.length > 0 ? seconds : null,
  };
  print(renderHeading(circumstances));
  const results: ScaleResult[] = [];
  let run = 0;
  for (const { about, sample } of subjects) {
    const load = new HostLoad();
    const rounds = await measureRounds(counts, runs, (cpus) => {
      options.onRun?.(about.name, cpus, run++, subjects.length * counts.length * runs);
      return sample(cpus, options);
    });
    const result = analyse(about, counts, rounds, hostCores, load.others());
    results.push(result);
    print(renderResult(result, hostCores));
  }
  if (options.json !== undefined) {
    write(options.json, `${JSON.stringify({ ...circumstances, results }, null, 2)}\n`);
  }
  if (options.svg !== undefined) write(options.svg, renderSvg(results, hostCores));
}

/** What is measured: `sample` answers the throughput of one run. */
interface Subject {
  readonly about: Workload;
  readonly sample: (cpus: number, options: ScalingOptions) => Promise<number>;
}

function ownWorkload(about: Workload): Subject {
  return {
    about,
    sample: async (cpus, options) => {
      const path = packageFile(`src/guests/bin/scale-${about.name}`);
      const patience = PATIENCE + 1000 * (options.seconds + warmUp(cpus, options.seconds));
      const args = [String(cpus), decimal(options.seconds), decimal(warmUp(cpus, options.seconds))];
      const result = await runOnce(path, args, cpus, options, patience);
      const [record] = parseRecords(result.output.toString('utf8'));
      if (record?.skip !== undefined) {
        throw new UsageError(`${about.name} cannot run under ABI ${options.abi}: ${record.skip}`);
      }
      const ops = Number(record?.ops);
      const nanoseconds = Number(record?.ns);
      if (result.exitCode !== 0 || !(ops > 0) || !(nanoseconds > 0)) {
        throw new Error(`${about.name} on ${cpus} CPUs ended without a result (${outcome(result)})`);
      }
      return (ops / nanoseconds) * 1e9;
    },
  };
}

function userProgram([path, ...args]: readonly string[]): Subject {
  return {
    about: { name: path, unit: 'runs', description: 'whole runs of the program' },
    sample: async (cpus, options) => {
      const words = args.map((arg) => arg.replaceAll('{cpus}', String(cpus)));
      const result = await runOnce(path, words, cpus, options);
      if (result.exitCode !== 0) {
        process.stderr.write(result.errorOutput);
        throw new UsageError(`${path} failed on ${cpus} CPUs (${outcome(result)})`);
      }
      return 1 / result.stats.wallSeconds;
    },
  };
}

async function runOnce(
  path: string,
  args: readonly string[],
  cpus: number,
  { abi, debugFpu, memory, translations }: ScalingOptions,
  patience?: number,
): Promise<RunResult> {
  const machine = await Machine.boot({ cpus, abi, debugFpu, memory, translations, stdout: 'capture' });
  const timer = patience === undefined ? undefined : setTimeout(() => machine.stop(), patience);
  try {
    return await machine.run(path, args);
  } finally {
    clearTimeout(timer);
    await machine.close();
  }
}

const outcome = ({ exitCode, signal }: RunResult) => (signal === null ? `exit status ${exitCode}` : signal);

/** Without an exponent, which the guests do not read. */
const decimal = (value: number) => value.toFixed(9).replace(/\.?0+$/, '');

function selectWorkloads(names: readonly string[]): readonly Workload[] {
  for (const name of names) {
    if (!WORKLOADS.some((workload) => workload.name === name)) {
      const known = WORKLOADS.map((workload) => workload.name).join(', ');
      throw new UsageError(`there is no workload '${name}'; there are ${known}; a program comes after --`);
    }
  }
  return names.length === 0 ? WORKLOADS : WORKLOADS.filter(({ name }) => names.includes(name));
}

function checkCounts(cpus: readonly number[]): number[] {
  const wrong = cpus.find((count) => !Number.isInteger(count) || count < 1 || count > MAX_CPUS);
  if (wrong !== undefined) throw new UsageError(`a machine has 1 to ${MAX_CPUS} CPUs, not ${wrong}`);
  if (cpus.length === 0) throw new UsageError('--cpus names at least one count');
  return [...new Set(cpus)].sort((a, b) => a - b);
}

function write(path: string, content: string): void {
  try {
    writeFileSync(path, content);
  } catch (error) {
    throw new UsageError(`${path}: cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}
