/**
 * The peers that Europa is compared with, and how one program is run in each. All of them are started through
 * bench/programs/timed.c, on the host or inside the emulated Linux, so wall time is taken in one way everywhere.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, repositoryRoot } from './compile.js';

/**
 * The machines compared. `native` is the yardstick for results; the qemu-… are what a user could pick instead; `europa-first` is Europa
 * without the translations of earlier runs, as a program's first run is.
 */
export const peerNames = ['native', 'qemu-user', 'qemu-system', 'europa-first', 'europa'] as const;
export type PeerName = (typeof peerNames)[number];

/** One measurement: elapsed seconds for a number of operations; or the program said that the machine can't do it. */
export type Timing = { seconds: number; operations: number } | 'unsupported';

/** What one run of one program gave. */
export interface ProgramRun {
  program: string;
  /** Why there are no figures: exit status, signal, time limit, and the last words of the program. */
  failure?: string;
  /** By measurement name; empty after a failure. */
  timings: Record<string, Timing>;
  /** Lines that are no measurement, joined: equal on every correct machine. */
  output: string;
  /** Whole process, from fork to exit. */
  wallSeconds: number;
  /** Peak resident memory of the process that runs the program, KiB. Inside qemu-system that is the guest's process. */
  maxRssKib: number;
  /** qemu-system only: from the command that boots Linux to the end of this program, seconds. */
  sinceBootSeconds?: number;
}

/** A built program. */
export interface Built {
  name: string;
  path: string;
  /** Runs in Europa alone, on so many CPUs. */
  europaCpus?: number;
}

/** How programs are run. */
export interface RunOptions {
  /** CPUs of qemu-system and of Europa. */
  cpus: number;
  /** Time limit for one program, seconds. */
  timeoutSeconds: number;
  /** Built bench/programs/timed.c. */
  timed: string;
}

/** The command that runs a program in a peer of this host; qemu-system boots instead (`runInLinux`). */
export function hostCommand(peer: Exclude<PeerName, 'qemu-system'>, path: string, cpus: number): string[] {
  switch (peer) {
    case 'native':
      return [path];
    case 'qemu-user':
      return ['qemu-x86_64', path];
    case 'europa-first':
      return [process.execPath, europaCli, 'run', '--no-cache', '--cpus', String(cpus), path];
    case 'europa':
      return [process.execPath, europaCli, 'run', '--cpus', String(cpus), path];
  }
}

/** The command, built. */
export const europaCli = join(repositoryRoot, 'dist/src/cli/main.js');
const linuxInQemu = join(repositoryRoot, 'bench/linux-in-qemu.sh');

/** What a peer lacks on this host, as a sentence that names the Debian packages; undefined if it lacks nothing. */
export function missing(peer: PeerName): string | undefined {
  const absent = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0;
  if (peer === 'qemu-user' && absent('qemu-x86_64')) return 'needs the Debian package qemu-user';
  if (peer === 'qemu-system') {
    const tools = { 'qemu-system-x86_64': 'qemu-system-x86', busybox: 'busybox-static', cpio: 'cpio' };
    const packages = Object.entries(tools).flatMap(([tool, name]) => (absent(tool) ? [name] : []));
    if (packages.length > 0) return `needs the Debian packages ${packages.join(' ')}`;
  }
  if (peer.startsWith('europa') && !existsSync(europaCli)) return 'is not built (npm run build)';
  return undefined;
}

/** Runs one program once in a peer of this host. */
export async function runOnHost(
  peer: Exclude<PeerName, 'qemu-system'>,
  program: Built,
  options: RunOptions,
): Promise<ProgramRun> {
  const command = hostCommand(peer, program.path, program.europaCpus ?? options.cpus);
  const args = ['-t', String(options.timeoutSeconds), program.name, ...command];
  const { text } = await capture(options.timed, args, '', options.timeoutSeconds + 10);
  return parseRun(text, program.name);
}

/** Boots Linux under qemu-system once and runs all programs there, one after another. */
export async function runInLinux(programs: readonly Built[], options: RunOptions): Promise<ProgramRun[]> {
  const script = programs
    .map(({ name }) => `timed -t ${options.timeoutSeconds} ${name} /bin/${name}\n`)
    .join('');
  const files = [options.timed, ...programs.map(({ path }) => path)];
  const args = ['--cpus', String(options.cpus), '--cache', join(cacheFolder, 'linux-in-qemu'), ...files];
  const { text, errors, ended } = await capture(
    linuxInQemu,
    args,
    script,
    60 + programs.length * options.timeoutSeconds,
  );
  return programs.map(({ name }) => {
    const run = parseRun(text, name);
    if (run.failure && errors) run.failure = errors.trim().split('\n').at(-1)!;
    const end = ended.get(name);
    return end === undefined ? run : { ...run, sinceBootSeconds: end };
  });
}

/** Everything a command printed; for each `@@end NAME` line, when it arrived, in seconds since the start. */
interface Captured {
  text: string;
  errors: string;
  ended: Map<string, number>;
}

function capture(command: string, args: string[], input: string, limitSeconds: number): Promise<Captured> {
  return new Promise((resolve) => {
    const started = performance.now();
    const env = {
      ...process.env,
      // Europa's translations are this benchmark's own.
      XDG_CACHE_HOME: cacheFolder,
      LINUX_IN_QEMU_TIMEOUT: String(Math.ceil(limitSeconds)),
    };
    const child = spawn(command, args, { env, timeout: (limitSeconds + 5) * 1000 });
    const captured: Captured = { text: '', errors: '', ended: new Map() };
    const finish = (): void => resolve(captured);
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      const from = captured.text.lastIndexOf('\n') + 1;
      captured.text += chunk;
      for (const [, name] of captured.text.slice(from).matchAll(/^@@end (\S+) .*\n/gm))
        captured.ended.set(name!, (performance.now() - started) / 1000);
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      captured.errors += chunk;
    });
    child.on('error', (error) => {
      captured.errors += error.message;
      finish();
    });
    child.on('close', finish);
    // A command that ends without reading its input is no reason to fail: what it printed says why.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/** Finds one program's part in the output of `timed` and reads its measurements. */
export function parseRun(text: string, program: string): ProgramRun {
  const run: ProgramRun = { program, timings: {}, output: '', wallSeconds: 0, maxRssKib: 0 };
  const begin = `@@begin ${program}\n`;
  const start = text.indexOf(begin);
  if (start < 0) return { ...run, failure: 'did not start' };
  const body = text.slice(start + begin.length);
  const end = body.match(/^@@end \S+ (\S+) (\S+) (\d+)$/m);
  const lines = body.slice(0, end?.index).split('\n');
  const words = lines.filter((line) => line.trim() !== '' && !line.startsWith('T '));
  run.output = words.join('\n');
  if (!end) return { ...run, failure: 'did not end' };
  run.wallSeconds = Number(end[2]);
  run.maxRssKib = Number(end[3]);
  if (end[1] === 'timeout') return { ...run, failure: 'time limit' };
  if (end[1] !== '0') {
    // The line that names the error; where none does, the last one.
    const reason = words.find((line) => /error\b/i.test(line)) ?? words.at(-1);
    return { ...run, failure: `status ${end[1]}${reason === undefined ? '' : `: ${reason}`}` };
  }
  for (const line of lines) {
    const timing = line.match(/^T (\S+) (?:(unsupported)|(\d+\.\d+) (\d+))$/);
    if (timing) {
      run.timings[timing[1]!] =
        timing[2] === undefined
          ? { seconds: Number(timing[3]), operations: Number(timing[4]) }
          : 'unsupported';
    }
  }
  return run;
}
