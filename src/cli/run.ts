import { Command } from 'commander';
import type { AbiName } from '../kernel/pkeys/names.js';
import { cacheDirectory } from '../machine/cache-directory.js';
import { runProgram } from '../machine/run-program.js';
import { withUsageErrors } from './exit-status.js';
import { abiOption, cacheOption, cpusOption, debugFpuOption, memoryOption, seedOption } from './options.js';

interface RunFlags {
  cpus: number;
  abi: AbiName;
  debugFpu: boolean;
  memory: number;
  seed?: number;
  strace: boolean;
  stats?: string;
  cache: boolean;
}

/** `europa run`: a Linux program on an emulated machine, with the host's standard streams. */
export function runCommand(): Command {
  return new Command('run')
    .description('run an x86-64 Linux program')
    .argument('<program>', 'static ELF executable')
    .argument('[args...]', 'its arguments')
    .passThroughOptions()
    .addOption(cpusOption())
    .addOption(abiOption('linux'))
    .addOption(debugFpuOption())
    .addOption(memoryOption())
    .addOption(seedOption())
    .option('--strace', 'log system calls to standard error', false)
    .addOption(cacheOption())
    .option('--stats <file>', 'write counters as JSON when the program has ended')
    .action(async (path: string, args: string[], flags: RunFlags) => {
      const { stats, cache, ...options } = flags;
      const translations = cache ? cacheDirectory() : null;
      process.exit(
        await withUsageErrors(() => runProgram({ path, args, statsFile: stats, translations, ...options })),
      );
    });
}
