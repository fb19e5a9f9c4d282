/** The programs of test/programs: builds them on demand, and says how each is to be run and compared. */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, compileAll, compilerVersion, type Libc, repositoryRoot } from '../../bench/compile.js';

/** One way to run one program. */
export interface TestProgram {
  /** C file and arguments, joined by dots; with `+musl` for that libc. Unique. */
  name: string;
  /** The executable. */
  path: string;
  libc: Libc;
  args: string[];
  /** Whether it needs pipe(2). */
  needsPipes: boolean;
  /** Where standard output and exit status come from: a native run, or `expectedOutput` and `expectedStatus`. */
  expectedFrom: 'native' | 'linux-in-qemu';
  /** Path of the recorded standard output; with `linux-in-qemu` only. Written by record-expected.sh. */
  expectedOutput?: string;
  /** Exit status as a shell reports it (128 + signal); with `linux-in-qemu` only. */
  expectedStatus?: number;
}

const folder = join(repositoryRoot, 'test/programs');

/** Programs that many hosts cannot be the reference for: their processors have no protection keys, or no UMIP. */
const RECORDED = /^(pkey_|umip$)/;

/** Entries of the list: C file, its arguments (`FIXTURE` stands for the folder that `fixture` makes), and needs. */
const runs: { source: string; args?: string[]; status?: number; needsPipes?: true; id?: string }[] = [
  ...['printf', 'strtod', 'longdouble', 'math', 'sorting', 'strings', 'setjmp'].map((source) => ({ source })),
  ...['sig_faults', 'sig_stack', 'sig_flags', 'sig_wait', 'sig_threads'].map((source) => ({ source })),
  ...[
    'threads_sync',
    'threads_life',
    'atomics',
    'clock',
    'timers',
    'timerfd',
    'epoll',
    'mmap_shared',
    'fenv',
    'sse',
    'repstring',
    'ifunc',
    'odd_code',
    'far_addresses',
    'segments',
    'hints',
    'limits',
    'mutex_pi_contended',
  ].map((source) => ({ source })),
  { source: 'sig_flags', args: ['pipe'], needsPipes: true },
  { source: 'mm', args: ['FIXTURE/text.txt'], id: 'mm' },
  { source: 'files', args: ['FIXTURE'], id: 'files' },
  ...['return', 'exit', '_exit', 'abort', 'segv', 'term', 'kill', 'fpe', 'ill', 'recursion'].map((how) => ({
    source: 'procinfo',
    args: [how, 'two words', ''],
    id: `procinfo.${how}`,
  })),
  ...['pkey_calls', 'pkey_memory_calls', 'pkey_signals', 'pkey_instructions', 'pkey_execute_only'].map(
    (source) => ({ source }),
  ),
  { source: 'pkey_signals', args: ['keyed-stack'], status: 139 },
  { source: 'umip' },
  ...['1', '2', '4', '8'].map((threads) => ({ source: 'pkey_threads', args: [threads, '3000'] })),
  { source: 'pkey_retag', args: ['20000', '2'] },
];

/**
 * Builds all programs (cached by content) with every C library that is there: glibc always, musl if `musl-gcc` is.
 * @throws Error that names the missing Debian package when there is no gcc
 */
export async function buildPrograms(): Promise<TestProgram[]> {
  const files = fixture();
  const libcs: Libc[] = compilerVersion('musl') === undefined ? ['glibc'] : ['glibc', 'musl'];
  const planned = libcs.flatMap((libc) => runs.map((run) => ({ ...run, libc })));
  const sources = [...new Map(planned.map((run) => [`${run.source} ${run.libc}`, run])).values()];
  const paths = await compileAll(
    sources.map(({ source, libc }) => ({ path: join(folder, `${source}.c`), libc })),
  );
  const built = new Map(sources.map(({ source, libc }, index) => [`${source} ${libc}`, paths[index]!]));
  return planned.map(({ source, args = [], status = 0, needsPipes = false, id, libc }) => {
    const recorded = id ?? [source, ...args].join('.');
    const common = {
      name: libc === 'musl' ? `${recorded}+musl` : recorded,
      path: built.get(`${source} ${libc}`)!,
      libc,
      args: args.map((arg) => arg.replace('FIXTURE', files)),
      needsPipes,
    };
    if (!RECORDED.test(source)) return { ...common, expectedFrom: 'native' as const };
    const expectedOutput = join(folder, 'expected', `${recorded}.txt`);
    return { ...common, expectedFrom: 'linux-in-qemu' as const, expectedOutput, expectedStatus: status };
  });
}

/**
 * Makes the folder that the file programs and busybox command lines read, once.
 * @returns its absolute path; it holds text.txt, numbers.bin, words.txt, two-megabytes.bin, empty, sub/inner.txt, link, dangling
 */
export function fixture(): string {
  const path = join(cacheFolder, 'test-fixture');
  const complete = join(cacheFolder, 'test-fixture.complete');
  if (existsSync(complete)) return path;
  mkdirSync(join(path, 'sub'), { recursive: true });
  const lines = Array.from({ length: 200 }, (_, i) => `line ${i} ${'abcdefghij'.repeat(i % 7)}\n`);
  writeFileSync(join(path, 'text.txt'), lines.join(''));
  const words = Array.from(
    { length: 3000 },
    (_, i) => `${((i * 7919) % 3001).toString(36)} ${i % 17} ${(i * i) % 1009}\n`,
  );
  writeFileSync(join(path, 'words.txt'), words.join(''));
  const numbers = Uint32Array.from({ length: 5000 }, (_, i) => Math.imul(i, 2654435761));
  writeFileSync(join(path, 'numbers.bin'), numbers);
  let state = 1;
  const noise = Uint8Array.from({ length: 2 << 20 }, (_, i) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return i % 8 < 5 ? (state >>> 16) & 63 : 32 + (i % 64);
  });
  writeFileSync(join(path, 'two-megabytes.bin'), noise);
  writeFileSync(join(path, 'empty'), '');
  writeFileSync(join(path, 'sub/inner.txt'), 'inner\n');
  for (const [name, to] of [
    ['link', 'text.txt'],
    ['dangling', 'nowhere'],
  ] as const) {
    try {
      symlinkSync(to, join(path, name));
    } catch {
      // Left by a run that was interrupted.
    }
  }
  writeFileSync(complete, '');
  return path;
}
