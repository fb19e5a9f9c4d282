import { describe, expect, it } from 'vitest';
import { Errno } from '../../src/kernel/errno.js';
import { Fault } from '../../src/kernel/memory/fault.js';
import { pkeyMprotect } from '../../src/kernel/memory/mprotect.js';
import { handlerPkru, initialPkru } from '../../src/kernel/pkeys/abi.js';
import { debugClearApplies } from '../../src/kernel/pkeys/debug-clear.js';
import { Mutant } from '../../src/memory/mutants.js';
import { bareProcess, EXEC, PAGE, READ, RW } from '../kernel-memory/bare-process.js';
import { call, offered } from './calls.js';

/** Table C of the specification. */
const BASE = 0x10_0000_0000;
const USABLE = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];

const minimal = (pku = true) => bareProcess({ abi: 'minimal', pku });

describe('minimal', () => {
  it('M1: has no call but pkey_mprotect; the number of pkey_get answers ENOSYS', () => {
    const p = minimal();
    expect(offered(p)).toEqual(['pkey_get']);
    expect(call(p, 'pkey_get', 1, 0)).toBe(-Errno.ENOSYS);
  });

  it('M2: plain PROT_EXEC uses key 15, closed for the caller only', () => {
    const p = minimal();
    p.map(1, EXEC, BASE);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 15']);
    expect(p.cpu.pkru).toBe(0x4000_0000);
    expect(p.access(BASE, 'fetch')).toBe(Fault.handled);
    expect(p.access(BASE, 'read')).toBe(Fault.pkuerr | (15 << 8));
    expect(p.errorCode).toBe(0x25);
    // A thread that was there before, with its own PKRU.
    expect(p.access(BASE, 'read', 0)).toBe(Fault.handled);
    p.map(1, RW, BASE + 2 * PAGE);
    p.cpu.pkru = 0;
    p.protect(BASE + 2 * PAGE, 1, EXEC);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 15', '2+1 --xp 15']);
    expect(p.cpu.pkru).toBe(0x4000_0000);
  });

  it.each([14, 15])('M3: key %d is EOPNOTSUPP, and nothing changes', (key) => {
    const p = minimal();
    p.map(2, RW, BASE);
    expect(p.pkeyProtect(BASE, 2, READ, key)).toBe(-Errno.EOPNOTSUPP);
    expect(p.layout(BASE)).toEqual(['0+2 rw-p 0']);
    expect(p.cpu.pkru).toBe(0);
  });

  it('M4: keys 0–13 need no allocation', () => {
    const p = minimal();
    p.map(1, RW, BASE);
    for (const key of USABLE) {
      expect(p.pkeyProtect(BASE, 1, RW, key)).toBe(0);
      expect(p.layout(BASE)).toEqual([`0+1 rw-p ${key}`]);
    }
  });

  it('M5: the debug option concerns it', () => {
    const p = minimal();
    expect(debugClearApplies(p.memory, p.mm)).toBe(true);
  });

  it('M7: the probe is EOPNOTSUPP for 14 and 15, ENOMEM for the others, and changes nothing', () => {
    const p = minimal();
    p.map(1, RW, BASE);
    for (const prot of [0, READ, RW, EXEC]) {
      for (const key of USABLE) expect(pkeyMprotect(p, 0, PAGE, prot, key)).toBe(-Errno.ENOMEM);
      for (const key of [14, 15]) expect(pkeyMprotect(p, 0, PAGE, prot, key)).toBe(-Errno.EOPNOTSUPP);
    }
    expect(p.layout(BASE)).toEqual(['0+1 rw-p 0']);
    expect(p.cpu.pkru).toBe(0);
  });

  it('M7: with page 0 mapped the probe is 0, and changes it', () => {
    const p = minimal();
    expect(p.map(1, RW, 0, 0x12)).toBe(0);
    expect(p.layout()).toEqual(['0+1 rw-p 0']);
    expect(pkeyMprotect(p, 0, PAGE, READ, 3)).toBe(0);
    expect(p.layout()).toEqual(['0+1 r--p 3']);
  });

  it('the key is checked before everything', () => {
    const p = minimal();
    for (const [key, errno] of [
      [14, Errno.EOPNOTSUPP],
      [15, Errno.EOPNOTSUPP],
      [-1, Errno.EINVAL],
      [-2, Errno.EINVAL],
      [16, Errno.EINVAL],
      [2 ** 31 - 1, Errno.EINVAL],
    ]) {
      // Growing both ways; not aligned; length 0; wrapping; bad protection; not mapped.
      expect(pkeyMprotect(p, BASE, PAGE, 0x300_0000, key)).toBe(-errno);
      expect(pkeyMprotect(p, BASE + 1, PAGE, RW, key)).toBe(-errno);
      expect(pkeyMprotect(p, BASE, 0, RW, key)).toBe(-errno);
      expect(pkeyMprotect(p, 2 ** 64 - PAGE, PAGE, RW, key)).toBe(-errno);
      expect(pkeyMprotect(p, BASE, PAGE, 0x10, key)).toBe(-errno);
      expect(pkeyMprotect(p, BASE, PAGE, RW, key)).toBe(-errno);
    }
  });

  it("then comes mprotect's own order", () => {
    const p = minimal();
    expect(pkeyMprotect(p, BASE + 1, 0, 0x300_0000, 5)).toBe(-Errno.EINVAL);
    expect(pkeyMprotect(p, BASE + 1, 0, RW, 5)).toBe(-Errno.EINVAL);
    expect(pkeyMprotect(p, BASE, 0, 0x10, 5)).toBe(0);
    expect(pkeyMprotect(p, 2 ** 64 - PAGE, PAGE, 0x10, 5)).toBe(-Errno.ENOMEM);
    expect(pkeyMprotect(p, BASE, PAGE, 0x10, 5)).toBe(-Errno.EINVAL);
    expect(pkeyMprotect(p, BASE, PAGE, RW, 5)).toBe(-Errno.ENOMEM);
    p.map(1, RW, BASE);
    expect(pkeyMprotect(p, BASE, 2 * PAGE, RW, 5)).toBe(-Errno.ENOMEM);
    expect(p.layout(BASE)).toEqual(['0+1 rw-p 5']);
  });

  it('without PKU 0 works, 1–15 are EOPNOTSUPP, others EINVAL', () => {
    const p = minimal(false);
    p.map(1, RW, BASE);
    expect(p.pkeyProtect(BASE, 1, READ, 0)).toBe(0);
    for (let key = 1; key < 16; key++) expect(p.pkeyProtect(BASE, 1, RW, key)).toBe(-Errno.EOPNOTSUPP);
    for (const key of [-1, 16]) expect(p.pkeyProtect(BASE, 1, RW, key)).toBe(-Errno.EINVAL);
    p.protect(BASE, 1, EXEC);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 0']);
    expect(p.cpu.pkru).toBe(0);
  });

  it('PROT_EXEC keeps a key that was assigned; leaving execute-only resets 15 to 0', () => {
    const p = minimal();
    p.map(1, RW, BASE);
    p.pkeyProtect(BASE, 1, RW, 7);
    p.protect(BASE, 1, EXEC);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 7']);
    expect(p.cpu.pkru).toBe(0);
    p.protect(BASE, 1, RW);
    expect(p.layout(BASE)).toEqual(['0+1 rw-p 7']);
    p.pkeyProtect(BASE, 1, RW, 0);
    p.protect(BASE, 1, EXEC);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 15']);
    p.protect(BASE, 1, READ);
    expect(p.layout(BASE)).toEqual(['0+1 r--p 0']);
  });

  it('a page may be given another key out of execute-only', () => {
    const p = minimal();
    p.map(1, EXEC, BASE);
    expect(p.pkeyProtect(BASE, 1, EXEC, 4)).toBe(0);
    expect(p.layout(BASE)).toEqual(['0+1 --xp 4']);
  });

  it('initial PKRU is 0; a handler has 0–13 open and 14 and 15 as they were', () => {
    const p = minimal();
    expect(p.cpu.pkru).toBe(0);
    expect(initialPkru(p)).toBe(0);
    p.cpu.pkru = 0xffff_ffff;
    expect(handlerPkru(p)).toBe(0xf000_0000);
    p.cpu.pkru = 0x5fff_ffff;
    expect(handlerPkru(p)).toBe(0x5000_0000);
    p.cpu.pkru = 0x0fff_ffff;
    expect(handlerPkru(p)).toBe(0);
  });
});

describe('deliberate defects', () => {
  it('executeOnlyKeyUsable lets user space assign key 15', () => {
    const p = bareProcess({ abi: 'minimal', mutants: Mutant.executeOnlyKeyUsable });
    p.map(1, RW, BASE);
    expect(p.pkeyProtect(BASE, 1, RW, 15)).toBe(0);
  });

  it('handlerKeepsPkru', () => {
    const p = bareProcess({ abi: 'minimal', mutants: Mutant.handlerKeepsPkru });
    p.cpu.pkru = 0x123;
    expect(handlerPkru(p)).toBe(0x123);
  });

  it('kernelCopiesIgnorePkru', () => {
    const p = bareProcess({ abi: 'minimal', mutants: Mutant.kernelCopiesIgnorePkru });
    p.map(1, RW, BASE);
    p.pkeyProtect(BASE, 1, RW, 3);
    p.cpu.pkru = 3 << 6;
    expect(p.user.writeU8(BASE, 1)).toBe(true);
  });
});
