import { CpuState, cpuPointer } from '../cpu/state.js';
import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';

/** Counters of one CPU. */
export interface CpuStats {
  readonly id: number;
  readonly instructions: number;
  readonly regionsTranslated: number;
  readonly contextSwitches: number;
  readonly tlbMisses: number;
  readonly shootdownsSent: number;
  readonly shootdownsReceived: number;
  readonly pkeyFaults: number;
  readonly syscalls: number;
}

/** What `--stats` writes. */
export interface Stats {
  /** Exit status, null if a signal killed the program; and the signal's name. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly wallSeconds: number;
  readonly cpus: readonly CpuStats[];
  /** Context switches by the scheduler, and those in which key 14's bits had to be cleared. */
  readonly key14: { readonly switches: number; readonly cleared: number };
}

const COUNTERS = [
  'instructions',
  'regionsTranslated',
  'contextSwitches',
  'tlbMisses',
  'shootdownsSent',
  'shootdownsReceived',
  'pkeyFaults',
  'syscalls',
] as const;

/** Reads the counters; exact once the CPUs have stopped. */
export function readStats(
  memory: Memory,
  exitCode: number | null,
  signal: string | null,
  wallSeconds: number,
): Stats {
  const cpus: CpuStats[] = [];
  for (let id = 0; id < memory.load32(MACHINE + Machine.cpuCount); id++) {
    const counters = COUNTERS.map((name) => [name, memory.f64[(cpuPointer(id) + CpuState[name]) >>> 3]]);
    cpus.push({ id, ...Object.fromEntries(counters) });
  }
  return {
    exitCode,
    signal,
    wallSeconds,
    cpus,
    key14: {
      switches: memory.load32(MACHINE + Machine.contextSwitches),
      cleared: memory.load32(MACHINE + Machine.key14Cleared),
    },
  };
}
