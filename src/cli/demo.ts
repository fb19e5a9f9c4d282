import { Command } from 'commander';
import type { AbiName } from '../kernel/pkeys/names.js';
import { runDemo } from '../machine/demo.js';
import { withUsageErrors } from './exit-status.js';
import { abiOption, cpusOption } from './options.js';

/** `europa demo` (npm start): threads with a protection key each, on four CPUs. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('watch threads switch between protection domains on several CPUs')
    .addOption(cpusOption().default(4))
    .addOption(abiOption('minimal'))
    .option('--no-debug-fpu', "leave key 14's bits alone at context switches")
    .action(async (flags: { cpus: number; abi: AbiName; debugFpu: boolean }) => {
      const status = await withUsageErrors(async () => {
        const { report, exitCode } = await runDemo(flags);
        process.stdout.write(report);
        return exitCode;
      });
      process.exit(status);
    });
}
