/** Runs a program natively and in Europa, for byte-for-byte comparison. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../../bench/compile.js';

export interface Outcome {
  readonly output: string;
  readonly errorOutput: string;
  /** As a shell reports it: 128 + signal for a killed program. */
  readonly status: number;
}

/** EUROPA_CLI: another build's entry. */
const cli = process.env.EUROPA_CLI ?? join(repositoryRoot, 'dist/src/cli/main.js');

const SIGNALS: Record<string, number> = {
  SIGABRT: 6,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGILL: 4,
  SIGTERM: 15,
  SIGBUS: 7,
  SIGTRAP: 5,
};

function run(
  command: string,
  args: readonly string[],
  input: string,
  cwd: string | undefined,
  timeout: number,
): Outcome {
  const result = spawnSync(command, args, {
    input,
    cwd,
    timeout,
    maxBuffer: 64 << 20,
    killSignal: 'SIGKILL',
    encoding: 'latin1',
  });
  const status = result.signal ? 128 + (SIGNALS[result.signal] ?? 0) : (result.status ?? -1);
  return { output: result.stdout ?? '', errorOutput: result.stderr ?? '', status };
}

export function runNative(path: string, args: readonly string[], input = '', cwd?: string): Outcome {
  return run(path, args, input, cwd, 60_000);
}

/** @param options of `europa run` */
export function runEuropa(
  path: string,
  args: readonly string[],
  input = '',
  cwd?: string,
  options: readonly string[] = [],
): Outcome {
  return run(process.execPath, [cli, 'run', ...options, path, ...args], input, cwd, 120_000);
}

/** Why the comparison can't be made here; undefined if it can. */
export function comparisonUnavailable(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'the host is not x86-64 Linux';
  return existsSync(cli) ? undefined : 'Europa is not built (npm run build)';
}
