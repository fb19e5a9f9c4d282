import type { MessagePort } from 'node:worker_threads';
import type { FatalSignal } from '../kernel/signal/deliver.js';

/** What a CPU worker is started with (the argument of its Piscina task; `port` is transferred). */
export interface CpuJob {
  readonly memory: WebAssembly.Memory;
  readonly id: number;
  readonly port: MessagePort;
}

/** What the scheduler worker is started with. */
export interface SchedulerJob {
  readonly memory: WebAssembly.Memory;
}

/** A protection-key fault, as the kernel saw it. */
export interface KeyFault {
  readonly cpu: number;
  readonly tid: number;
  readonly address: number;
  /** Key of the mapping. */
  readonly key: number;
  readonly access: 'read' | 'write';
  readonly pkru: number;
  readonly rip: number;
  readonly errorCode: number;
}

/** What CPU workers tell the main thread. */
export type CpuMessage =
  /** Captured output; `sequence` orders pieces of different CPUs. */
  | { kind: 'output'; fd: number; sequence: number; bytes: Uint8Array }
  /** The machine's program died of a signal. */
  | { kind: 'fatal'; tid: number; cpu: number; signal: FatalSignal }
  | { kind: 'fault'; fault: KeyFault };

/** A CPU reports this many key faults; the counters count all. */
export const FAULTS_REPORTED = 256;
