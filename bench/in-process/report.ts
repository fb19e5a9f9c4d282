import Table from 'cli-table3';
import type { Measured } from './measure.js';

/** Three significant digits with a unit: "12.3 ns", "4.56 ms". */
export function duration(nanoseconds: number): string {
  const units: [number, string][] = [
    [1e9, 's'],
    [1e6, 'ms'],
    [1e3, 'µs'],
    [1, 'ns'],
  ];
  const [size, unit] = units.find(([least]) => nanoseconds >= least * 0.9995) ?? units[units.length - 1];
  return `${digits(nanoseconds / size)} ${unit}`;
}

/** "81.3 M/s". */
export function rate(perSecond: number): string {
  const units: [number, string][] = [
    [1e9, 'G/s'],
    [1e6, 'M/s'],
    [1e3, 'k/s'],
    [1, '/s'],
  ];
  const [size, unit] = units.find(([least]) => perSecond >= least * 0.9995) ?? units[units.length - 1];
  return `${digits(perSecond / size)} ${unit}`;
}

function digits(value: number): string {
  return value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

/** The table that the command prints. */
export function render(results: readonly Measured[]): string {
  const table = new Table({
    head: ['benchmark', 'operation', 'median', 'rate', '±', 'samples'],
    colAligns: ['left', 'left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  });
  for (const { name, what, median, relativeMargin, rate: perSecond, samples } of results) {
    const margin = `${relativeMargin.toFixed(1)} %`;
    table.push([name, what, duration(median), rate(perSecond), margin, samples]);
  }
  return `${table}\n±: half the 95 % confidence interval of the mean, which other load on the host moves more than the median.\n`;
}
