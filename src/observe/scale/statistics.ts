import { Generator } from '../../scheduler/seeded/generator.js';

/** An estimate with its 95 % confidence interval; the interval is null if there are too few samples for one. */
export interface Estimate {
  readonly value: number;
  readonly interval: readonly [low: number, high: number] | null;
}

const CONFIDENCE = 0.95;

/**
 * Geometric mean of positive numbers with Student's interval on their logarithms: noise of a shared machine multiplies, and ratios of
 * such means are means of ratios.
 * @throws RangeError unless there is at least one number and all are positive
 */
export function geometricMean(samples: readonly number[]): Estimate {
  if (samples.length === 0 || !samples.every((x) => x > 0 && Number.isFinite(x))) {
    throw new RangeError('a geometric mean needs positive numbers');
  }
  const logs = samples.map(Math.log);
  const n = logs.length;
  const mean = logs.reduce((sum, x) => sum + x, 0) / n;
  if (n === 1) return { value: samples[0], interval: null };
  const variance = logs.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (n - 1);
  const half = studentQuantile((1 + CONFIDENCE) / 2, n - 1) * Math.sqrt(variance / n);
  return { value: Math.exp(mean), interval: [Math.exp(mean - half), Math.exp(mean + half)] };
}

/** Quantile of Student's distribution for p from 0.5 up to, not including, 1 and whole degrees of freedom. */
export function studentQuantile(p: number, freedom: number): number {
  let low = 0;
  let high = 1;
  while (studentCdf(high, freedom) < p) high *= 2;
  for (let i = 0; i < 200 && high - low > 1e-12 * high; i++) {
    const middle = (low + high) / 2;
    if (studentCdf(middle, freedom) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Student's cumulative distribution for t ≥ 0: the finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4. */
function studentCdf(t: number, freedom: number): number {
  const angle = Math.atan(t / Math.sqrt(freedom));
  const sine = Math.sin(angle);
  const cosine = Math.cos(angle);
  const odd = freedom % 2 === 1;
  let term = odd ? cosine : 1;
  let sum = freedom === 1 ? 0 : term;
  for (let k = odd ? 3 : 2; k <= freedom - 2; k += 2) {
    term *= (cosine ** 2 * (k - 1)) / k;
    sum += term;
  }
  const within = odd ? (2 / Math.PI) * (angle + sine * sum) : sine * sum;
  return (1 + within) / 2;
}

/** Fewer samples than this make a percentile interval that means nothing. */
const LEAST_SAMPLES = 4;
const RESAMPLES = 1000;

/**
 * Percentile bootstrap (Efron 1979) of statistics of `count` samples: each statistic's 95 % interval, or null if there are too few
 * samples. The same samples give the same intervals.
 * @param statistics computes them from a resample, given as indices of the samples
 */
export function bootstrap(
  count: number,
  statistics: (indices: readonly number[]) => readonly number[],
): readonly (readonly [number, number])[] | null {
  if (count < LEAST_SAMPLES) return null;
  const random = new Generator();
  random.seed(count);
  const draws: (readonly number[])[] = [];
  for (let i = 0; i < RESAMPLES; i++) {
    draws.push(statistics(Array.from({ length: count }, () => random.below(count))));
  }
  return draws[0].map((_, k) => {
    const sorted = draws.map((draw) => draw[k]).sort((a, b) => a - b);
    const tail = Math.floor(((1 - CONFIDENCE) / 2) * RESAMPLES);
    return [sorted[tail], sorted[RESAMPLES - 1 - tail]] as const;
  });
}
