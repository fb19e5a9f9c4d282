import { describe, expect, it } from 'vitest';
import { Errno } from '../../src/kernel/errno.js';
import { madvise } from '../../src/kernel/memory/advise.js';
import { brk, setHeap } from '../../src/kernel/memory/brk.js';
import { Fault } from '../../src/kernel/memory/fault.js';
import { forceRead, forceWrite } from '../../src/kernel/memory/force.js';
import { dropMm, forkMm, loadMm } from '../../src/kernel/memory/mm.js';
import { Mm, TASK_SIZE } from '../../src/kernel/memory/mm-layout.js';
import { mprotect } from '../../src/kernel/memory/mprotect.js';
import { mremap } from '../../src/kernel/memory/mremap.js';
import { mincore, mlock, mlockall, msync, munlock, munlockall } from '../../src/kernel/memory/residency.js';
import { findVma, VmFlag, vmaFlags } from '../../src/kernel/memory/vma.js';
import { Frame } from '../../src/memory/layout.js';
import { Mutant } from '../../src/memory/mutants.js';
import { Root, rootPointer } from '../../src/memory/roots.js';
import { slabUsed } from '../../src/memory/slab.js';
import { frameTableEntry, framesUsed } from '../../src/mmu/frames.js';
import { type BareProcess, bareProcess, EXEC, MapFlag, PAGE, patternFile, READ, RW } from './bare-process.js';

const BASE = 0x10_0000_0000;
const MAYMOVE = 1;
const FIXED = 2;
const DONTUNMAP = 4;

/** Writes a different byte to each page. */
function fill(p: BareProcess, pages: number, at = BASE): void {
  for (let i = 0; i < pages; i++) expect(p.user.writeU8(at + i * PAGE, i + 1)).toBe(true);
}
const bytes = (p: BareProcess, pages: number, at = BASE) =>
  Array.from({ length: pages }, (_, i) => p.user.readU8(at + i * PAGE));

describe('mprotect', () => {
  it('splits, joins, and keeps contents', () => {
    const p = bareProcess();
    p.map(5, RW, BASE);
    fill(p, 5);
    expect(p.protect(BASE + PAGE, 3, READ)).toBe(0);
    expect(p.layout(BASE)).toEqual(['0+1 rw-p 0', '1+3 r--p 0', '4+1 rw-p 0']);
    expect(p.protect(BASE + 2 * PAGE, 1, 0)).toBe(0);
    expect(p.user.readU8(BASE + 2 * PAGE)).toBe(-1);
    expect(p.user.writeU8(BASE + PAGE, 1)).toBe(false);
    expect(p.protect(BASE, 5, RW)).toBe(0);
    expect(p.layout(BASE)).toEqual(['0+5 rw-p 0']);
    expect(bytes(p, 5)).toEqual([1, 2, 3, 4, 5]);
  });

  it("errors: as the manual page, in the kernel's order", () => {
    const p = bareProcess();
    expect(mprotect(p, BASE + 1, 0, RW)).toBe(-Errno.EINVAL);
    expect(mprotect(p, BASE, 0, 0x70)).toBe(0);
    expect(mprotect(p, 2 ** 64 - PAGE, PAGE, 0x70)).toBe(-Errno.ENOMEM);
    expect(mprotect(p, BASE, PAGE, 0x70)).toBe(-Errno.EINVAL);
    expect(mprotect(p, BASE, PAGE, RW)).toBe(-Errno.ENOMEM);
  });

  it('invalidates once a call, only if a TLB may know of the pages, and code only if it loses execution', () => {
    const p = bareProcess();
    p.map(4, RW | EXEC, BASE);
    p.protect(BASE, 4, READ | EXEC);
    expect(p.cpu.dropped).toEqual([]);
    p.protect(BASE, 4, RW | EXEC);
    fill(p, 4);
    p.cpu.dropped.length = 0;
    p.protect(BASE, 4, READ | EXEC);
    const range = `${BASE.toString(16)}-${(BASE + 4 * PAGE).toString(16)}`;
    expect(p.cpu.dropped).toEqual([`tlb ${range}`]);
    p.protect(BASE, 4, RW | EXEC);
    expect(p.cpu.dropped.length).toBe(1);
    p.protect(BASE, 4, RW);
    expect(p.cpu.dropped.slice(1)).toEqual([`tlb ${range}`, `code ${range}`]);
  });

  it('one shootdown for a range of several mappings', () => {
    const p = bareProcess({ abi: 'minimal' });
    p.map(6, RW, BASE);
    fill(p, 6);
    for (let i = 0; i < 6; i++) p.pkeyProtect(BASE + i * PAGE, 1, RW, i + 1);
    p.cpu.dropped.length = 0;
    p.pkeyProtect(BASE, 6, RW, 9);
    expect(p.cpu.dropped.length).toBe(1);
    expect(p.layout(BASE)).toEqual(['0+6 rw-p 9']);
    for (let i = 0; i < 6; i++) expect(p.keyOfEntry(BASE + i * PAGE)).toBe(9);
  });

  it('entryInHalves shows the new protection with the old key in between', () => {
    const p = bareProcess({ abi: 'minimal', mutants: Mutant.entryInHalves });
    p.map(1, READ, BASE);
    p.access(BASE, 'read');
    p.pkeyProtect(BASE, 1, READ, 3);
    const seen: unknown[] = [];
    p.cpu.flushTlbRange = () => {
      seen.push([p.keyOfEntry(BASE), p.user.mmu.memory.loadU32(p.user.mmu.scratch) & 3]);
    };
    p.pkeyProtect(BASE, 1, 0, 5);
    expect(seen).toEqual([
      [3, 0],
      [5, 0],
    ]);
  });
});

describe('mremap', () => {
  it('errors in their order', () => {
    const p = bareProcess();
    expect(mremap(p, BASE, PAGE, PAGE, 8, 0)).toBe(-Errno.EINVAL);
    expect(mremap(p, BASE, PAGE, PAGE, FIXED, 0)).toBe(-Errno.EINVAL);
    expect(mremap(p, BASE, PAGE, 2 * PAGE, DONTUNMAP | MAYMOVE, 0)).toBe(-Errno.EINVAL);
    expect(mremap(p, BASE + 1, PAGE, PAGE, 0, 0)).toBe(-Errno.EINVAL);
    expect(mremap(p, BASE, PAGE, 0, 0, 0)).toBe(-Errno.EINVAL);
    expect(mremap(p, BASE, PAGE, PAGE, 0, 0)).toBe(-Errno.EFAULT);
    p.map(2, RW, BASE);
    expect(mremap(p, BASE, PAGE, PAGE, FIXED | MAYMOVE, BASE + 8 * PAGE + 1)).toBe(-Errno.EINVAL);
    expect(mremap(p, BASE, PAGE, PAGE, FIXED | MAYMOVE, TASK_SIZE)).toBe(-Errno.EINVAL);
    expect(mremap(p, BASE, 2 * PAGE, 2 * PAGE, FIXED | MAYMOVE, BASE + PAGE)).toBe(-Errno.EINVAL);
    expect(mremap(p, BASE, 3 * PAGE, 4 * PAGE, MAYMOVE, 0)).toBe(-Errno.EFAULT);
    expect(mremap(p, BASE, 0, PAGE, MAYMOVE, 0)).toBe(-Errno.EINVAL);
    p.map(1, READ, BASE + 2 * PAGE);
    expect(mremap(p, BASE, 2 * PAGE, 3 * PAGE, 0, 0)).toBe(-Errno.ENOMEM);
    expect(mremap(p, BASE, 2 * PAGE, 2 ** 40, MAYMOVE, 0)).toBe(-Errno.ENOMEM);
  });

  it('shrinks, grows in place, and moves with contents, protection and key', () => {
    const p = bareProcess({ abi: 'minimal' });
    p.map(4, RW, BASE);
    p.pkeyProtect(BASE, 4, RW, 6);
    fill(p, 4);
    expect(mremap(p, BASE, 4 * PAGE, 2 * PAGE, 0, 0)).toBe(BASE);
    expect(p.layout(BASE)).toEqual(['0+2 rw-p 6']);
    expect(mremap(p, BASE, 2 * PAGE, 3 * PAGE, 0, 0)).toBe(BASE);
    expect(p.layout(BASE)).toEqual(['0+3 rw-p 6']);
    expect(bytes(p, 3)).toEqual([1, 2, 0]);
    p.map(1, READ, BASE + 3 * PAGE);
    const to = mremap(p, BASE, 3 * PAGE, 5 * PAGE, MAYMOVE, 0);
    expect(to).toBeGreaterThan(BASE);
    expect(p.layout(to)[1]).toBe('0+5 rw-p 6');
    expect(bytes(p, 5, to)).toEqual([1, 2, 0, 0, 0]);
    expect(p.keyOfEntry(to)).toBe(6);
    expect(p.access(BASE, 'read')).toBe(Fault.maperr);
  });

  it('moves to a fixed place, replacing what is there, also across tables', () => {
    const p = bareProcess();
    p.map(4, RW, BASE);
    fill(p, 4);
    const to = BASE + 0x4000_0000 - 2 * PAGE;
    p.map(1, READ, to + PAGE);
    expect(mremap(p, BASE, 4 * PAGE, 3 * PAGE, MAYMOVE | FIXED, to)).toBe(to);
    expect(bytes(p, 3, to)).toEqual([1, 2, 3]);
    expect(p.layout(to)).toEqual(['0+3 rw-p 0']);
  });

  it('MREMAP_DONTUNMAP leaves an empty mapping behind', () => {
    const p = bareProcess();
    p.map(2, RW, BASE);
    fill(p, 2);
    const to = mremap(p, BASE, 2 * PAGE, 2 * PAGE, MAYMOVE | DONTUNMAP, 0);
    expect(bytes(p, 2, to)).toEqual([1, 2]);
    expect(bytes(p, 2)).toEqual([0, 0]);
  });

  it('an old length of 0 shows shared memory twice', () => {
    const p = bareProcess();
    p.map(2, RW, BASE, MapFlag.SHARED);
    fill(p, 2);
    const twin = mremap(p, BASE, 0, 2 * PAGE, MAYMOVE, 0);
    expect(bytes(p, 2, twin)).toEqual([1, 2]);
    p.user.writeU8(twin, 77);
    expect(p.user.readU8(BASE)).toBe(77);
  });
});

describe('brk', () => {
  it('grows and shrinks by bytes, and stays where it cannot go', () => {
    const p = bareProcess();
    setHeap(p.memory, p.mm, BASE);
    expect(brk(p, 0)).toBe(BASE);
    expect(brk(p, BASE + 100)).toBe(BASE + 100);
    expect(p.layout(BASE)).toEqual(['0+1 rw-p 0']);
    expect(brk(p, BASE + PAGE)).toBe(BASE + PAGE);
    expect(brk(p, BASE + 3 * PAGE + 1)).toBe(BASE + 3 * PAGE + 1);
    fill(p, 4);
    expect(brk(p, BASE + PAGE)).toBe(BASE + PAGE);
    expect(brk(p, BASE + 4 * PAGE)).toBe(BASE + 4 * PAGE);
    expect(bytes(p, 4)).toEqual([1, 0, 0, 0]);
    expect(brk(p, BASE - 1)).toBe(BASE + 4 * PAGE);
    p.map(1, RW, BASE + 600 * PAGE);
    expect(brk(p, BASE + 500 * PAGE)).toBe(BASE + 4 * PAGE);
    expect(brk(p, BASE + 300 * PAGE)).toBe(BASE + 300 * PAGE);
    p.memory.f64[(p.mm + Mm.dataLimit) >>> 3] = 300 * PAGE;
    expect(brk(p, BASE + 301 * PAGE)).toBe(BASE + 300 * PAGE);
    expect(brk(p, BASE)).toBe(BASE);
    expect(p.layout(BASE)).toEqual(['600+1 rw-p 0']);
  });
});

describe('madvise', () => {
  const DONTNEED = 4;
  it('errors in their order', () => {
    const p = bareProcess();
    expect(madvise(p, BASE + 1, PAGE, 99)).toBe(-Errno.EINVAL);
    expect(madvise(p, BASE + 1, 0, DONTNEED)).toBe(-Errno.EINVAL);
    expect(madvise(p, BASE, 2 ** 64 - 1, DONTNEED)).toBe(-Errno.EINVAL);
    expect(madvise(p, BASE, 0, DONTNEED)).toBe(0);
    expect(madvise(p, BASE, PAGE, DONTNEED)).toBe(-Errno.ENOMEM);
    p.map(1, RW, BASE, MapFlag.SHARED);
    expect(madvise(p, BASE, PAGE, 8)).toBe(-Errno.EINVAL);
    expect(madvise(p, BASE, PAGE, 18)).toBe(-Errno.EINVAL);
  });

  it('DONTNEED empties private memory, skips holes and reports them', () => {
    const p = bareProcess();
    p.map(4, RW, BASE);
    fill(p, 4);
    const used = framesUsed(p.memory);
    expect(madvise(p, BASE + PAGE, 2 * PAGE, DONTNEED)).toBe(0);
    expect(framesUsed(p.memory)).toBe(used - 2);
    expect(bytes(p, 4)).toEqual([1, 0, 0, 4]);
    p.unmap(BASE + PAGE, 1);
    expect(madvise(p, BASE, 4 * PAGE, DONTNEED)).toBe(-Errno.ENOMEM);
    expect(bytes(p, 4)).toEqual([0, -1, 0, 0]);
  });

  it('DONTNEED brings a private file mapping back to the file, and leaves shared memory alone', () => {
    const p = bareProcess();
    const file = p.mmap(0, PAGE, RW, MapFlag.PRIVATE, patternFile(PAGE));
    p.user.writeU8(file + 9, 99);
    expect(madvise(p, file, PAGE, DONTNEED)).toBe(0);
    expect(p.user.readU8(file + 9)).toBe(9);
    p.map(1, RW, BASE, MapFlag.SHARED);
    fill(p, 1);
    expect(madvise(p, BASE, PAGE, DONTNEED)).toBe(0);
    expect(bytes(p, 1)).toEqual([1]);
  });

  it('POPULATE makes pages, if they may be accessed', () => {
    const p = bareProcess();
    p.map(3, RW, BASE);
    expect(madvise(p, BASE, 3 * PAGE, 23)).toBe(0);
    expect(p.keyOfEntry(BASE + 2 * PAGE)).toBe(0);
    p.protect(BASE, 1, READ);
    expect(madvise(p, BASE, PAGE, 23)).toBe(-Errno.EINVAL);
    expect(madvise(p, BASE, 4 * PAGE, 22)).toBe(-Errno.ENOMEM);
  });

  it('DONTFORK and WIPEONFORK split mappings and are heeded by fork', () => {
    const p = bareProcess();
    p.map(3, RW, BASE);
    fill(p, 3);
    expect(madvise(p, BASE, PAGE, 10)).toBe(0);
    expect(madvise(p, BASE + 2 * PAGE, PAGE, 18)).toBe(0);
    expect(p.layout(BASE).length).toBe(3);
    const child = Object.assign(Object.create(p), { mm: forkMm(p.user.mmu, p.mm) });
    expect(child.layout(BASE)).toEqual(['1+1 rw-p 0', '2+1 rw-p 0']);
    loadMm(p.user.mmu, child.mm);
    expect(bytes(p, 3)).toEqual([-1, 2, 0]);
    loadMm(p.user.mmu, p.mm);
    expect(madvise(p, BASE, PAGE, 11)).toBe(0);
    expect(madvise(p, BASE + 2 * PAGE, PAGE, 19)).toBe(0);
    expect(p.layout(BASE)).toEqual(['0+3 rw-p 0']);
  });
});

describe('mincore, msync, mlock', () => {
  it('mincore', () => {
    const p = bareProcess();
    p.map(3, RW, BASE);
    p.map(1, RW, BASE + 8 * PAGE);
    p.access(BASE + PAGE, 'read');
    expect(mincore(p, BASE + 1, PAGE, BASE)).toBe(-Errno.EINVAL);
    expect(mincore(p, TASK_SIZE, PAGE, BASE)).toBe(-Errno.ENOMEM);
    expect(mincore(p, BASE, PAGE, TASK_SIZE)).toBe(-Errno.EFAULT);
    expect(mincore(p, BASE, PAGE, 0x5000)).toBe(-Errno.EFAULT);
    expect(mincore(p, BASE, 4 * PAGE, BASE + 8 * PAGE)).toBe(-Errno.ENOMEM);
    expect(mincore(p, BASE, 3 * PAGE, BASE + 8 * PAGE)).toBe(0);
    expect([...p.user.readBytes(BASE + 8 * PAGE, 4)!]).toEqual([0, 1, 0, 0]);
  });

  it('msync', () => {
    const p = bareProcess();
    p.map(1, RW, BASE);
    expect(msync(p, BASE, PAGE, 8)).toBe(-Errno.EINVAL);
    expect(msync(p, BASE + 1, PAGE, 1)).toBe(-Errno.EINVAL);
    expect(msync(p, BASE, PAGE, 5)).toBe(-Errno.EINVAL);
    expect(msync(p, BASE, PAGE, 4)).toBe(0);
    expect(msync(p, BASE, 2 * PAGE, 4)).toBe(-Errno.ENOMEM);
    expect(msync(p, BASE, 0, 4)).toBe(0);
    mlock(p, BASE, PAGE, 0);
    expect(msync(p, BASE, PAGE, 2)).toBe(-Errno.EBUSY);
  });

  it('mlock makes the pages, rounding to whole ones, and madvise respects it', () => {
    const p = bareProcess();
    p.map(4, RW, BASE);
    expect(mlock(p, BASE + PAGE + 5, PAGE, 0)).toBe(0);
    expect([0, 1, 2, 3].map((i) => p.keyOfEntry(BASE + i * PAGE))).toEqual([null, 0, 0, null]);
    expect(madvise(p, BASE, 4 * PAGE, 4)).toBe(-Errno.EINVAL);
    expect(munlock(p, BASE, 4 * PAGE)).toBe(0);
    expect(p.layout(BASE)).toEqual(['0+4 rw-p 0']);
    expect(mlock(p, BASE, 5 * PAGE, 0)).toBe(-Errno.ENOMEM);
    expect(mlock(p, BASE, PAGE, 2)).toBe(-Errno.EINVAL);
    expect(mlock(p, BASE, 0, 0)).toBe(0);
    p.map(1, 0, BASE + 8 * PAGE);
    expect(mlock(p, BASE + 8 * PAGE, PAGE, 0)).toBe(-Errno.ENOMEM);
  });

  it('mlockall concerns what is mapped later too', () => {
    const p = bareProcess();
    p.map(1, RW, BASE);
    expect(mlockall(p, 0)).toBe(-Errno.EINVAL);
    expect(mlockall(p, 4)).toBe(-Errno.EINVAL);
    expect(mlockall(p, 3)).toBe(0);
    expect(p.keyOfEntry(BASE)).toBe(0);
    const later = p.map(1);
    expect(p.keyOfEntry(later)).toBe(0);
    const flags = () => vmaFlags(p.memory, findVma(p.memory, p.mm, BASE)) & VmFlag.locked;
    expect(flags()).not.toBe(0);
    expect(munlockall(p)).toBe(0);
    expect(flags()).toBe(0);
    expect(p.keyOfEntry(p.map(1, READ))).toBe(null);
  });
});

describe('fork', () => {
  const fork = (p: BareProcess): BareProcess =>
    Object.assign(Object.create(p), { mm: forkMm(p.user.mmu, p.mm) });
  const on = <T>(p: BareProcess, step: () => T): T => {
    loadMm(p.user.mmu, p.mm);
    return step();
  };

  it('private memory parts ways at the first write, shared memory does not', () => {
    const p = bareProcess();
    p.map(3, RW, BASE);
    fill(p, 3);
    const shared = p.map(2, RW, BASE + 16 * PAGE, MapFlag.SHARED);
    p.user.writeU8(shared, 5);
    p.cpu.dropped.length = 0;
    const child = fork(p);
    expect(p.cpu.dropped.length).toBe(1);
    on(child, () => {
      expect(bytes(child, 3)).toEqual([1, 2, 3]);
      child.user.writeU8(BASE, 50);
      child.user.writeU8(shared + PAGE, 6);
      expect(child.user.readU8(shared)).toBe(5);
    });
    on(p, () => {
      expect(bytes(p, 3)).toEqual([1, 2, 3]);
      p.user.writeU8(BASE + PAGE, 60);
      expect(p.user.readU8(shared + PAGE)).toBe(6);
    });
    on(child, () => expect(bytes(child, 3)).toEqual([50, 2, 3]));
  });

  it('mprotect does not make shared frames writable', () => {
    const p = bareProcess();
    p.map(1, READ, BASE);
    p.access(BASE, 'read');
    const child = fork(p);
    p.protect(BASE, 1, RW);
    on(p, () => expect(p.user.writeU8(BASE, 9)).toBe(true));
    on(child, () => expect(child.user.readU8(BASE)).toBe(0));
  });

  it('everything is given back when both end', () => {
    const p = bareProcess();
    p.map(5, RW, BASE);
    fill(p, 5);
    p.map(2, RW, BASE + 16 * PAGE, MapFlag.SHARED);
    fill(p, 2, BASE + 16 * PAGE);
    const child = fork(p);
    loadMm(p.user.mmu, 0);
    dropMm(p.user.mmu, p.mm);
    on(child, () => expect(bytes(child, 5)).toEqual([1, 2, 3, 4, 5]));
    dropMm(p.user.mmu, child.mm);
    expect(framesUsed(p.memory)).toBe(0);
    // The struct goes when the CPU loads another.
    expect(slabUsed(p.memory, rootPointer(p.memory, Root.mmSlab))).toBe(1);
    loadMm(p.user.mmu, 0);
    for (const root of [Root.mmSlab, Root.vmaSlab, Root.memoryObjectSlab]) {
      expect(slabUsed(p.memory, rootPointer(p.memory, root))).toBe(0);
    }
  });

  it('without memory for it, nothing is left behind', () => {
    const p = bareProcess({ guestBytes: 24 * PAGE });
    p.map(4, RW, BASE);
    fill(p, 4);
    const { ops } = p.user.mmu;
    const taken: number[] = [];
    for (let frame = ops.allocateFrame(); frame !== 0; frame = ops.allocateFrame()) taken.push(frame);
    // Enough for the root, not for the tables.
    for (const frame of taken.slice(0, 3)) ops.releaseFrame(frame);
    const used = framesUsed(p.memory);
    expect(forkMm(p.user.mmu, p.mm)).toBe(0);
    expect(framesUsed(p.memory)).toBe(used);
    expect(slabUsed(p.memory, rootPointer(p.memory, Root.mmSlab))).toBe(1);
    expect(bytes(p, 4)).toEqual([1, 2, 3, 4]);
  });
});

describe('growing stacks', () => {
  it('grow down to the limit, with a gap to what is below', () => {
    const p = bareProcess();
    const top = BASE + 0x1000_0000;
    p.map(1, RW, top - PAGE, MapFlag.PRIVATE | MapFlag.GROWSDOWN);
    expect(p.access(top - 100 * PAGE, 'write')).toBe(Fault.handled);
    expect(p.layout(top)).toEqual(['-100+100 rw-p 0']);
    const most = (8 << 20) / PAGE;
    expect(p.access(top - (most + 1) * PAGE, 'write')).toBe(Fault.maperr);
    expect(p.access(top - most * PAGE, 'read')).toBe(Fault.handled);
    const low = top - 0x400_0000;
    p.map(1, RW, low, MapFlag.PRIVATE | MapFlag.GROWSDOWN);
    p.map(1, RW, low - 300 * PAGE);
    expect(p.access(low - 50 * PAGE, 'write')).toBe(Fault.maperr);
    expect(p.access(low - 40 * PAGE, 'write')).toBe(Fault.handled);
  });
});

describe('looks from outside', () => {
  it('read and write whatever protection and keys say', () => {
    const p = bareProcess({ abi: 'minimal' });
    p.map(3, READ, BASE);
    p.pkeyProtect(BASE, 1, 0, 3);
    p.cpu.pkru = 0xffff_ffff;
    expect(forceWrite(p.user.mmu, p.mm, BASE + PAGE - 2, Uint8Array.of(1, 2, 3, 4))).toBe(4);
    const back = new Uint8Array(4);
    expect(forceRead(p.user.mmu, p.mm, BASE + PAGE - 2, back)).toBe(4);
    expect([...back]).toEqual([1, 2, 3, 4]);
    expect(forceRead(p.user.mmu, p.mm, BASE + 3 * PAGE - 1, back)).toBe(1);
    expect(p.access(BASE, 'read')).toBe(Fault.pkuerr | (3 << 8));
  });

  it("copy a file's page before writing, and drop translated code", () => {
    const p = bareProcess();
    const at = p.mmap(0, PAGE, READ | EXEC, MapFlag.PRIVATE, patternFile(PAGE));
    expect(p.access(at, 'fetch')).toBe(Fault.handled);
    expect(forceWrite(p.user.mmu, p.mm, at + 3, Uint8Array.of(0xcc))).toBe(1);
    expect(p.user.readU8(at + 3)).toBe(0xcc);
    expect(p.user.readU8(at + 4)).toBe(4);
    const { ops, scratch } = p.user.mmu;
    ops.entry(p.root, at, scratch);
    const frame = (p.memory.loadU32(scratch) & -PAGE) >>> 0;
    const mask = frameTableEntry(p.memory, frame) + Frame.codeMask;
    p.memory.store32(mask, 1);
    p.cpu.dropped.length = 0;
    forceWrite(p.user.mmu, p.mm, at + 3, Uint8Array.of(0x90));
    expect(p.cpu.dropped).toEqual([`frame ${frame.toString(16)}`]);
    expect(p.memory.load32(mask)).toBe(0);
  });

  it('system calls drop translated code that they write over', () => {
    const p = bareProcess();
    p.map(1, RW | EXEC, BASE);
    p.user.writeU8(BASE, 1);
    p.user.mmu.ops.entry(p.root, BASE, p.user.mmu.scratch);
    const frame = (p.memory.loadU32(p.user.mmu.scratch) & -PAGE) >>> 0;
    p.memory.store32(frameTableEntry(p.memory, frame) + Frame.codeMask, 1 << 3);
    p.cpu.dropped.length = 0;
    expect(p.user.writeFrom(BASE, new Uint8Array(128))).toBe(128);
    expect(p.cpu.dropped).toEqual([]);
    expect(p.user.writeFrom(BASE + 376, new Uint8Array(8))).toBe(8);
    expect(p.cpu.dropped).toEqual([]);
    expect(p.user.writeFrom(BASE + 384, new Uint8Array(8))).toBe(8);
    expect(p.cpu.dropped).toEqual([`frame ${frame.toString(16)}`]);
  });
});
