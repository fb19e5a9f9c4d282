/** Compiles the C programs that Europa is measured and tested with, once for each content. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** C library that a program is linked with: Debian's glibc (package gcc) or musl (package musl-tools). */
export type Libc = 'glibc' | 'musl';

/** Command that compiles for each C library. */
const COMPILERS: Record<Libc, string> = { glibc: 'gcc', musl: 'musl-gcc' };
const FLAGS = ['-O2', '-static', '-pthread'];

/** One C file to compile. */
export interface Source {
  /** Absolute path of the C file; headers of its folder take part in the content hash. */
  path: string;
  libc: Libc;
}

/** The repository's top folder: the nearest one above this module that has a package.json. */
export const repositoryRoot = (() => {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
})();

/** Folder for built files and downloads; git ignores it. */
export const cacheFolder = join(repositoryRoot, '.cache');

/**
 * First line of `compiler --version`, or undefined where the compiler is missing.
 * Takes part in the content hash: another compiler makes other code.
 */
export function compilerVersion(libc: Libc): string | undefined {
  try {
    return execFileSync(COMPILERS[libc], ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).split('\n')[0];
  } catch {
    return undefined;
  }
}

/**
 * Compiles every source that has no cached result, a few at a time.
 * @returns the executables' paths, in the order of `sources`
 * @throws Error with the compiler's messages, or with the missing compiler's name
 */
export async function compileAll(sources: readonly Source[]): Promise<string[]> {
  const versions: Partial<Record<Libc, string>> = {};
  for (const { libc } of sources) {
    versions[libc] ??= compilerVersion(libc);
    if (versions[libc] === undefined)
      throw new Error(`${COMPILERS[libc]} is missing (Debian: gcc, musl-tools)`);
  }
  const targets = sources.map((source) => target(source, versions[source.libc]!));
  const waiting = sources.map((_, index) => index).filter((index) => !existsSync(targets[index]!));
  const run = promisify(execFile);
  const compileNext = async (): Promise<void> => {
    for (let index = waiting.pop(); index !== undefined; index = waiting.pop()) {
      const { path, libc } = sources[index]!;
      const output = targets[index]!;
      mkdirSync(dirname(output), { recursive: true });
      // Renamed when complete: a second process that compiles the same sees all of the file or none of it.
      const partial = `${output}.${process.pid}`;
      await run(COMPILERS[libc], [...FLAGS, '-o', partial, path, '-lm']);
      renameSync(partial, output);
    }
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, compileNext));
  return targets;
}

/** Path of a source's executable: …/.cache/programs/HASH/NAME, where NAME is the C file's without its suffix. */
function target(source: Source, version: string): string {
  const hash = createHash('sha256').update(JSON.stringify([version, source.libc, FLAGS]));
  const folder = dirname(source.path);
  const headers = readdirSync(folder).filter((file) => file.endsWith('.h'));
  for (const file of [basename(source.path), ...headers.sort()])
    hash.update(file).update(readFileSync(join(folder, file)));
  return join(cacheFolder, 'programs', hash.digest('hex').slice(0, 16), basename(source.path, '.c'));
}
