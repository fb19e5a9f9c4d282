import { MessageChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { LoadError } from '../loader/load-error.js';
import { compiledFile } from '../startup/package-file.js';
import type { Explored, Failure, Progress, Refused, StressJob } from './campaign-types.js';
import { HostRefusal } from './host-refusal.js';
import { createSchedule } from '../scheduler/seeded/index.js';
import { PctSchedule } from '../scheduler/seeded/pct.js';
import type { SeededOptions } from './options.js';
import { differences } from './recorded-host.js';
import type { Explained } from './worker.js';

export interface CampaignOptions {
  readonly machine: SeededOptions;
  /** A name that `createSchedule` knows. */
  readonly schedule: string;
  /** Run number r has the seed seed + r. */
  readonly seed: number;
  /** Most runs; Infinity if `seconds` ends the campaign. */
  readonly runs: number;
  readonly seconds: number;
  /** Workers at once. */
  readonly jobs: number;
  readonly keepGoing: boolean;
  /** Called some times a second. */
  readonly progress?: (progress: Progress & { readonly schedulesPerSecond: number }) => void;
}

export interface CampaignResult {
  readonly runs: number;
  readonly schedulesPerSecond: number;
  readonly failures: readonly Failure[];
  readonly traces: number;
  readonly switchPoints: number;
  readonly guarantee: string | null;
  readonly skipped: number;
  readonly concurrent: boolean;
  readonly notes: readonly string[];
  /** The first failure with the fewest switches, if there is one. */
  readonly explained: Explained | null;
}

/** Bits that a run's number may have in shared memory. */
const NO_RUN = 0x7fff_ffff;

/**
 * Tries schedules on machines of their own, one a worker, until one fails or the campaign is over. Which failure is the first
 * depends on the seed alone, not on how the workers share the runs.
 * @throws LoadError, HostRefusal
 */
export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const { machine, schedule, seed, keepGoing } = options;
  // Each schedule of an exhaustive search follows from the one before.
  const jobs = schedule.startsWith('exhaustive') ? 1 : Math.max(1, Math.min(options.jobs, options.runs));
  const pool = new Piscina({
    filename: compiledFile('workers/stress.js'),
    minThreads: jobs,
    maxThreads: jobs,
    concurrentTasksPerWorker: 1,
    atomics: 'disabled',
    recordTiming: false,
  });
  try {
    const shared = new SharedArrayBuffer(4);
    new Int32Array(shared)[0] = NO_RUN;
    const latest: Progress[] = [];
    const begin = performance.now();
    const tell = () => {
      const sum = (field: keyof Progress) =>
        latest.reduce((total, entry) => total + (entry?.[field] ?? 0), 0);
      const most = (field: keyof Progress) =>
        Math.max(0, ...Array.from(latest, (entry) => entry?.[field] ?? 0));
      const runs = sum('runs');
      options.progress?.({
        runs,
        failures: sum('failures'),
        traces: sum('traces'),
        points: most('points'),
        schedulesPerSecond: runs / ((performance.now() - begin) / 1000),
      });
    };
    const parts = await Promise.all(
      Array.from({ length: jobs }, (_, first) => {
        const { port1, port2 } = new MessageChannel();
        port1.on('message', (progress: Progress) => {
          latest[first] = progress;
          tell();
        });
        const job: StressJob = {
          kind: 'explore',
          options: machine,
          schedule,
          seed,
          first,
          stride: jobs,
          runs: Math.min(options.runs, NO_RUN),
          until: options.seconds === Infinity ? Infinity : Date.now() + options.seconds * 1000,
          keepGoing,
          earliest: shared,
          port: port2,
        };
        return accepted<Explored>(pool.run(job, { transferList: [port2] })).finally(() => port1.close());
      }),
    );
    const failures = parts.flatMap((part) => part.failures).sort((a, b) => a.run - b.run);
    const counted = keepGoing ? failures : failures.slice(0, 1);
    const runs = parts.reduce((sum, part) => sum + part.runs, 0);
    let explained: Explained | null = null;
    if (counted.length > 0) {
      const { run } = counted[0];
      const { recording } = parts.find(({ failures: own }) => own.includes(counted[0]))!;
      explained = await accepted<Explained>(
        pool.run({ kind: 'minimise', options: machine, schedule, seed, run, recording } satisfies StressJob),
      );
    }
    return {
      runs,
      schedulesPerSecond: runs / Math.max(1e-3, ...parts.map((part) => part.seconds)),
      failures: counted,
      traces: new Set(parts.flatMap((part) => part.traces)).size,
      switchPoints: new Set(parts.flatMap((part) => part.switchPoints)).size,
      guarantee: guaranteeOf(schedule, parts),
      skipped: parts.reduce((sum, part) => sum + part.skipped, 0),
      concurrent: parts.every((part) => part.concurrent),
      notes: notesOf(parts),
      explained,
    };
  } finally {
    await pool.destroy();
  }
}

/** What the schedule can say of all workers' runs together. An exhaustive search, which knows how far it is, has one worker. */
function guaranteeOf(name: string, parts: readonly Explored[]): string | null {
  const schedule = createSchedule(name);
  if (!(schedule instanceof PctSchedule)) return parts[0].guarantee;
  schedule.expect(parts[0].expectedPoints);
  return schedule.guarantee({
    runs: parts.reduce((sum, part) => sum + part.runs, 0),
    threads: Math.max(...parts.map((part) => part.threads)),
  });
}

/** What the machines had to say, and what of the host has changed between the workers' looks at it. */
function notesOf(parts: readonly Explored[]): string[] {
  const changed = parts.slice(1).flatMap((part) => differences(parts[0].recording, part.recording));
  const notes = [
    ...parts.flatMap((part) => part.notes),
    ...changed.map((what) => `${what}: has changed between runs; only a replay shows the same again`),
  ];
  return [...new Set(notes)];
}

async function accepted<T>(task: Promise<T | Refused>): Promise<T> {
  const result = await task;
  const { refused } = result as Partial<Refused>;
  if (!refused) return result as T;
  const { error, path, reason } = refused;
  throw error === 'load' ? new LoadError(path, reason) : new HostRefusal(path, reason);
}
