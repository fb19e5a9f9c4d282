/** Builds the programs of this folder and runs them in Europa, looking for what no guest may cause. */
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EUROPA } from '../machine/fixtures.js';

const FLAGS = ['-O1', '-static', '-nostdlib', '-fno-stack-protector', '-mno-sse', '-w'];

/** Compiles NAME.c of this folder. @returns the executable's path */
export function build(name: string, folder: string): string {
  const path = join(folder, name);
  const source = fileURLToPath(new URL(`${name}.c`, import.meta.url));
  const { status, stderr } = spawnSync('gcc', [...FLAGS, '-o', path, source], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return path;
}

/** What Node, V8 and our own code say when they fail. */
const HOST = /\n\s+at .*:\d+|node:internal|Node\.js v|RuntimeError|TypeError|RangeError|FATAL ERROR/;

/**
 * Runs a program by `europa run`, in a folder of its own that is emptied before, with nothing in its environment.
 * @returns what is wrong with how it ended, or null
 */
export async function wrongEnd(
  program: string,
  args: readonly string[],
  options: readonly string[],
  seconds: number,
): Promise<string | null> {
  const folder = `${program}.run`;
  emptyFolder(folder);
  // By a short relative name: a guest with random pointers must not find an absolute path in its memory.
  copyFileSync(program, join(folder, 'p'));
  const command = [EUROPA, 'run', '--no-cache', ...options, './p', ...args];
  const child = spawn(process.execPath, command, { cwd: folder, env: {}, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.resume();
  child.stderr.on('data', (chunk: Buffer) => {
    if (said.length < 1 << 24) said += chunk.toString('latin1');
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000);
  const [status, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.on('close', (code, name) => resolve([code, name]));
  });
  clearTimeout(timer);
  const found = HOST.exec(said);
  if (found) return `host error: ${said.slice(Math.max(0, found.index - 200), found.index + 600)}`;
  if (signal !== null) return `did not end in ${seconds} s (${signal})`;
  if (status !== null && status > 128 && !said.includes('killed by')) return `status ${status}, unexplained`;
  return null;
}

/** By programs of the host's: the guest may have made names that are no text, and taken permissions away. */
function emptyFolder(path: string): void {
  spawnSync('chmod', ['-R', 'u+rwx', path]);
  spawnSync('rm', ['-rf', path]);
  mkdirSync(path, { recursive: true });
}
