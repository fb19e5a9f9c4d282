import { Command, Option } from 'commander';
import { runReplay } from '../stress/replay.js';
import { USAGE, withUsageErrors } from './exit-status.js';
import { parseWhole } from './options.js';

interface ReplayFlags {
  times: number;
  trace: boolean;
  strace: boolean;
  json: boolean;
  until?: number;
}

/** `europa replay`: a run that `europa stress` has recorded, again. */
export function replayCommand(): Command {
  return new Command('replay')
    .description('make a recorded run again')
    .argument('<file>', 'what europa stress has written')
    .addOption(new Option('--times <n>', 'how often').argParser(parseWhole).default(1))
    .option('--trace', 'print every switch and every visible step', false)
    .option('--strace', 'log system calls to standard error', false)
    .option('--json', 'print the outcome as JSON', false)
    .addOption(new Option('--until <step>', 'stop there and show all threads').argParser(parseWhole))
    .action(async (file: string, { json, ...flags }: ReplayFlags) => {
      const status = await withUsageErrors(async () => {
        const { outcome, same, lines } = runReplay({ file, ...flags });
        process.stdout.write(json ? `${JSON.stringify(outcome, null, 2)}\n` : `${lines.join('\n')}\n`);
        if (!same) return USAGE;
        return outcome.kind === null ? 0 : 1;
      });
      process.exit(status);
    });
}
