import { describe, expect, test } from 'vitest';
import { fitLaw, type Law, peakCpus, predict } from '../../src/observe/scale/law.js';

const COUNTS = [1, 2, 4, 8, 16, 32];
const points = (law: Law, counts = COUNTS, noise: (i: number) => number = () => 0) =>
  counts.map((cpus, i) => ({ cpus, throughput: predict(law, cpus) * (1 + noise(i)) }));

describe('fit of the scalability law', () => {
  test.each([
    [{ lambda: 1000, sigma: 0.05, kappa: 0.001 }],
    [{ lambda: 3e8, sigma: 0, kappa: 0.02 }],
    [{ lambda: 0.5, sigma: 0.3, kappa: 0 }],
    [{ lambda: 42, sigma: 0, kappa: 0 }],
    [{ lambda: 42, sigma: 1, kappa: 0.5 }],
  ])('finds %j again', (law) => {
    const fit = fitLaw(points(law))!;
    expect(fit.lambda / law.lambda).toBeCloseTo(1, 9);
    expect(fit.sigma).toBeCloseTo(law.sigma, 9);
    expect(fit.kappa).toBeCloseTo(law.kappa, 9);
  });

  test('is near with noise of 2 %', () => {
    const fit = fitLaw(
      points({ lambda: 1000, sigma: 0.1, kappa: 0.005 }, COUNTS, (i) => (i % 2 ? 0.02 : -0.02)),
    )!;
    expect(fit.sigma).toBeGreaterThan(0.06);
    expect(fit.sigma).toBeLessThan(0.14);
    expect(fit.kappa).toBeGreaterThan(0.003);
    expect(fit.kappa).toBeLessThan(0.007);
  });

  test('stays within the bounds for a speed-up better than linear', () => {
    const fit = fitLaw([1, 2, 4, 8].map((cpus) => ({ cpus, throughput: 100 * cpus ** 1.2 })))!;
    expect(fit.sigma).toBe(0);
    expect(fit.kappa).toBe(0);
    // The best constant rate, by relative residuals: Σw / Σw² with w = X/n, inverted.
    const w = [1, 2, 4, 8].map((cpus) => 100 * cpus ** 0.2);
    const rate = w.reduce((s, x) => s + x * x, 0) / w.reduce((s, x) => s + x, 0);
    expect(fit.lambda).toBeCloseTo(rate, 6);
  });

  test('no neighbour within the bounds fits better', () => {
    const measured = [1, 2, 3, 4, 8].map((cpus, i) => ({ cpus, throughput: [100, 190, 240, 330, 310][i] }));
    const error = ({ lambda, sigma, kappa }: Law) =>
      measured.reduce((s, p) => s + (p.throughput / predict({ lambda, sigma, kappa }, p.cpus) - 1) ** 2, 0);
    const fit = fitLaw(measured)!;
    for (const [l, s, k] of [
      [1.001, 0, 0],
      [0.999, 0, 0],
      [1, 1e-3, 0],
      [1, -1e-3, 0],
      [1, 0, 1e-4],
      [1, 0, -1e-4],
    ]) {
      const other = { lambda: fit.lambda * l, sigma: fit.sigma + s, kappa: fit.kappa + k };
      if (other.sigma >= 0 && other.kappa >= 0) expect(error(other)).toBeGreaterThan(error(fit));
    }
  });

  test('needs three CPU counts', () => {
    expect(fitLaw(points({ lambda: 1, sigma: 0.1, kappa: 0 }, [1, 2, 2, 1]))).toBeNull();
    expect(fitLaw(points({ lambda: 1, sigma: 0.1, kappa: 0 }, [1, 2, 4]))).not.toBeNull();
  });
});

describe('predicted peak', () => {
  test.each([
    [{ lambda: 1, sigma: 0, kappa: 0.01 }, 10],
    [{ lambda: 1, sigma: 0.36, kappa: 0.01 }, 8],
    [{ lambda: 1, sigma: 0.2, kappa: 0 }, Number.POSITIVE_INFINITY],
    [{ lambda: 1, sigma: 1, kappa: 0.1 }, 1],
    [{ lambda: 1, sigma: 0, kappa: 2 }, 1],
  ])('%j: %d CPUs', (law, cpus) => expect(peakCpus(law)).toBe(cpus));

  test('is no lower than its neighbours', () => {
    for (const kappa of [0.001, 0.003, 0.02, 0.07, 0.2]) {
      const law = { lambda: 1, sigma: 0.04, kappa };
      const peak = peakCpus(law);
      expect(predict(law, peak)).toBeGreaterThanOrEqual(predict(law, peak + 1));
      if (peak > 1) expect(predict(law, peak)).toBeGreaterThanOrEqual(predict(law, peak - 1));
    }
  });
});
