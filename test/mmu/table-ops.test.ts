import { beforeEach, describe, expect, it } from 'vitest';
import { cpuPointer, PfError } from '../../src/cpu/state.js';
import { Frame } from '../../src/memory/layout.js';
import type { Memory } from '../../src/memory/memory.js';
import { heapAllocate } from '../../src/memory/slab.js';
import {
  frameReferences,
  framesTotal,
  framesUsed,
  frameTableEntry,
  holdFrame,
} from '../../src/mmu/frames.js';
import { LEAF_MASK_HIGH, leafHigh, leafLow, PROT_MASK_LOW, Prot, Pte } from '../../src/mmu/pte.js';
import { createTableOps, type TableOps } from '../../src/mmu/pte-ops.js';
import { WALK_CODE, WALK_FAILED } from '../../src/mmu/user-ops.js';
import { bareMemory } from './bare-machine.js';

const RW = Prot.read | Prot.write;
const BASE = 0x7fff_1234_5000;

describe('frames', () => {
  it('hands out every frame once, then 0, and takes them back zeroed', () => {
    const memory = bareMemory({ guestBytes: 1 << 20 });
    const ops = createTableOps(memory);
    const seen = new Set<number>();
    for (;;) {
      const frame = ops.allocateFrame() >>> 0;
      if (frame === 0) break;
      expect(frame % 4096).toBe(0);
      seen.add(frame);
    }
    expect(seen.size).toBe(framesTotal(memory));
    expect(framesUsed(memory)).toBe(framesTotal(memory));
    const [first, second] = seen;
    memory.u8.fill(7, first, first + 4096);
    memory.store32(frameTableEntry(memory, first) + Frame.codeMask, -1);
    ops.releaseFrame(second);
    ops.releaseFrame(first);
    expect(ops.allocateFrame() >>> 0).toBe(first);
    expect(memory.u8.subarray(first, first + 4096).every((b) => b === 0)).toBe(true);
    expect(memory.load32(frameTableEntry(memory, first) + Frame.codeMask)).toBe(0);
    expect(ops.allocateFrame() >>> 0).toBe(second);
    expect(ops.allocateFrame()).toBe(0);
  });

  it('frees a frame with its last reference', () => {
    const memory = bareMemory();
    const ops = createTableOps(memory);
    const frame = ops.allocateFrame() >>> 0;
    holdFrame(memory, frame);
    ops.releaseFrame(frame);
    expect(framesUsed(memory)).toBe(1);
    expect(frameReferences(memory, frame)).toBe(1);
    ops.releaseFrame(frame);
    expect(framesUsed(memory)).toBe(0);
  });
});

describe('page tables', () => {
  let memory: Memory;
  let ops: TableOps;
  let root: number;
  let out: number;

  beforeEach(() => {
    memory = bareMemory();
    ops = createTableOps(memory);
    root = ops.allocateFrame() >>> 0;
    out = heapAllocate(memory, 64);
  });

  const map = (address: number, prot: number, key = 0, extra = 0) => {
    const frame = ops.allocateFrame() >>> 0;
    const result = ops.map(root, address, 0, 0, frame | leafLow(prot) | extra, leafHigh(prot, key));
    return { frame, result };
  };
  const entry = (address: number, of = root) => {
    if (!ops.entry(of, address, out)) return null;
    const low = memory.loadU32(out);
    const high = memory.loadU32(out + 4);
    return {
      frame: (low & -4096) >>> 0,
      flags: low & 0xfff,
      key: (high >>> Pte.keyShiftHigh) & 15,
      nx: high >>> 31,
    };
  };
  const protect = (start: number, end: number, prot: number, key: number, copyOnWrite = 0) =>
    ops.protect(
      root,
      start,
      end,
      ~PROT_MASK_LOW,
      leafLow(prot),
      ~LEAF_MASK_HIGH,
      leafHigh(prot, key),
      copyOnWrite,
    );

  it('maps one page and refuses to map it twice', () => {
    const { frame, result } = map(BASE, RW, 5);
    expect(result).toBe(1);
    expect(entry(BASE)).toEqual({ frame, flags: 7, key: 5, nx: 1 });
    expect(entry(BASE + 4096)).toBeNull();
    expect(entry(BASE + 2 ** 47)).toBeNull();
    expect(map(BASE, RW).result).toBe(2);
    expect(entry(BASE)!.frame).toBe(frame);
  });

  it('changes protection and key over table boundaries and keeps A and D', () => {
    const pages = 1500;
    const start = 0x4000_0000 - 700 * 4096;
    for (let i = 0; i < pages; i += 3) map(start + i * 4096, RW, 0, i % 2 ? 0x60 : 0);
    const changed = protect(start, start + pages * 4096, Prot.read | Prot.exec, 9);
    expect(changed).toBe(250);
    for (let i = 0; i < pages; i++) {
      const e = entry(start + i * 4096);
      if (i % 3) expect(e).toBeNull();
      else expect(e).toMatchObject({ flags: 5 | (i % 2 ? 0x60 : 0), key: 9, nx: 0 });
    }
    expect(entry(start - 4096)).toBeNull();
  });

  it('counts what a TLB may hold too much of, and nothing else', () => {
    map(BASE, Prot.read, 1, Pte.accessed);
    expect(protect(BASE, BASE + 4096, RW, 1)).toBe(0);
    expect(protect(BASE, BASE + 4096, RW, 1)).toBe(0);
    expect(protect(BASE, BASE + 4096, RW, 2)).toBe(1);
    expect(protect(BASE, BASE + 4096, Prot.read, 2)).toBe(1);
    expect(protect(BASE, BASE + 4096, Prot.read | Prot.exec, 2)).toBe(0);
    expect(protect(BASE, BASE + 4096, Prot.read, 2)).toBe(1);
    expect(protect(BASE, BASE + 4096, 0, 2)).toBe(1);
    expect(protect(BASE, BASE + 4096, 0, 3)).toBe(0);
    expect(protect(BASE, BASE + 4096, RW, 3)).toBe(0);
    map(BASE + 4096, RW, 0);
    expect(protect(BASE + 4096, BASE + 8192, Prot.read, 4)).toBe(0);
  });

  it('keeps the frame of a page without access', () => {
    const { frame } = map(BASE, RW, 3);
    protect(BASE, BASE + 4096, 0, 3);
    expect(entry(BASE)).toEqual({ frame, flags: 0, key: 3, nx: 1 });
    protect(BASE, BASE + 4096, RW, 0);
    expect(entry(BASE)).toEqual({ frame, flags: 7, key: 0, nx: 1 });
  });

  it('zaps, then releases frames and whole leaf tables', () => {
    const start = 0x20_0000 * 8;
    for (let i = -1; i < 513; i++) map(start + i * 4096, RW, 0, i === 5 ? Pte.accessed : 0);
    const used = framesUsed(memory);
    expect(ops.zap(root, start - 4096, start)).toBe(0);
    expect(ops.release(root, start - 4096, start)).toBe(1);
    // One accessed page and one leaf table.
    expect(ops.zap(root, start, start + 512 * 4096)).toBe(2);
    expect(entry(start)).toBeNull();
    expect(ops.release(root, start, start + 512 * 4096)).toBe(512);
    expect(framesUsed(memory)).toBe(used - 1 - 512 - 1);
    expect(entry(start + 512 * 4096)).not.toBeNull();
    expect(ops.count(root, 0, 2 ** 47)).toBe(1);
    map(start, RW);
    expect(ops.count(root, 0, 2 ** 47)).toBe(2);
  });

  it('moves pages', () => {
    const frames = [0, 1, 2].map((i) => map(BASE + i * 4096, RW, i).frame);
    const to = 0x1000_0000 - 4096;
    expect(ops.tables(root, to, to + 3 * 4096)).toBe(1);
    expect(ops.move(root, BASE, BASE + 3 * 4096, to)).toBe(3);
    for (let i = 0; i < 3; i++) {
      expect(entry(BASE + i * 4096)).toBeNull();
      expect(entry(to + i * 4096)).toMatchObject({ frame: frames[i], key: i });
    }
  });

  it('shares pages copy-on-write, and protects shared ones from becoming writable', () => {
    const other = ops.allocateFrame() >>> 0;
    const { frame } = map(BASE, RW, 2);
    const second = map(BASE + 4096, Prot.read).frame;
    expect(ops.share(root, BASE, BASE + 8192, other, 1)).toBe(Pte.writable);
    expect(frameReferences(memory, frame)).toBe(2);
    for (const of of [root, other]) expect(entry(BASE, of)).toEqual({ frame, flags: 5, key: 2, nx: 1 });
    expect(entry(BASE + 4096, other)).toMatchObject({ frame: second, flags: 5 });
    protect(BASE, BASE + 4096, RW, 2, 1);
    expect(entry(BASE)!.flags).toBe(5);
    ops.destroy(other, 4);
    expect(frameReferences(memory, frame)).toBe(1);
    protect(BASE, BASE + 4096, RW, 2, 1);
    expect(entry(BASE)!.flags).toBe(7);
  });

  it('shares without copy-on-write', () => {
    const other = ops.allocateFrame() >>> 0;
    const { frame } = map(BASE, RW, 2);
    expect(ops.share(root, BASE, BASE + 4096, other, 0)).toBe(0);
    expect(entry(BASE, other)).toEqual({ frame, flags: 7, key: 2, nx: 1 });
    expect(entry(BASE)!.flags).toBe(7);
  });

  it('destroys everything', () => {
    for (const address of [0, 0x40_0000, BASE, 0x7fff_ffff_e000]) map(address, RW);
    ops.destroy(root, 4);
    expect(framesUsed(memory)).toBe(0);
  });

  it('reports missing frames for tables', () => {
    const small = bareMemory({ guestBytes: 5 * 4096 });
    const few = createTableOps(small);
    const top = few.allocateFrame() >>> 0;
    expect(few.map(top, 0x1000, 0, 0, (few.allocateFrame() | 7) >>> 0, 0)).toBe(1);
    expect(few.map(top, 0x4000_0000, 0, 0, 0x1007, 0)).toBe(0);
    expect(few.tables(top, 0x4000_0000, 0x4000_1000)).toBe(0);
  });

  describe('walk', () => {
    const denyAccess = (key: number) => 1 << (2 * key);
    const denyWrite = (key: number) => 2 << (2 * key);
    const walk = (address: number, access: number, pkru = 0, length = 1) =>
      ops.walk(root, address, access, pkru, length) >>> 0;

    it('answers the pointer and sets A and D', () => {
      const { frame } = map(BASE, RW);
      expect(walk(BASE + 17, 0)).toBe(frame + 17);
      expect(entry(BASE)!.flags).toBe(0x27);
      expect(walk(BASE + 17, 1)).toBe(frame + 17);
      expect(entry(BASE)!.flags).toBe(0x67);
    });

    it('answers the error code', () => {
      const { user, present, write, pk } = PfError;
      expect(walk(BASE, 0)).toBe(user);
      expect(walk(BASE, 1)).toBe(user | write);
      for (const address of [2 ** 47, 2 ** 63, 2 ** 64 - 4096, 2 ** 48]) expect(walk(address, 0)).toBe(user);
      map(BASE, Prot.read, 3);
      expect(walk(BASE, 1)).toBe(user | write | present);
      expect(walk(BASE, 0, denyAccess(3))).toBe(user | present | pk);
      expect(walk(BASE, 1, denyAccess(3))).toBe(user | present | pk | write);
      expect(walk(BASE, 1, denyWrite(3))).toBe(user | present | pk | write);
      for (const allowed of [denyWrite(3), ~(3 << 6), denyAccess(4), denyAccess(2) | denyWrite(2)]) {
        expect(walk(BASE, 0, allowed)).toBeGreaterThanOrEqual(WALK_FAILED);
      }
    });

    it('checks every key by its own bits', () => {
      for (let key = 0; key < 16; key++) {
        const page = BASE + key * 4096;
        const { frame } = map(page, RW, key);
        for (let rights = 0; rights < 4; rights++) {
          const pkru = rights << (2 * key);
          expect(walk(page, 0, pkru)).toBe(rights & 1 ? 0x25 : frame);
          expect(walk(page, 1, pkru)).toBe(rights ? 0x27 : frame);
          expect(walk(page, 1, ~(3 << (2 * key)))).toBe(frame);
        }
      }
    });

    it('refuses to write over translated code, by granules of 128 bytes', () => {
      const { frame } = map(BASE, RW);
      const mask = frameTableEntry(memory, frame) + Frame.codeMask;
      memory.store32(mask, (1 << 2) | (1 << 31));
      expect(walk(BASE + 256, 0)).toBe(frame + 256);
      expect(walk(BASE + 256, 1)).toBe(WALK_CODE);
      expect(walk(BASE + 255, 1)).toBe(frame + 255);
      expect(walk(BASE + 255, 1, 0, 2)).toBe(WALK_CODE);
      expect(walk(BASE + 384, 1, 0, 3584)).toBe(frame + 384);
      expect(walk(BASE + 4095, 1)).toBe(WALK_CODE);
      expect(walk(BASE, 1, 0, 4096)).toBe(WALK_CODE);
      expect(walk(BASE, 1, 0, 256)).toBe(frame);
    });
  });

  describe('copies', () => {
    const cpu = cpuPointer(0);
    it('cross pages and stop at the first refusal', () => {
      const a = map(BASE, RW).frame;
      const b = map(BASE + 4096, Prot.read, 4).frame;
      const buffer = heapAllocate(memory, 8192);
      for (let i = 0; i < 8192; i++) memory.u8[buffer + i] = i * 7;
      expect(ops.copyOut(cpu, root, BASE + 4000, buffer, 200, 0)).toBe(96);
      expect(memory.u8.slice(a + 4000, a + 4096)).toEqual(memory.u8.slice(buffer, buffer + 96));
      memory.u8.fill(9, b, b + 4096);
      expect(ops.copyIn(cpu, root, BASE + 4090, buffer, 10, 0)).toBe(10);
      expect([...memory.u8.slice(buffer + 6, buffer + 10)]).toEqual([9, 9, 9, 9]);
      expect(ops.copyIn(cpu, root, BASE + 4090, buffer, 10, 1 << 8)).toBe(6);
      expect(ops.copyIn(cpu, root, BASE + 8190, buffer, 10, 0)).toBe(2);
      expect(ops.clear(cpu, root, BASE + 4000, 0, 96, 0)).toBe(96);
      expect(memory.u8.slice(a + 4000, a + 4096).every((x) => x === 0)).toBe(true);
      for (const size of [1, 2, 4, 8, 16, 4096]) {
        expect(ops.copyOut(cpu, root, BASE, buffer, size, 0)).toBe(size);
        expect(memory.u8.slice(a, a + size)).toEqual(memory.u8.slice(buffer, buffer + size));
      }
    });

    it('exchange a word', () => {
      const { frame } = map(BASE, RW, 1);
      memory.store32(frame + 8, 77);
      expect(ops.exchange(cpu, root, BASE + 8, 76, 5, 0, out)).toBe(1);
      expect(memory.load32(out)).toBe(77);
      expect(memory.load32(frame + 8)).toBe(77);
      expect(ops.exchange(cpu, root, BASE + 8, 77, 5, 0, out)).toBe(1);
      expect(memory.load32(frame + 8)).toBe(5);
      expect(ops.exchange(cpu, root, BASE + 8, 5, 6, 8, out)).toBe(0);
      expect(memory.load32(frame + 8)).toBe(5);
    });
  });
});
