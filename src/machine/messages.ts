import type { MessagePort } from 'node:worker_threads';
import type { ProgramStart } from '../kernel/exec.js';
import type { KeyFault } from '../kernel/services.js';
import type { FatalSignal } from '../kernel/signal/deliver.js';

export type { KeyFault };

/** What a CPU worker is started with (the argument of its Piscina task; `port` is transferred). */
export interface CpuJob {
  readonly memory: WebAssembly.Memory;
  readonly id: number;
  readonly port: MessagePort;
  /** Where to find and keep translations of the program with this digest; null: nowhere. */
  readonly translations: { readonly directory: string; readonly program: string } | null;
  /** The program to start; for one CPU of the machine. */
  readonly program?: ProgramStart;
}

/** What a CPU worker's task results in. */
export interface CpuEnd {
  /** Why the program could not be loaded (LoadError). */
  readonly loadError?: { readonly path: string; readonly reason: string };
  /** What to add to the addresses of the program's symbols, on the CPU that has loaded it. */
  readonly base?: number;
}

/** What the scheduler worker is started with. */
export interface SchedulerJob {
  readonly memory: WebAssembly.Memory;
  /** The task that CPU 0 has been given already. */
  readonly first: number;
}

/** What CPU workers tell the main thread. */
export type CpuMessage =
  /** The program runs on CPU 0 as this task; the scheduler is needed when its doorbell no longer has the value `bell`. */
  | { kind: 'started'; task: number; bell: number }
  /** The program has made its second task, or bound its first to another CPU: the other CPUs are needed. */
  | { kind: 'parallel' }
  /** Captured output; `sequence` orders pieces of different CPUs. */
  | { kind: 'output'; fd: number; sequence: number; bytes: Uint8Array }
  /** The machine's program died of a signal. */
  | { kind: 'fatal'; tid: number; cpu: number; signal: FatalSignal }
  | { kind: 'fault'; fault: KeyFault }
  /** A line for the user of the machine. */
  | { kind: 'note'; line: string };

/** A CPU reports this many key faults; the counters count all. */
export const FAULTS_REPORTED = 256;
