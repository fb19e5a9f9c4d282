/** How Europa scales, by its own `europa scale`: what the goals about CPUs and debug clear are measured with. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from './compile.js';
import { median } from './median.js';
import { europaCli } from './peer-runs.js';

/** Throughput of one thing over that of another, one ratio a round, both measured in that round. */
export interface Comparison {
  readonly name: string;
  readonly ratios: readonly number[];
}

export interface ScalingOptions {
  readonly rounds: number;
  /** CPUs of the context-switch storm. */
  readonly cpus: number;
  /** Seconds measured of each workload and CPU count in a round, in RUNS runs. */
  readonly seconds: number;
}

/** Runs of each in a round, of which the median counts: a host's speed changes within seconds when others use it. */
const RUNS = 3;

/** Workloads without anything shared, on 1, 2 and 8 CPUs. */
const PRIVATE = ['compute', 'domain-switch'] as const;
const COUNTS = [1, 2, 8] as const;

export const comparisonName = (workload: string, more: number, fewer: number): string =>
  `${workload}, ${more} CPUs / ${fewer}`;
export const DEBUG_CLEAR = 'context-switch, debug clear on / off';

/**
 * Measures all comparisons.
 * @param onRound called before each round
 * @throws Error with what `europa scale` has said, if it fails
 */
export async function measureScaling(
  { rounds, cpus, seconds }: ScalingOptions,
  onRound: (round: number) => void = () => {},
): Promise<Comparison[]> {
  const ratios = new Map<string, number[]>();
  const note = (name: string, ratio: number) => ratios.set(name, [...(ratios.get(name) ?? []), ratio]);
  for (let round = 1; round <= rounds; round++) {
    onRound(round);
    const results = await scale([...PRIVATE, '--cpus', COUNTS.join(',')], seconds);
    for (const workload of PRIVATE) {
      const [one, two, eight] = results.get(workload)!;
      note(comparisonName(workload, 2, 1), two / one);
      note(comparisonName(workload, 8, 2), eight / two);
    }
    const storm = async (...flags: string[]) => {
      const words = ['context-switch', '--abi', 'minimal', '--cpus', String(cpus), ...flags];
      return (await scale(words, seconds)).get('context-switch')![0];
    };
    // Which of them is first changes, so that a host that gets slower favours neither.
    const clearFirst = round % 2 === 0;
    const first = await storm(...(clearFirst ? ['--debug-fpu'] : []));
    const second = await storm(...(clearFirst ? [] : ['--debug-fpu']));
    note(DEBUG_CLEAR, clearFirst ? first / second : second / first);
  }
  return [...ratios].map(([name, values]) => ({ name, ratios: values }));
}

/** One run of each workload and CPU count: throughputs by workload. */
async function scale(words: readonly string[], seconds: number): Promise<Map<string, number[]>> {
  const folder = mkdtempSync(join(tmpdir(), 'europa-bench-'));
  const json = join(folder, 'scale.json');
  try {
    const each = String(seconds / RUNS);
    const args = ['scale', ...words, '--runs', String(RUNS), '--seconds', each, '--json', json];
    await run(process.execPath, [europaCli, ...args]);
    const { results } = JSON.parse(readFileSync(json, 'utf8')) as {
      results: { name: string; rounds: number[][] }[];
    };
    return new Map(
      results.map(({ name, rounds }) => [name, rounds[0].map((_, i) => median(rounds.map((run) => run[i])))]),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function run(command: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    // Europa's translations are this benchmark's own.
    const env = { ...process.env, XDG_CACHE_HOME: cacheFolder };
    const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      errors += chunk;
    });
    child.on('error', reject);
    child.on('close', (status) =>
      status === 0 ? resolve() : reject(new Error(errors.trim() || `status ${status}`)),
    );
  });
}
