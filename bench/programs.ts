/** The programs of bench/programs: what each is an example of, and which measurements it reports. */
import { join } from 'node:path';
import { repositoryRoot } from './compile.js';

/** Kinds of work; geometric means are taken within a kind. */
export type Kind =
  | 'start'
  | 'integer'
  | 'floating point'
  | 'strings'
  | 'control flow'
  | 'pkey'
  | 'kernel'
  | 'smp';

/** One measured program. */
export interface BenchProgram {
  /** Names the program in tables and options; the C file in bench/programs is `source`.c. */
  name: string;
  source: string;
  kind: Kind;
  /** Names in the program's `T name seconds operations` lines, in order. None: the whole process is what counts. */
  measurements: string[];
  /** Runs in Europa alone, on so many CPUs. */
  europaCpus?: number;
}

function program(kind: Kind, name: string, measurements: string[] = [name]): BenchProgram {
  return { name, source: name, kind, measurements };
}

/** All measured programs, in the order of the table. */
export const benchPrograms: readonly BenchProgram[] = [
  program('start', 'hello', []),
  { ...program('start', 'hello-4-cpus', []), source: 'hello', europaCpus: 4 },
  program('integer', 'sieve'),
  program('integer', 'hash'),
  program('integer', 'sort'),
  program('integer', 'compiler'),
  program('integer', 'sha256'),
  program('integer', 'deflate', ['compress', 'decompress']),
  program('floating point', 'matrix'),
  program('floating point', 'nbody'),
  program('floating point', 'fft'),
  program('strings', 'strings'),
  program('control flow', 'indirect', ['indirect_jump', 'indirect_call']),
  program('control flow', 'selfmodify'),
  program('pkey', 'pkey_switch'),
  program('pkey', 'pkey_mprotect', [
    'pkey_mprotect_1',
    'pkey_mprotect_16',
    'pkey_mprotect_4096',
    'pkey_mprotect_1_touch',
    'pkey_mprotect_16_touch',
  ]),
  program('pkey', 'pkey_fault'),
  program('kernel', 'getppid'),
  program('smp', 'futex_pingpong'),
  program('smp', 'thread_create'),
  program('smp', 'mutex', ['mutex_alone', 'mutex_contended']),
  program('smp', 'false_sharing', ['sharing_one_line', 'sharing_own_lines']),
];

/** Path of a measured program's C file (or of the helper `timed`). */
export function benchSource(name: string): string {
  return join(repositoryRoot, 'bench/programs', `${name}.c`);
}
