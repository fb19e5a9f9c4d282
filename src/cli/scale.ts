import { Command, InvalidArgumentError, Option } from 'commander';
import type { AbiName } from '../kernel/pkeys/names.js';
import { cacheDirectory } from '../machine/cache-directory.js';
import { runScaling } from '../machine/scaling.js';
import { WORKLOADS } from '../observe/scale/workloads.js';
import { withUsageErrors } from './exit-status.js';
import { abiOption, cacheOption, debugFpuOption, memoryOption, parseWhole } from './options.js';

interface ScaleFlags {
  cpus: number[];
  runs: number;
  seconds: number;
  abi: AbiName;
  debugFpu: boolean;
  memory: number;
  json?: string;
  svg?: string;
  cache: boolean;
}

/** "1,2,4,8". */
function parseCounts(text: string): number[] {
  if (!/^\d+(,\d+)*$/.test(text)) throw new InvalidArgumentError('Write CPU counts as 1,2,4,8.');
  return text.split(',').map(Number);
}

function parseSeconds(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new InvalidArgumentError('Write seconds as 1 or 0.5.');
  return Number(text);
}

/** `europa scale`: how throughput grows with the CPUs. */
export function scaleCommand(): Command {
  const width = Math.max(...WORKLOADS.map(({ name }) => name.length));
  return new Command('scale')
    .description('measure how throughput grows with the CPUs, and fit the universal scalability law')
    .argument('[target...]', 'workloads of our own, or after -- a program with its arguments')
    .addOption(
      new Option('--cpus <list>', 'CPU counts').argParser(parseCounts).default([1, 2, 4, 8], '1,2,4,8'),
    )
    .addOption(new Option('--runs <r>', 'runs of each CPU count').argParser(parseWhole).default(5))
    .addOption(
      new Option('--seconds <s>', 'seconds measured in each run').argParser(parseSeconds).default(0.5),
    )
    .addOption(abiOption('linux'))
    .addOption(debugFpuOption())
    .addOption(memoryOption())
    .addOption(cacheOption())
    .option('--json <file>', 'write results and measurements as JSON')
    .option('--svg <file>', 'write charts as SVG')
    .addHelpText(
      'after',
      `\nWorkloads:\n${WORKLOADS.map(({ name, description }) => `  ${name.padEnd(width)}  ${description}`).join('\n')}\n\n` +
        'A program is measured by its whole run; {cpus} in its arguments becomes the number of CPUs.',
    )
    .action(async (words: string[], flags: ScaleFlags) => {
      // What comes after -- is a program.
      const separator = process.argv.indexOf('--');
      const program = separator < 0 ? [] : process.argv.slice(separator + 1);
      const workloads = words.slice(0, words.length - program.length);
      const print = (text: string) => void process.stdout.write(text);
      const onRun = process.stderr.isTTY ? showRun : undefined;
      const status = await withUsageErrors(async () => {
        const translations = flags.cache ? cacheDirectory() : null;
        await runScaling({ ...flags, translations, workloads, program, onRun }, (text) => {
          if (onRun) process.stderr.write(CLEAR);
          print(text);
        });
        return 0;
      });
      process.exit(status);
    });
}

/** Clears the terminal's line. */
const CLEAR = '\r\x1b[K';

function showRun(name: string, cpus: number, run: number, of: number): void {
  process.stderr.write(`${CLEAR}${run + 1}/${of}: ${name} on ${cpus} CPU${cpus === 1 ? '' : 's'}`);
}
