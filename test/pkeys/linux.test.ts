import { describe, expect, it } from 'vitest';
import { Errno } from '../../src/kernel/errno.js';
import { Fault } from '../../src/kernel/memory/fault.js';
import { mprotect, pkeyMprotect } from '../../src/kernel/memory/mprotect.js';
import { forkMm } from '../../src/kernel/memory/mm.js';
import { allocationMap } from '../../src/kernel/pkeys/key-map.js';
import { handlerPkru, initialPkru } from '../../src/kernel/pkeys/abi.js';
import { childPkeys, execPkeys } from '../../src/kernel/pkeys/lifetime.js';
import { MapFlag } from '../../src/kernel/memory/mmap.js';
import { EXEC, PAGE, READ, RW, bareProcess, newTask, patternFile } from '../kernel-memory/bare-process.js';
import { call, offered } from './calls.js';

/** Table B of the specification, row by row. */
const BASE = 0x10_0000_0000;
const GROWSDOWN = 0x100_0000;
const GROWSUP = 0x200_0000;
const INIT_PKRU = 0x5555_5554;

const linux = (pku = true) => bareProcess({ abi: 'linux', pku });

describe('linux: pkey_mprotect, errors in their order', () => {
  it('GROWSUP with GROWSDOWN comes before everything', () => {
    expect(pkeyMprotect(linux(), BASE + 1, 0, RW | GROWSDOWN | GROWSUP, 99)).toBe(-Errno.EINVAL);
  });

  it('an unaligned start comes before length 0', () => {
    expect(pkeyMprotect(linux(), BASE + 1, 0, RW, 99)).toBe(-Errno.EINVAL);
  });

  it('length 0 is fine whatever the key and the protection', () => {
    const p = linux();
    for (const key of [0, 5, 15, 16, -2, 99]) expect(pkeyMprotect(p, BASE, 0, 0xffff, key)).toBe(0);
  });

  it('wrapping around is ENOMEM, before protection and key', () => {
    const p = linux();
    expect(pkeyMprotect(p, 2 ** 64 - PAGE, PAGE, 0xffff, 99)).toBe(-Errno.ENOMEM);
    expect(pkeyMprotect(p, BASE, 2 ** 64 - 1, 0xffff, 99)).toBe(-Errno.ENOMEM);
  });

  it('bad protection is EINVAL, before an unmapped start', () => {
    expect(pkeyMprotect(linux(), BASE, PAGE, 0x10, 0)).toBe(-Errno.EINVAL);
    expect(pkeyMprotect(linux(), BASE, PAGE, 2 ** 32, 0)).toBe(-Errno.EINVAL);
  });

  it.each([-2, 16, 17, 2 ** 31 - 1, -(2 ** 31)])('key %d is EINVAL, before an unmapped start', (key) => {
    expect(pkeyMprotect(linux(), BASE, PAGE, RW, key)).toBe(-Errno.EINVAL);
  });

  it('a key that is not allocated is EINVAL', () => {
    const p = linux();
    p.map(1, RW, BASE);
    for (let key = 1; key < 16; key++) expect(p.pkeyProtect(BASE, 1, RW, key)).toBe(-Errno.EINVAL);
    expect(p.layout(BASE)).toEqual(['0+1 rw-p 0']);
  });

  it('the execute-only key is EINVAL', () => {
    const p = linux();
    p.map(1, RW, BASE);
    p.protect(BASE, 1, EXEC);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 1']);
    expect(p.pkeyProtect(BASE, 1, RW, 1)).toBe(-Errno.EINVAL);
  });

  it('an unmapped start is ENOMEM', () => {
    const p = linux();
    expect(p.pkeyProtect(BASE, 1, RW, 0)).toBe(-Errno.ENOMEM);
    p.map(1, RW, BASE + PAGE);
    expect(p.pkeyProtect(BASE, 2, RW, 0)).toBe(-Errno.ENOMEM);
    expect(p.pkeyProtect(BASE, 2, RW, -1)).toBe(-Errno.ENOMEM);
  });

  it('GROWSDOWN and GROWSUP need such a mapping', () => {
    const p = linux();
    p.map(2, RW, BASE);
    expect(pkeyMprotect(p, BASE, PAGE, RW | GROWSDOWN, 0)).toBe(-Errno.EINVAL);
    expect(pkeyMprotect(p, BASE, PAGE, RW | GROWSUP, 0)).toBe(-Errno.EINVAL);
    p.map(2, RW, BASE + 0x100_0000, MapFlag.PRIVATE | MapFlag.GROWSDOWN);
    expect(pkeyMprotect(p, BASE + 0x100_0000 + PAGE, PAGE, READ | GROWSDOWN, 0)).toBe(0);
    expect(p.layout(BASE + 0x100_0000)[1]).toBe('0+2 r--p 0');
  });

  it('what the mapping does not allow is EACCES', () => {
    const p = linux();
    const at = p.mmap(BASE, PAGE, READ, MapFlag.SHARED | MapFlag.FIXED, patternFile(PAGE));
    expect(p.pkeyProtect(at, 1, RW, 0)).toBe(-Errno.EACCES);
  });

  it('a hole further on is ENOMEM, and what is before it has changed', () => {
    const p = linux();
    p.map(2, RW, BASE);
    p.map(1, RW, BASE + 3 * PAGE);
    const key = call(p, 'pkey_alloc', 0, 0);
    p.access(BASE, 'write');
    expect(p.pkeyProtect(BASE, 4, READ, key)).toBe(-Errno.ENOMEM);
    expect(p.layout(BASE)).toEqual(['0+2 r--p 1', '3+1 rw-p 0']);
    expect(p.keyOfEntry(BASE)).toBe(1);
  });

  it('a key is checked only behind the protection', () => {
    expect(pkeyMprotect(linux(), BASE, PAGE, 0x10, 7)).toBe(-Errno.EINVAL);
    const p = linux();
    p.map(1, RW, BASE);
    expect(pkeyMprotect(p, BASE, PAGE, 8 | RW, 0)).toBe(0);
  });
});

describe('linux: pkey_alloc and pkey_free', () => {
  it('offers no calls for rights', () => {
    expect(offered(linux())).toEqual(['pkey_alloc', 'pkey_free']);
  });

  it('flags, then rights, are checked first', () => {
    const p = linux();
    expect(call(p, 'pkey_alloc', 1, 0)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_alloc', 2 ** 63, 0)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_alloc', 0, 4)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_alloc', 0, 2 ** 32)).toBe(-Errno.EINVAL);
    expect(allocationMap(p.memory, p.mm)).toBe(1);
  });

  it('gives the lowest free key and sets its two PKRU bits', () => {
    const p = linux();
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(1);
    expect(p.cpu.pkru).toBe(0x5555_5550);
    expect(call(p, 'pkey_alloc', 0, 2)).toBe(2);
    expect(p.cpu.pkru).toBe(0x5555_5560);
    expect(call(p, 'pkey_alloc', 0, 3)).toBe(3);
    expect(p.cpu.pkru).toBe(0x5555_55e0);
    expect(call(p, 'pkey_free', 2)).toBe(0);
    expect(p.cpu.pkru).toBe(0x5555_55e0);
    expect(call(p, 'pkey_alloc', 0, 1)).toBe(2);
    expect(p.cpu.pkru).toBe(0x5555_55d0);
  });

  it('ENOSPC when none is left, after the arguments', () => {
    const p = linux();
    for (let key = 1; key < 16; key++) expect(call(p, 'pkey_alloc', 0, 0)).toBe(key);
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(-Errno.ENOSPC);
    expect(call(p, 'pkey_alloc', 0, 4)).toBe(-Errno.EINVAL);
  });

  it.each([-1, 1, 15, 16, 99])('pkey_free(%d) of what is not allocated is EINVAL', (key) => {
    expect(call(linux(), 'pkey_free', key)).toBe(-Errno.EINVAL);
  });

  it('the execute-only key cannot be freed', () => {
    const p = linux();
    p.map(1, EXEC);
    expect(call(p, 'pkey_free', 1)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(2);
  });

  it('pkey_free(0) succeeds, and 0 is handed out again', () => {
    const p = linux();
    expect(call(p, 'pkey_free', 0)).toBe(0);
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(0);
  });

  it('a key in use can be freed: entries and PKRU stay', () => {
    const p = linux();
    const key = call(p, 'pkey_alloc', 0, 0);
    p.map(1, RW, BASE);
    p.access(BASE, 'write');
    p.pkeyProtect(BASE, 1, RW, key);
    expect(call(p, 'pkey_free', key)).toBe(0);
    expect(p.layout(BASE)).toEqual([`0+1 rw-p ${key}`]);
    expect(p.keyOfEntry(BASE)).toBe(key);
    expect(p.access(BASE, 'write')).toBe(Fault.handled);
    expect(call(p, 'pkey_alloc', 0, 1)).toBe(key);
    expect(p.access(BASE, 'read')).toBe(Fault.pkuerr | (key << 8));
  });
});

describe('linux: without PKU', () => {
  it('pkey_mprotect takes only −1', () => {
    const p = linux(false);
    p.map(1, RW, BASE);
    for (const key of [0, 1, 15, -2]) expect(p.pkeyProtect(BASE, 1, READ, key)).toBe(-Errno.EINVAL);
    expect(p.pkeyProtect(BASE, 1, READ, -1)).toBe(0);
    expect(p.layout(BASE)).toEqual(['0+1 r--p 0']);
  });

  it('pkey_alloc is ENOSPC behind its arguments, pkey_free EINVAL', () => {
    const p = linux(false);
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(-Errno.ENOSPC);
    expect(call(p, 'pkey_alloc', 1, 0)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_free', 0)).toBe(-Errno.EINVAL);
  });

  it('PROT_EXEC takes no key', () => {
    const p = linux(false);
    p.map(1, EXEC, BASE);
    p.protect(BASE, 1, RW);
    p.protect(BASE, 1, EXEC);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 0']);
  });
});

describe('linux: exec, clone, fork', () => {
  it('a new program has map {0}, no execute-only key, init_pkru', () => {
    const p = linux();
    expect(p.cpu.pkru).toBe(INIT_PKRU);
    expect(initialPkru(p)).toBe(INIT_PKRU);
    expect(allocationMap(p.memory, p.mm)).toBe(1);
    p.cpu.pkru = 0;
    execPkeys(p);
    expect(p.cpu.pkru).toBe(INIT_PKRU);
  });

  it('fork copies map and execute-only key, and they part ways', () => {
    const p = linux();
    call(p, 'pkey_alloc', 0, 0);
    p.map(1, EXEC, BASE);
    const child = forkMm(p.user.mmu, p.mm);
    expect(allocationMap(p.memory, child)).toBe(0b111);
    call(p, 'pkey_alloc', 0, 0);
    expect(allocationMap(p.memory, child)).toBe(0b111);
    expect(allocationMap(p.memory, p.mm)).toBe(0b1111);
    // A second execute-only mapping of the child gets the same key.
    const q = Object.assign(Object.create(p), { mm: child });
    expect(mprotect(q, BASE, PAGE, EXEC)).toBe(0);
    expect(q.layout(BASE)).toEqual(['0+1 --xp 2']);
  });

  it('an alloc leaves the rights of others alone: they are in their own PKRU', () => {
    const p = linux();
    const peer = newTask(p.memory);
    childPkeys(p, peer);
    const peerPkru = p.cpu.pkru;
    call(p, 'pkey_alloc', 0, 0);
    expect(peerPkru).toBe(INIT_PKRU);
    expect(p.cpu.pkru).not.toBe(INIT_PKRU);
  });

  it('a signal handler starts with init_pkru', () => {
    const p = linux();
    p.cpu.pkru = 0x1234_5678;
    expect(handlerPkru(p)).toBe(INIT_PKRU);
  });
});

describe('linux: execute-only', () => {
  it('mmap with PROT_EXEC alone takes the lowest free key and closes it for the caller', () => {
    const p = linux();
    p.cpu.pkru = 0;
    p.map(1, EXEC, BASE);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 1']);
    expect(p.cpu.pkru).toBe(1 << 2);
    expect(p.access(BASE, 'fetch')).toBe(Fault.handled);
    expect(p.access(BASE, 'read')).toBe(Fault.pkuerr | (1 << 8));
  });

  it('keeps its key: a second mapping gets the same, and closes it again if the caller had opened it', () => {
    const p = linux();
    p.map(1, EXEC, BASE);
    call(p, 'pkey_alloc', 0, 0);
    p.cpu.pkru = 0;
    p.map(1, RW, BASE + 2 * PAGE);
    p.protect(BASE + 2 * PAGE, 1, EXEC);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 1', '2+1 --xp 1']);
    expect(p.cpu.pkru).toBe(4);
    p.unmap(BASE, 3);
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(3);
  });

  it('a caller whose key is closed for access already keeps its PKRU', () => {
    const p = linux();
    p.map(1, EXEC, BASE);
    p.cpu.pkru = 3 << 2;
    p.map(1, EXEC, BASE + 2 * PAGE);
    expect(p.cpu.pkru).toBe(3 << 2);
  });

  it('is silently readable when no key is free', () => {
    const p = linux();
    for (let key = 1; key < 16; key++) call(p, 'pkey_alloc', 0, 0);
    p.map(1, EXEC, BASE);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 0']);
    expect(p.access(BASE, 'read')).toBe(Fault.handled);
    p.map(1, RW, BASE + 2 * PAGE);
    p.pkeyProtect(BASE + 2 * PAGE, 1, RW, 3);
    p.protect(BASE + 2 * PAGE, 1, EXEC);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 0', '2+1 --xp 3']);
  });

  it('mprotect(PROT_EXEC) replaces a key that was assigned; leaving execute-only resets it to 0', () => {
    const p = linux();
    const key = call(p, 'pkey_alloc', 0, 0);
    p.map(1, RW, BASE);
    p.pkeyProtect(BASE, 1, RW, key);
    p.protect(BASE, 1, EXEC);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 2']);
    p.protect(BASE, 1, READ | EXEC);
    expect(p.layout(BASE)).toEqual(['0+1 r-xp 0']);
  });

  it('pkey_mprotect(PROT_EXEC, key) keeps the key, and −1 is as mprotect', () => {
    const p = linux();
    const key = call(p, 'pkey_alloc', 0, 0);
    p.map(1, RW, BASE);
    p.pkeyProtect(BASE, 1, EXEC, key);
    expect(p.layout(BASE)).toEqual([`0+1 --xp ${key}`]);
    // Not the execute-only key: leaving PROT_EXEC keeps it.
    p.protect(BASE, 1, RW);
    expect(p.layout(BASE)).toEqual([`0+1 rw-p ${key}`]);
    p.pkeyProtect(BASE, 1, EXEC, -1);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 2']);
  });

  it('takes the key before it finds out that nothing is mapped there', () => {
    const p = linux();
    expect(p.protect(BASE, 1, EXEC)).toBe(-Errno.ENOMEM);
    expect(allocationMap(p.memory, p.mm)).toBe(1);
  });
});

describe('linux: mprotect otherwise', () => {
  it('keeps the key', () => {
    const p = linux();
    const key = call(p, 'pkey_alloc', 0, 0);
    p.map(3, RW, BASE);
    p.pkeyProtect(BASE + PAGE, 1, RW, key);
    expect(p.layout(BASE)).toEqual(['0+1 rw-p 0', '1+1 rw-p 1', '2+1 rw-p 0']);
    p.protect(BASE, 3, READ);
    expect(p.layout(BASE)).toEqual(['0+1 r--p 0', '1+1 r--p 1', '2+1 r--p 0']);
    p.pkeyProtect(BASE, 3, RW, -1);
    expect(p.layout(BASE)).toEqual(['0+1 rw-p 0', '1+1 rw-p 1', '2+1 rw-p 0']);
    p.pkeyProtect(BASE, 3, RW, key);
    expect(p.layout(BASE)).toEqual(['0+3 rw-p 1']);
  });

  it('a new mapping has key 0, also where another was', () => {
    const p = linux();
    const key = call(p, 'pkey_alloc', 0, 0);
    p.map(1, RW, BASE);
    p.pkeyProtect(BASE, 1, RW, key);
    p.map(1, RW, BASE);
    expect(p.layout(BASE)).toEqual(['0+1 rw-p 0']);
  });
});

describe('linux: faults', () => {
  it('no mapping: SEGV_MAPERR even if the PK bit is set', () => {
    const p = linux();
    expect(p.access(BASE, 'read')).toBe(Fault.maperr);
    expect(p.errorCode).toBe(4);
  });

  it('the PK bit: SEGV_PKUERR with the key of the mapping', () => {
    const p = linux();
    const key = call(p, 'pkey_alloc', 0, 1);
    p.map(1, READ, BASE);
    p.access(BASE, 'read');
    p.pkeyProtect(BASE, 1, READ, key);
    expect(p.access(BASE, 'read')).toBe(Fault.pkuerr | (key << 8));
    expect(p.errorCode).toBe(0x25);
    expect(p.access(BASE, 'write')).toBe(Fault.pkuerr | (key << 8));
    expect(p.errorCode).toBe(0x27);
    expect(p.access(BASE, 'write', 0)).toBe(Fault.accerr);
    expect(p.errorCode).toBe(7);
  });

  it("the mapping's key denied, page not there: SEGV_PKUERR without the PK bit, and no page is made", () => {
    const p = linux();
    const key = call(p, 'pkey_alloc', 0, 1);
    p.map(1, RW, BASE);
    p.pkeyProtect(BASE, 1, RW, key);
    expect(p.access(BASE, 'write')).toBe(Fault.pkuerr | (key << 8));
    expect(p.errorCode).toBe(6);
    expect(p.keyOfEntry(BASE)).toBeNull();
    // Also without any access rights: the key is looked at first.
    p.protect(BASE, 1, 0);
    expect(p.access(BASE, 'read')).toBe(Fault.pkuerr | (key << 8));
    expect(p.errorCode).toBe(4);
  });

  it('write-disable denies writes only', () => {
    const p = linux();
    const key = call(p, 'pkey_alloc', 0, 2);
    p.map(1, RW, BASE);
    p.pkeyProtect(BASE, 1, RW, key);
    expect(p.access(BASE, 'read')).toBe(Fault.handled);
    expect(p.access(BASE, 'write')).toBe(Fault.pkuerr | (key << 8));
    expect(p.errorCode).toBe(0x27);
  });

  it('otherwise SEGV_ACCERR: write to read-only, fetch from NX, PROT_NONE', () => {
    const p = linux();
    p.map(1, READ, BASE);
    expect(p.access(BASE, 'write')).toBe(Fault.accerr);
    expect(p.errorCode).toBe(6);
    expect(p.access(BASE, 'fetch')).toBe(Fault.accerr);
    expect(p.errorCode).toBe(0x15);
    expect(p.access(BASE, 'write')).toBe(Fault.accerr);
    expect(p.errorCode).toBe(7);
    p.protect(BASE, 1, 0);
    expect(p.access(BASE, 'read')).toBe(Fault.accerr);
    expect(p.errorCode).toBe(4);
  });

  it('keys do not deny fetches', () => {
    const p = linux();
    const key = call(p, 'pkey_alloc', 0, 3);
    p.map(1, READ | EXEC, BASE);
    p.pkeyProtect(BASE, 1, READ | EXEC, key);
    expect(p.access(BASE, 'fetch')).toBe(Fault.handled);
  });

  it("the kernel's own accesses honour PKRU: short counts, and the memory is untouched", () => {
    const p = linux();
    const key = call(p, 'pkey_alloc', 0, 0);
    p.map(2, RW, BASE);
    p.pkeyProtect(BASE + PAGE, 1, RW, key);
    p.user.writeU8(BASE + PAGE, 7);
    p.cpu.pkru = 1 << (2 * key);
    expect(p.user.writeFrom(BASE + PAGE - 4, new Uint8Array(8).fill(9))).toBe(4);
    expect(p.user.readInto(new Uint8Array(8), BASE + PAGE - 4)).toBe(4);
    expect(p.user.clear(BASE + PAGE - 4, 8)).toBe(4);
    expect(p.user.readU8(BASE + PAGE)).toBe(-1);
    p.cpu.pkru = 2 << (2 * key);
    expect(p.user.readU8(BASE + PAGE)).toBe(7);
    expect(p.user.writeU8(BASE + PAGE, 8)).toBe(false);
  });
});
