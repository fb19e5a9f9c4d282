import { describe, expect, it } from 'vitest';
import { CpuMode, CpuState } from '../../src/cpu/state.js';
import { heapAllocate } from '../../src/memory/slab.js';
import { bareProcess, PAGE, READ, RW } from './bare-process.js';

const BASE = 0x10_0000_0000;

describe('user memory', () => {
  it('reads and writes values, making pages on the way', () => {
    const p = bareProcess();
    p.map(2, RW, BASE);
    expect(p.user.readU32(BASE)).toBe(0);
    expect(p.user.writeU8(BASE + 1, 0x1ff)).toBe(true);
    expect(p.user.writeU16(BASE + 2, 0xfffe)).toBe(true);
    expect(p.user.writeU32(BASE + 4, -1)).toBe(true);
    expect(p.user.writeU64(BASE + 8, -2)).toBe(true);
    expect(p.user.writeU64(BASE + 16, 2 ** 52 + 5)).toBe(true);
    expect(p.user.readU8(BASE + 1)).toBe(0xff);
    expect(p.user.readU16(BASE + 2)).toBe(0xfffe);
    expect(p.user.readU32(BASE + 4)).toBe(0xffff_ffff);
    expect(p.user.readU64(BASE + 8)).toBe(2 ** 64);
    expect(p.user.readU64(BASE + 16)).toBe(2 ** 52 + 5);
    expect(p.user.writeU64(BASE + PAGE - 3, 0x1234_5678_9abc)).toBe(true);
    expect(p.user.readU64(BASE + PAGE - 3)).toBe(0x1234_5678_9abc);
  });

  it('answers −1 and false where it cannot, at every kind of bad address', () => {
    const p = bareProcess();
    p.map(1, READ, BASE);
    for (const address of [0, 8, BASE + PAGE, 2 ** 47 - PAGE, 2 ** 47, 2 ** 63, 2 ** 64 - 4096]) {
      expect(p.user.readU8(address)).toBe(-1);
      expect(p.user.readU64(address)).toBe(-1);
      expect(p.user.writeU32(address, 1)).toBe(false);
      expect(p.user.readBytes(address, 3)).toBeNull();
      expect(p.user.prepare(address, false)).toBe(false);
    }
    expect(p.user.writeU8(BASE, 1)).toBe(false);
    expect(p.user.readU32(BASE + PAGE - 2)).toBe(-1);
  });

  it('copies large pieces through many pages', () => {
    const p = bareProcess();
    p.map(50, RW, BASE);
    const data = new Uint8Array(45 * PAGE + 17).map((_, i) => (i * 31) >> 3);
    expect(p.user.writeFrom(BASE + 100, data)).toBe(data.length);
    expect(p.user.readBytes(BASE + 100, data.length)).toEqual(data);
    expect(p.user.clear(BASE + 101, 20 * PAGE)).toBe(20 * PAGE);
    expect(p.user.readU8(BASE + 100)).toBe(data[0]);
    expect(p.user.readBytes(BASE + 101, 20 * PAGE)!.every((byte) => byte === 0)).toBe(true);
    expect(p.user.readU8(BASE + 101 + 20 * PAGE)).toBe(data[20 * PAGE + 1]);
    expect(p.user.writeFrom(BASE + 49 * PAGE, data)).toBe(PAGE);
  });

  it('copies to and from kernel memory', () => {
    const p = bareProcess();
    p.map(2, RW, BASE);
    const kernel = heapAllocate(p.memory, 2 * PAGE);
    p.memory.u8.fill(7, kernel, kernel + PAGE);
    expect(p.user.copyOut(BASE + 10, kernel, PAGE)).toBe(true);
    expect(p.user.copyIn(kernel, BASE + 8, 4)).toBe(true);
    expect([...p.memory.u8.slice(kernel, kernel + 4)]).toEqual([0, 0, 7, 7]);
    expect(p.user.copyOut(BASE + PAGE + 10, kernel, PAGE)).toBe(false);
    expect(p.user.copyOutSome(BASE + PAGE + 10, kernel, PAGE)).toBe(PAGE - 10);
  });

  it('reads strings to their end, over pages, up to a limit', () => {
    const p = bareProcess();
    p.map(2, RW, BASE);
    const text = (bytes: Uint8Array | null | undefined) => bytes && Buffer.from(bytes).toString();
    p.user.writeFrom(BASE + PAGE - 3, Buffer.from('hello\0'));
    expect(text(p.user.readCString(BASE + PAGE - 3))).toBe('hello');
    expect(text(p.user.readCString(BASE + PAGE - 3, 6))).toBe('hello');
    expect(p.user.readCString(BASE + PAGE - 3, 5)).toBeUndefined();
    expect(text(p.user.readCString(BASE))).toBe('');
    p.user.writeFrom(BASE + 2 * PAGE - 4, Buffer.from('abcd'));
    expect(p.user.readCString(BASE + 2 * PAGE - 4)).toBeNull();
    expect(p.user.readCString(BASE + 2 * PAGE - 4, 4)).toBeUndefined();
    expect(p.user.readCString(0)).toBeNull();
    const long = Buffer.alloc(3000, 'x');
    long[2999] = 0;
    p.user.writeFrom(BASE, long);
    expect(p.user.readCString(BASE)!.length).toBe(2999);
  });

  it('exchanges words, and peeks without making pages', () => {
    const p = bareProcess();
    p.map(1, RW, BASE);
    expect(p.user.peekU32(BASE)).toBe(-1);
    expect(p.user.compareExchange32(BASE, 0, 1, false)).toBe(-1);
    expect(p.user.compareExchange32(BASE, 0, 0xffff_fff0)).toBe(0);
    expect(p.user.compareExchange32(BASE, 0, 2)).toBe(0xffff_fff0);
    expect(p.user.peekU32(BASE)).toBe(0xffff_fff0);
    p.protect(BASE, 1, READ);
    expect(p.user.compareExchange32(BASE, 0xffff_fff0, 2)).toBe(-1);
    expect(p.user.peekU32(BASE)).toBe(0xffff_fff0);
  });

  it('tells where shared memory is', () => {
    const p = bareProcess();
    p.map(1, RW, BASE);
    const place = p.user.place(BASE + 40, true);
    p.memory.store32(place, 99);
    expect(p.user.readU32(BASE + 40)).toBe(99);
    expect(p.user.place(BASE + PAGE, false)).toBe(0);
    expect(p.user.prepare(BASE, true)).toBe(true);
  });

  it('leaves the CPU in kernel mode, and wakes those who wait for it', () => {
    const p = bareProcess();
    p.map(1, RW, BASE);
    const { memory, cpu } = p;
    memory.store32(cpu.base + CpuState.flushWaiters, 1);
    const before = memory.load32(cpu.base + CpuState.flushDone);
    p.user.writeU8(BASE, 1);
    expect(memory.load32(cpu.base + CpuState.mode)).toBe(CpuMode.kernel);
    expect(memory.load32(cpu.base + CpuState.flushDone)).toBeGreaterThan(before);
  });
});
