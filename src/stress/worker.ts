import { LoadError } from '../loader/load-error.js';
import type { ExhaustiveSchedule } from '../scheduler/seeded/exhaustive.js';
import { createSchedule, type Schedule } from '../scheduler/seeded/index.js';
import { type Decisions, Recorder } from '../scheduler/seeded/listed.js';
import { PctSchedule } from '../scheduler/seeded/pct.js';
import type { Explored, Failure, Progress, Refused, StressJob } from './campaign-types.js';
import { HostRefusal } from './host-refusal.js';
import { describeTrace } from './interleaving.js';
import { minimise } from './minimise.js';
import { type RunOutcome, type SeededOptions, SKIPPED } from './options.js';
import { type HostRecording, RecordedHost } from './recorded-host.js';
import { SeededMachine } from './seeded-machine.js';
import { ListedSchedule } from '../scheduler/seeded/listed.js';
import type { TraceStep } from './trace.js';

/** Traces that a worker remembers for counting distinct ones. */
const MOST_TRACES = 200_000;
const PROGRESS_MS = 200;

/** A failure with the fewest switches that were found for it. */
export interface Explained {
  readonly decisions: Decisions;
  readonly outcome: RunOutcome;
  readonly lines: readonly string[];
  readonly recording: HostRecording;
}

/** A machine at its snapshot, and the schedule ready for it: the same for every worker. */
function prepare(
  options: SeededOptions,
  name: string,
  recording?: HostRecording,
): { machine: SeededMachine; schedule: Schedule; points: number } {
  const machine = new SeededMachine(options, false, new RecordedHost(recording));
  machine.boot();
  const points = machine.learn();
  const schedule = createSchedule(name)!;
  if (schedule instanceof PctSchedule) schedule.expect(points);
  return { machine, schedule, points };
}

/** The body of a stress worker. */
export function runStressJob(job: StressJob): Explored | Explained | Refused {
  try {
    return job.kind === 'explore' ? explore(job) : explain(job);
  } catch (error) {
    if (!(error instanceof LoadError || error instanceof HostRefusal)) throw error;
    const { path, reason } = error;
    return { refused: { error: error instanceof LoadError ? 'load' : 'host', path, reason } };
  } finally {
    if (job.kind === 'explore') job.port.close();
  }
}

function explore(job: Extract<StressJob, { kind: 'explore' }>): Explored {
  const { seed, first, stride, port } = job;
  const { machine, schedule, points } = prepare(job.options, job.schedule);
  const earliest = new Int32Array(job.earliest);
  const traces = new Set<string>();
  const failures: Failure[] = [];
  const totals = { runs: 0, threads: 1, steps: 0, skipped: 0 };
  let notes: readonly string[] = [];
  const begin = performance.now();
  let told = begin;
  const tell = () => {
    const progress: Progress = {
      runs: totals.runs,
      failures: failures.length,
      traces: traces.size,
      points: machine.switchPoints.size,
    };
    port.postMessage(progress);
  };
  for (let run = first; run < job.runs && Date.now() < job.until; run += stride) {
    if (!job.keepGoing && run > Atomics.load(earliest, 0)) break;
    const outcome = machine.run(schedule, seed + run);
    if (outcome === null) break;
    totals.runs++;
    totals.threads = Math.max(totals.threads, outcome.threads);
    totals.steps = Math.max(totals.steps, outcome.steps);
    if (outcome.exitCode === SKIPPED) totals.skipped++;
    if (outcome.notes.length > 0) notes = outcome.notes;
    if (traces.size < MOST_TRACES) traces.add(outcome.traceHash);
    if (outcome.kind !== null) {
      failures.push({ run, seed: seed + run, outcome });
      lower(earliest, run);
      if (!job.keepGoing) break;
    }
    if (!machine.concurrent) break;
    if (performance.now() - told > PROGRESS_MS) {
      told = performance.now();
      tell();
    }
  }
  tell();
  return {
    ...totals,
    failures,
    traces: [...traces],
    switchPoints: [...machine.switchPoints],
    expectedPoints: points,
    guarantee: schedule.guarantee(totals),
    exhausted: (schedule as Partial<ExhaustiveSchedule>).exhausted === true,
    concurrent: machine.concurrent,
    seconds: (performance.now() - begin) / 1000,
    notes,
    recording: machine.recording,
  };
}

/** Notes a failure, unless an earlier run has failed. */
function lower(earliest: Int32Array, run: number): void {
  for (let seen = Atomics.load(earliest, 0); run < seen; seen = Atomics.load(earliest, 0)) {
    if (Atomics.compareExchange(earliest, 0, seen, run) === seen) return;
  }
}

function explain(job: Extract<StressJob, { kind: 'minimise' }>): Explained {
  const { machine, schedule } = prepare(job.options, job.schedule, job.recording);
  const recorder = new Recorder(schedule);
  // An exhaustive search has to come by its runs again, one after the other.
  const again = job.schedule.startsWith('exhaustive') ? job.run : 0;
  let found: RunOutcome | null = null;
  for (let i = 0; i <= again; i++) found = machine.run(recorder, job.seed + job.run);
  if (found === null || found.kind === null) throw new Error(`run ${job.run} does not fail again`);
  const { decisions } = machine.concurrent
    ? minimise(machine, recorder.decisions, found.kind)
    : { decisions: { switches: [], delays: [] } };
  const trace: TraceStep[] = [];
  const outcome = machine.run(new ListedSchedule(decisions), 0, trace)!;
  return { decisions, outcome, lines: describeTrace(machine, trace), recording: machine.recording };
}
