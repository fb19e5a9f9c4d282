import type { AbiName } from '../kernel/pkeys/names.js';

/** How a CPU's stores reach the others: through store buffers (x86-TSO), or at once (sequential consistency). */
export type MemoryModel = 'tso' | 'sc';

/** Limits that end a run with a verdict of their own. */
export interface Bounds {
  /** Accesses to memory, system calls and the like. */
  readonly steps: number;
  /** Instructions between two system calls or switches. */
  readonly instructions: number;
  /** Bytes of output. */
  readonly output: number;
  /** Threads at a time. */
  readonly threads: number;
}

export const DEFAULT_BOUNDS: Bounds = {
  steps: 2_000_000,
  instructions: 1 << 28,
  output: 1 << 20,
  threads: 256,
};

/** Everything that decides, together with the schedule's decisions, what happens in a seeded machine. Plain data. */
export interface SeededOptions {
  readonly path: string;
  readonly args: readonly string[];
  /** "NAME=value" strings. */
  readonly env: readonly string[];
  readonly cpus: number;
  readonly abi: AbiName;
  readonly debugFpu: boolean;
  /** Guest memory in bytes. */
  readonly memory: number;
  readonly memoryModel: MemoryModel;
  /** What getrandom and the like are derived from. */
  readonly machineSeed: number;
  /** Standard input, at most 64 KiB, as base64. */
  readonly stdin: string;
  readonly mutants: number;
  readonly bounds: Bounds;
}

/** How a run ended. */
export type FailureKind =
  /** Exit status other than 0 (and 77, which says that the machine lacks what the program needs). */
  | 'exit'
  | 'signal'
  /** All threads are blocked for ever. */
  | 'deadlock'
  /** A bound was passed: steps or instructions, output, threads. */
  | 'no-progress'
  | 'output-bound'
  | 'thread-bound';

export interface RunOutcome {
  /** null if nothing is wrong. */
  readonly kind: FailureKind | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly traceHash: string;
  /** Times that another thread went on than the one before. */
  readonly switches: number;
  /** Switches among them away from a thread that could have gone on. */
  readonly preemptions: number;
  /** Accesses, system calls and the like from the second thread's start on. */
  readonly steps: number;
  /** Steps among them at which the schedule was asked. */
  readonly points: number;
  readonly threads: number;
  readonly output: string;
  /** What the machine had to say: instructions not implemented, and the like. */
  readonly notes: readonly string[];
}

/** Exit status by which a program says that it cannot run here. */
export const SKIPPED = 77;
