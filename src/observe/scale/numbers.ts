import type { Estimate } from './statistics.js';

const PREFIXES = [
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const;

/** Three significant digits with a decimal prefix: "12.3 M". */
export function short(value: number): string {
  for (const [unit, prefix] of PREFIXES) {
    // What would be rounded up to the next unit is written in it.
    if (value >= unit * 0.9995) return `${(value / unit).toPrecision(3)} ${prefix}`;
  }
  return value >= 999.5 ? value.toFixed(0) : value.toPrecision(3);
}

/** An interval wider than this factor says no more than that the runs differ. */
const WIDEST = 100;

/** "1.93 [1.88, 1.98]", the interval without its unit, or "1.93 [too noisy]". */
export function withInterval({ value, interval }: Estimate, write: (x: number) => string): string {
  if (interval === null) return write(value);
  const [low, high] = interval;
  if (low > 0 && high > WIDEST * low) return `${write(value)} [too noisy]`;
  return `${write(value)} [${interval.map((x) => write(x).trim()).join(', ')}]`;
}
