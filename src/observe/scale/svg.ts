import type { ScaleResult } from './analysis.js';
import { predict } from './law.js';
import { coefficient, describePeak } from './report.js';

const WIDTH = 480;
const HEIGHT = 320;
const LEFT = 60;
const RIGHT = 24;
const TOP = 64;
const BOTTOM = 44;
/** Above the panels: what the lines are. */
const LEGEND = 32;
/** Between the frame of a plot and its first and last CPU count. */
const INSET = 10;
/** Half the width of the marks at the ends of an interval. */
const CAP = 3;
const INK = { measured: '#06c', law: '#c60', ideal: '#999' } as const;
/** Workloads beside each other. */
const COLUMNS = 2;
const STEPS = 64;

/** Speed-up over CPUs of every workload as one SVG 1.1 document: points with intervals, the fitted law, the ideal. */
export function renderSvg(results: readonly ScaleResult[], hostCores: number): string {
  const columns = Math.min(COLUMNS, results.length);
  const width = columns * WIDTH;
  const height = LEGEND + Math.ceil(results.length / columns) * HEIGHT;
  const panels = results.map(
    (result, i) =>
      `<g transform="translate(${(i % columns) * WIDTH} ${LEGEND + Math.floor(i / columns) * HEIGHT})">${panel(result, hostCores)}</g>`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#fff"/>
${legend()}
${panels.join('\n')}
</svg>
`;
}

function legend(): string {
  const line = (x: number, ink: string, text: string, dashes = '') =>
    `<line x1="${x}" x2="${x + 24}" y1="20" y2="20" stroke="${ink}"${dashes}/><text x="${x + 30}" y="24">${text}</text>`;
  return [
    `<circle cx="${LEFT + 12}" cy="20" r="3.5" fill="${INK.measured}"/>`,
    line(LEFT, INK.measured, 'measured, 95 % interval'),
    line(LEFT + 180, INK.law, 'law fitted'),
    line(LEFT + 280, INK.ideal, 'ideal', ' stroke-dasharray="4 4"'),
  ].join('');
}

function panel(result: ScaleResult, hostCores: number): string {
  const { counts, law, baseline } = result;
  const first = counts[0].cpus;
  const last = Math.max(counts[counts.length - 1].cpus, first + 1);
  const tops = counts.map(({ speedUp }) => speedUp.interval?.[1] ?? speedUp.value);
  const highest = Math.max(1.2, ...counts.map((c) => c.speedUp.value));
  // A wide interval must not flatten the rest: it is cut off, and has no mark there.
  const most = Math.max(highest, Math.min(Math.max(...tops), 1.5 * highest)) * 1.1;
  const x = (cpus: number) =>
    round(LEFT + INSET + ((cpus - first) / (last - first)) * (WIDTH - LEFT - RIGHT - 2 * INSET));
  const y = (speedUp: number) =>
    round(HEIGHT - BOTTOM - (Math.min(speedUp, most) / most) * (HEIGHT - TOP - BOTTOM));
  const curve = (f: (cpus: number) => number, to: number) =>
    Array.from({ length: STEPS + 1 }, (_, i) => first + ((to - first) * i) / STEPS)
      .map((cpus) => `${x(cpus)},${y(f(cpus))}`)
      .join(' ');
  const parts = [
    `<text x="${LEFT}" y="22" font-size="14" font-weight="bold">${escapeXml(result.name)}</text>`,
    `<text x="${LEFT}" y="38" fill="#555">${escapeXml(result.description)}</text>`,
  ];
  if (last > hostCores && hostCores >= first) {
    const from = x(hostCores);
    parts.push(
      `<rect x="${from}" y="${TOP}" width="${round(WIDTH - RIGHT - from)}" height="${HEIGHT - TOP - BOTTOM}" fill="#f3f3f3"/>`,
      `<text x="${from + 4}" y="${TOP + 13}" fill="#888">above ${hostCores} host core${hostCores === 1 ? '' : 's'}</text>`,
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
  const middle = (TOP + HEIGHT - BOTTOM) / 2;
  parts.push(
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}" text-anchor="middle">CPUs</text>`,
    `<text x="18" y="${middle}" text-anchor="middle" transform="rotate(-90 18 ${middle})">speed-up</text>`,
    `<polyline points="${curve((cpus) => cpus / baseline, ideal)}" fill="none" stroke="${INK.ideal}" stroke-dasharray="4 4"/>`,
  );
  if (law !== null) {
    const unit = counts[0].throughput.value;
    const note = `σ ${coefficient(law.sigma)}, κ ${coefficient(law.kappa)}; ${describePeak(law, result.unit)}`;
    parts.push(
      `<polyline points="${curve((cpus) => predict(law, cpus) / unit, last)}" fill="none" stroke="${INK.law}"/>`,
      `<text x="${LEFT}" y="54" fill="${INK.law}">${escapeXml(note)}</text>`,
    );
  }
  for (const { cpus, speedUp } of counts) {
    if (speedUp.interval !== null) {
      const [low, high] = speedUp.interval;
      const ends = [low, high].filter((end) => end <= most).map((end) => [-CAP, CAP, y(end), y(end)]);
      for (const [left, right, from, to] of [[0, 0, y(low), y(high)], ...ends]) {
        parts.push(
          `<line x1="${x(cpus) + left}" x2="${x(cpus) + right}" y1="${from}" y2="${to}" stroke="${INK.measured}"/>`,
        );
      }
    }
    parts.push(`<circle cx="${x(cpus)}" cy="${y(speedUp.value)}" r="3.5" fill="${INK.measured}"/>`);
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
