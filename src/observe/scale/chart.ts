import asciichart from 'asciichart';
import type { ScaleResult } from './analysis.js';
import { predict } from './law.js';

const WIDTH = 60;
const HEIGHT = 10;
const MARGIN = 8;

/**
 * Speed-up over CPUs for the terminal: the measured line and, if there is one, the law's, with a linear axis of CPU counts below.
 * Empty for a single count.
 */
export function terminalChart(result: ScaleResult, colours: boolean): string {
  const first = result.counts[0].cpus;
  const last = result.counts[result.counts.length - 1].cpus;
  if (first === last) return '';
  const at = Array.from({ length: WIDTH + 1 }, (_, i) => first + ((last - first) * i) / WIDTH);
  const measured = at.map((cpus) => interpolate(result, cpus));
  const { law } = result;
  const unit = result.counts[0].throughput.value;
  // The line drawn last lies on top.
  const series = law === null ? [measured] : [at.map((cpus) => predict(law, cpus) / unit), measured];
  const inks = law === null ? [asciichart.cyan] : [asciichart.darkgray, asciichart.cyan];
  const plot = asciichart.plot(series, {
    min: 0,
    max: Math.max(1, ...series.flat()),
    height: HEIGHT,
    // In cells, of which the label is one.
    offset: 2,
    format: (value) => value.toFixed(2).padStart(MARGIN - 1) + ' ',
    colors: colours ? inks : [],
  });
  const axis: string[] = new Array(MARGIN + 2 + WIDTH + 4).fill(' ');
  for (const { cpus } of result.counts) {
    const column = MARGIN + Math.round(((cpus - first) / (last - first)) * WIDTH);
    // Labels that would touch the one before are left out.
    if (axis[column - 1] !== ' ') continue;
    for (const [i, digit] of [...String(cpus)].entries()) axis[column + i] = digit;
  }
  return `${plot}\n${axis.join('').trimEnd()}  CPUs\n`;
}

function interpolate({ counts }: ScaleResult, cpus: number): number {
  const after = Math.max(
    1,
    counts.findIndex((count) => count.cpus >= cpus),
  );
  const [a, b] = [counts[after - 1], counts[after]];
  const share = (cpus - a.cpus) / (b.cpus - a.cpus);
  return a.speedUp.value + share * (b.speedUp.value - a.speedUp.value);
}
