import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Stat } from '../../src/kernel/files/stat.js';
import {
  type Call,
  Folders,
  noNativeCalls,
  type Outcome,
  runNative,
  runOwn,
  TestKernel,
} from './fixtures.js';

/** The same calls on the host's kernel and on ours, in folders with the same contents, must give the same results. */

const unavailable = noNativeCalls();
if (unavailable) console.log(`skipped: comparison of file calls with the host's: ${unavailable}`);

const cleanup: (() => void)[] = [];
afterAll(() => {
  for (const step of cleanup) step();
});

function fill(folder: string): void {
  writeFileSync(join(folder, 'text'), 'The quick brown fox\n'.repeat(10));
  writeFileSync(join(folder, 'plain'), 'x', { mode: 0o644 });
  writeFileSync(join(folder, 'empty'), '');
  mkdirSync(join(folder, 'dir/sub'), { recursive: true });
  writeFileSync(join(folder, 'dir/file'), 'inside');
  symlinkSync('text', join(folder, 'link'));
  symlinkSync('nowhere', join(folder, 'dangling'));
  symlinkSync('loop', join(folder, 'loop'));
  symlinkSync('dir', join(folder, 'dirlink'));
}

function both(calls: readonly Call[]): { native: Outcome[]; own: Outcome[] } {
  const folders = new Folders(fill);
  const kernel = new TestKernel(folders.own);
  cleanup.push(() => {
    kernel.close();
    folders.remove();
  });
  return { native: runNative(folders, calls), own: runOwn(kernel, calls) };
}

/** Compares results and, after `mask` has cleared what may differ, buffers. */
function same(calls: readonly Call[], mask: (buffer: Buffer, call: number) => void = () => {}): void {
  const { native, own } = both(calls);
  const differing = calls.flatMap((call, i) => {
    for (const outcome of [native[i], own[i]]) for (const buffer of outcome.buffers) mask(buffer, i);
    const [expected, got] = [native[i], own[i]].map(
      (outcome) => `${outcome.result} ${outcome.buffers.map((buffer) => buffer.toString('hex')).join(' ')}`,
    );
    return expected === got ? [] : [`call ${i}, ${describeCall(call)}: ${got} instead of ${expected}`];
  });
  expect(differing).toEqual([]);
}

const describeCall = (call: Call) => call.map((argument) => JSON.stringify(argument).slice(0, 60)).join(' ');

const iovec = (...pairs: [number, number][]) =>
  new Uint8Array(BigUint64Array.from(pairs.flat(), (n) => BigInt.asUintN(64, BigInt(n))).buffer);

const CWD = -100;
const O = { RDONLY: 0, WRONLY: 1, RDWR: 2, CREAT: 0o100, EXCL: 0o200, TRUNC: 0o1000, APPEND: 0o2000 };
const [NONBLOCK, DIRECTORY, NOFOLLOW, CLOEXEC, PATH] = [0o4000, 0o200000, 0o400000, 0o2000000, 0o10000000];

describe.skipIf(unavailable)('as on the host', () => {
  it('open: which errors, and in which order', () => {
    const calls: Call[] = [];
    for (const path of [
      'text',
      'missing',
      'dir',
      'link',
      'dangling',
      'loop',
      'dirlink',
      '',
      'text/',
      'text/x',
      'dir/',
      './dir/../text',
      'x'.repeat(300),
      'y/'.repeat(2100),
    ]) {
      for (const flags of [
        O.RDONLY,
        O.WRONLY,
        O.RDWR,
        O.CREAT | O.EXCL,
        DIRECTORY,
        NOFOLLOW,
        PATH,
        PATH | NOFOLLOW,
        PATH | DIRECTORY,
      ]) {
        calls.push([257, CWD, path, flags, 0o644]);
      }
    }
    calls.push(
      [2, 0, 0],
      [2, 4096, 0],
      [257, 99, 'text', 0],
      [257, -1, 'text', 0],
      [257, 99, '/etc/passwd', 0],
    );
    calls.push([257, CWD, 'new', O.CREAT | O.RDWR, 0o666], [257, CWD, 'new', O.CREAT | O.EXCL, 0o666]);
    calls.push([85, 'created', 0o600], [85, 'dir', 0o600], [85, 'nodir/x', 0o600]);
    same(calls);
  });

  it('read, write and seek', () => {
    same([
      [2, 'text', O.RDWR], // 0: descriptor 3
      [0, { result: 0 }, { buffer: 10 }, 10],
      [0, { result: 0 }, { buffer: 300 }, 300],
      [0, { result: 0 }, { buffer: 10 }, 10],
      [8, { result: 0 }, 5, 0],
      [8, { result: 0 }, 5, 1],
      [8, { result: 0 }, -5, 2],
      [8, { result: 0 }, -500, 2],
      [8, { result: 0 }, 0, 3],
      [8, { result: 0 }, 7, 4],
      [8, { result: 0 }, 5000, 3],
      [8, { result: 0 }, 0, 9],
      [8, { result: 0 }, 5000, 0],
      [0, { result: 0 }, { buffer: 10 }, 10],
      [1, { result: 0 }, 'end', 3],
      [17, { result: 0 }, { buffer: 20 }, 20, 4],
      [17, { result: 0 }, { buffer: 20 }, 20, -4],
      [17, 99, { buffer: 20 }, 20, -4],
      [17, 99, { buffer: 20 }, 20, 4],
      [18, { result: 0 }, 'SLOW ', 5, 4],
      [17, { result: 0 }, { buffer: 20 }, 20, 0],
      [8, { result: 0 }, 0, 1],
      [77, { result: 0 }, 6],
      [77, { result: 0 }, -6],
      [17, { result: 0 }, { buffer: 20 }, 20, 0],
      [0, { result: 0 }, 0, 4],
      [0, { result: 0 }, 0x7fff_ffff_f000, 4],
      [0, 99, 0, 4],
      [1, 99, 0, 4],
      [2, 'text', O.RDONLY],
      [1, { result: 29 }, 'x', 1],
      [1, { result: 29 }, 0, 1],
      [77, { result: 29 }, 4],
      [2, 'text', O.WRONLY],
      [0, { result: 33 }, { buffer: 4 }, 4],
      [0, { result: 33 }, 0, 4],
      [2, 'dir', O.RDONLY],
      [0, { result: 36 }, { buffer: 4 }, 4],
      [17, { result: 36 }, { buffer: 4 }, 4, 0],
      [8, { result: 36 }, 0, 0],
      [77, { result: 36 }, 0],
      [76, 'dir', 0],
      [76, 'plain', 100],
      [76, 'missing', 100],
      [76, 'plain', -1],
      [285, { result: 0 }, 0, 0, 50],
      [285, { result: 0 }, 0, 0, 0],
      [285, { result: 29 }, 0, 0, 50],
      [17, { result: 0 }, { buffer: 60 }, 60, 0],
      [74, { result: 0 }],
      [74, 99],
      [221, { result: 0 }, 0, 0, 2],
      [221, { result: 0 }, 0, 0, 99],
    ]);
  });

  it('append mode', () => {
    same([
      [2, 'text', O.WRONLY | O.APPEND],
      [1, { result: 0 }, 'one', 3],
      [8, { result: 0 }, 0, 1],
      [8, { result: 0 }, 0, 0],
      [1, { result: 0 }, 'two', 3],
      [8, { result: 0 }, 0, 1],
      [18, { result: 0 }, 'three', 5, 0],
      [2, 'text', O.RDWR],
      [72, { result: 7 }, 4, O.APPEND],
      [1, { result: 7 }, 'four', 4],
      [72, { result: 7 }, 3],
      [17, { result: 7 }, { buffer: 250 }, 250, 0],
    ]);
  });

  it('vectors', () => {
    same([
      [2, 'text', O.RDWR],
      [19, { result: 0 }, iovec([0, 0]), 1],
      [19, { result: 0 }, iovec(), 0],
      [19, { result: 0 }, iovec([0, 4]), 1],
      [19, { result: 0 }, iovec([4096, -1]), 1],
      [19, { result: 0 }, 0, 1],
      [19, { result: 0 }, iovec([0, 0]), 1025],
      [19, { result: 0 }, iovec([0, 0]), -1],
      [19, 99, iovec([0, 0]), -1],
      [295, { result: 0 }, iovec([0, 0]), 1, -1],
    ]);
  });

  it('descriptors', () => {
    same([
      [2, 'text', O.RDONLY | CLOEXEC], // 3
      [72, 3, 1],
      [72, 3, 3],
      [72, 3, 2, 0],
      [72, 3, 1],
      [32, 3],
      [32, 99],
      [33, 3, 20],
      [33, 3, 3],
      [33, 99, 99],
      [33, 99, 3],
      [33, 3, -1],
      [33, 3, 5000000],
      [292, 3, 3, 0],
      [292, 3, 21, CLOEXEC],
      [72, 21, 1],
      [292, 3, 22, 1],
      [72, 3, 0, 30],
      [72, 3, 1030, 30],
      [72, 31, 1],
      [72, 3, 0, -1],
      [72, 3, 0, 100000000],
      [72, 3, 77, 0],
      [72, 99, 1],
      [3, 20],
      [3, 20],
      [3, -1],
      [0, 4, { buffer: 3 }, 3],
      [0, 3, { buffer: 3 }, 3],
      [436, 21, 29, 0],
      [436, 9, 5, 0],
      [436, 5, 5, 8],
      [72, 21, 1],
      [72, 3, 4, NONBLOCK | O.APPEND],
      [72, 3, 3],
      [2, 'text', PATH],
      [72, { result: 35 }, 3],
      [0, { result: 35 }, { buffer: 3 }, 3],
      [17, { result: 35 }, { buffer: 3 }, 3, 0],
      [8, { result: 35 }, 0, 0],
      [16, { result: 35 }, 0x5401, { buffer: 36 }],
      [74, { result: 35 }],
      [16, 3, 0x5401, { buffer: 36 }],
      [16, 3, 0x5413, { buffer: 8 }],
      [16, 3, 0x541b, { buffer: 4 }],
      [16, 99, 0x5401, { buffer: 36 }],
      [73, 3, 1],
      [73, 3, 77],
      [73, 99, 1],
    ]);
  });

  it('names', () => {
    const REMOVEDIR = 0x200;
    same([
      [83, 'made', 0o755],
      [83, 'made', 0o755],
      [83, 'no/made', 0o755],
      [83, 'text/made', 0o755],
      [258, 99, 'made', 0o755],
      [84, 'made'],
      [84, 'made'],
      [84, 'dir'],
      [84, 'text'],
      [84, '.'],
      [87, 'dir'],
      [87, 'missing'],
      [87, 'plain'],
      [87, ''],
      [263, CWD, 'dir/sub', 0],
      [263, CWD, 'dir/sub', REMOVEDIR],
      [263, CWD, 'dir/sub', 4],
      [82, 'text', 'moved'],
      [82, 'text', 'moved'],
      [82, 'moved', 'dir'],
      [82, 'dir', 'moved'],
      [82, 'dir', 'dir/inner'],
      [316, CWD, 'moved', CWD, 'empty', 1],
      [316, CWD, 'moved', CWD, 'empty2', 1],
      [316, CWD, 'empty2', CWD, 'moved', 64],
      [82, 'empty2', 'text'],
      [86, 'text', 'hard'],
      [86, 'text', 'hard'],
      [86, 'missing', 'hard2'],
      [86, 'dir', 'hard3'],
      [265, CWD, 'link', CWD, 'hardlink', 0],
      [265, CWD, 'link', CWD, 'hardtarget', 0x400],
      [88, 'somewhere', 'made'],
      [88, 'somewhere', 'made'],
      [88, '', 'made2'],
      [89, 'made', { buffer: 20 }, 20],
      [89, 'made', { buffer: 4 }, 4],
      [89, 'made', { buffer: 4 }, 0],
      [89, 'hardlink', { buffer: 20 }, 20],
      [89, 'hardtarget', { buffer: 20 }, 20],
      [89, 'text', { buffer: 20 }, 20],
      [89, 'missing', { buffer: 20 }, 20],
      [267, 99, 'made', { buffer: 20 }, 20],
      [80, 'dir'],
      [89, '../made', { buffer: 20 }, 20],
      [80, 'file'],
      [80, 'missing'],
      [80, '..'],
      [80, 'dirlink'],
      [21, 'file', 0],
      [80, '..'],
      [2, 'dir', O.RDONLY],
      [257, { result: 51 }, 'file', O.RDONLY],
      [257, { result: 52 }, 'file', O.RDONLY],
      [81, { result: 51 }],
      [81, { result: 52 }],
      [81, 99],
      [21, 'file', 4],
    ]);
  });

  it('getcwd', () => {
    const folders = new Folders();
    const kernel = new TestKernel(folders.own);
    const calls: Call[] = [
      [79, { buffer: 200 }, 200],
      [79, { buffer: 4 }, 4],
      [79, 0, 200],
    ];
    const native = runNative(folders, calls);
    const own = runOwn(kernel, calls);
    expect(own.map((o) => o.result)).toEqual(native.map((o) => o.result));
    expect(own[0].buffers[0].toString('latin1').split('\0')[0]).toBe(folders.own);
    kernel.close();
    folders.remove();
  });

  it('permissions and attributes', () => {
    const NOFOLLOW_AT = 0x100;
    const EMPTY = 0x1000;
    same(
      [
        [95, 0o027],
        [95, 0o077],
        [85, 'masked', 0o666],
        [4, 'masked', { buffer: 144 }],
        [95, 0],
        [85, 'open', 0o666],
        [4, 'open', { buffer: 144 }],
        [83, 'opendir', 0o777],
        [4, 'opendir', { buffer: 144 }],
        [90, 'open', 0o4751],
        [4, 'open', { buffer: 144 }],
        [91, 3, 0o600],
        [5, 3, { buffer: 144 }],
        [4, 'link', { buffer: 144 }],
        [6, 'link', { buffer: 144 }],
        [4, 'dangling', { buffer: 144 }],
        [6, 'dangling', { buffer: 144 }],
        [4, 'loop', { buffer: 144 }],
        [4, 'missing', { buffer: 144 }],
        [4, 'text', 0],
        [4, '', { buffer: 144 }],
        [5, 99, { buffer: 144 }],
        [262, CWD, 'text', { buffer: 144 }, NOFOLLOW_AT],
        [262, CWD, '', { buffer: 144 }, EMPTY],
        [262, 3, '', { buffer: 144 }, EMPTY],
        [262, 3, '', { buffer: 144 }, 0],
        [262, 3, 'x', { buffer: 144 }, 0],
        [262, CWD, 'text', { buffer: 144 }, 0x8000],
        [21, 'text', 4],
        [21, 'text', 1],
        [21, 'text', 8],
        [21, 'missing', 0],
        [21, 'opendir', 7],
        [439, CWD, 'dangling', 0, NOFOLLOW_AT],
        [439, CWD, 'dangling', 0, 0],
        [439, CWD, 'text', 0, 1],
        [268, CWD, 'text', 0o600],
        [268, CWD, 'missing', 0o600],
        [137, 'missing', { buffer: 120 }],
        [138, 99, { buffer: 120 }],
        [280, CWD, 'text', iovec([1_000_000_000, 500_000_000], [1_000_000_001, 250_000_000]), 0],
        [4, 'text', { buffer: 144 }],
        [280, CWD, 'text', iovec([0, 0x3fff_fffe], [2_000_000_000, 0]), 0],
        [4, 'text', { buffer: 144 }],
        [280, CWD, 'text', iovec([0, 1_000_000_000], [0, 0]), 0],
        [280, CWD, 'missing', 0, 0],
        [280, 3, 0, iovec([3, 0], [4, 0]), 0],
        [5, 3, { buffer: 144 }],
      ],
      (buffer, call) => {
        if (buffer.length !== 144) return;
        const clear = (at: number, bytes = 8) => buffer.fill(0, at, at + bytes);
        clear(Stat.ino);
        clear(Stat.ctime, 16);
        if (![41, 43, 47].includes(call)) clear(Stat.atime, 32);
      },
    );
  });

  it('statx', () => {
    same(
      [
        [332, CWD, 'text', 0, 0x7ff, { buffer: 256 }],
        [332, CWD, 'dirlink', 0x100, 0x7ff, { buffer: 256 }],
        [332, CWD, '/dev/null', 0, 0x7ff, { buffer: 256 }],
        [332, CWD, 'missing', 0, 0x7ff, { buffer: 256 }],
        [332, CWD, 'text', 0, 0x8000_0000, { buffer: 256 }],
        [332, CWD, 'text', 0x6000, 0x7ff, { buffer: 256 }],
      ],
      (buffer) => {
        // The mask and what it announces beyond the basic attributes, inode, times, mount and device numbers.
        buffer.fill(0, 0, 4);
        buffer.fill(0, 4, 16);
        buffer.fill(0, 32, 40);
        buffer.fill(0, 56, 128);
        buffer.fill(0, 136, 256);
      },
    );
  });

  it('directories: the same entries in the same order', () => {
    const folders = new Folders((folder) => {
      for (let i = 0; i < 50; i++) writeFileSync(join(folder, `file${i * 37}`), '');
      writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xe9])]), '');
      mkdirSync(join(folder, 'directory'));
      symlinkSync('x', join(folder, 'symlink'));
    });
    const kernel = new TestKernel(folders.own);
    const calls: Call[] = [[2, '.', O.RDONLY | DIRECTORY]];
    for (let i = 0; i < 12; i++) calls.push([217, { result: 0 }, { buffer: 500 }, 500]);
    calls.push([217, { result: 0 }, { buffer: 500 }, 500], [8, { result: 0 }, 0, 0]);
    calls.push([217, { result: 0 }, { buffer: 500 }, 500], [217, { result: 0 }, { buffer: 10 }, 10]);
    calls.push([217, 1, { buffer: 10 }, 10], [217, 99, { buffer: 10 }, 10]);
    const list = (outcomes: Outcome[]) =>
      outcomes.slice(1, 14).flatMap((outcome) => {
        const entries: string[] = [];
        for (let at = 0; at < outcome.result; at += outcome.buffers[0].readUInt16LE(at + 16)) {
          const end = outcome.buffers[0].indexOf(0, at + 19);
          entries.push(
            `${outcome.buffers[0].toString('latin1', at + 19, end)} ${outcome.buffers[0][at + 18]}`,
          );
        }
        return entries;
      });
    const native = runNative(folders, calls);
    const own = runOwn(kernel, calls);
    expect(list(own).sort()).toEqual(list(native).sort());
    expect(list(own)).toHaveLength(55);
    expect(own.slice(-4).map((o) => Math.sign(o.result))).toEqual(
      native.slice(-4).map((o) => Math.sign(o.result)),
    );
    expect(own.slice(-2).map((o) => o.result)).toEqual(native.slice(-2).map((o) => o.result));
    kernel.close();
    folders.remove();
  });

  it('pipes and event counters', () => {
    const word = (n: bigint) => new Uint8Array(BigUint64Array.of(n).buffer);
    same([
      [293, { buffer: 8 }, NONBLOCK], // 3, 4
      [0, 3, { buffer: 4 }, 4],
      [1, 4, 'hello', 5],
      [16, 3, 0x541b, { buffer: 4 }],
      [0, 3, { buffer: 2 }, 2],
      [0, 3, { buffer: 9 }, 9],
      [0, 4, { buffer: 9 }, 9],
      [1, 3, 'x', 1],
      [17, 3, { buffer: 9 }, 9, 0],
      [8, 3, 0, 0],
      [72, 4, 3],
      [72, 3, 1032],
      [1, 4, new Uint8Array(65536), 65536],
      [1, 4, 'x', 1],
      [0, 3, { buffer: 4096 }, 4096],
      [1, 4, new Uint8Array(5000), 5000],
      [3, 4],
      [0, 3, { buffer: 10 }, 0],
      [293, { buffer: 8 }, 1],
      [293, 0, 0],
      [290, 5, NONBLOCK], // 20: descriptor 4
      [0, 4, { buffer: 8 }, 8],
      [0, 4, { buffer: 8 }, 8],
      [1, 4, word(3n), 8],
      [1, 4, word(4n), 8],
      [0, 4, { buffer: 8 }, 8],
      [1, 4, word(0xffff_ffff_ffff_fffen), 8],
      [1, 4, word(1n), 8],
      [1, 4, word(0xffff_ffff_ffff_ffffn), 8],
      [0, 4, { buffer: 4 }, 4],
      [290, 2, NONBLOCK | 1], // 30: descriptor 5
      [0, 5, { buffer: 8 }, 8],
      [0, 5, { buffer: 8 }, 8],
      [0, 5, { buffer: 8 }, 8],
      [290, 2, 2],
    ]);
  });

  it('poll and select', () => {
    const pollfd = (...list: [number, number][]) => {
      const bytes = Buffer.alloc(8 * list.length);
      list.forEach(([fd, events], i) => {
        bytes.writeInt32LE(fd, 8 * i);
        bytes.writeInt16LE(events, 8 * i + 4);
      });
      return bytes;
    };
    const all = 0x3df;
    const time = iovec([0, 0]);
    const set = (...fds: number[]) => {
      const bytes = new Uint8Array(8);
      for (const fd of fds) bytes[fd >> 3] |= 1 << (fd & 7);
      return bytes;
    };
    same([
      [293, { buffer: 8 }, 0], // 3, 4
      [2, 'text', O.RDWR], // 5
      [2, 'dir', O.RDONLY], // 6
      [290, 0, 0], // 7
      [7, { inout: pollfd([3, all], [4, all], [5, all], [6, all], [7, all], [99, all], [-5, all]) }, 7, 0],
      [1, 4, 'x', 1],
      [7, { inout: pollfd([3, all], [4, 0]) }, 2, 0],
      [
        23,
        8,
        { inout: set(3, 4, 5, 6, 7) },
        { inout: set(3, 4, 5, 6, 7) },
        { inout: set(3, 5, 7) },
        { inout: time },
      ],
      [23, 5, { inout: set(3) }, 0, 0, { inout: time }],
      [23, 64, { inout: set(3, 60) }, 0, 0, { inout: time }],
      [7, { inout: pollfd([3, all]) }, 1, -1],
      [23, -1, 0, 0, 0, { inout: time }],
      [23, 0, 0, 0, 0, { inout: iovec([-1, 0]) }],
      [271, { inout: pollfd([3, 1]) }, 1, { inout: time }, 0, 8],
      [271, { inout: pollfd([3, 1]) }, 1, { inout: iovec([0, 1_000_000_000]) }, 0, 8],
      [270, 4, { inout: set(3) }, 0, 0, { inout: time }, 0],
      [3, 4],
      [7, { inout: pollfd([3, all]) }, 1, 0],
      [7, 0, 1, 0],
      [7, 0, 100000, 0],
      [7, { inout: pollfd([99, 0]) }, 1, 0],
    ]);
  });

  it('sendfile and copy_file_range', () => {
    same([
      [2, 'text', O.RDONLY], // 3
      [2, 'out', O.CREAT | O.RDWR, 0o600], // 4
      [40, 4, 3, 0, 50],
      [8, 3, 0, 1],
      [8, 4, 0, 1],
      [40, 4, 3, { inout: new Uint8Array(BigInt64Array.of(3n).buffer) }, 7],
      [8, 3, 0, 1],
      [
        326,
        3,
        { inout: new Uint8Array(BigInt64Array.of(100n).buffer) },
        4,
        { inout: new Uint8Array(BigInt64Array.of(2n).buffer) },
        20,
        0,
      ],
      [326, 3, 0, 4, 0, 1000, 0],
      [326, 3, 0, 4, 0, 1000, 0],
      [17, 4, { buffer: 300 }, 300, 0],
      [40, 3, 4, 0, 5],
      [40, 4, 99, 0, 5],
      [40, 99, 3, 0, 5],
      [326, 3, 0, 3, 0, 5, 0],
      [326, 3, 0, 4, 0, 5, 1],
    ]);
  });

  it('devices and links of /proc and /dev', () => {
    same(
      [
        [2, '/dev/null', O.RDWR], // 3
        [0, 3, { buffer: 4 }, 4],
        [1, 3, 'abc', 3],
        [1, 3, 0, 3],
        [8, 3, 100, 0],
        [17, 3, { buffer: 4 }, 4, 0],
        [77, 3, 0],
        [2, '/dev/zero', O.RDWR], // 4
        [0, 4, { inout: Buffer.from('abcd') }, 4],
        [2, '/dev/full', O.RDWR], // 5
        [1, 5, 'abc', 3],
        [0, 5, { inout: Buffer.from('abcd') }, 4],
        [5, 3, { buffer: 144 }],
        [2, '/dev/null/x', O.RDONLY],
        [2, '/dev/missing', O.RDONLY],
        [2, '/dev/null', DIRECTORY],
        [89, '/proc/self/cwd/..', { buffer: 10 }, 10],
        [89, '/dev/fd', { buffer: 20 }, 20],
        [89, '/dev/stdin', { buffer: 20 }, 20],
        [89, '/proc/self/fd/3', { buffer: 20 }, 20],
        [2, '/proc/self/fd/77', O.RDONLY],
        [2, '/proc/self/fd/3', NOFOLLOW],
        [2, '/proc/self/cwd/text', O.RDONLY],
        [0, { result: 22 }, { buffer: 10 }, 10],
        [2, '/proc/cpuinfo/', O.RDONLY],
        [2, '/proc/self/status/x', O.RDONLY],
        [83, '/proc/self', 0o755],
        [6, '/proc/self', { buffer: 144 }],
      ],
      (buffer) => {
        if (buffer.length !== 144) return;
        buffer.fill(0, Stat.dev, Stat.nlink);
        buffer.fill(0, Stat.fileSize, Stat.blksize);
        buffer.fill(0, Stat.blksize);
      },
    );
  });

  it('identity, limits and other system calls', () => {
    same([
      [102],
      [104],
      [107],
      [108],
      [118, { buffer: 4 }, { buffer: 4 }, { buffer: 4 }],
      [115, 0, 0],
      [115, 64, { buffer: 256 }],
      [115, -1, 0],
      [135, 0xffff_ffff],
      [157, 15, 'a name that is too long'],
      [157, 16, { buffer: 16 }],
      [157, 15, 0],
      [157, 9999, 0],
      [157, 38, 0],
      [158, 0x1001, 0],
      [158, 0x1004, { buffer: 8 }],
      [158, 0x1004, 0],
      [158, 0x1001, -1],
      [158, 0x9999, 0],
      [318, 0, 0, 0],
      [318, { buffer: 0 }, 0, 8],
      [318, 0, 8, 6],
      [318, 0, 8, 0],
      [97, 99, { buffer: 16 }],
      [302, 0, 3, 0, { buffer: 16 }],
      [302, 0, 99, 0, 0],
      [302, 0, 3, iovec([9, 8]), 0],
      [302, 0, 4, iovec([0, 8]), { buffer: 0 }],
      [302, 0, 4, 0, { buffer: 16 }],
      [125, { inout: new Uint8Array(8) }, 0],
      [61, -1, 0, 0, 0],
    ]);
  });
});
