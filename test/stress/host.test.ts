import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { runReplay } from '../../src/stress/replay.js';
import { runStress, type StressRequest } from '../../src/stress/stress.js';
import { hasGcc, Scratch } from '../machine/fixtures.js';
import { CLONE } from './fixtures.js';

const scratch = new Scratch();
const data = join(scratch.path, 'data');
const listed = join(scratch.path, 'listed');
const replay = join(scratch.path, 'replay.json');
afterAll(() => scratch.cleanUp());

/** A second thread does `body` and ends the program with its result. */
const program = (name: string, body: string) =>
  scratch.compile(
    name,
    `${CLONE}
static char bytes[65536];
static long total(long n) { long sum = n; for (long i = 0; i < n; i++) sum = sum * 31 + (unsigned char)bytes[i]; return sum; }
static void body(void) { ${body} }
void start(long *s) { thread(0, body); for (;;) sys(34, 0, 0, 0, 0); }`,
  );

/** Ends with status 1 and the sum of what was seen as output, so that every byte of it is in the trace and the outcome. */
const END = `
  char text[17]; for (int i = 15; i >= 0; i--) { text[i] = "0123456789abcdef"[sum & 15]; sum >>= 4; }
  text[16] = 0; put(text); sys(231, 1, 0, 0, 0);`;

const READS: Record<string, string> = {
  'contents of a file': `long fd = sys(2, (long)"${data}", 0, 0, 0); long sum = total(sys(0, fd, (long)bytes, 65536, 0));`,
  'a mapped file': `long fd = sys(2, (long)"${data}", 0, 0, 0); char *m;
    register long r8 __asm__("r8") = fd; register long r9 __asm__("r9") = 0; register long r10 __asm__("r10") = 2;
    __asm__ volatile("syscall" : "=a"(m) : "a"(9L), "D"(0L), "S"(4096L), "d"(1L), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    long sum = 0; for (int i = 0; i < 16; i++) sum = sum * 31 + m[i];`,
  'times and inode of a file': `sys(4, (long)"${data}", (long)bytes, 0, 0); long sum = total(144);`,
  'a file that is not there': `long sum = sys(2, (long)"${data}.missing", 0, 0, 0) * 7 + sys(21, (long)"${data}", 2, 0, 0);`,
  'a directory': `long fd = sys(2, (long)"${listed}", 0200000, 0, 0); long sum = total(sys(217, fd, (long)bytes, 65536, 0));`,
  'space on the volume': `sys(137, (long)"${listed}", (long)bytes, 0, 0); long sum = total(120);`,
  'mounts and names of descriptors': `long fd = sys(2, (long)"/proc/self/mounts", 0, 0, 0);
    long n = sys(0, fd, (long)bytes, 60000, 0); n += sys(89, (long)"/proc/self/fd/1", (long)bytes + n, 4000, 0); long sum = total(n);`,
};

const request = (path: string, more: Partial<StressRequest> = {}): StressRequest => ({
  target: null,
  program: [path],
  abi: 'minimal',
  debugFpu: false,
  memory: 16 << 20,
  memoryModel: 'tso',
  schedule: 'random',
  seed: 1,
  runs: 20,
  jobs: 1,
  keepGoing: false,
  bounds: {},
  replay,
  mutants: 0,
  ...more,
});

const again = () => runReplay({ file: replay, times: 2, trace: false, strace: false });

describe.skipIf(!hasGcc)('what a program sees of its host', () => {
  beforeEach(() => {
    writeFileSync(data, 'as it was when the run was recorded');
    rmSync(listed, { recursive: true, force: true });
    mkdirSync(listed);
    writeFileSync(join(listed, 'one'), '');
  });

  for (const [what, body] of Object.entries(READS)) {
    it(`${what}: a replay shows the same after the host has changed`, async () => {
      const path = program('reads', body + END);
      const { json } = await runStress(request(path));
      const first = again();
      expect(first).toMatchObject({ same: true, outcome: { kind: 'exit' } });
      expect(first.outcome.output).toMatch(/^[0-9a-f]{16}$/);
      expect(first.outcome.traceHash).toBe(json.failures[0].traceHash);

      writeFileSync(data, 'something else, and longer than it was before');
      writeFileSync(`${data}.missing`, 'now there');
      writeFileSync(join(listed, 'two'), '');
      expect(again().outcome).toEqual(first.outcome);
      rmSync(data);
      rmSync(listed, { recursive: true });
      expect(again().outcome).toEqual(first.outcome);
      rmSync(`${data}.missing`);
    });
  }

  it('a file changes between the runs of a campaign: all of them see what the first has seen', async () => {
    const path = program('reads', READS['contents of a file'] + END);
    const { SeededMachine } = await import('../../src/stress/seeded-machine.js');
    const { machineOptions } = await import('../../src/stress/stress.js');
    const { RandomSchedule } = await import('../../src/scheduler/seeded/random.js');
    const machine = new SeededMachine(machineOptions(request(path)));
    machine.boot();
    const before = machine.run(new RandomSchedule(), 1)!;
    writeFileSync(data, 'changed');
    expect(machine.run(new RandomSchedule(), 1)).toEqual(before);
  });

  it('a large file is in the recording by its hash: a replay reads it, and refuses another by name', async () => {
    writeFileSync(data, Buffer.alloc(3 << 20, 'x'));
    await runStress(request(program('reads', READS['contents of a file'] + END)));
    expect(again().same).toBe(true);
    writeFileSync(data, Buffer.alloc(3 << 20, 'y'));
    expect(again).toThrow(`${data}: has changed since the recorded run`);
    rmSync(data);
    expect(again).toThrow(`${data}: cannot be read any more (ENOENT)`);
  });

  it('standard input is what was given', async () => {
    const path = program('reads', `long sum = total(sys(0, 0, (long)bytes, 65536, 0));${END}`);
    const output = async (stdin?: Uint8Array) => {
      await runStress(request(path, { stdin }));
      return again().outcome.output;
    };
    const [none, some] = [await output(), await output(Buffer.from('typed'))];
    expect(none).toBe('0000000000000000');
    expect(some).not.toBe(none);
    await expect(output(new Uint8Array(65537))).rejects.toThrow('at most 64 KiB');
  });

  it('files without a name start each run as the snapshot has them', async () => {
    const path = program(
      'memfd',
      `long fd = sys(319, (long)"m", 0, 0, 0); sys(1, fd, (long)"abc", 3, 0); sys(8, fd, 0, 0, 0);
       long sum = total(sys(0, fd, (long)bytes, 16, 0)) * 100 + sys(8, fd, 0, 2, 0) * 10 + fd;${END}`,
    );
    const { json } = await runStress(request(path, { keepGoing: true }));
    expect(json.failures).toHaveLength(20);
    expect(again()).toMatchObject({ same: true });
  });

  const REFUSED: Record<string, [body: string, text: string]> = {
    'opens a file for writing': [`sys(2, (long)"${data}", 1, 0, 0);`, `${data}: is opened for writing`],
    'creates a file': [`sys(2, (long)"${data}.new", 0101, 0644, 0);`, `${data}.new: is opened for writing`],
    'truncates a file': [`sys(76, (long)"${data}", 3, 0, 0);`, `${data}: is opened for writing`],
    'removes a file': [`sys(87, (long)"${data}", 0, 0, 0);`, `${data}: is created, renamed, removed`],
    'makes a directory': [
      `sys(83, (long)"${data}.d", 0755, 0, 0);`,
      `${data}.d: is created, renamed, removed`,
    ],
    'sets times': [
      `long fd = sys(2, (long)"${data}", 0, 0, 0); sys(280, fd, 0, 0, 0);`,
      `${data}: is created, renamed, removed or given other attributes`,
    ],
  };
  for (const [what, [body, text]] of Object.entries(REFUSED)) {
    it(`a program that ${what} is refused by name`, async () => {
      const path = program('writes', `${body} sys(231, 0, 0, 0, 0);`);
      await expect(runStress(request(path))).rejects.toThrow(text);
    });
  }
});
