import type { ScaleResult } from './analysis.js';
import { predict } from './law.js';
import { describePeak } from './report.js';

const WIDTH = 480;
const HEIGHT = 320;
const LEFT = 48;
const RIGHT = 20;
const TOP = 56;
const BOTTOM = 44;
/** Workloads beside each other. */
const COLUMNS = 2;
const STEPS = 64;

/** Speed-up over CPUs of every workload as one SVG 1.1 document: points with intervals, the fitted law, the ideal. */
export function renderSvg(results: readonly ScaleResult[], hostCores: number): string {
  const columns = Math.min(COLUMNS, results.length);
  const width = columns * WIDTH;
  const height = Math.ceil(results.length / columns) * HEIGHT;
  const panels = results.map(
    (result, i) =>
      `<g transform="translate(${(i % columns) * WIDTH} ${Math.floor(i / columns) * HEIGHT})">${panel(result, hostCores)}</g>`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#fff"/>
${panels.join('\n')}
</svg>
`;
}

function panel(result: ScaleResult, hostCores: number): string {
  const { counts, law, baseline } = result;
  const first = counts[0].cpus;
  const last = Math.max(counts[counts.length - 1].cpus, first + 1);
  const tops = counts.map(({ speedUp }) => speedUp.interval?.[1] ?? speedUp.value);
  // A wide interval must not flatten the rest.
  const most =
    Math.max(1.2, Math.min(Math.max(...tops), last / baseline), ...counts.map((c) => c.speedUp.value)) * 1.1;
  const x = (cpus: number) => round(LEFT + ((cpus - first) / (last - first)) * (WIDTH - LEFT - RIGHT));
  const y = (speedUp: number) =>
    round(HEIGHT - BOTTOM - (Math.min(speedUp, most) / most) * (HEIGHT - TOP - BOTTOM));
  const curve = (f: (cpus: number) => number, to: number) =>
    Array.from({ length: STEPS + 1 }, (_, i) => first + ((to - first) * i) / STEPS)
      .map((cpus) => `${x(cpus)},${y(f(cpus))}`)
      .join(' ');
  const parts = [
    `<text x="${LEFT}" y="20" font-size="14" font-weight="bold">${escapeXml(result.name)}</text>`,
    `<text x="${LEFT}" y="36" fill="#555">${escapeXml(result.description)}</text>`,
  ];
  if (last > hostCores && hostCores >= first) {
    const from = x(hostCores);
    parts.push(
      `<rect x="${from}" y="${TOP}" width="${round(WIDTH - RIGHT - from)}" height="${HEIGHT - TOP - BOTTOM}" fill="#f3f3f3"/>`,
      `<text x="${from + 4}" y="${HEIGHT - BOTTOM - 5}" fill="#888">above ${hostCores} host core${hostCores === 1 ? '' : 's'}</text>`,
    );
  }
  const step = tick(most);
  for (let value = 0; value <= most; value += step) {
    parts.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/>`,
      `<text x="${LEFT - 6}" y="${y(value) + 4}" text-anchor="end">${Number(value.toFixed(2))}</text>`,
    );
  }
  for (const { cpus, aboveHost } of counts) {
    parts.push(
      `<text x="${x(cpus)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${cpus}${aboveHost ? '*' : ''}</text>`,
    );
  }
  const ideal = Math.min(last, most * baseline);
  parts.push(
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}" text-anchor="middle">CPUs</text>`,
    `<polyline points="${curve((cpus) => cpus / baseline, ideal)}" fill="none" stroke="#999" stroke-dasharray="4 4"/>`,
  );
  if (law !== null) {
    const unit = counts[0].throughput.value;
    const note = `σ ${law.sigma.toPrecision(2)}, κ ${law.kappa.toPrecision(2)}; ${describePeak(law, result.unit)}`;
    parts.push(
      `<polyline points="${curve((cpus) => predict(law, cpus) / unit, last)}" fill="none" stroke="#c60"/>`,
      `<text x="${LEFT}" y="50" fill="#c60">${escapeXml(note)}</text>`,
    );
  }
  for (const { cpus, speedUp } of counts) {
    if (speedUp.interval !== null) {
      const [low, high] = speedUp.interval;
      parts.push(`<line x1="${x(cpus)}" x2="${x(cpus)}" y1="${y(low)}" y2="${y(high)}" stroke="#06c"/>`);
    }
    parts.push(`<circle cx="${x(cpus)}" cy="${y(speedUp.value)}" r="3.5" fill="#06c"/>`);
  }
  return parts.join('\n');
}

/** 1, 2 or 5 times a power of ten, for about five lines. */
function tick(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most / 5));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => most / step <= 6)!;
}

const round = (value: number) => Math.round(value * 10) / 10;

const escapeXml = (text: string) =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
