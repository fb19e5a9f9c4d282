import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LoadError, Machine, UsageError } from '../../src/machine/index.js';
import { Mutant } from '../../src/memory/mutants.js';
import { guest, hasGcc, run, Scratch } from './fixtures.js';

describe('options', () => {
  test.each([
    [{ cpus: 0 }, /1 to 64 CPUs/],
    [{ cpus: 65 }, /1 to 64 CPUs/],
    [{ cpus: 1.5 }, /1 to 64 CPUs/],
    [{ abi: 'windows' as never }, /no ABI 'windows'/],
    [{ memory: 1000 }, /1M to 4G/],
    [{ seed: -1 }, /seed/],
  ])('%j is refused', async (options, message) => {
    await expect(Machine.boot(options)).rejects.toThrow(UsageError);
    await expect(Machine.boot(options)).rejects.toThrow(message);
  });
});

describe('a program that is none', () => {
  const scratch = new Scratch();
  afterAll(() => scratch.cleanUp());

  test.each([
    ['no such file', () => `${scratch.path}/missing`],
    ['is a directory', () => scratch.path],
    ['not', () => scratch.file('noise', 'nothing like an ELF file')],
  ])('%s', async (message, path) => {
    const failure = run(path());
    await expect(failure).rejects.toThrow(LoadError);
    await expect(failure).rejects.toThrow(message);
  });

  test('too little memory', async () => {
    const machine = await Machine.boot({ memory: 1 << 20, cpus: 2, stdout: 'capture' });
    const program = scratch.file('sparse', elfWithData(8 << 20));
    await expect(machine.run(program, [], {})).rejects.toThrow(/--memory/);
    await machine.close();
  });
});

/** A static ELF file whose one segment has as many bytes of data, all in the file. */
function elfWithData(bytes: number): Uint8Array {
  const file = new Uint8Array(4096 + bytes).fill(0x90);
  const view = new DataView(file.buffer);
  file.fill(0, 0, 120);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, 0x401000n, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true);
  view.setUint32(68, 7, true);
  view.setBigUint64(80, 0x400000n, true);
  view.setBigUint64(96, BigInt(file.length), true);
  view.setBigUint64(104, BigInt(file.length), true);
  view.setBigUint64(112, 4096n, true);
  return file;
}

describe.skipIf(!hasGcc)('programs', () => {
  const scratch = new Scratch();
  afterAll(() => scratch.cleanUp());
  const programs: Record<string, string> = {};

  beforeAll(() => {
    programs.exit = scratch.compile('exit', 'void start(long *s) { sys(231, 42, 0, 0, 0); }');
    programs.chatty = scratch.compile(
      'chatty',
      `static char block[65536];
       void start(long *s) {
         for (int i = 0; i < 65536; i++) block[i] = i % 64 == 63 ? '\\n' : 'a' + i % 26;
         for (int i = 0; i < 64; i++) sys(1, 1, (long)block, 65536, 0);
         sys(1, 2, (long)"done\\n", 5, 0);
         sys(60, 0, 0, 0, 0);
       }`,
    );
    programs.cat = scratch.compile(
      'cat',
      `static char block[5000];
       void start(long *s) {
         long n;
         while ((n = sys(0, 0, (long)block, 5000, 0)) > 0) sys(1, 1, (long)block, n, 0);
         sys(231, -n, 0, 0, 0);
       }`,
    );
    programs.spin = scratch.compile('spin', 'void start(long *s) { put("on\\n"); for (;;) ; }');
    programs.null = scratch.compile('null', 'void start(long *s) { *(volatile int *)16 = 1; }');
    programs.args = scratch.compile(
      'args',
      'void start(long *s) { char **v = (char **)(s + 1); for (int i = 1; i < s[0]; i++) { put(v[i]); put("|"); } sys(231, s[0], 0, 0, 0); }',
    );
    programs.sleep = scratch.compile(
      'sleep',
      'void start(long *s) { long t[2] = {0, 20000000}; sys(35, (long)t, 0, 0, 0); sys(231, 5, 0, 0, 0); }',
    );
  });

  test('exit status and counters', async () => {
    const result = await run(programs.exit, [], { cpus: 2 });
    expect(result).toMatchObject({ exitCode: 42, signal: null, death: null });
    expect(result.stats).toMatchObject({ exitCode: 42, signal: null, key14: { cleared: 0 } });
    expect(result.stats.cpus.map((cpu) => cpu.id)).toEqual([0, 1]);
    expect(result.stats.cpus.reduce((sum, cpu) => sum + cpu.syscalls, 0)).toBe(1);
    const instructions = result.stats.cpus.reduce((sum, cpu) => sum + cpu.instructions, 0);
    expect(instructions).toBeGreaterThan(3);
    expect(instructions).toBeLessThan(20);
  });

  test('four megabytes of captured output arrive whole and in order', async () => {
    const result = await run(programs.chatty);
    expect(result.output.length).toBe(64 * 65536);
    const block = result.output.subarray(0, 65536);
    for (let i = 1; i < 64; i++)
      expect(result.output.subarray(i * 65536, (i + 1) * 65536).equals(block)).toBe(true);
    expect(result.errorOutput.toString()).toBe('done\n');
  });

  test('input larger than the ring passes through', async () => {
    const stdin = Uint8Array.from({ length: 300_000 }, (_, i) => i * 7 + (i >> 8));
    const result = await run(programs.cat, [], { stdin });
    expect(result.exitCode).toBe(0);
    expect(Buffer.compare(result.output, Buffer.from(stdin))).toBe(0);
  });

  test('arguments', async () => {
    const result = await run(programs.args, ['one', '', 'drei ü']);
    expect(result.output.toString()).toBe('one||drei ü|');
    expect(result.exitCode).toBe(4);
  });

  test('a fault says what it was', async () => {
    const { exitCode, signal, death } = await run(programs.null);
    expect({ exitCode, signal }).toEqual({ exitCode: null, signal: 'SIGSEGV' });
    expect(death).toMatchObject({
      signal: 11,
      code: 1,
      address: 16n,
      vector: 14,
      errorCode: 6,
      symbol: 'start',
    });
  });

  test('a sleep ends', async () => {
    expect((await run(programs.sleep)).exitCode).toBe(5);
  });

  test('a signal from outside kills a program that runs, and stop ends it without one', async () => {
    for (const how of ['kill', 'stop'] as const) {
      const machine = await Machine.boot({ stdout: 'capture' });
      const running = machine.run(programs.spin, [], {});
      await expect.poll(() => machine.started).toBe(true);
      if (how === 'kill') machine.kill(15);
      else machine.stop();
      expect((await running).signal).toBe(how === 'kill' ? 'SIGTERM' : null);
      await machine.close();
    }
  });

  test('a machine that is closed while its program runs ends it', async () => {
    const machine = await Machine.boot({ stdout: 'capture' });
    const running = machine.run(programs.spin, [], {});
    await machine.close();
    await running;
  });

  test('machines leave no threads, handles or memory behind', { timeout: 120_000 }, async () => {
    const threads = () => readdirSync('/proc/self/task').length;
    const descriptors = () => readdirSync('/proc/self/fd').length;
    const round = async () => expect((await run(programs.exit, [], { cpus: 2 })).exitCode).toBe(42);
    for (let i = 0; i < 5; i++) await round();
    const before = { threads: threads(), descriptors: descriptors(), rss: process.memoryUsage().rss };
    for (let i = 0; i < 25; i++) await round();
    expect(threads()).toBeLessThanOrEqual(before.threads);
    expect(descriptors()).toBeLessThanOrEqual(before.descriptors);
    expect(process.memoryUsage().rss - before.rss).toBeLessThan(100 << 20);
  });
});

describe('guests of our own', () => {
  test.each([1, 2, 4, 8])('the self-test holds on %i CPUs', { timeout: 60_000 }, async (cpus) => {
    const result = await run(guest('selftest'), [], { cpus });
    expect(result.output.toString()).not.toMatch(/result=failed/);
    expect(result.exitCode).toBe(0);
  });

  test('the demonstration holds, with and without the debug clear', { timeout: 60_000 }, async () => {
    for (const debugFpu of [false, true]) {
      const result = await run(guest('demo'), ['6', '10', '20000'], { cpus: 4, abi: 'minimal', debugFpu });
      expect(result.output.toString()).toMatch(/event=done .* wrong=0 ok=1/);
      expect(result.faults.length).toBeGreaterThanOrEqual(6 * 10 * 2);
      expect(result.stats.key14.cleared > 0).toBe(debugFpu);
    }
  });

  test.each([
    ['pkruNotSaved', 4],
    ['pkruNotRestored', 4],
    ['pkruShared', 2],
  ] as const)('the demonstration notices the defect %s', { timeout: 60_000 }, async (defect, cpus) => {
    const options = { cpus, abi: 'minimal', mutants: Mutant[defect] } as const;
    // With pkruNotSaved threads get back the PKRU that they began with. It is their parent's, who may have shut the same keys already:
    // then only key 14's bits are lost, which nothing clears here.
    const noticed =
      defect === 'pkruNotSaved' ? /event=wrong|event=done .* key14-cleared=[1-9]/ : /event=wrong/;
    // Whether threads lose their CPUs at the wrong moment depends on what else the host does: one of several runs must show it.
    let output = '';
    for (let runs = 0; runs < 8 && !noticed.test(output); runs++)
      output = (await run(guest('demo'), ['6', '300', '20000'], options)).output.toString();
    expect(output).toMatch(noticed);
  });

  test.each(['debugClearForgotten', 'debugClearWrongKey'] as const)(
    'with the defect %s key 14 stays as the threads set it',
    { timeout: 60_000 },
    async (defect) => {
      const options = { cpus: 2, abi: 'minimal', debugFpu: true, mutants: Mutant[defect] } as const;
      const result = await run(guest('demo'), ['6', '10', '20000'], options);
      expect(result.output.toString()).toMatch(/event=done .* key14-cleared=0 /);
    },
  );
});
