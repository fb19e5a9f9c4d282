import { demoReport } from '../observe/demo-report.js';
import { parseRecords } from '../observe/records.js';
import { Machine } from './machine.js';
import { type MachineOptions, UsageError } from './options.js';
import { packageFile } from '../startup/package-file.js';

/** Runs the demonstration program. @returns its report and its exit status (not 0 if an observation was wrong) */
export async function runDemo(
  options: Pick<MachineOptions, 'cpus' | 'abi' | 'debugFpu'>,
): Promise<{ report: string; exitCode: number }> {
  const machine = await Machine.boot({ ...options, stdout: 'capture' });
  try {
    const result = await machine.run(packageFile('src/guests/bin/demo'), [], {});
    if (result.exitCode === null) throw new UsageError(`the demonstration was killed by ${result.signal}`);
    const records = parseRecords(result.output.toString('utf8'));
    const { abi, debugFpu } = machine.options;
    return {
      report: demoReport({ records, stats: result.stats, abi, debugFpu }),
      exitCode: result.exitCode,
    };
  } finally {
    await machine.close();
  }
}
