/** What Europa is meant to reach, and whether a report shows it. */
import Table from 'cli-table3';
import { median } from './median.js';
import { geometricMean, type Report } from './peer-report.js';
import type { PeerName } from './peer-runs.js';
import { benchPrograms, type Kind } from './programs.js';
import { comparisonName, DEBUG_CLEAR } from './scaling.js';

type Unit = '×' | 's' | 'MiB' | '%';

/** A figure that decides about a goal; `of` names the one that it belongs to, where it is the worst of several. */
interface Figure {
  readonly value: number;
  readonly of?: string;
}

export interface Goal {
  readonly work: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly unit: Unit;
  /** The figure in a report; null if it was not measured. */
  readonly measured: (report: Report) => Figure | null;
}

/** The fields of a goal as the report has them. */
export interface GoalResult {
  readonly work: string;
  readonly goal: string;
  readonly measured: number | null;
  readonly of?: string;
  readonly reached: boolean | null;
}

/** Ratios of some kinds of work; null unless all that there is of it was measured in Europa and the peer. */
function ratios(report: Report, kinds: readonly Kind[], peer: PeerName): Figure[] | null {
  const wanted = benchPrograms.filter(({ kind }) => kinds.includes(kind)).flatMap((p) => p.measurements);
  const found = wanted.map((name) => {
    const value = report.rows.find(({ measurement }) => measurement === name)?.ratios[peer];
    return value === undefined ? null : { value, of: name };
  });
  return found.includes(null) ? null : (found as Figure[]);
}

function mean(kinds: readonly Kind[], peer: PeerName) {
  return (report: Report): Figure | null => {
    const all = ratios(report, kinds, peer);
    return all && { value: geometricMean(all.map(({ value }) => value)) };
  };
}

function slowest(kinds: readonly Kind[], peer: PeerName) {
  return (report: Report): Figure | null => {
    const all = ratios(report, kinds, peer);
    return all?.reduce((worst, figure) => (figure.value < worst.value ? figure : worst)) ?? null;
  };
}

function ratio(measurement: string, peer: PeerName) {
  return (report: Report): Figure | null => {
    const value = report.rows.find((row) => row.measurement === measurement)?.ratios[peer];
    return value === undefined ? null : { value };
  };
}

function scaled(name: string, convert: (ratio: number) => number = (ratio) => ratio) {
  return ({ scaling }: Report): Figure | null => {
    const comparison = scaling.find((candidate) => candidate.name === name);
    return comparison === undefined ? null : { value: convert(median(comparison.ratios)) };
  };
}

function wholeProcess(program: string, value: (entry: Report['processes'][number]) => number) {
  return ({ processes }: Report): Figure | null => {
    const entry = processes.find((candidate) => candidate.program === program && candidate.peer === 'europa');
    return entry === undefined ? null : { value: value(entry) };
  };
}

const CALCULATION: readonly Kind[] = ['integer', 'floating point'];
const OTHER_PROGRAMS: readonly Kind[] = ['strings', 'control flow'];

/** The only place that says what the goals are. Ratios are Europa's speed over that of a peer, or over its own. */
export const goals: readonly Goal[] = [
  {
    work: 'integer and floating point, geometric mean, to qemu-system',
    atLeast: 2,
    unit: '×',
    measured: mean(CALCULATION, 'qemu-system'),
  },
  {
    work: 'integer and floating point, geometric mean, to qemu-user',
    atLeast: 1,
    unit: '×',
    measured: mean(CALCULATION, 'qemu-user'),
  },
  {
    work: 'the slowest of them, to qemu-system',
    atLeast: 1,
    unit: '×',
    measured: slowest(CALCULATION, 'qemu-system'),
  },
  {
    work: 'the slowest of strings and control flow, to qemu-system',
    atLeast: 1,
    unit: '×',
    measured: slowest(OTHER_PROGRAMS, 'qemu-system'),
  },
  {
    work: 'floating point, geometric mean, to qemu-system',
    atLeast: 4,
    unit: '×',
    measured: mean(['floating point'], 'qemu-system'),
  },
  {
    work: 'WRPKRU, store, WRPKRU, to qemu-system',
    atLeast: 100,
    unit: '×',
    measured: ratio('pkey_switch', 'qemu-system'),
  },
  {
    work: 'pkey_mprotect of 1 page, to qemu-system',
    atLeast: 5,
    unit: '×',
    measured: ratio('pkey_mprotect_1', 'qemu-system'),
  },
  {
    work: 'pkey_mprotect of 4096 pages, to qemu-system',
    atLeast: 5,
    unit: '×',
    measured: ratio('pkey_mprotect_4096', 'qemu-system'),
  },
  {
    work: 'pkey fault, handler, siglongjmp, to qemu-system',
    atLeast: 4,
    unit: '×',
    measured: ratio('pkey_fault', 'qemu-system'),
  },
  { work: 'getppid, to qemu-system', atLeast: 1, unit: '×', measured: ratio('getppid', 'qemu-system') },
  {
    work: 'futex ping-pong, to qemu-system',
    atLeast: 5,
    unit: '×',
    measured: ratio('futex_pingpong', 'qemu-system'),
  },
  {
    work: 'pthread create and join, to qemu-system',
    atLeast: 2,
    unit: '×',
    measured: ratio('thread_create', 'qemu-system'),
  },
  {
    work: 'private compute, 2 CPUs to 1',
    atLeast: 1.9,
    unit: '×',
    measured: scaled(comparisonName('compute', 2, 1)),
  },
  {
    work: 'private domain switching, 2 CPUs to 1',
    atLeast: 1.9,
    unit: '×',
    measured: scaled(comparisonName('domain-switch', 2, 1)),
  },
  {
    work: 'private compute, 8 CPUs to 2',
    atLeast: 0.9,
    unit: '×',
    measured: scaled(comparisonName('compute', 8, 2)),
  },
  {
    work: 'private domain switching, 8 CPUs to 2',
    atLeast: 0.9,
    unit: '×',
    measured: scaled(comparisonName('domain-switch', 8, 2)),
  },
  {
    work: 'static hello on 4 CPUs, whole process',
    atMost: 0.35,
    unit: 's',
    measured: wholeProcess('hello-4-cpus', ({ wallSeconds }) => wallSeconds),
  },
  {
    work: 'static hello on 4 CPUs, most memory',
    atMost: 250,
    unit: 'MiB',
    measured: wholeProcess('hello-4-cpus', ({ maxRssKib }) => maxRssKib / 1024),
  },
  {
    work: 'context-switch storm, slower with debug clear',
    atMost: 2,
    unit: '%',
    measured: scaled(DEBUG_CLEAR, (ratio) => 100 * (1 / ratio - 1)),
  },
];

/** Holds a report against the goals. */
export function judge(report: Report, all: readonly Goal[] = goals): GoalResult[] {
  return all.map(({ work, atLeast, atMost, unit, measured }) => {
    const goal = atLeast !== undefined ? `≥ ${atLeast} ${unit}` : `≤ ${atMost} ${unit}`;
    const figure = measured(report);
    if (figure === null) return { work, goal, measured: null, reached: null };
    const { value, of } = figure;
    const reached = value >= (atLeast ?? Number.NEGATIVE_INFINITY) && value <= (atMost ?? Infinity);
    return { work, goal, measured: value, ...(of === undefined ? {} : { of }), reached };
  });
}

/** The table of goals; those of which nothing was measured are in it, too. */
export function renderGoals(results: readonly GoalResult[]): string {
  const table = new Table({
    head: ['goal', 'to reach', 'measured', 'reached'],
    colAligns: ['left', 'right', 'right', 'left'],
    style: { head: [], border: [], compact: true },
  });
  for (const { work, goal, measured, of, reached } of results) {
    const unit = goal.slice(goal.lastIndexOf(' '));
    const value = measured === null ? '—' : `${digits(measured)}${unit}${of === undefined ? '' : ` (${of})`}`;
    table.push([work, goal, value, reached === null ? 'not measured' : reached ? 'yes' : 'no']);
  }
  return table.toString();
}

function digits(value: number): string {
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}
