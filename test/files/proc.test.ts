import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpuinfo, loadAverage, mapsLine, meminfo, smapsLines } from '../../src/kernel/files/proc-text.js';
import { Folders, TestKernel } from './fixtures.js';

const linux = process.platform === 'linux';

describe('texts of /proc', () => {
  it.skipIf(!linux)('maps lines are as the host writes them', () => {
    for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n').filter(Boolean)) {
      const match = /^(\w+)-(\w+) (....) (\w+) (\S+) (\d+) +(.*)$/.exec(line)!;
      const [, start, end, flags, offset, device, inode, name] = match;
      const prot = (flags[0] === 'r' ? 1 : 0) | (flags[1] === 'w' ? 2 : 0) | (flags[2] === 'x' ? 4 : 0);
      const made = mapsLine({
        start: Number.parseInt(start, 16),
        end: Number.parseInt(end, 16),
        prot,
        shared: flags[3] === 's',
        offset: Number.parseInt(offset, 16),
        device,
        inode: Number(inode),
        name,
      });
      // The host's kernel leaves out one blank for vsyscall, whose address takes 16 digits.
      if (!line.startsWith('ffff')) expect(made).toBe(`${line}\n`);
    }
  });

  it.skipIf(!linux)('smaps lines are in the host’s format', () => {
    const host = readFileSync('/proc/self/smaps', 'utf8').split('\n').slice(1, 24);
    const figures = { size: 8192, resident: 4096, dirty: 4096, anonymous: true, shared: false };
    const made = smapsLines({ ...figures, protectionKey: 5, pku: true, vmFlags: 'rd wr mr mw me ' });
    const format = (line: string) => line.replace(/\d+/, (digits) => 'n'.padStart(digits.length, 'n'));
    const shapes = new Set(host.map((line) => format(line).replace(/ +n+/, ' n')));
    for (const name of ['Size', 'Rss', 'Private_Dirty', 'Anonymous', 'Swap']) {
      const line = made.split('\n').find((l) => l.startsWith(`${name}:`))!;
      expect(shapes).toContain(format(line).replace(/ +n+/, ' n'));
      expect(line).toHaveLength('Size:                  8 kB'.length);
    }
    expect(made).toContain('\nProtectionKey:         5\n');
    expect(smapsLines({ ...figures, protectionKey: 0, pku: false, vmFlags: '' })).not.toContain(
      'ProtectionKey',
    );
  });

  it('cpuinfo has an entry for each CPU, with the key features', () => {
    const text = cpuinfo(3, true);
    expect(text.match(/^processor\t: \d$/gm)).toEqual(['processor\t: 0', 'processor\t: 1', 'processor\t: 2']);
    const flags = /^flags\t\t: (.*)$/m.exec(text)![1].split(' ');
    for (const name of ['fpu', 'sse2', 'syscall', 'lm', 'pku', 'ospke', 'xsave'])
      expect(flags).toContain(name);
    const without = /^flags\t\t: (.*)$/m.exec(cpuinfo(1, false))![1].split(' ');
    for (const name of ['pku', 'ospke']) expect(without).not.toContain(name);
  });

  it.skipIf(!linux)('meminfo lines have the host’s columns', () => {
    const host = readFileSync('/proc/meminfo', 'utf8').split('\n')[0];
    const made = meminfo(512 << 20, 100 << 20).split('\n');
    expect(made[0]).toBe('MemTotal:         524288 kB');
    expect(made[1]).toBe('MemFree:          102400 kB');
    expect(made[0]).toHaveLength(host.length);
  });

  it('loadavg has five fields', () => {
    const load = {
      cpuCount: 1,
      uptime: 1,
      bootTime: 0,
      contextSwitches: 0,
      tasks: 3,
      running: 1,
      lastPid: 102,
    };
    expect(loadAverage(load)).toBe('0.00 0.00 0.00 1/3 102\n');
  });
});

describe('the trees', () => {
  let folders: Folders;
  let kernel: TestKernel;
  beforeAll(() => {
    folders = new Folders();
    kernel = new TestKernel(folders.own);
  });
  afterAll(() => {
    kernel.close();
    folders.remove();
  });

  const open = (path: string, flags = 0) => kernel.call(2, kernel.place(path), flags);

  /** Reads a whole file in pieces. */
  function read(path: string, piece = 1000): string {
    const fd = open(path);
    expect(fd).toBeGreaterThan(2);
    const buffer = kernel.place(new Uint8Array(piece));
    let text = '';
    for (;;) {
      const count = kernel.call(0, fd, buffer, piece);
      expect(count).toBeGreaterThanOrEqual(0);
      if (count === 0) break;
      text += kernel.bytes(buffer, count).toString('latin1');
    }
    kernel.call(3, fd);
    return text;
  }

  function list(path: string): string[] {
    const fd = open(path, 0o200000);
    expect(fd).toBeGreaterThan(2);
    const buffer = kernel.place(new Uint8Array(2000));
    const names: string[] = [];
    for (
      let count = kernel.call(217, fd, buffer, 2000);
      count > 0;
      count = kernel.call(217, fd, buffer, 2000)
    ) {
      const bytes = kernel.bytes(buffer, count);
      for (let at = 0; at < count; at += bytes.readUInt16LE(at + 16)) {
        names.push(bytes.toString('latin1', at + 19, bytes.indexOf(0, at + 19)));
      }
    }
    kernel.call(3, fd);
    return names;
  }

  it('texts can be read in pieces of any size', () => {
    const whole = read('/proc/stat', 100_000);
    expect(whole).toMatch(/^cpu {2}\d+ 0 0/);
    expect(read('/proc/stat', 7)).toBe(whole);
    expect(read('/sys/devices/system/cpu/online')).toBe('0\n');
    expect(read('/proc/sys/kernel/osrelease')).toMatch(/^6\.1\./);
  });

  it('a thread’s directory has its descriptors, and what is the process’s', () => {
    const fd = open('/dev/null');
    const self = '/proc/thread-self';
    const again = open(`${self}/fd/${fd}`);
    expect(again).toBeGreaterThan(fd);
    kernel.call(3, again);
    expect(list(`${self}/fd`)).toContain(String(fd));
    expect(read(`${self}/maps`)).toBe(read('/proc/self/maps'));
    expect(list(self)).toEqual(list('/proc/self').filter((name) => name !== 'task'));
    expect(read('/proc/sys/vm/mmap_min_addr')).toBe('65536\n');
    kernel.call(3, fd);
  });

  it('directories list what can be opened in them', () => {
    kernel.reset();
    const pid = String(kernel.k.pid);
    expect(list('/proc')).toContain(pid);
    expect(list('/dev')).toEqual(
      expect.arrayContaining(['.', '..', 'null', 'zero', 'urandom', 'stdin', 'fd']),
    );
    expect(list('/proc/self/task')).toEqual(['.', '..', pid]);
    expect(list('/proc/self/fd')).toEqual(['.', '..', '0', '1', '2', '3']);
    for (const name of list('/proc')) {
      if (name.startsWith('.')) continue;
      const fd = open(`/proc/${name}`);
      expect(fd, name).toBeGreaterThan(2);
      kernel.call(3, fd);
      kernel.reset();
    }
  });

  it('threads have names', () => {
    kernel.reset();
    kernel.call(157, 15, kernel.place('worker'));
    expect(read('/proc/self/comm')).toBe('worker\n');
    const fd = open('/proc/thread-self/comm', 1);
    kernel.call(1, fd, kernel.place('renamed by a long text\n'), 23);
    expect(read(`/proc/self/task/${kernel.k.pid}/comm`)).toBe('renamed by a lo\n');
    kernel.call(3, fd);
  });

  it('change nothing for those who try', () => {
    kernel.reset();
    expect(open('/proc/cpuinfo', 1)).toBe(-13);
    expect(open('/proc/new', 0o101)).toBe(-2);
    expect(kernel.call(87, kernel.place('/proc/cpuinfo'))).toBe(-1);
    expect(kernel.call(82, kernel.place('/dev/null'), kernel.place('x'))).toBe(-1);
    expect(open('/proc/1')).toBe(-2);
  });

  it('a directory of the trees can be the working one', () => {
    kernel.reset();
    expect(kernel.call(80, kernel.place('/proc/self'))).toBe(0);
    expect(read('comm')).toBe('renamed by a lo\n');
    expect(read('../uptime')).toMatch(/^\d+\.\d\d 0\.00\n$/);
    expect(kernel.call(80, kernel.place('../..'))).toBe(0);
    const buffer = kernel.place(new Uint8Array(100));
    expect(kernel.call(79, buffer, 100)).toBe(2);
    kernel.call(80, kernel.place(folders.own));
  });

  it('random bytes differ, and repeat with the seed of a seeded machine', () => {
    kernel.reset();
    const buffer = kernel.place(new Uint8Array(64));
    const draw = () => {
      expect(kernel.call(318, buffer, 64, 0)).toBe(64);
      return kernel.bytes(buffer, 64).toString('hex');
    };
    expect(draw()).not.toBe(draw());
    const seeded = () => {
      const other = new TestKernel(folders.own);
      other.seed(42);
      const to = other.place(new Uint8Array(64));
      other.call(318, to, 40, 0);
      other.call(318, to + 40, 24, 0);
      const bytes = other.bytes(to, 64).toString('hex');
      other.close();
      return bytes;
    };
    expect(seeded()).toBe(seeded());
    expect(seeded()).not.toBe('00'.repeat(64));
  });
});
