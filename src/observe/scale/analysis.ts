import { fitLaw, type Law, LEAST_COUNTS, peakCpus, predict } from './law.js';
import type { Rounds } from './measure.js';
import { bootstrap, type Estimate, geometricMean } from './statistics.js';

/** What was found out about one CPU count. */
export interface CountResult {
  readonly cpus: number;
  /** More emulated CPUs than the host has cores. */
  readonly aboveHost: boolean;
  /** Operations a second. */
  readonly throughput: Estimate;
  /** Against the smallest count, whose own speed-up is its number of CPUs only if it is 1: see `ScaleResult.baseline`. */
  readonly speedUp: Estimate;
  /** Speed-up for each CPU in use, 1 being ideal. */
  readonly efficiency: Estimate;
}

export interface LawResult extends Law {
  readonly sigmaInterval: readonly [number, number] | null;
  readonly kappaInterval: readonly [number, number] | null;
  /** Whole number of CPUs, or null if the law has no peak. */
  readonly peakCpus: number | null;
  /** Throughput there, or the limit that it approaches; null if there is none. */
  readonly peakThroughput: number | null;
  /** Counts that were used for the fit. */
  readonly counts: readonly number[];
  /** How far the law is off at most at one of them, as a share of the measured throughput. */
  readonly misfit: number;
  /** Some of them are above the host's cores, so the law includes what sharing cores costs. */
  readonly includesAboveHost: boolean;
}

export interface ScaleResult {
  readonly name: string;
  readonly description: string;
  readonly unit: string;
  /** The smallest count, to which speed-ups refer. */
  readonly baseline: number;
  readonly counts: readonly CountResult[];
  /** Null if there are too few CPU counts. */
  readonly law: LawResult | null;
  /** The measurements: throughputs of each round, in the order of `counts`. */
  readonly rounds: Rounds;
  /** Cores that other programs kept busy meanwhile, on average; null if unknown. */
  readonly otherLoad: number | null;
}

/**
 * Everything that is said about one workload. Counts are ascending.
 * @param otherLoad cores that other programs kept busy meanwhile
 */
export function analyse(
  about: { readonly name: string; readonly description: string; readonly unit: string },
  counts: readonly number[],
  rounds: Rounds,
  hostCores: number,
  otherLoad: number | null = null,
): ScaleResult {
  const baseline = counts[0];
  const results = counts.map((cpus, i): CountResult => {
    // Speed-ups of each round: what changes between rounds changes both sides.
    const speedUp = geometricMean(rounds.map((row) => row[i] / row[0]));
    return {
      cpus,
      aboveHost: cpus > hostCores,
      throughput: geometricMean(rounds.map((row) => row[i])),
      speedUp,
      efficiency: times(speedUp, baseline / cpus),
    };
  });
  return { ...about, baseline, counts: results, law: fit(counts, rounds, hostCores), rounds, otherLoad };
}

function times({ value, interval }: Estimate, factor: number): Estimate {
  return {
    value: value * factor,
    interval: interval === null ? null : [interval[0] * factor, interval[1] * factor],
  };
}

/** Fits counts that have cores of their own if there are enough of them, else all. */
function fit(counts: readonly number[], rounds: Rounds, hostCores: number): LawResult | null {
  const within = counts.filter((cpus) => cpus <= hostCores);
  const used = within.length >= LEAST_COUNTS ? within : counts;
  // One point for each count: what differs between rounds is the host, not the law.
  const points = (indices: readonly number[]) =>
    used.map((cpus, i) => ({ cpus, throughput: geometricMean(indices.map((r) => rounds[r][i])).value }));
  const measured = points(rounds.map((_, r) => r));
  const law = fitLaw(measured);
  if (law === null) return null;
  const intervals = bootstrap(rounds.length, (indices) => {
    const drawn = fitLaw(points(indices)) ?? law;
    return [drawn.sigma, drawn.kappa];
  });
  const peak = peakCpus(law);
  const limit = law.sigma > 0 ? law.lambda / law.sigma : null;
  return {
    ...law,
    sigmaInterval: intervals?.[0] ?? null,
    kappaInterval: intervals?.[1] ?? null,
    peakCpus: Number.isFinite(peak) ? peak : null,
    peakThroughput: Number.isFinite(peak) ? predict(law, peak) : limit,
    counts: used,
    misfit: Math.max(
      ...measured.map(({ cpus, throughput }) => Math.abs(predict(law, cpus) / throughput - 1)),
    ),
    includesAboveHost: used.some((cpus) => cpus > hostCores),
  };
}
