/** `npm run bench`: what single operations cost inside one process. */
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { benchmarks } from './in-process/index.js';
import { type Benchmark, measure } from './in-process/measure.js';
import { render } from './in-process/report.js';

interface Options {
  only: readonly Benchmark[];
  time: number;
  json?: string;
}

/** Benchmarks by name, or several by what their names begin with. */
function choose(text: string): Benchmark[] {
  const wanted = text.split(',');
  const chosen = (word: string) =>
    benchmarks.filter(({ name }) => name === word || name.startsWith(`${word}-`));
  const unknown = wanted.filter((word) => chosen(word).length === 0);
  if (unknown.length > 0) {
    const names = benchmarks.map(({ name }) => name).join(', ');
    throw new InvalidArgumentError(`No such: ${unknown.join(', ')}. There are: ${names}.`);
  }
  return benchmarks.filter((benchmark) => wanted.some((word) => chosen(word).includes(benchmark)));
}

function milliseconds(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('Not a number of milliseconds.');
  return Number(text);
}

const command = new Command('bench')
  .description(
    'Measures what single operations cost: memory, keys, system calls, switches, translation, boot.',
  )
  .addOption(
    new Option('--only <names>', 'benchmarks, or beginnings of their names, separated by commas')
      .argParser(choose)
      .default(benchmarks, 'all'),
  )
  .option('--time <ms>', 'time for each', milliseconds, 700)
  .option('--json <file>', 'where all figures go');

async function run({ only, time, json }: Options): Promise<void> {
  const results = [];
  for (const benchmark of only) {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${benchmark.name}`);
    results.push(await measure(benchmark, time));
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  process.stdout.write(render(results));
  if (json === undefined) return;
  const host = { processor: cpus()[0]?.model ?? null, cores: availableParallelism(), node: process.version };
  writeFileSync(json, `${JSON.stringify({ host, unit: 'ns', results }, null, 2)}\n`);
}

command.parse();
run(command.opts<Options>()).catch((error: Error) => {
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = 1;
});
