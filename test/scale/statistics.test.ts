import { describe, expect, test } from 'vitest';
import { bootstrap, geometricMean, studentQuantile } from '../../src/observe/scale/statistics.js';

describe("Student's quantiles", () => {
  // Tables of the distribution, two-sided 95 % and one-sided 90 %.
  test.each([
    [0.975, 1, 12.7062],
    [0.975, 2, 4.3027],
    [0.975, 3, 3.1824],
    [0.975, 4, 2.7764],
    [0.975, 9, 2.2622],
    [0.975, 30, 2.0423],
    [0.975, 1000, 1.9623],
    [0.9, 1, 3.0777],
    [0.9, 5, 1.4759],
    [0.995, 10, 3.1693],
  ])('p = %d, %d degrees of freedom', (p, freedom, t) => {
    expect(studentQuantile(p, freedom)).toBeCloseTo(t, 3);
  });
});

describe('geometric mean', () => {
  test('with an interval symmetrical in the logarithm', () => {
    const { value, interval } = geometricMean([1, 2, 4]);
    expect(value).toBeCloseTo(2, 12);
    // Logarithms −ln 2, 0, ln 2 around ln 2: standard error ln 2 / √3, t(0.975, 2) = 4.30265.
    expect(interval![0]).toBeCloseTo(2 * Math.exp((-4.30265 * Math.LN2) / Math.sqrt(3)), 4);
    expect(interval![0] * interval![1]).toBeCloseTo(4, 9);
  });

  test('of equal samples is sure, of one sample is not', () => {
    expect(geometricMean([3, 3, 3]).interval![1]).toBeCloseTo(3, 12);
    expect(geometricMean([7])).toEqual({ value: 7, interval: null });
  });

  test.each([[[]], [[1, 0]], [[1, -2]], [[Number.NaN]]])('of %j there is none', (samples) => {
    expect(() => geometricMean(samples)).toThrow(RangeError);
  });
});

describe('bootstrap', () => {
  const samples = Array.from({ length: 40 }, (_, i) => (i * 17) % 40);
  const mean = (indices: readonly number[]) =>
    indices.reduce((sum, i) => sum + samples[i], 0) / indices.length;

  test('of a mean agrees with its standard error', () => {
    const [[low, high]] = bootstrap(samples.length, (indices) => [mean(indices)])!;
    // Of 0 … 39: mean 19.5, standard error 11.54 / √40 = 1.825.
    expect(low).toBeGreaterThan(19.5 - 2.4 * 1.825);
    expect(low).toBeLessThan(19.5 - 1.5 * 1.825);
    expect(high).toBeGreaterThan(19.5 + 1.5 * 1.825);
    expect(high).toBeLessThan(19.5 + 2.4 * 1.825);
  });

  test('is the same each time, and refuses too few samples', () => {
    const once = bootstrap(samples.length, (indices) => [mean(indices)]);
    expect(bootstrap(samples.length, (indices) => [mean(indices)])).toEqual(once);
    expect(bootstrap(3, () => [0])).toBeNull();
  });
});
