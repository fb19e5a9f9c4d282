import type { MemoryModel, RunOutcome, SeededOptions } from './options.js';
import type { HostRecording } from './recorded-host.js';

export type { MemoryModel };

/** What a stress worker is asked. Plain data; `stop` and `port` are shared and transferred. */
export type StressJob =
  /** Tries schedules `first`, `first + stride`, … below `runs`. */
  | {
      readonly kind: 'explore';
      readonly options: SeededOptions;
      readonly schedule: string;
      readonly seed: number;
      readonly first: number;
      readonly stride: number;
      readonly runs: number;
      /** ms of the wall clock (Date.now) after which no run begins; Infinity for none. */
      readonly until: number;
      /** Whether to go on after a failure. */
      readonly keepGoing: boolean;
      /** One Int32: the lowest number of a run that has failed. Runs above it are not begun. */
      readonly earliest: SharedArrayBuffer;
      readonly port: import('node:worker_threads').MessagePort;
    }
  /** Makes a failed run again with the fewest switches, and describes it. */
  | {
      readonly kind: 'minimise';
      readonly options: SeededOptions;
      readonly schedule: string;
      readonly seed: number;
      readonly run: number;
      /** What the run was told about its host. */
      readonly recording: HostRecording;
    };

/** What an exploring worker tells about now and then. */
export interface Progress {
  readonly runs: number;
  readonly failures: number;
  /** Distinct traces and switch points that it has seen. */
  readonly traces: number;
  readonly points: number;
}

export interface Failure {
  readonly run: number;
  readonly seed: number;
  readonly outcome: RunOutcome;
}

export interface Explored {
  readonly runs: number;
  readonly failures: readonly Failure[];
  /** Hashes of all traces, to be counted together with other workers'. */
  readonly traces: readonly string[];
  readonly switchPoints: readonly number[];
  /** Switch points of a run, as the schedule expects them. */
  readonly expectedPoints: number;
  /** What the schedule can say for itself, of this worker's runs. */
  readonly guarantee: string | null;
  readonly threads: number;
  readonly steps: number;
  /** Runs that answered that the machine lacks what the program needs. */
  readonly skipped: number;
  /** Whether the schedule has nothing left to try. */
  readonly exhausted: boolean;
  /** Whether the program has a second thread at all. */
  readonly concurrent: boolean;
  /** Seconds spent on runs, without the machine's start. */
  readonly seconds: number;
  readonly notes: readonly string[];
  readonly recording: HostRecording;
}

/** Why a job could not be done, for the user. */
export interface Refused {
  readonly refused: {
    readonly error: 'load' | 'host';
    readonly path: string;
    readonly reason: string;
  };
}
