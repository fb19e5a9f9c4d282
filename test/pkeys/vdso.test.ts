import { describe, expect, it } from 'vitest';
import { Errno } from '../../src/kernel/errno.js';
import { forkMm } from '../../src/kernel/memory/mm.js';
import { mapVdso } from '../../src/kernel/memory/load-target.js';
import { childPkeys, execPkeys, exitPkeys } from '../../src/kernel/pkeys/lifetime.js';
import { PkeyMmState } from '../../src/kernel/pkeys/state.js';
import { mmState } from '../../src/kernel/pkeys/key-map.js';
import {
  bareProcess,
  type BareProcess,
  EXEC,
  newTask,
  PAGE,
  READ,
  RW,
} from '../kernel-memory/bare-process.js';
import { call, offered } from './calls.js';

const BASE = 0x10_0000_0000;
const BYTES = 32;

/** struct pkey_area. */
function area(p: BareProcess, address = BASE) {
  const bytes = p.user.readBytes(address, BYTES)!;
  const view = new DataView(bytes.buffer);
  return {
    magic: view.getUint32(0, true),
    size: view.getUint32(4, true),
    map: view.getUint32(8, true),
    reserved: view.getUint32(12, true),
    rights: [...bytes.subarray(16)],
  };
}

function registered(): BareProcess {
  const p = bareProcess({ abi: 'vdso' });
  p.map(4, RW, BASE);
  expect(call(p, 'pkey_area', BASE, BYTES, 0)).toBe(0);
  return p;
}

describe('vdso: registration', () => {
  it('is a call of its own', () => {
    expect(offered(bareProcess({ abi: 'vdso' }))[4]).toBe('pkey_area');
  });

  it('checks flags, size and alignment, then the memory, then whether there is one', () => {
    const p = bareProcess({ abi: 'vdso' });
    expect(call(p, 'pkey_area', BASE, BYTES, 1)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_area', BASE, BYTES + 1, 0)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_area', BASE + 16, BYTES, 0)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_area', BASE, BYTES, 0)).toBe(-Errno.EFAULT);
    p.map(1, READ, BASE);
    expect(call(p, 'pkey_area', BASE, BYTES, 0)).toBe(-Errno.EFAULT);
    p.protect(BASE, 1, RW);
    expect(call(p, 'pkey_area', BASE, BYTES, 0)).toBe(0);
    expect(call(p, 'pkey_area', BASE + 64, BYTES, 0)).toBe(-Errno.EBUSY);
    expect(call(p, 'pkey_area', BASE + PAGE, BYTES, 0)).toBe(-Errno.EFAULT);
    expect(call(p, 'pkey_area', BASE + 1, BYTES, 0)).toBe(-Errno.EINVAL);
  });

  it('honours PKRU', () => {
    const p = bareProcess({ abi: 'vdso' });
    p.map(1, RW, BASE);
    const key = call(p, 'pkey_alloc', 0, 0);
    p.pkeyProtect(BASE, 1, RW, key);
    p.cpu.pkru = 2 << (2 * key);
    expect(call(p, 'pkey_area', BASE, BYTES, 0)).toBe(-Errno.EFAULT);
  });

  it('fills the area in', () => {
    const p = bareProcess({ abi: 'vdso' });
    p.map(1, RW, BASE);
    call(p, 'pkey_alloc', 0, 2);
    p.user.writeFrom(BASE, new Uint8Array(BYTES).fill(0xff));
    call(p, 'pkey_area', BASE, BYTES, 0);
    const rights = new Array(16).fill(0);
    rights[1] = 2;
    expect(area(p)).toEqual({ magic: 0x59454b50, size: 32, map: 0b11, reserved: 0, rights });
  });
});

describe('vdso: publication', () => {
  it('alloc, free, get and set bring the area up to date', () => {
    const p = registered();
    expect(call(p, 'pkey_alloc', 0, 1)).toBe(1);
    expect(area(p)).toMatchObject({ map: 0b11, rights: [0, 1, ...new Array(14).fill(0)] });
    call(p, 'pkey_set', 1, 3, 0);
    expect(area(p).rights[1]).toBe(3);
    p.cpu.pkru = 2 << 2;
    expect(area(p).rights[1]).toBe(3);
    call(p, 'pkey_get', 1, 0);
    expect(area(p).rights[1]).toBe(2);
    call(p, 'pkey_free', 1);
    expect(area(p).map).toBe(1);
  });

  it('the execute-only key is left out', () => {
    const p = registered();
    p.map(1, EXEC, BASE + 16 * PAGE);
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(2);
    expect(area(p).map).toBe(0b101);
  });

  it('reaches the areas of all threads, whatever their keys', () => {
    const p = registered();
    const task = newTask(p.memory);
    childPkeys(p, task);
    const peer = p.asTask(task);
    expect(call(peer, 'pkey_area', BASE + PAGE, BYTES, 0)).toBe(0);
    const key = call(p, 'pkey_alloc', 0, 0);
    p.pkeyProtect(BASE + PAGE, 1, RW, key);
    p.cpu.pkru = 3 << (2 * key);
    call(p, 'pkey_alloc', 0, 0);
    expect(area(p).map).toBe(0b111);
    p.cpu.pkru = 0;
    expect(area(p, BASE + PAGE).map).toBe(0b111);
  });

  it('trusts nothing that user space writes there', () => {
    const p = registered();
    p.user.writeU32(BASE + 8, 0xffff);
    expect(call(p, 'pkey_get', 5, 0)).toBe(-Errno.EBADF);
    expect(p.pkeyProtect(BASE + 2 * PAGE, 1, RW, 5)).toBe(-Errno.EINVAL);
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(1);
    expect(area(p).map).toBe(0b11);
  });

  it('an area that is gone, or write-protected, hurts nobody', () => {
    const p = registered();
    p.protect(BASE, 1, READ);
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(1);
    expect(area(p).map).toBe(1);
    p.unmap(BASE, 1);
    expect(call(p, 'pkey_alloc', 0, 0)).toBe(2);
    expect(call(p, 'pkey_free', 1)).toBe(0);
    p.map(1, RW, BASE);
    expect(call(p, 'pkey_free', 2)).toBe(0);
    expect(area(p).map).toBe(1);
  });
});

describe('vdso: life', () => {
  const first = (p: BareProcess, mm = p.mm) => p.memory.loadU32(mmState(mm) + PkeyMmState.firstArea);

  it('clone starts unregistered', () => {
    const p = registered();
    const task = newTask(p.memory);
    childPkeys(p, task);
    const peer = p.asTask(task);
    expect(call(peer, 'pkey_area', BASE + PAGE, BYTES, 0)).toBe(0);
  });

  it('fork starts unregistered', () => {
    const p = registered();
    const child = forkMm(p.user.mmu, p.mm);
    expect(first(p, child)).toBe(0);
  });

  it('exit and exec take the area off the list', () => {
    const p = registered();
    const peers = [1, 2].map((i) => {
      const task = newTask(p.memory);
      childPkeys(p, task);
      const peer = p.asTask(task);
      expect(call(peer, 'pkey_area', BASE + i * PAGE, BYTES, 0)).toBe(0);
      return peer;
    });
    exitPkeys(peers[0]);
    exitPkeys(peers[0]);
    call(p, 'pkey_alloc', 0, 0);
    expect(area(p, BASE + PAGE).map).toBe(1);
    expect(area(p, BASE + 2 * PAGE).map).toBe(0b11);
    exitPkeys(peers[1]);
    execPkeys(p);
    expect(first(p)).toBe(0);
    expect(call(p, 'pkey_area', BASE, BYTES, 0)).toBe(0);
  });

  it('exec maps the vDSO, read and execute', () => {
    const p = bareProcess({ abi: 'vdso' });
    const at = mapVdso(p.user.mmu, p.mm);
    expect(p.layout(at)).toEqual(['0+1 r-xp 0']);
    expect(Buffer.from(p.user.readBytes(at, 4)!).toString('latin1')).toBe('\x7fELF');
    const q = bareProcess({ abi: 'mm-bitmap' });
    expect(mapVdso(q.user.mmu, q.mm)).toBe(0);
  });
});
