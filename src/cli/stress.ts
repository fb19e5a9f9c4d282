import { readFileSync, writeFileSync } from 'node:fs';
import cliProgress from 'cli-progress';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { AbiName } from '../kernel/pkeys/names.js';
import { UsageError } from '../machine/options.js';
import type { MemoryModel } from '../stress/options.js';
import { runStress, type StressProgress } from '../stress/stress.js';
import { withUsageErrors } from './exit-status.js';
import { abiOption, debugFpuOption, parseSize, parseWhole } from './options.js';

interface StressFlags {
  cpus?: number;
  abi: AbiName;
  debugFpu: boolean;
  memory: number;
  memoryModel: MemoryModel;
  schedule: string;
  seed: number;
  runs?: number;
  for?: number;
  jobs?: number;
  keepGoing: boolean;
  steps?: number;
  replay: string;
  json?: string;
  stdin?: string;
}

/** "60s", "10m" in seconds. */
function parseTime(text: string): number {
  const match = /^(\d+)(s|m|h)?$/.exec(text);
  if (!match) throw new InvalidArgumentError('Write a time as 60s or 10m.');
  return Number(match[1]) * { s: 1, m: 60, h: 3600 }[match[2] ?? 's']!;
}

/** A positive whole number. */
function parseCount(text: string): number {
  const value = parseWhole(text);
  if (value < 1) throw new InvalidArgumentError('Write a whole number from 1 on.');
  return value;
}

/** `europa stress`: a program under many schedules, until one makes it fail. */
export function stressCommand(): Command {
  return new Command('stress')
    .description('run a program under many schedules and find one that makes it fail')
    .argument(
      '[target...]',
      'a workload of our own (NAME or NAME/fixed), or after -- a program with its arguments',
    )
    .addOption(new Option('--cpus <n>', 'emulated CPUs, 1 to 64').argParser(parseCount))
    .addOption(abiOption('minimal'))
    .addOption(debugFpuOption())
    .addOption(new Option('--memory <size>', 'guest memory').argParser(parseSize).default(64 << 20, '64M'))
    .addOption(new Option('--memory-model <model>', 'tso or sc').choices(['tso', 'sc']).default('tso'))
    .option('--schedule <name>', 'free, round-robin, random, pct[:D] or exhaustive[:P]', 'pct:3')
    .addOption(new Option('--seed <s>', 'seed of the first run').argParser(parseWhole).default(0))
    .addOption(new Option('--runs <r>', 'schedules to try').argParser(parseCount))
    .addOption(new Option('--for <time>', 'how long to try, as 60s or 10m').argParser(parseTime))
    .addOption(new Option('--jobs <j>', 'machines at once').argParser(parseCount))
    .addOption(
      new Option('--steps <n>', 'steps of a run after which it counts as stuck').argParser(parseCount),
    )
    .option('--stdin <file>', 'standard input of the program, recorded for replay; none unless given')
    .option('--keep-going', 'count further failures after the first', false)
    .option('--replay <file>', 'where to write the first failure', 'europa-replay.json')
    .option('--json <file>', 'write the result as JSON')
    .action(async (words: string[], flags: StressFlags) => {
      process.exit(await withUsageErrors(() => stress(words, flags)));
    });
}

async function stress(words: readonly string[], flags: StressFlags): Promise<number> {
  // What comes after -- is a program; a word alone is a workload.
  const separator = process.argv.indexOf('--');
  const program = separator < 0 ? [] : process.argv.slice(separator + 1);
  const targets = words.slice(0, words.length - program.length);
  if (targets.length > 1) throw new UsageError('name one workload; programs come after --');
  const bounds = flags.steps === undefined ? {} : { steps: flags.steps };
  const bar = progressBar();
  try {
    const { for: seconds, json: file, steps: _steps, stdin: input, ...options } = flags;
    const stdin = input === undefined ? undefined : readInput(input);
    const request = { ...options, seconds, stdin, target: targets[0] ?? null, program, bounds, mutants: 0 };
    const { json, lines } = await runStress(request, bar?.show);
    bar?.stop();
    process.stdout.write(`${lines.join('\n')}\n`);
    if (file !== undefined) writeJson(file, json);
    return json.failures.length > 0 ? 1 : 0;
  } finally {
    bar?.stop();
  }
}

function readInput(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function writeJson(path: string, value: unknown): void {
  try {
    writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
  } catch (error) {
    throw new UsageError(`${path}: cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** On terminals only. */
function progressBar(): { show: StressProgress; stop(): void } | null {
  if (!process.stderr.isTTY) return null;
  const bar = new cliProgress.SingleBar({
    format: '{bar} {value} schedules, {perSecond}/s, {detail}, {failures} failed',
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
  let started = false;
  return {
    show: ({ runs, of, perSecond, failures, detail }) => {
      const payload = { perSecond: Math.round(perSecond), failures, detail };
      if (!started) bar.start(Number.isFinite(of) ? of : runs, runs, payload);
      started = true;
      if (!Number.isFinite(of)) bar.setTotal(runs);
      bar.update(runs, payload);
    },
    stop: () => {
      if (started) bar.stop();
      started = false;
    },
  };
}
