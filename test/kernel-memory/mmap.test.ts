import { describe, expect, it } from 'vitest';
import { Errno } from '../../src/kernel/errno.js';
import { Fault } from '../../src/kernel/memory/fault.js';
import { Mm } from '../../src/kernel/memory/mm-layout.js';
import { MMAP_BASE, TASK_SIZE } from '../../src/kernel/memory/mm-layout.js';
import { munmap } from '../../src/kernel/memory/mmap.js';
import { framesUsed } from '../../src/mmu/frames.js';
import { bareProcess, EXEC, MapFlag, PAGE, patternFile, READ, RW, WRITE } from './bare-process.js';

const { PRIVATE, SHARED, SHARED_VALIDATE, ANONYMOUS, FIXED, FIXED_NOREPLACE, GROWSDOWN } = MapFlag;
const BASE = 0x10_0000_0000;
const ANON = PRIVATE | ANONYMOUS;

describe('mmap: where', () => {
  it('goes down from the base, joining neighbours', () => {
    const p = bareProcess();
    const a = p.map(2);
    expect(a).toBe(MMAP_BASE - 2 * PAGE);
    expect(p.map(3)).toBe(a - 3 * PAGE);
    expect(p.layout(a)).toEqual(['-3+5 rw-p 0']);
    expect(p.map(1, READ)).toBe(a - 4 * PAGE);
    expect(p.layout(a)).toEqual(['-4+1 r--p 0', '-3+5 rw-p 0']);
  });

  it('takes the highest hole that is large enough', () => {
    const p = bareProcess();
    const top = p.map(10) + 10 * PAGE;
    expect(p.unmap(top - 9 * PAGE, 1)).toBe(0);
    expect(p.unmap(top - 6 * PAGE, 2)).toBe(0);
    expect(p.map(2)).toBe(top - 6 * PAGE);
    expect(p.map(2)).toBe(top - 12 * PAGE);
    expect(p.map(1)).toBe(top - 9 * PAGE);
    expect(p.map(1)).toBe(top - 13 * PAGE);
    expect(p.unmap(top - 1 * PAGE, 1)).toBe(0);
    expect(p.map(1)).toBe(top - PAGE);
  });

  it('finds what a search without memory finds, in any order of calls', () => {
    const p = bareProcess();
    const held: [number, number][] = [];
    let seed = 1;
    const random = (n: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
    const highest = (pages: number) => {
      const sorted = [...held].sort((x, y) => y[0] - x[0]);
      let ceiling = MMAP_BASE;
      for (const [start, count] of sorted) {
        if (ceiling - (start + count * PAGE) >= pages * PAGE) break;
        ceiling = start;
      }
      return ceiling - pages * PAGE;
    };
    for (let i = 0; i < 600; i++) {
      if (held.length > 0 && random(5) < 2) {
        const [[start, pages]] = held.splice(random(held.length), 1);
        expect(p.unmap(start, pages)).toBe(0);
      } else {
        const pages = 1 + random(6);
        const expected = highest(pages);
        expect(p.map(pages)).toBe(expected);
        held.push([expected, pages]);
      }
    }
  });

  it('follows a hint if it is free, rounds it down, and raises a low one', () => {
    const p = bareProcess();
    expect(p.mmap(BASE + 123, PAGE, RW, ANON)).toBe(BASE);
    expect(p.mmap(BASE, PAGE, RW, ANON)).toBe(MMAP_BASE - PAGE);
    expect(p.mmap(1, PAGE, RW, ANON)).toBe(0x1_0000);
    expect(p.mmap(2 ** 60, PAGE, RW, ANON)).toBe(MMAP_BASE - 2 * PAGE);
  });

  it('keeps a gap below what grows down', () => {
    const p = bareProcess();
    const stack = p.map(1, RW, BASE, PRIVATE | GROWSDOWN);
    expect(p.mmap(stack - PAGE, PAGE, RW, ANON)).not.toBe(stack - PAGE);
    expect(p.mmap(stack - 257 * PAGE, PAGE, RW, ANON)).toBe(stack - 257 * PAGE);
  });

  it('goes upwards when there is no room below', () => {
    const p = bareProcess();
    expect(p.mmap(0x1_0000, MMAP_BASE - 0x1_0000, 0, ANON | FIXED | MapFlag.NORESERVE)).toBe(0x1_0000);
    expect(p.mmap(0, 16 * PAGE, RW, ANON)).toBe(MMAP_BASE);
    expect(p.mmap(0, 2 ** 40, READ, ANON)).toBe(-Errno.ENOMEM);
  });

  it('replaces with MAP_FIXED, and refuses to with MAP_FIXED_NOREPLACE', () => {
    const p = bareProcess();
    p.map(4, RW, BASE);
    p.user.writeU8(BASE + PAGE, 5);
    expect(p.mmap(BASE + PAGE, PAGE, READ, ANON | FIXED_NOREPLACE)).toBe(-Errno.EEXIST);
    expect(p.user.readU8(BASE + PAGE)).toBe(5);
    expect(p.mmap(BASE + PAGE, PAGE, READ, ANON | FIXED)).toBe(BASE + PAGE);
    expect(p.user.readU8(BASE + PAGE)).toBe(0);
    expect(p.layout(BASE)).toEqual(['0+1 rw-p 0', '1+1 r--p 0', '2+2 rw-p 0']);
    expect(p.mmap(BASE + 4 * PAGE, PAGE, RW, ANON | FIXED_NOREPLACE)).toBe(BASE + 4 * PAGE);
    expect(p.map(1, RW, 0, PRIVATE | FIXED)).toBe(0);
  });
});

describe('mmap: errors, in their order', () => {
  it.each<[string, number, (p: ReturnType<typeof bareProcess>) => number]>([
    ['offset not aligned', Errno.EINVAL, (p) => p.mmap(0, 0, RW, PRIVATE, -Errno.EBADF, 5)],
    ['bad descriptor before length 0', Errno.EBADF, (p) => p.mmap(0, 0, RW, PRIVATE, -Errno.EBADF)],
    [
      'MAP_HUGETLB of a file',
      Errno.EINVAL,
      (p) => p.mmap(0, PAGE, RW, PRIVATE | MapFlag.HUGETLB, patternFile(1)),
    ],
    ['no huge pages', Errno.ENOMEM, (p) => p.mmap(0, PAGE, RW, ANON | MapFlag.HUGETLB)],
    ['length 0', Errno.EINVAL, (p) => p.mmap(0, 0, RW, ANON)],
    ['length 0 before bad type', Errno.EINVAL, (p) => p.mmap(0, 0, RW, ANONYMOUS)],
    ['length wraps', Errno.ENOMEM, (p) => p.mmap(0, 2 ** 64 - 1, RW, ANON)],
    ['too long', Errno.ENOMEM, (p) => p.mmap(0, TASK_SIZE + PAGE, 0, ANON)],
    ['fixed beyond the end', Errno.ENOMEM, (p) => p.mmap(TASK_SIZE, PAGE, RW, ANON | FIXED)],
    ['fixed and not aligned', Errno.EINVAL, (p) => p.mmap(BASE + 1, PAGE, RW, ANON | FIXED)],
    ['beyond the end before not aligned', Errno.ENOMEM, (p) => p.mmap(TASK_SIZE + 1, PAGE, RW, ANON | FIXED)],
    ['no type', Errno.EINVAL, (p) => p.mmap(0, PAGE, RW, ANONYMOUS)],
    [
      'MAP_SHARED_VALIDATE of anonymous memory',
      Errno.EINVAL,
      (p) => p.mmap(0, PAGE, RW, ANONYMOUS | SHARED_VALIDATE),
    ],
    [
      'unknown flag, validated',
      Errno.EOPNOTSUPP,
      (p) => p.mmap(0, PAGE, READ, SHARED_VALIDATE | MapFlag.SYNC, patternFile(1)),
    ],
    ['shared and growing down', Errno.EINVAL, (p) => p.mmap(0, PAGE, RW, ANONYMOUS | SHARED | GROWSDOWN)],
    [
      'shared writable mapping of a read-only file',
      Errno.EACCES,
      (p) => p.mmap(0, PAGE, RW, SHARED, patternFile(1)),
    ],
    [
      'file opened for writing only',
      Errno.EACCES,
      (p) => p.mmap(0, PAGE, READ, PRIVATE, patternFile(1, { readable: false })),
    ],
    [
      'access before ENODEV',
      Errno.EACCES,
      (p) => p.mmap(0, PAGE, READ, PRIVATE, patternFile(1, { readable: false, mappable: false })),
    ],
    [
      'not mappable',
      Errno.ENODEV,
      (p) => p.mmap(0, PAGE, READ, PRIVATE, patternFile(1, { mappable: false })),
    ],
    ['more than the machine has', Errno.ENOMEM, (p) => p.mmap(0, 2 ** 40, RW, ANON)],
  ])('%s', (_name, errno, call) => {
    const p = bareProcess();
    expect(call(p)).toBe(-errno);
    expect(p.layout()).toEqual([]);
  });

  it('allows with MAP_NORESERVE, or unwritable, what could never be filled', () => {
    const p = bareProcess();
    expect(p.mmap(0, 2 ** 40, RW, ANON | MapFlag.NORESERVE)).toBeGreaterThan(0);
    expect(p.mmap(0, 2 ** 40, READ, ANON)).toBeGreaterThan(0);
  });

  it('honours RLIMIT_AS', () => {
    const p = bareProcess();
    p.memory.f64[(p.mm + Mm.addressLimit) >>> 3] = 4 * PAGE;
    expect(p.map(3)).toBeGreaterThan(0);
    expect(p.map(2)).toBe(-Errno.ENOMEM);
    expect(p.map(1)).toBeGreaterThan(0);
  });
});

describe('munmap', () => {
  it('splits, and skips holes', () => {
    const p = bareProcess();
    p.map(10, RW, BASE);
    expect(p.unmap(BASE + 2 * PAGE, 3)).toBe(0);
    expect(p.layout(BASE)).toEqual(['0+2 rw-p 0', '5+5 rw-p 0']);
    expect(p.unmap(BASE, 20)).toBe(0);
    expect(p.layout()).toEqual([]);
    expect(p.unmap(BASE, 20)).toBe(0);
  });

  it('checks its arguments', () => {
    const p = bareProcess();
    expect(munmap(p, BASE + 1, PAGE)).toBe(-Errno.EINVAL);
    expect(munmap(p, BASE, 0)).toBe(-Errno.EINVAL);
    expect(munmap(p, TASK_SIZE, PAGE)).toBe(-Errno.EINVAL);
    expect(munmap(p, BASE, TASK_SIZE)).toBe(-Errno.EINVAL);
    expect(munmap(p, BASE, 1)).toBe(0);
  });

  it('gives frames and tables back, and tells the CPU', () => {
    const p = bareProcess();
    const before = framesUsed(p.memory);
    p.map(600, RW | EXEC, BASE);
    for (let i = 0; i < 600; i++) expect(p.access(BASE + i * PAGE, 'write')).toBe(Fault.handled);
    expect(framesUsed(p.memory)).toBeGreaterThanOrEqual(before + 600);
    p.cpu.dropped.length = 0;
    p.unmap(BASE, 600);
    const range = `${BASE.toString(16)}-${(BASE + 600 * PAGE).toString(16)}`;
    expect(p.cpu.dropped).toEqual([`tlb ${range}`, `code ${range}`]);
    // The two upper tables, and the leaf table that was not covered as a whole, stay.
    expect(framesUsed(p.memory)).toBe(before + 3);
    expect(p.access(BASE, 'read')).toBe(Fault.maperr);
  });

  it('tells nobody about pages that were never used', () => {
    const p = bareProcess();
    p.map(100, RW, BASE);
    p.unmap(BASE, 100);
    expect(p.cpu.dropped).toEqual([]);
  });
});

describe('files and shared memory', () => {
  it('maps a file privately: copies on write, reads zero behind the end, SIGBUS beyond', () => {
    const p = bareProcess();
    const file = patternFile(PAGE + 100);
    const at = p.mmap(0, 4 * PAGE, RW, PRIVATE, file);
    expect(p.user.readU8(at + 300)).toBe(300 % 251);
    expect(p.user.readU8(at + PAGE + 99)).toBe((PAGE + 99) % 251);
    expect(p.user.readU8(at + PAGE + 100)).toBe(0);
    expect(p.access(at + 2 * PAGE, 'read')).toBe(Fault.bus);
    expect(p.user.readU8(at + 2 * PAGE)).toBe(-1);
    const again = p.mmap(0, PAGE, RW, PRIVATE, file);
    expect(p.user.writeU8(at + 300, 9)).toBe(true);
    expect(p.user.readU8(at + 300)).toBe(9);
    expect(p.user.readU8(at + 301)).toBe(301 % 251);
    expect(p.user.readU8(again + 300)).toBe(300 % 251);
  });

  it('maps from an offset, and does not join mappings of different files', () => {
    const p = bareProcess();
    const at = p.mmap(BASE, PAGE, READ, PRIVATE | FIXED, patternFile(9 * PAGE), 3 * PAGE);
    expect(p.user.readU8(at)).toBe((3 * PAGE) % 251);
    p.mmap(BASE + PAGE, PAGE, READ, PRIVATE | FIXED, patternFile(9 * PAGE), 4 * PAGE);
    expect(p.layout(BASE)).toEqual(['0+1 r--p 0', '1+1 r--p 0']);
  });

  it('passes on read errors', () => {
    const p = bareProcess();
    const broken = patternFile(PAGE, { read: () => -Errno.EIO });
    expect(p.mmap(0, PAGE, READ, PRIVATE, broken)).toBe(-Errno.EIO);
    expect(framesUsed(p.memory)).toBe(1);
  });

  it('a shared read-only file cannot become writable', () => {
    const p = bareProcess();
    const at = p.mmap(0, PAGE, READ, SHARED, patternFile(PAGE));
    expect(p.protect(at, 1, RW)).toBe(-Errno.EACCES);
    expect(p.access(at, 'write')).toBe(Fault.accerr);
  });

  it('shared anonymous memory is zero and writable', () => {
    const p = bareProcess();
    const at = p.map(2, RW, 0, SHARED);
    expect(p.user.writeU32(at + 4, 0x12345678)).toBe(true);
    expect(p.user.readU32(at + 4)).toBe(0x12345678);
    expect(p.layout(at)).toEqual(['0+2 rw-s 0']);
  });

  it('releases objects with their last mapping', () => {
    const p = bareProcess();
    const before = framesUsed(p.memory);
    const at = p.map(4, RW, BASE, SHARED);
    for (let i = 0; i < 4; i++) p.user.writeU8(at + i * PAGE, 1);
    p.unmap(at + PAGE, 1);
    expect(p.user.readU8(at + 2 * PAGE)).toBe(1);
    p.unmap(at, 4);
    expect(framesUsed(p.memory)).toBe(before + 3);
  });
});

describe('running out of memory', () => {
  it('is a fault of its own, and goes away when memory is freed', () => {
    const p = bareProcess({ guestBytes: 64 * PAGE });
    const at = p.map(64, RW, BASE);
    let filled = 0;
    while (p.access(at + filled * PAGE, 'write') === Fault.handled) filled++;
    expect(filled).toBeGreaterThan(50);
    expect(p.access(at + filled * PAGE, 'write')).toBe(Fault.outOfMemory);
    expect(p.unmap(at, 10)).toBe(0);
    expect(p.access(at + filled * PAGE, 'write')).toBe(Fault.handled);
  });

  it('is ENOMEM for a mapping larger than the machine', () => {
    const p = bareProcess({ guestBytes: 64 * PAGE });
    expect(p.map(65, WRITE)).toBe(-Errno.ENOMEM);
  });
});
