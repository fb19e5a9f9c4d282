import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

/** One entry of src/guests/workloads/manifest.json; its $comment says what the fields mean. */
interface Workload {
  name: string;
  file: string;
  source: string;
  kind: string;
  twins: boolean;
  args: { faulty?: string[]; fixed: string[] };
  failureKind: string;
  needsKeys: boolean;
  failsUnder: string[];
  skipsUnder: string[];
  threads: number;
}

const GUESTS = fileURLToPath(new URL('../src/guests', import.meta.url));
const BIN = join(GUESTS, 'bin');
const ABIS = ['minimal', 'linux', 'mm-bitmap', 'task-bitmap', 'hybrid', 'vdso'];
const EXIT_USAGE = 2;
const EXIT_SKIPPED = 77;
const manifest: Workload[] = JSON.parse(
  readFileSync(join(GUESTS, 'workloads/manifest.json'), 'utf8'),
).workloads;
const programs = readdirSync(BIN).filter((name) => !name.includes('.'));

function toolchain(): string | undefined {
  const first = (command: string) =>
    spawnSync(command, ['--version'], { encoding: 'utf8' }).stdout?.split('\n')[0];
  const compiler = first('gcc');
  const linker = first('ld');
  return compiler && linker ? `${compiler}\n${linker}\n` : undefined;
}

const runsNatively = process.platform === 'linux' && process.arch === 'x64';
const hostHasKeys = runsNatively && /^flags.*\bospke\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'));

function run(name: string, ...args: string[]) {
  const result = spawnSync(join(BIN, name), args, { encoding: 'utf8', timeout: 30_000 });
  return { status: result.status, signal: result.signal, output: result.stdout };
}

/** The records of the result protocol (src/guests/include/europa.h): lines "E key=value …". */
function records(output: string): Record<string, string>[] {
  return output
    .split('\n')
    .filter((line) => line.startsWith('E '))
    .map((line) =>
      Object.fromEntries(
        line
          .slice(2)
          .split(' ')
          .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
      ),
    );
}

const SHT_SYMTAB = 2;
const SHT_DYNSYM = 11;

/** Names in an ELF64 file's symbol table (System V gABI, chapter 4). */
function symbols(file: Buffer, type = SHT_SYMTAB): string[] {
  const start = Number(file.readBigUInt64LE(40));
  const section = (i: number) => {
    const at = start + 64 * i;
    const [offset, bytes] = [24, 32].map((field) => Number(file.readBigUInt64LE(at + field)));
    return { type: file.readUInt32LE(at + 4), offset, bytes, link: file.readUInt32LE(at + 40) };
  };
  const table = Array.from({ length: file.readUInt16LE(60) }, (_, i) => section(i)).find(
    (s) => s.type === type,
  );
  if (!table) return [];
  const strings = section(table.link).offset;
  return Array.from({ length: table.bytes / 24 }, (_, i) => {
    const name = strings + file.readUInt32LE(table.offset + 24 * i);
    return file.toString('latin1', name, file.indexOf(0, name));
  });
}

describe('guest programs in the repository', () => {
  it('are all built, and nothing else is', () => {
    const sources = ['', 'workloads', 'verify', 'scale'].flatMap((folder) =>
      readdirSync(join(GUESTS, folder))
        .filter((file) => file.endsWith('.c') && file !== 'common.c')
        .map((file) => basename(file, '.c')),
    );
    expect([...programs].sort()).toEqual(sources.sort());
  });

  it.each(programs)('%s is a small static x86-64 ELF file with symbols and without paths', (name) => {
    const file = readFileSync(join(BIN, name));
    expect(file.subarray(0, 6).toString('latin1')).toBe('\x7fELF\x02\x01');
    expect([file.readUInt16LE(16), file.readUInt16LE(18)]).toEqual([2, 62]);
    expect(file.length).toBeLessThan(32_768);
    const segments = Array.from({ length: file.readUInt16LE(56) }, (_, i) =>
      file.readUInt32LE(Number(file.readBigUInt64LE(32)) + 56 * i),
    );
    expect(segments).not.toContain(3); // PT_INTERP
    expect(segments).not.toContain(2); // PT_DYNAMIC
    expect(symbols(file)).toEqual(expect.arrayContaining(['_start', 'main', `${name}.c`]));
    expect(/\/(tmp|home|root|work|usr)\//.test(file.toString('latin1'))).toBe(false);
  });

  it('has a vDSO of one page whose file offsets are its addresses', () => {
    const file = readFileSync(join(BIN, 'vdso.so'));
    const load = Number(file.readBigUInt64LE(32));
    expect(file.readUInt32LE(load)).toBe(1);
    expect(file.readUInt32LE(load + 4)).toBe(5);
    expect(file.readBigUInt64LE(load + 8)).toBe(0n);
    expect(file.readBigUInt64LE(load + 16)).toBe(0n);
    expect(file.readBigUInt64LE(load + 40)).toBeLessThanOrEqual(4096n);
    expect(symbols(file, SHT_DYNSYM)).toEqual(['', '__vdso_pkey_get', '__vdso_pkey_set']);
  });
});

describe('workload manifest', () => {
  it('names every workload once, with files that exist', () => {
    const sources = readdirSync(join(GUESTS, 'workloads')).filter((file) => file.endsWith('.c'));
    expect(manifest.map((w) => basename(w.source)).sort()).toEqual(sources.sort());
    for (const workload of manifest) {
      expect(workload.file).toBe(`bin/${workload.name}`);
      expect(programs).toContain(workload.name);
    }
  });

  it.each(manifest)('$name is consistent', (workload) => {
    for (const abi of [...workload.failsUnder, ...workload.skipsUnder]) expect(ABIS).toContain(abi);
    expect(workload.failsUnder.filter((abi) => workload.skipsUnder.includes(abi))).toEqual([]);
    expect(workload.args.faulty !== undefined).toBe(workload.twins);
    expect(workload.failsUnder.length > 0).toBe(workload.twins);
    expect(['exit', 'deadlock']).toContain(workload.failureKind);
  });
});

const compiler = toolchain();
const builtWith = readFileSync(join(BIN, 'toolchain.txt'), 'utf8');

describe.skipIf(!compiler)('building the guest programs (skipped without gcc and ld)', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'europa-guests-'));
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));
  const build = (folder: string) => {
    const result = spawnSync(join(GUESTS, 'build.sh'), [join(scratch, folder)], { encoding: 'utf8' });
    expect(result.stderr).toBe('');
    expect(result.status).toBe(0);
    const files = readdirSync(join(scratch, folder)).sort();
    return new Map(files.map((file) => [file, readFileSync(join(scratch, folder, file))]));
  };

  it('gives the same bytes twice', () => {
    const first = build('first');
    const second = build('second');
    expect([...second.keys()]).toEqual([...first.keys()]);
    for (const [file, bytes] of first) expect(bytes.equals(second.get(file)!), file).toBe(true);
  });

  it.skipIf(compiler !== builtWith)(
    'gives the files in the repository (skipped with another compiler than theirs)',
    () => {
      for (const [file, bytes] of build('again')) {
        expect(bytes.equals(readFileSync(join(BIN, file))), `${file} is out of date`).toBe(true);
      }
    },
  );
});

describe.skipIf(!runsNatively)('guest programs on this processor (skipped but on x86-64 Linux)', () => {
  it('selftest passes', () => {
    const { status, output } = run('selftest');
    const results = records(output);
    expect(results.filter((r) => r.result === 'failed')).toEqual([]);
    expect(results.filter((r) => r.result === 'ok').length).toBeGreaterThanOrEqual(15);
    expect(results.at(-1)).toEqual({ failed: '0' });
    expect(status).toBe(0);
  });

  it.each(manifest.filter((w) => w.twins && !w.needsKeys))('$name holds when corrected', ({ name, args }) => {
    for (let i = 0; i < 50; i++) expect(run(name, ...args.fixed)).toMatchObject({ status: 0, output: '' });
  });

  it('lost-update loses none of a million when corrected, and can tell when some are lost', () => {
    expect(run('lost-update', 'fixed', '500000')).toMatchObject({ status: 0, output: '' });
    const attempts = Array.from({ length: 20 }, () => run('lost-update', 'faulty', '2000000'));
    const seen = attempts.find((attempt) => attempt.status === 1);
    expect(seen && records(seen.output)[0]).toMatchObject({ check: 'failed', expected: '4000000' });
  });

  const tests = ['SB', 'MP', 'LB', 'R', 'S', '2+2W', 'IRIW'];
  it.each(tests)('litmus %s shows nothing that x86-TSO forbids', (test) => {
    for (const variant of ['plain', 'half', 'xchg', 'mfence', 'lock']) {
      const { status, output } = run('litmus', test, variant, '20000');
      const outcomes = records(output);
      expect(outcomes.reduce((sum, outcome) => sum + Number(outcome.count), 0)).toBe(20_000);
      expect(outcomes.filter((outcome) => outcome.allowed !== '1')).toEqual([]);
      expect(status).toBe(0);
    }
  });

  it('calls reports results, values and faults', () => {
    const { status, output } = run(
      'calls',
      ...'write page+8 5 , read page+8 , read hole , mprotect page 4096 1 , write page 1 , exec page , munmap 1 1'.split(
        ' ',
      ),
    );
    expect(status).toBe(0);
    expect(records(output)).toMatchObject([
      { call: 'write', passed: '1' },
      { call: 'read', passed: '1', value: '0x5' },
      { call: 'read', passed: '0', signal: '11', code: '1', error: '0x4' },
      { call: 'mprotect', result: '0' },
      { call: 'write', passed: '0', signal: '11', code: '2', error: '0x7' },
      { call: 'exec', passed: '0', signal: '11', code: '2', error: '0x15' },
      { call: 'munmap', result: '-22' },
    ]);
  });

  it('wrong arguments end with status 2', () => {
    for (const line of [
      'lost-update sideways',
      'litmus',
      'litmus SB none',
      'lost-update fixed 1x',
      'calls',
      'calls nothing',
    ]) {
      const [name, ...args] = line.split(' ');
      expect(run(name, ...args).status, line).toBe(EXIT_USAGE);
    }
  });

  const keyed = ['demo', ...manifest.filter((w) => w.needsKeys).map((w) => w.name)];
  it.skipIf(hostHasKeys).each(keyed)('%s says that this processor has no protection keys', (name) => {
    expect(run(name)).toEqual({ status: EXIT_SKIPPED, signal: null, output: 'E skip=no-protection-keys\n' });
  });

  it.skipIf(!hostHasKeys)('demo and the corrected twins hold (skipped without protection keys)', () => {
    expect(records(run('demo').output).at(-1)).toMatchObject({ event: 'done', ok: '1' });
    for (const { name, args, skipsUnder } of manifest) {
      expect(run(name, ...args.fixed).status, name).toBe(skipsUnder.includes('linux') ? EXIT_SKIPPED : 0);
    }
  });
});
