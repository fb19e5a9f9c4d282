import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { machineCode } from '../../src/wasm/v8.js';
import { EUROPA, hasGcc, Scratch } from '../machine/fixtures.js';

const scratch = new Scratch();
afterAll(() => scratch.cleanUp());

function europa(args: readonly string[], input?: string) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [EUROPA, ...args], {
    encoding: 'utf8',
    input,
  });
  return { status, stdout, stderr };
}

describe('mistakes are one clear line and status 2', () => {
  test.each([
    [['run', '/no/such/program'], /^europa: \/no\/such\/program: no such file\n$/],
    [['run', '/'], /^europa: \/: is a directory\n$/],
    [['run', '/etc/passwd'], /^europa: \/etc\/passwd: .*\n$/],
    [['run'], /^europa: missing required argument 'program'\n$/],
    [['run', '--cpus', 'many', 'x'], /^europa: .*whole number.*\n$/],
    [['run', '--cpus', '99', '/bin/true'], /^europa: a machine has 1 to 64 CPUs, not 99\n$/],
    [['run', '--abi', 'mach', 'x'], /^europa: .*Allowed choices are minimal, linux, .*\n$/],
    [['run', '--memory', 'lots', 'x'], /^europa: .*512M.*\n$/],
    [['run', '--wrong', 'x'], /^europa: unknown option '--wrong'\n/],
    [['run', '--stats', '/no/such/directory/x', '/bin/true'], /^europa: .*cannot be written.*\n$/],
    [['walk'], /^europa: unknown command 'walk'/],
  ])('%j', (args, message) => {
    const { status, stdout, stderr } = europa(args);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/ at .*:\d+/);
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });
});

test('help and version of what there is', () => {
  const { status, stdout } = europa(['--help']);
  expect(status).toBe(0);
  expect(stdout).toMatch(/run .*\n/);
  expect(europa(['run', '--help']).stdout).toMatch(/--debug-fpu/);
});

describe.skipIf(!hasGcc)('programs', () => {
  const programs: Record<string, string> = {};
  beforeAll(() => {
    programs.status = scratch.compile(
      'status',
      'void start(long *s) { put("out\\n"); sys(231, s[0], 0, 0, 0); }',
    );
    programs.segv = scratch.compile('segv', 'void start(long *s) { *(volatile int *)16 = 1; }');
    programs.ud2 = scratch.compile('ud2', 'void start(long *s) { __asm__("ud2"); }');
    programs.divide = scratch.compile(
      'divide',
      'void start(long *s) { __asm__("xor %ecx, %ecx\\n div %ecx"); }',
    );
    programs.hlt = scratch.compile('hlt', 'void start(long *s) { __asm__("hlt"); }');
    programs.recursion = scratch.compile(
      'recursion',
      'long down(long n) { volatile long frame[512]; frame[0] = n; return down(n + 1) + frame[0]; } void start(long *s) { down(0); }',
    );
    programs.data = scratch.compile(
      'data',
      'char code[4096] = {0x90}; void start(long *s) { ((void (*)(void))code)(); }',
    );
    programs.far = scratch.compile(
      'far',
      'void start(long *s) { sys(1, 1, -5, 1, 0); ((void (*)(void))-5)(); }',
    );
    programs.cat = scratch.compile(
      'cat',
      'static char b[4096]; void start(long *s) { long n; while ((n = sys(0, 0, (long)b, 4096, 0)) > 0) sys(1, 1, (long)b, n, 0); sys(231, 0, 0, 0, 0); }',
    );
    programs.pipe = scratch.compile('pipe', 'void start(long *s) { for (;;) put("line\\n"); }');
    programs.spin = scratch.compile('spin', 'void start(long *s) { put("on\\n"); for (;;) ; }');
    programs.flood = scratch.compile(
      'flood',
      // One thread writes what nobody reads; the other, if there is an argument, ends the process meanwhile.
      `static char b[1 << 18], stack[4096];
      static void end(void) { long t[2] = {0, 500000000}; sys(35, (long)t, 0, 0, 0); sys(231, 5, 0, 0, 0); }
      void start(long *s) {
        if (s[0] > 1) __asm__ volatile("syscall; test %%rax, %%rax; jnz 1f; call *%%rbx; 1:"
          : : "a"(56L), "D"(0x50f00L), "S"(stack + 4096), "d"(0L), "b"(end) : "rcx", "r11", "memory");
        for (;;) if (sys(1, 1, (long)b, sizeof b, 0) < 0) sys(231, 9, 0, 0, 0);
      }`,
    );
    programs.calls = scratch.compile(
      'calls',
      'void start(long *s) { for (int i = 0; i < 20000; i++) sys(39, 0, 0, 0, 0); sys(231, 0, 0, 0, 0); }',
    );
    programs.stubborn = scratch.compile(
      'stubborn',
      // SIGINT is ignored.
      'void start(long *s) { long act[4] = {1, 0, 0, 0}; sys(13, 2, (long)act, 0, 8); put("on\\n"); for (;;) ; }',
    );
  });

  test('output, arguments and exit status pass through', () => {
    expect(europa(['run', programs.status, '--help', '-x'])).toEqual({
      status: 3,
      stdout: 'out\n',
      stderr: '',
    });
    expect(europa(['run', '--cpus', '4', programs.status])).toEqual({
      status: 1,
      stdout: 'out\n',
      stderr: '',
    });
  });

  test.each([
    [
      'segv',
      139,
      /killed by SIGSEGV .*write of 0x10, not mapped, RIP 0x[0-9a-f]+ \(start(\+0x[0-9a-f]+)?\), thread 100, CPU 0/,
    ],
    ['ud2', 132, /killed by SIGILL .*invalid instruction, RIP/],
    ['divide', 136, /killed by SIGFPE .*division error, RIP/],
    ['hlt', 139, /killed by SIGSEGV .*general protection fault, RIP/],
    [
      'recursion',
      139,
      /killed by SIGSEGV .*(write|read) of 0x7ff[0-9a-f]+, not mapped, RIP 0x[0-9a-f]+ \(down/,
    ],
    ['data', 139, /killed by SIGSEGV .*fetch of 0x[0-9a-f]+, not permitted, RIP/],
    ['far', 139, /killed by SIGSEGV .*fetch of 0xf{15}b, not mapped, RIP 0xf{15}b, thread 100/],
  ])('%s: 128 + signal and one line', (name, status, line) => {
    const result = europa(['run', programs[name]]);
    expect(result.stderr).toMatch(line);
    expect(result.stderr.split('\n').length).toBe(2);
    expect(result.status).toBe(status);
  });

  test('standard input from a pipe, a file and nothing', () => {
    const text = 'line\n'.repeat(100_000);
    expect(europa(['run', programs.cat], text).stdout).toBe(text);
    const file = scratch.file('input', text);
    const shell = (command: string) =>
      spawnSync('sh', ['-c', command], { encoding: 'utf8', maxBuffer: 1 << 24 }).stdout;
    const run = `${process.execPath} ${EUROPA} run ${programs.cat}`;
    expect(shell(`${run} < ${file}`)).toBe(text);
    expect(shell(`${run} < /dev/null`)).toBe('');
  });

  test('a reader that goes away ends the program', () => {
    const command = `${process.execPath} ${EUROPA} run ${programs.pipe} | head -n 2; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
    expect(stdout).toBe('line\nline\n141\n');
    expect(stderr).toBe('');
  });

  /** Starts a program, waits for its first output, interrupts it as often, and answers its exit status. */
  async function interrupted(program: string, times: number): Promise<number | null> {
    const child = spawn(process.execPath, [EUROPA, 'run', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exit = new Promise<number | null>((resolve) => child.on('exit', (code) => resolve(code)));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    for (let i = 0; i < times; i++) {
      child.kill('SIGINT');
      // Signals that are pending twice are one signal: give each its time.
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    return exit;
  }

  const FULL = ['socket', 'pipe'];
  test.each(FULL)(
    'output that nobody reads, a full %s, holds up neither exit nor signals',
    {
      timeout: 40_000,
    },
    async (kind) => {
      for (const [args, signal, status] of [
        ['x', null, 5],
        ['', 'TERM', 143],
      ] as const) {
        const run = `${process.execPath} ${EUROPA} run --cpus 2 ${programs.flood} ${args}`;
        const kill = signal ? `sleep 2; kill -${signal} $p;` : '';
        const script =
          kind === 'pipe'
            ? `mkfifo -m 600 "${scratch.path}/fifo" 2>/dev/null; exec 9<>"${scratch.path}/fifo"; ${run} >&9 & p=$!; ${kill} wait $p`
            : `${run} & p=$!; ${kill} wait $p`;
        const child = spawn('bash', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
        const begin = performance.now();
        expect(await new Promise((resolve) => child.on('exit', resolve))).toBe(status);
        expect(performance.now() - begin).toBeLessThan(15_000);
        child.stdout.destroy();
      }
    },
  );

  test('--strace to a reader that is slow', () => {
    const run = `${process.execPath} ${EUROPA} run --strace ${programs.calls}`;
    const { stdout } = spawnSync('bash', ['-c', `${run} 2>&1 | (sleep 2; grep -c getpid)`], {
      encoding: 'utf8',
    });
    expect(stdout).toBe('20000\n');
  });

  test('help and messages that cannot be written', () => {
    const shell = (command: string) =>
      spawnSync('bash', ['-c', `${process.execPath} ${EUROPA} ${command}`], { encoding: 'utf8' });
    expect(shell('--help >/dev/full')).toMatchObject({
      status: 2,
      stderr: 'europa: standard output cannot be written (ENOSPC)\n',
    });
    expect(shell(`--help | true; exit "\${PIPESTATUS[0]}"`)).toMatchObject({ stderr: '' });
    expect(shell(`run --stats /dev/full ${programs.status}`)).toMatchObject({
      status: 2,
      stderr: 'europa: /dev/full: cannot be written (ENOSPC)\n',
    });
  });

  test('Ctrl-C reaches the program; one that ignores it is stopped at the third', {
    timeout: 30_000,
  }, async () => {
    expect(await interrupted(programs.spin, 1)).toBe(130);
    expect(await interrupted(programs.stubborn, 3)).toBe(130);
  });

  test('--stats', () => {
    const path = join(scratch.path, 'stats.json');
    expect(europa(['run', '--cpus', '2', '--stats', path, programs.status]).status).toBe(1);
    const stats = JSON.parse(readFileSync(path, 'utf8'));
    expect(Object.keys(stats)).toEqual(['exitCode', 'signal', 'wallSeconds', 'cpus', 'key14']);
    expect(Object.keys(stats.cpus[1])).toEqual([
      'id',
      'instructions',
      'regionsTranslated',
      'contextSwitches',
      'tlbMisses',
      'shootdownsSent',
      'shootdownsReceived',
      'pkeyFaults',
      'syscalls',
    ]);
    expect(stats).toMatchObject({ exitCode: 1, signal: null });
    expect(stats.cpus.reduce((sum: number, cpu: { syscalls: number }) => sum + cpu.syscalls, 0)).toBe(2);
  });

  const keeps = 'translations of a run are kept, but not with --no-cache';
  test.skipIf(!machineCode())(
    machineCode() ? keeps : `skipped, V8 cannot keep machine code: ${keeps}`,
    () => {
      const loop = scratch.compile(
        'loop',
        'void start(long *s) { for (volatile int i = 0; i < 100000; i++); sys(60, 3, 0, 0, 0); }',
      );
      const cache = join(scratch.path, 'cache');
      const run = (...options: string[]) => {
        const args = [EUROPA, 'run', ...options, loop];
        expect(spawnSync(process.execPath, args, { env: { XDG_CACHE_HOME: cache } }).status).toBe(3);
        const directory = join(cache, 'europa');
        return existsSync(directory) ? readdirSync(directory).length : 0;
      };
      expect(run('--no-cache')).toBe(0);
      expect(run()).toBe(1);
      expect(run()).toBe(1);
    },
  );

  test('a cache directory that cannot be made, and one whose files are damaged', () => {
    const run = (cache: string) =>
      spawnSync(process.execPath, [EUROPA, 'run', programs.status], {
        env: { XDG_CACHE_HOME: cache },
        encoding: 'utf8',
        timeout: 20_000,
        killSignal: 'SIGKILL',
      });
    const expected = { status: 1, stdout: 'out\n', stderr: '' };
    expect(run('/proc')).toMatchObject(expected);
    expect(run(scratch.file('no-directory', ''))).toMatchObject(expected);
    const cache = join(scratch.path, 'cache', 'europa');
    if (!existsSync(cache)) return;
    for (const name of readdirSync(cache)) writeFileSync(join(cache, name), 'x'.repeat(3000));
    expect(run(join(scratch.path, 'cache'))).toMatchObject(expected);
  });

  test('--strace', () => {
    const { stderr } = europa(['run', '--strace', programs.status]);
    expect(stderr).toMatch(/^\[100\] write\(1, 0x[0-9a-f]+, 4\) = 4\n\[100\] exit_group\(1\) = \?\n$/);
    expect(europa(['run', '--strace', programs.far]).stderr).toContain(
      'write(1, 0xfffffffffffffffb, 1) = -1 EFAULT\n',
    );
  });
});
