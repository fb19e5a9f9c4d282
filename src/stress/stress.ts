import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { AbiName } from '../kernel/pkeys/names.js';
import { checkOptions, UsageError } from '../machine/options.js';
import { createSchedule, SCHEDULE_NAMES } from '../scheduler/seeded/index.js';
import { runCampaign } from './campaign.js';
import type { Failure } from './campaign-types.js';
import { runFree } from './free.js';
import { type Bounds, DEFAULT_BOUNDS, type MemoryModel, type SeededOptions } from './options.js';
import { fileHash, writeReplay } from './replay-file.js';
import { workloadProgram } from './workloads.js';

export interface StressRequest {
  /** A workload's name, or null with `program`. */
  readonly target: string | null;
  readonly program: readonly string[];
  readonly cpus?: number;
  readonly abi: AbiName;
  readonly debugFpu: boolean;
  readonly memory: number;
  readonly memoryModel: MemoryModel;
  readonly schedule: string;
  readonly seed: number;
  readonly runs?: number;
  readonly seconds?: number;
  readonly jobs?: number;
  readonly keepGoing: boolean;
  readonly bounds: Partial<Bounds>;
  /** What the program finds on its standard input; by default nothing. */
  readonly stdin?: Uint8Array;
  readonly replay: string;
  readonly mutants: number;
}

/** What `--json` writes. */
export interface StressJson {
  readonly target: string;
  readonly schedule: string;
  readonly seed: number;
  readonly runs: number;
  readonly schedulesPerSecond: number;
  readonly failures: readonly {
    readonly run: number;
    readonly seed: number;
    readonly kind: string;
    readonly exitCode: number | null;
    readonly signal: string | null;
    readonly replay: string | null;
    readonly traceHash: string;
    readonly switches: number;
  }[];
}

export interface StressReport {
  readonly json: StressJson;
  /** What to print, line by line. */
  readonly lines: readonly string[];
}

const DEFAULT_RUNS = 1000;
/** Workloads of our own and most programs under test are small. */
const DEFAULT_CPUS = 4;
const MOST_STDIN = 65536;
/** Lines of a failed run's output that are shown. */
const OUTPUT_LINES = 20;

/** The state of a campaign that runs. */
export type StressProgress = (text: {
  runs: number;
  of: number;
  perSecond: number;
  failures: number;
  detail: string;
}) => void;

/** @throws UsageError, LoadError, HostRefusal */
export async function runStress(request: StressRequest, progress?: StressProgress): Promise<StressReport> {
  const { schedule, seed, keepGoing } = request;
  const machine = machineOptions(request);
  const target = request.target ?? machine.path;
  const seconds = request.seconds ?? Infinity;
  const runs = request.runs ?? (seconds === Infinity ? DEFAULT_RUNS : Infinity);
  if (schedule === 'free') return free(request, machine, target, runs, seconds, progress);
  if (createSchedule(schedule) === null) {
    throw new UsageError(`there is no schedule '${schedule}'; the schedules are free, ${SCHEDULE_NAMES}`);
  }
  const result = await runCampaign({
    machine,
    schedule,
    seed,
    runs,
    seconds,
    jobs: request.jobs ?? availableParallelism(),
    keepGoing,
    progress: ({ runs: done, failures, traces, points, schedulesPerSecond }) =>
      progress?.({
        runs: done,
        of: runs,
        perSecond: schedulesPerSecond,
        failures,
        detail: `${traces} traces, ${points} switch points`,
      }),
  });
  const lines: string[] = [];
  const { explained } = result;
  const rate = Math.round(result.schedulesPerSecond);
  lines.push(
    `${target}: ${result.runs} schedules (${schedule}, seed ${seed}), ${rate}/s, ` +
      `${result.traces} distinct traces, ${result.switchPoints} switch points, ${result.failures.length} failed`,
  );
  if (!result.concurrent) lines.push('the program has one thread only: there is one schedule');
  if (result.skipped > 0)
    lines.push(`${result.skipped} runs exited with 77: the machine lacks what the program needs`);
  for (const note of result.notes) lines.push(note);
  if (result.guarantee !== null) lines.push(result.guarantee);
  if (explained !== null) {
    const [first] = result.failures;
    const { outcome, decisions } = explained;
    writeReplay(request.replay, {
      europa: 1,
      options: machine,
      sha256: fileHash(machine.path),
      found: { schedule, seed: first.seed, run: first.run },
      decisions,
      host: explained.recording,
      outcome,
    });
    lines.push('', `run ${first.run} (seed ${first.seed}): ${describeFailure(first)}`);
    lines.push(`with the fewest switches (${outcome.switches}, of them ${outcome.preemptions} preemptions):`);
    lines.push(...explained.lines);
    lines.push(...shortOutput(outcome.output));
    lines.push(`replay with: europa replay ${request.replay}`);
  }
  const replayed = explained && {
    replay: request.replay,
    traceHash: explained.outcome.traceHash,
    switches: explained.outcome.switches,
  };
  const failures = result.failures.map(({ run, seed: own, outcome }, i) => ({
    run,
    seed: own,
    kind: outcome.kind!,
    exitCode: outcome.exitCode,
    signal: outcome.signal,
    ...(i === 0 && replayed
      ? replayed
      : { replay: null, traceHash: outcome.traceHash, switches: outcome.switches }),
  }));
  const { runs: done, schedulesPerSecond } = result;
  return { lines, json: { target, schedule, seed, runs: done, schedulesPerSecond, failures } };
}

async function free(
  request: StressRequest,
  machine: SeededOptions,
  target: string,
  runs: number,
  seconds: number,
  progress?: StressProgress,
): Promise<StressReport> {
  const { seed, keepGoing } = request;
  const result = await runFree({
    machine,
    runs,
    seconds,
    keepGoing,
    progress: (done, failures, perSecond) =>
      progress?.({ runs: done, of: runs, perSecond, failures, detail: 'parallel' }),
  });
  const schedulesPerSecond = result.runs / result.seconds;
  const lines = [
    `${target}: ${result.runs} runs on ${machine.cpus} parallel CPUs in ${result.seconds.toFixed(1)} s, ` +
      `${result.failures.length} failed`,
  ];
  if (result.skipped > 0)
    lines.push(`${result.skipped} runs exited with 77: the machine lacks what the program needs`);
  for (const failure of result.failures.slice(0, 1)) {
    lines.push(`run ${failure.run}: ${describeFailure(failure)}`);
    lines.push(...shortOutput(failure.outcome.output));
  }
  const failures = result.failures.map(({ run, outcome: { kind, exitCode, signal } }) => ({
    run,
    seed: 0,
    kind: kind!,
    exitCode,
    signal,
    replay: null,
    traceHash: '',
    switches: 0,
  }));
  return { lines, json: { target, schedule: 'free', seed, runs: result.runs, schedulesPerSecond, failures } };
}

/** The last lines of a program's output. */
function shortOutput(output: string): string[] {
  const lines = output.trimEnd().split('\n');
  if (output.trimEnd() === '') return [];
  const hidden = lines.length - OUTPUT_LINES;
  return hidden > 0 ? [`… ${hidden} lines of output`, ...lines.slice(-OUTPUT_LINES)] : lines;
}

/** The machine that a request asks for. @throws UsageError */
export function machineOptions(request: StressRequest): SeededOptions {
  const { target, program, abi, debugFpu, memory, memoryModel, seed, mutants, bounds, stdin } = request;
  if ((target === null) === (program.length === 0)) {
    throw new UsageError('name a workload, or a program after --');
  }
  const own = target === null ? null : workloadProgram(target);
  const cpus = request.cpus ?? Math.max(DEFAULT_CPUS, own?.workload.threads ?? 0);
  checkOptions({ cpus, abi, memory, seed });
  if ((stdin?.length ?? 0) > MOST_STDIN)
    throw new UsageError('--stdin: a seeded machine takes at most 64 KiB of standard input');
  const path = own?.path ?? resolve(program[0]);
  const args = own?.args ?? program.slice(1);
  return {
    path,
    args,
    env: [],
    cpus,
    abi,
    debugFpu,
    memory,
    memoryModel,
    machineSeed: seed,
    stdin: Buffer.from(stdin ?? []).toString('base64'),
    mutants,
    bounds: { ...DEFAULT_BOUNDS, ...bounds },
  };
}

/** "exit status 1", "deadlock: all threads are blocked". */
export function describeFailure({ outcome }: Pick<Failure, 'outcome'>): string {
  switch (outcome.kind) {
    case 'exit':
      return `exit status ${outcome.exitCode}`;
    case 'signal':
      return `killed by ${outcome.signal}`;
    case 'deadlock':
      return 'deadlock: all threads are blocked';
    case 'no-progress':
      return 'no end within the bound of steps';
    case 'output-bound':
      return 'more output than the bound';
    case 'thread-bound':
      return 'more threads than the bound';
    case null:
      return 'no failure';
  }
}
