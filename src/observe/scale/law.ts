/** The universal scalability law (Gunther 1993): X(n) = λn / (1 + σ(n − 1) + κn(n − 1)). */
export interface Law {
  /** Throughput of one CPU. */
  readonly lambda: number;
  /** Contention: the share of the work that is done one at a time. */
  readonly sigma: number;
  /** Coherency: the cost of keeping each pair of CPUs consistent. */
  readonly kappa: number;
}

export interface Point {
  readonly cpus: number;
  /** Operations a second. */
  readonly throughput: number;
}

/** Three unknowns need as many different CPU counts. */
export const LEAST_COUNTS = 3;

export function predict({ lambda, sigma, kappa }: Law, cpus: number): number {
  return (lambda * cpus) / (1 + sigma * (cpus - 1) + kappa * cpus * (cpus - 1));
}

/**
 * CPUs at which the law has its highest throughput, as a whole number; infinite if more CPUs always help. Between two whole
 * numbers the better one.
 */
export function peakCpus(law: Law): number {
  if (law.sigma >= 1) return 1;
  if (law.kappa <= 0) return Number.POSITIVE_INFINITY;
  const top = Math.sqrt((1 - law.sigma) / law.kappa);
  if (top <= 1) return 1;
  const below = Math.floor(top);
  return predict(law, below) >= predict(law, below + 1) ? below : below + 1;
}

/**
 * Fits the law by least squares of the relative residuals, with λ > 0 and σ, κ ≥ 0. In n/X = a + b(n−1) + c·n(n−1), with a = 1/λ,
 * b = σ/λ and c = κ/λ, the law is linear; each row is divided by its n/X. A bound that holds is met with equality, so the best
 * of the four fits with b or c left out is the solution (Lawson and Hanson, Solving Least Squares Problems, ch. 23).
 * @returns null for fewer than three different CPU counts
 */
export function fitLaw(points: readonly Point[]): Law | null {
  if (new Set(points.map(({ cpus }) => cpus)).size < LEAST_COUNTS) return null;
  const rows = points.map(({ cpus, throughput }) => {
    const weight = throughput / cpus;
    return [weight, weight * (cpus - 1), weight * cpus * (cpus - 1)];
  });
  let best: number[] | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const free of [[0], [0, 1], [0, 2], [0, 1, 2]]) {
    const solution = leastSquares(rows, free);
    if (solution === null || solution[0] <= 0 || solution.some((x) => x < 0)) continue;
    const error = rows.reduce((sum, row) => sum + (dot(row, solution) - 1) ** 2, 0);
    if (error < least) {
      least = error;
      best = solution;
    }
  }
  if (best === null) return null;
  const [a, b, c] = best;
  return { lambda: 1 / a, sigma: b / a, kappa: c / a };
}

/** Minimises Σ(row·x − 1)² over the `free` columns, the others being 0; null if the columns are dependent. */
function leastSquares(rows: readonly (readonly number[])[], free: readonly number[]): number[] | null {
  // Normal equations of columns scaled to length 1: at most three of them, so their condition is no concern.
  const scale = free.map((i) => Math.hypot(...rows.map((row) => row[i])));
  const matrix = free.map((i, p) => [
    ...free.map((j, q) => rows.reduce((sum, row) => sum + row[i] * row[j], 0) / (scale[p] * scale[q])),
    rows.reduce((sum, row) => sum + row[i], 0) / scale[p],
  ]);
  const size = free.length;
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let r = column + 1; r < size; r++) {
      if (Math.abs(matrix[r][column]) > Math.abs(matrix[pivot][column])) pivot = r;
    }
    if (!(Math.abs(matrix[pivot][column]) > 1e-12)) return null;
    [matrix[column], matrix[pivot]] = [matrix[pivot], matrix[column]];
    for (let r = 0; r < size; r++) {
      if (r === column) continue;
      const factor = matrix[r][column] / matrix[column][column];
      for (let k = column; k <= size; k++) matrix[r][k] -= factor * matrix[column][k];
    }
  }
  const solution = [0, 0, 0];
  free.forEach((i, p) => {
    solution[i] = matrix[p][size] / matrix[p][p] / scale[p];
  });
  return solution;
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, x, i) => sum + x * b[i], 0);
}
