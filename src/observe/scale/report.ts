import Table from 'cli-table3';
import pc from 'picocolors';
import type { LawResult, ScaleResult } from './analysis.js';
import { terminalChart } from './chart.js';
import { LEAST_COUNTS } from './law.js';
import { short, withInterval } from './numbers.js';

/** The host and how was measured. */
export interface Circumstances {
  readonly hostCores: number;
  readonly counts: readonly number[];
  readonly abi: string;
  readonly debugFpu: boolean;
  readonly runs: number;
  /** Of each window; null for a program's whole run. */
  readonly seconds: number | null;
}

/** The lines in front of all results, ending with a newline. */
export function renderHeading({ hostCores, counts, abi, debugFpu, runs, seconds }: Circumstances): string {
  const window = seconds === null ? 'whole runs of the program' : `${seconds} s each behind a warm-up`;
  const cores = `${hostCores} host core${hostCores === 1 ? '' : 's'}`;
  const above = counts.some((cpus) => cpus > hostCores)
    ? `${cores}; CPU counts marked * are above that: those CPUs take turns on the cores.`
    : `${cores}, enough for every CPU count.`;
  return `${above}\nABI ${abi}${debugFpu ? ' with debug clear' : ''}, ${runs} run${runs === 1 ? '' : 's'} of each CPU count, ${window}; [95 % confidence interval].\n`;
}

/** One workload's table, law and chart, ending with a newline. */
export function renderResult(result: ScaleResult, hostCores: number): string {
  const table = new Table({
    head: ['CPUs', `${result.unit}/s`, 'speed-up', 'efficiency'].map((title) => pc.bold(title)),
    colAligns: ['right', 'right', 'right', 'right'],
    style: { head: [], border: pc.isColorSupported ? ['gray'] : [], compact: true },
  });
  const percent = (x: number) => `${(100 * x).toFixed(0)} %`;
  for (const { cpus, aboveHost, throughput, speedUp, efficiency } of result.counts) {
    const reference = cpus === result.baseline;
    table.push([
      `${cpus}${aboveHost ? '*' : ' '}`,
      withInterval(throughput, short),
      reference ? '1' : withInterval(speedUp, (x) => x.toFixed(2)),
      reference ? percent(1) : withInterval(efficiency, percent),
    ]);
  }
  const chart = terminalChart(result, pc.isColorSupported);
  const legend = result.law === null ? 'speed-up' : 'speed-up: measured, and the law fitted';
  return [
    `\n${pc.bold(result.name)} ${pc.dim(`· ${result.description}`)}`,
    table.toString(),
    ...describeOtherLoad(result, hostCores),
    ...describeLaw(result, hostCores),
    ...(chart === '' ? [] : [pc.dim(legend), chart.trimEnd()]),
    '',
  ].join('\n');
}

/** Cores taken by others that are worth a word. */
const DISTURBING = 0.1;
/** A law that is off by so much somewhere says little about the peak. */
const POOR_FIT = 0.25;

function describeOtherLoad({ otherLoad }: ScaleResult, hostCores: number): string[] {
  if (otherLoad === null || otherLoad < DISTURBING) return [];
  return [
    `disturbed: other programs kept ${otherLoad.toFixed(1)} of the ${hostCores} host core${hostCores === 1 ? '' : 's'} busy ` +
      'meanwhile; the figures are of what they left',
  ];
}

function describeLaw({ law, unit, counts }: ScaleResult, hostCores: number): string[] {
  if (law === null) {
    return counts.length < LEAST_COUNTS ? ['scalability law: needs three CPU counts or more'] : [];
  }
  const sigma = withInterval({ value: law.sigma, interval: law.sigmaInterval }, coefficient);
  const kappa = withInterval({ value: law.kappa, interval: law.kappaInterval }, coefficient);
  const lines = [
    `scalability law: contention σ = ${sigma}, coherency κ = ${kappa}; ${describePeak(law, unit)}`,
  ];
  if (law.misfit > POOR_FIT) {
    lines.push(
      `  it describes these figures poorly: off by ${(100 * law.misfit).toFixed(0)} % at one of the CPU counts`,
    );
  }
  if (law.includesAboveHost) {
    lines.push(
      `  fitted to ${law.counts.join(', ')} CPUs on ${hostCores} cores: it includes what sharing cores costs; fit as many counts ` +
        `within the cores of a larger host to plan for that host`,
    );
  }
  return lines;
}

/** Predicted peak of a law, in words. */
export function describePeak(law: LawResult, unit: string): string {
  if (law.peakCpus !== null) {
    return `peak at ${law.peakCpus} CPU${law.peakCpus === 1 ? '' : 's'}: ${short(law.peakThroughput!)} ${unit}/s`;
  }
  if (law.peakThroughput === null) return 'no peak: throughput grows with the CPUs';
  return `no peak: throughput approaches ${short(law.peakThroughput)} ${unit}/s`;
}

/** A σ or κ, two significant digits. */
export function coefficient(value: number): string {
  return value === 0 ? '0' : value < 0.001 ? value.toExponential(1) : value.toPrecision(2);
}
