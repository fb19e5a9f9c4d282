/** Medians and ratios of the peer comparison, as data and as tables. */
import Table from 'cli-table3';
import { median } from './median.js';
import { type PeerName, peerNames, type ProgramRun } from './peer-runs.js';
import type { BenchProgram, Kind } from './programs.js';
import type { Comparison } from './scaling.js';

/** One measurement in one peer. */
export interface Cell {
  /** Seconds for one operation, one value a round. */
  values: number[];
  /** Median of `values`; null when there are none. */
  seconds: number | null;
  /** Why a value is missing: `unsupported`, a failure's message, or that the result was wrong. */
  problem?: string;
}

/** One measurement in all peers. */
export interface Row {
  kind: Kind;
  measurement: string;
  /** Whether the figure is the time of one fixed piece of work, or a rate of many small operations. */
  unit: 'time' | 'rate';
  cells: Partial<Record<PeerName, Cell>>;
  /** Median of the peer over median of Europa: above 1, Europa is faster. */
  ratios: Partial<Record<PeerName, number>>;
}

/** What `--json` writes. */
export interface Report {
  rounds: number;
  cpus: number;
  /** Peers that could not run at all, with what they lack. */
  missing: Partial<Record<PeerName, string>>;
  rows: Row[];
  /** Whole-process seconds and peak memory in KiB, medians. In qemu-system: of the process inside. */
  processes: { program: string; peer: PeerName; wallSeconds: number; maxRssKib: number }[];
  /** Geometric means of `ratios` by kind, and over integer and floating point together. */
  means: { kind: string; ratios: Partial<Record<PeerName, number>> }[];
  /** Cores that other programs kept busy before each round, null where that is unknown: they slow some peers more than others. */
  otherLoad: readonly (number | null)[];
  /** How Europa scales; empty if that was not measured. */
  scaling: readonly Comparison[];
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** All runs of one peer, in the order they happened. */
export type Runs = Map<PeerName, ProgramRun[]>;

/** Brings the runs of all rounds together. */
export function summarise(
  programs: readonly BenchProgram[],
  runs: Runs,
  facts: Pick<Report, 'rounds' | 'cpus' | 'missing' | 'otherLoad' | 'scaling'>,
): Report {
  const rows: Row[] = [];
  const processes: Report['processes'] = [];
  for (const program of programs) {
    const expected = runs.get('native')?.find((run) => run.program === program.name && !run.failure)?.output;
    const measurements =
      program.measurements.length > 0 ? program.measurements : [`${program.name}, to its end`];
    for (const measurement of measurements) {
      const row: Row = { kind: program.kind, measurement, unit: 'time', cells: {}, ratios: {} };
      for (const [peer, all] of runs) {
        const own = all.filter((run) => run.program === program.name);
        if (own.length === 0) continue;
        const whole = program.measurements.length === 0;
        row.cells[peer] = cell(own, whole ? undefined : measurement, expected);
        if (
          own.some((run) => Object.values(run.timings).some((t) => t !== 'unsupported' && t.operations > 1))
        )
          row.unit = 'rate';
      }
      const europa = row.cells.europa?.seconds;
      for (const [peer, { seconds }] of Object.entries(row.cells) as [PeerName, Cell][])
        if (peer !== 'europa' && seconds && europa) row.ratios[peer] = seconds / europa;
      rows.push(row);
    }
    for (const [peer, all] of runs) {
      const good = all.filter((run) => run.program === program.name && !run.failure);
      if (good.length === 0) continue;
      const wallSeconds = median(good.map((run) => run.wallSeconds));
      const maxRssKib = median(good.map((run) => run.maxRssKib));
      processes.push({ program: program.name, peer, wallSeconds, maxRssKib });
    }
  }
  return { ...facts, rows, processes, means: means(rows) };
}

/** @param measurement name in the program's output; undefined for the whole process (with the boot, in qemu-system) */
function cell(
  runs: readonly ProgramRun[],
  measurement: string | undefined,
  expected: string | undefined,
): Cell {
  const result: Cell = { values: [], seconds: null };
  for (const run of runs) {
    const timing = measurement === undefined ? wholeProcess(run) : run.timings[measurement];
    if (run.failure !== undefined) result.problem = run.failure;
    else if (expected !== undefined && run.output !== expected)
      result.problem = `wrong result: ${run.output.slice(0, 100)}`;
    else if (timing === 'unsupported') result.problem = 'unsupported';
    else if (timing === undefined) result.problem = 'printed no measurement';
    else result.values.push(timing.seconds / timing.operations);
  }
  if (result.values.length > 0) result.seconds = median(result.values);
  return result;
}

function wholeProcess(run: ProgramRun): { seconds: number; operations: number } {
  return { seconds: run.sinceBootSeconds ?? run.wallSeconds, operations: 1 };
}

function means(rows: readonly Row[]): Report['means'] {
  const groups: [string, (kind: Kind) => boolean][] = [
    ['integer and floating point', (kind) => kind === 'integer' || kind === 'floating point'],
    ...[...new Set(rows.map((row) => row.kind))].map((kind): [string, (k: Kind) => boolean] => [
      kind,
      (k) => k === kind,
    ]),
  ];
  return groups.flatMap(([kind, belongs]) => {
    const ratios: Partial<Record<PeerName, number>> = {};
    for (const peer of peerNames.filter((name) => name !== 'europa')) {
      const values = rows.flatMap((row) => (belongs(row.kind) && row.ratios[peer]) || []);
      if (values.length > 0) ratios[peer] = geometricMean(values);
    }
    return Object.keys(ratios).length > 0 ? [{ kind, ratios }] : [];
  });
}

/** Three significant digits with a unit: `4.12 ms`, `195 k/s`. */
export function figure(seconds: number, unit: Row['unit']): string {
  const scales: [number, string][] =
    unit === 'time'
      ? [
          [1, ' s'],
          [1e-3, ' ms'],
          [1e-6, ' µs'],
          [1e-9, ' ns'],
        ]
      : [
          [1e6, ' M/s'],
          [1e3, ' k/s'],
          [1, ' /s'],
        ];
  const value = unit === 'time' ? seconds : 1 / seconds;
  const [scale, suffix] = scales.find(([size]) => value >= size) ?? scales.at(-1)!;
  const scaled = value / scale;
  return scaled.toFixed(scaled >= 100 ? 0 : scaled >= 10 ? 1 : 2) + suffix;
}

/** Cores taken by others that are worth a word. */
const DISTURBING = 0.1;
const cores = (count: number | null): string => (count === null ? '?' : count.toFixed(1));

/** The tables and notes that the command prints. */
export function render(report: Report, peers: readonly PeerName[]): string {
  const others = peers.includes('europa') ? peers.filter((peer) => peer !== 'europa') : [];
  const style = { head: [], border: [], compact: true };
  const times = new Table({
    head: ['work', ...peers, ...others.map((peer) => `Europa / ${peer}`)],
    colAligns: ['left', ...peers.map(() => 'right' as const), ...others.map(() => 'right' as const)],
    style,
  });
  const problems = new Map<string, string[]>();
  for (const { measurement, unit, cells, ratios } of report.rows) {
    const figures = peers.map((peer) => {
      const { seconds, problem } = cells[peer] ?? { seconds: null };
      if (problem && problem !== 'unsupported') {
        const note = `${peer}: ${problem}`;
        problems.set(note, [...(problems.get(note) ?? []), measurement]);
      }
      return seconds !== null
        ? figure(seconds, unit)
        : problem === 'unsupported'
          ? 'no pkeys'
          : problem
            ? 'failed'
            : '—';
    });
    times.push([measurement, ...figures, ...others.map((peer) => ratio(ratios[peer]))]);
  }
  for (const { kind, ratios } of report.means)
    times.push([
      `geometric mean, ${kind}`,
      ...peers.map(() => ''),
      ...others.map((peer) => ratio(ratios[peer])),
    ]);

  const whole = new Table({
    head: ['whole process', ...peers.flatMap((peer) => [peer, 'MiB'])],
    colAligns: ['left', ...peers.flatMap(() => ['right' as const, 'right' as const])],
    style,
  });
  for (const program of new Set(report.processes.map((entry) => entry.program))) {
    const cells = peers.flatMap((peer) => {
      const entry = report.processes.find(
        (candidate) => candidate.program === program && candidate.peer === peer,
      );
      return entry ? [figure(entry.wallSeconds, 'time'), (entry.maxRssKib / 1024).toFixed(1)] : ['—', '—'];
    });
    whole.push([program, ...cells]);
  }
  const notes = [
    ...(report.otherLoad.some((count) => count !== null && count >= DISTURBING)
      ? [
          `disturbed: other programs kept ${report.otherLoad.map(cores).join(', ')} cores busy before the rounds.`,
        ]
      : []),
    ...Object.entries(report.missing).map(([peer, lack]) => `${peer} ${lack}.`),
    ...[...problems].map(([problem, measurements]) => `${problem} (${measurements.join(', ')}).`),
  ];
  const scaling = new Table({
    head: ['throughput of Europa', 'median', 'rounds'],
    colAligns: ['left', 'right', 'left'],
    style,
  });
  for (const { name, ratios } of report.scaling)
    scaling.push([name, ratio(median(ratios)), ratios.map((value) => value.toFixed(2)).join(' ')]);
  return [
    `Medians of ${report.rounds} rounds, ${report.cpus} CPUs. A ratio above 1 means that Europa is faster.`,
    times.toString(),
    'Whole process; in qemu-system the process inside Linux, without its boot.',
    whole.toString(),
    ...(report.scaling.length > 0 ? [scaling.toString()] : []),
    ...notes,
  ].join('\n');
}

function ratio(value: number | undefined): string {
  return value === undefined ? '—' : `${value.toFixed(value >= 100 ? 0 : 2)}×`;
}
