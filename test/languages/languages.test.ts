/** Programs in other languages, with their runtimes: the same output and status in Europa as natively. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cacheFolder, repositoryRoot } from '../../bench/compile.js';
import { comparisonUnavailable, runEuropa, runNative } from '../programs/europa.js';

/** A program, and the command that makes a static executable of it; `-o`, its path, the source and libraries follow. */
interface Program {
  readonly source: string;
  readonly compiler: readonly [command: string, ...options: string[]];
  readonly libraries?: readonly string[];
  /** How the compiler is asked for its version. */
  readonly version: string;
}

const CXX = ['-std=c++20', '-static', '-fnon-call-exceptions', '-mcx16', '-march=x86-64-v2'];
const RUST = ['--edition', '2021', '-O', '-C', 'target-feature=+crt-static'];
const PROGRAMS: readonly Program[] = [
  {
    source: 'exceptions.cpp',
    compiler: ['g++', '-O2', ...CXX],
    libraries: ['-latomic'],
    version: '--version',
  },
  { source: 'goroutines.go', compiler: ['go', 'build'], version: 'version' },
  { source: 'panics.rs', compiler: ['rustc', ...RUST], version: '--version' },
  { source: 'teams.c', compiler: ['gcc', '-O2', '-static', '-fopenmp'], version: '--version' },
  { source: 'formats.f90', compiler: ['gfortran', '-O2', '-static'], version: '--version' },
  { source: 'runtime.ml', compiler: ['ocamlopt', '-ccopt', '-static'], version: '-version' },
];

/** What a compiler says about itself; undefined where it is missing. */
function versionOf({ compiler: [command], version }: Program): string | undefined {
  try {
    return execFileSync(command, [version], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}

/** Builds a program, once for each content, compiler and options. @returns the executable's path */
function build(program: Program, version: string): string {
  const [command, ...options] = program.compiler;
  const libraries = program.libraries ?? [];
  const source = join(repositoryRoot, 'test/languages', program.source);
  const hash = createHash('sha256')
    .update(JSON.stringify([version, options, libraries]))
    .update(readFileSync(source));
  const folder = join(cacheFolder, 'programs', hash.digest('hex').slice(0, 16));
  const built = join(folder, basename(source, extname(source)));
  if (existsSync(built)) return built;
  // Some compilers leave files beside the source, or name some by the output.
  const work = `${folder}.${process.pid}`;
  mkdirSync(work, { recursive: true });
  const copy = join(work, program.source);
  execFileSync('cp', [source, copy]);
  const environment = { ...process.env, CGO_ENABLED: '0', GO111MODULE: 'off' };
  const output = join(work, basename(built));
  execFileSync(command, [...options, '-o', output, copy, ...libraries], {
    cwd: work,
    env: environment,
    stdio: 'pipe',
  });
  mkdirSync(dirname(folder), { recursive: true });
  renameSync(work, folder);
  return built;
}

const unavailable = comparisonUnavailable();

describe.skipIf(unavailable)(`languages${unavailable ? ` (skipped: ${unavailable})` : ''}`, () => {
  for (const program of PROGRAMS) {
    const version = unavailable ? undefined : versionOf(program);
    const name = `${program.source}, ${program.compiler.slice(0, 2).join(' ')}`;
    const missing = version === undefined ? ` (skipped: there is no ${program.compiler[0]})` : '';
    it.skipIf(version === undefined)(
      `${name}${missing}`,
      () => {
        const path = build(program, version!);
        const expected = runNative(path, []);
        const actual = runEuropa(path, [], '', undefined, ['--cpus', '3']);
        const readable = `${actual.output}\n--- standard error\n${actual.errorOutput}`;
        expect(actual.output, readable).toBe(expected.output);
        expect(actual.status, readable).toBe(expected.status);
      },
      150_000,
    );
  }
});
