import { describe, expect, it } from 'vitest';
import { Errno } from '../../src/kernel/errno.js';
import { Fault } from '../../src/kernel/memory/fault.js';
import { forkMm } from '../../src/kernel/memory/mm.js';
import { pkeyMprotect } from '../../src/kernel/memory/mprotect.js';
import { type AbiName, handlerPkru, initialPkru } from '../../src/kernel/pkeys/abi.js';
import { debugClearApplies } from '../../src/kernel/pkeys/debug-clear.js';
import { allocationMap } from '../../src/kernel/pkeys/key-map.js';
import { childPkeys, execPkeys } from '../../src/kernel/pkeys/lifetime.js';
import { bareProcess, EXEC, newTask, PAGE, READ, RW } from '../kernel-memory/bare-process.js';
import { call, offered } from './calls.js';

/** Table D of the specification: what the ABIs with four calls have in common, then each of them. */
const BASE = 0x10_0000_0000;

const FOUR_CALLS = ['pkey_alloc', 'pkey_free', 'pkey_get', 'pkey_set'];
const ABIS: AbiName[] = ['mm-bitmap', 'task-bitmap', 'hybrid', 'vdso'];

/** A process whose ABI manages keys: `hybrid` after its switch-over. */
function managing(abi: AbiName, pku = true) {
  const p = bareProcess({ abi, pku });
  if (abi === 'hybrid') call(p, 'pkey_get', 99, 0);
  return p;
}

describe.each(ABIS)('%s', (abi) => {
  it('offers alloc, free, get and set', () => {
    expect(offered(managing(abi)).slice(0, 4)).toEqual(FOUR_CALLS);
  });

  it.each([-1, -2, 16, 99])('pkey_mprotect: key %d is EINVAL before everything', (key) => {
    const p = managing(abi);
    expect(pkeyMprotect(p, BASE, 0, RW, key)).toBe(-Errno.EINVAL);
    expect(pkeyMprotect(p, 2 ** 64 - PAGE, PAGE, RW, key)).toBe(-Errno.EINVAL);
    p.map(1, RW, BASE);
    expect(p.pkeyProtect(BASE, 1, RW, key)).toBe(-Errno.EINVAL);
  });

  it("pkey_mprotect: the rest in Linux's order, the allocation behind the protection", () => {
    const p = managing(abi);
    expect(pkeyMprotect(p, BASE + 1, 0, RW | 0x300_0000, 5)).toBe(-Errno.EINVAL);
    expect(pkeyMprotect(p, BASE, 0, 0x10, 5)).toBe(0);
    expect(pkeyMprotect(p, 2 ** 64 - PAGE, PAGE, 0x10, 5)).toBe(-Errno.ENOMEM);
    expect(pkeyMprotect(p, BASE, PAGE, 0x10, 5)).toBe(-Errno.EINVAL);
    expect(pkeyMprotect(p, BASE, PAGE, RW, 5)).toBe(-Errno.EINVAL);
    expect(pkeyMprotect(p, BASE, PAGE, RW, 0)).toBe(-Errno.ENOMEM);
    p.map(1, RW, BASE);
    expect(p.pkeyProtect(BASE, 2, READ, 0)).toBe(-Errno.ENOMEM);
    expect(p.layout(BASE)).toEqual(['0+1 r--p 0']);
  });

  it('pkey_alloc: flags and rights EINVAL, then ENOSPC', () => {
    const p = managing(abi);
    expect(call(p, 'pkey_alloc', 1, 0)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_alloc', 0, 4)).toBe(-Errno.EINVAL);
    const keys = [];
    for (;;) {
      const key = call(p, 'pkey_alloc', 0, 0);
      if (key < 0) {
        expect(key).toBe(-Errno.ENOSPC);
        break;
      }
      keys.push(key);
    }
    const most = abi === 'task-bitmap' ? 14 : 15;
    expect(keys).toEqual(Array.from({ length: most }, (_, i) => i + 1));
    expect(call(p, 'pkey_alloc', 1, 0)).toBe(-Errno.EINVAL);
  });

  it("pkey_alloc changes the caller's two bits and nothing else", () => {
    const p = managing(abi);
    p.cpu.pkru = 0xaaaa_aaaa;
    expect(call(p, 'pkey_alloc', 0, 1)).toBe(1);
    expect(p.cpu.pkru).toBe(0xaaaa_aaa6);
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(2);
    expect(p.cpu.pkru).toBe(0xaaaa_aa86);
  });

  it('pkey_free: key 0, unallocated and impossible keys are EINVAL', () => {
    const p = managing(abi);
    for (const key of [0, 1, 15, 16, -1]) expect(call(p, 'pkey_free', key)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(1);
    expect(call(p, 'pkey_free', 1)).toBe(0);
    expect(call(p, 'pkey_free', 1)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(1);
  });

  it('pkey_get: flags EINVAL, key out of range EINVAL, unallocated EBADF', () => {
    const p = managing(abi);
    expect(call(p, 'pkey_get', 0, 1)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_get', 5, 1)).toBe(-Errno.EINVAL);
    for (const key of [-1, 16]) expect(call(p, 'pkey_get', key, 0)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_get', 5, 0)).toBe(-Errno.EBADF);
    expect(call(p, 'pkey_get', 0, 0)).toBe(0);
  });

  it('pkey_set: flags, unknown rights and range EINVAL, unallocated EBADF', () => {
    const p = managing(abi);
    const before = p.cpu.pkru;
    expect(call(p, 'pkey_set', 0, 1, 1)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_set', 0, 4, 0)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_set', 5, 4, 0)).toBe(-Errno.EINVAL);
    for (const key of [-1, 16]) expect(call(p, 'pkey_set', key, 0, 0)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_set', 5, 1, 0)).toBe(-Errno.EBADF);
    expect(p.cpu.pkru).toBe(before);
  });

  it("get returns what set was given, and set touches the caller's two bits only", () => {
    const p = managing(abi);
    const key = call(p, 'pkey_alloc', 0, 0);
    p.cpu.pkru = 0xcccc_cccc;
    for (const rights of [1, 2, 3, 0]) {
      expect(call(p, 'pkey_set', key, rights, 0)).toBe(0);
      expect(call(p, 'pkey_get', key, 0)).toBe(rights);
      expect(p.cpu.pkru).toBe(((0xcccc_cccc & ~0xc) | (rights << 2)) >>> 0);
    }
    // The raw register counts.
    p.cpu.pkru = 2 << 2;
    expect(call(p, 'pkey_get', key, 0)).toBe(2);
  });

  it('initial and handler PKRU are 0', () => {
    const p = managing(abi);
    expect(initialPkru(p)).toBe(0);
    p.cpu.pkru = 0xffff_ffff;
    expect(handlerPkru(p)).toBe(0);
    execPkeys(p);
    expect(p.cpu.pkru).toBe(0);
  });

  it('a freed key stays on pages', () => {
    const p = managing(abi);
    const key = call(p, 'pkey_alloc', 0, 0);
    p.map(1, RW, BASE);
    p.pkeyProtect(BASE, 1, RW, key);
    expect(call(p, 'pkey_free', key)).toBe(0);
    expect(p.layout(BASE)).toEqual([`0+1 rw-p ${key}`]);
    expect(p.pkeyProtect(BASE, 1, RW, key)).toBe(-Errno.EINVAL);
  });

  it("the execute-only key is not user space's", () => {
    const p = managing(abi);
    p.map(1, EXEC, BASE);
    const key = abi === 'task-bitmap' ? 15 : 1;
    expect(p.layout(BASE)).toEqual([`0+1 --xp ${key}`]);
    expect(p.access(BASE, 'read')).toBe(Fault.pkuerr | (key << 8));
    expect(call(p, 'pkey_free', key)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_get', key, 0)).toBe(-Errno.EBADF);
    expect(call(p, 'pkey_set', key, 0, 0)).toBe(-Errno.EBADF);
    expect(p.pkeyProtect(BASE, 1, RW, key)).toBe(-Errno.EINVAL);
    p.protect(BASE, 1, READ);
    expect(p.layout(BASE)).toEqual(['0+1 r--p 0']);
  });

  it('without PKU nothing can be had', () => {
    const p = managing(abi, false);
    p.map(1, RW, BASE);
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(-Errno.ENOSPC);
    expect(call(p, 'pkey_free', 1)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_get', 1, 0)).toBe(-Errno.EBADF);
    for (const key of [-1, 0, 1]) expect(p.pkeyProtect(BASE, 1, READ, key)).toBe(-Errno.EINVAL);
    p.protect(BASE, 1, EXEC);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 0']);
  });

  it('has no debug clear', () => {
    const p = managing(abi);
    expect(debugClearApplies(p.memory, p.mm)).toBe(false);
  });
});

describe.each(['mm-bitmap', 'hybrid', 'vdso'] as const)("%s: the map is the mm's", (abi) => {
  it("threads see each other's keys", () => {
    const p = managing(abi);
    const task = newTask(p.memory);
    childPkeys(p, task);
    const peer = p.asTask(task);
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(1);
    expect(call(peer, 'pkey_alloc', 0, 0)).toBe(2);
    expect(call(peer, 'pkey_free', 1)).toBe(0);
  });

  it('fork copies it', () => {
    const p = managing(abi);
    call(p, 'pkey_alloc', 0, 0);
    const child = forkMm(p.user.mmu, p.mm);
    expect(allocationMap(p.memory, child)).toBe(0b11);
  });

  it('mprotect(PROT_EXEC) replaces a key as in Linux', () => {
    const p = managing(abi);
    const key = call(p, 'pkey_alloc', 0, 0);
    p.map(1, RW, BASE);
    p.pkeyProtect(BASE, 1, RW, key);
    p.protect(BASE, 1, EXEC);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 2']);
  });
});

describe('task-bitmap', () => {
  it('each task has a map of its own, which clone copies', () => {
    const p = bareProcess({ abi: 'task-bitmap' });
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(1);
    const task = newTask(p.memory);
    childPkeys(p, task);
    const peer = p.asTask(task);
    // Both get key 2, and either may open the other's pages.
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(2);
    expect(call(peer, 'pkey_alloc', 0, 0)).toBe(2);
    expect(call(peer, 'pkey_free', 1)).toBe(0);
    expect(call(p, 'pkey_get', 1, 0)).toBe(0);
    expect(call(peer, 'pkey_get', 1, 0)).toBe(-Errno.EBADF);
  });

  it("pkey_mprotect needs the caller's bit", () => {
    const p = bareProcess({ abi: 'task-bitmap' });
    const task = newTask(p.memory);
    childPkeys(p, task);
    const peer = p.asTask(task);
    const key = call(p, 'pkey_alloc', 0, 0);
    p.map(1, RW, BASE);
    expect(peer.pkeyProtect(BASE, 1, RW, key)).toBe(-Errno.EINVAL);
    expect(p.pkeyProtect(BASE, 1, RW, key)).toBe(0);
  });

  it('exec starts a task with key 0 alone', () => {
    const p = bareProcess({ abi: 'task-bitmap' });
    call(p, 'pkey_alloc', 0, 0);
    execPkeys(p);
    expect(call(p, 'pkey_get', 1, 0)).toBe(-Errno.EBADF);
    expect(call(p, 'pkey_get', 0, 0)).toBe(0);
  });

  it('15 is execute-only for the mm and replaces assigned keys', () => {
    const p = bareProcess({ abi: 'task-bitmap' });
    const key = call(p, 'pkey_alloc', 0, 0);
    p.map(1, RW, BASE);
    p.pkeyProtect(BASE, 1, RW, key);
    p.protect(BASE, 1, EXEC);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 15']);
    expect(p.cpu.pkru).toBe(0x4000_0000);
  });
});

describe('hybrid', () => {
  it('is minimal at first', () => {
    const p = bareProcess({ abi: 'hybrid' });
    p.map(1, RW, BASE);
    expect(p.pkeyProtect(BASE, 1, RW, 9)).toBe(0);
    for (const key of [14, 15]) expect(pkeyMprotect(p, 1, 0, 0x10, key)).toBe(-Errno.EOPNOTSUPP);
    expect(pkeyMprotect(p, 0, PAGE, RW, 5)).toBe(-Errno.ENOMEM);
    p.map(1, EXEC, BASE + 2 * PAGE);
    expect(p.layout(BASE)).toEqual(['0+1 rw-p 9', '2+1 --xp 15']);
    p.cpu.pkru = 0xffff_ffff;
    expect(handlerPkru(p)).toBe(0xf000_0000);
    expect(debugClearApplies(p.memory, p.mm)).toBe(true);
  });

  it.each([
    ['pkey_alloc', [1, 0], Errno.EINVAL],
    ['pkey_free', [3], Errno.EINVAL],
    ['pkey_get', [3, 0], Errno.EBADF],
    ['pkey_set', [3, 9, 0], Errno.EINVAL],
  ] as const)(
    '%s switches over even if it fails, once, and adopts the keys on mappings',
    (name, args, errno) => {
      const p = bareProcess({ abi: 'hybrid' });
      p.map(1, RW, BASE);
      p.pkeyProtect(BASE, 1, RW, 9);
      p.map(1, EXEC, BASE + 2 * PAGE);
      expect(call(p, name, ...args)).toBe(-errno);
      expect(allocationMap(p.memory, p.mm)).toBe(1 | (1 << 9) | (1 << 15));
      expect(debugClearApplies(p.memory, p.mm)).toBe(false);
      expect(call(p, 'pkey_get', 9, 0)).toBe(0);
      expect(call(p, 'pkey_get', 15, 0)).toBe(-Errno.EBADF);
      expect(p.pkeyProtect(BASE, 1, RW, 3)).toBe(-Errno.EINVAL);
      expect(p.pkeyProtect(BASE, 1, RW, 14)).toBe(-Errno.EINVAL);
      expect(call(p, 'pkey_free', 9)).toBe(0);
      // Not adopted a second time, although it is still on the page.
      expect(call(p, 'pkey_get', 9, 0)).toBe(-Errno.EBADF);
      // The execute-only key stays 15.
      p.map(1, EXEC, BASE + 4 * PAGE);
      expect(p.layout(BASE)).toEqual(['0+1 rw-p 9', '2+1 --xp 15', '4+1 --xp 15']);
    },
  );

  it('asking does not switch it', () => {
    const p = bareProcess({ abi: 'hybrid' });
    for (let key = -1; key < 17; key++) pkeyMprotect(p, 0, PAGE, RW, key);
    expect(pkeyMprotect(p, 0, PAGE, RW, 14)).toBe(-Errno.EOPNOTSUPP);
  });

  it('fork copies the mode, a new mm is not managed', () => {
    const p = bareProcess({ abi: 'hybrid' });
    const before = forkMm(p.user.mmu, p.mm);
    expect(debugClearApplies(p.memory, before)).toBe(true);
    call(p, 'pkey_alloc', 0, 0);
    const after = forkMm(p.user.mmu, p.mm);
    expect(debugClearApplies(p.memory, after)).toBe(false);
    expect(debugClearApplies(p.memory, before)).toBe(true);
  });
});
