import { beforeEach, describe, expect, it } from 'vitest';
import { Exit, type Gpr, Vector } from '../../src/cpu/state.js';
import { CODE } from '../oracle/driver.js';
import { ThreadedCpu } from './threaded-cpu.js';

describe('threaded code', () => {
  let cpu: ThreadedCpu;
  beforeEach(() => {
    cpu = new ThreadedCpu();
  });

  it('runs what runs seldom without translating it, and counts its instructions', () => {
    // add eax, 5; sub eax, 2; syscall
    cpu.place('83c005 83e802 0f05');
    expect(cpu.start()).toBe(Exit.syscall);
    expect([cpu.gpr('rax'), cpu.gpr('rcx'), cpu.rip]).toEqual([3, CODE + 8, CODE + 8]);
    expect(cpu.count('regionsTranslated')).toBe(0);
    expect(cpu.count('instructions')).toBe(3);
  });

  it('is translated when it has run often, in the middle of a loop', () => {
    // mov ecx, 100000; L: add rax, rcx; dec ecx; jne L; syscall
    cpu.place('b9a0860100 4801c8 ffc9 75f9 0f05');
    expect(cpu.start()).toBe(Exit.syscall);
    expect(cpu.gpr('rax')).toBe((100_000 * 100_001) / 2);
    expect(cpu.count('regionsTranslated')).toBe(1);
    expect(cpu.count('instructions')).toBe(1 + 3 * 100_000 + 1);
  });

  it('stops at a fault with all before it done and nothing after', () => {
    // add eax, 1; add ebx, 1; mov rdx, [0]; add ecx, 1
    cpu.place('83c001 83c301 488b142500000000 83c101 cc');
    expect(cpu.start({ rdx: 7 })).toBe(Exit.exception);
    expect([cpu.vector, cpu.rip]).toEqual([Vector.PF, CODE + 6]);
    expect(['rax', 'rbx', 'rdx', 'rcx'].map((name) => cpu.gpr(name as keyof typeof Gpr))).toEqual([
      1, 1, 7, 0,
    ]);
    expect(cpu.count('instructions')).toBe(2);
  });

  it('is dropped when its code changes, and taken back when that is as before', () => {
    // add eax, 5 / add eax, 6; int3
    for (const [hex, result] of [
      ['83c005cc', 5],
      ['83c006cc', 6],
      ['83c005cc', 5],
    ] as const) {
      cpu.place(hex);
      cpu.start();
      expect(cpu.gpr('rax')).toBe(result);
    }
  });

  it('goes on when its part of the code store is full', () => {
    cpu = new ThreadedCpu(6000);
    // 60 blocks of: add eax, 1; jmp to the next. Then: dec ecx; jne to the first; int3
    const blocks = 60;
    for (let i = 0; i < blocks; i++) cpu.place('83c001 eb00', 5 * i);
    const back = Buffer.alloc(4);
    back.writeInt32LE(-(5 * blocks + 8));
    cpu.place(`ffc9 0f85${back.toString('hex')} cc`, 5 * blocks);
    expect(cpu.start({ rcx: 5 })).toBe(Exit.exception);
    expect([cpu.vector, cpu.gpr('rax')]).toEqual([Vector.BP, 5 * blocks]);
  });

  it('notes where calls of a value go: a loop with one is translated as a whole', () => {
    // mov ecx, 100000; L: call rbx; dec ecx; jne L; int3; f: add eax, 1; ret
    cpu.place('b9a0860100 ffd3 ffc9 75fa cc');
    cpu.place('83c001 c3', 0x100);
    cpu.start({ rbx: CODE + 0x100 });
    expect(cpu.gpr('rax')).toBe(100_000);
    // The first block to have run often becomes a region; at most one more is left over at its edge.
    expect(cpu.count('regionsTranslated')).toBeLessThanOrEqual(2);
  });

  it('a call of a value that goes elsewhere after all is right too', () => {
    // As above, but f changes RBX to g when ECX is 10: g: add eax, 2; ret
    cpu.place('b9a0860100 ffd3 ffc9 75fa cc');
    // f: add eax, 1; cmp ecx, 10; jne +7; mov ebx, g; nop; nop; ret
    cpu.place('83c001 83f90a 7507 bb80010010 9090 c3', 0x100);
    cpu.place('83c002 c3', 0x180);
    cpu.start({ rbx: CODE + 0x100 });
    expect(cpu.gpr('rax')).toBe(100_000 - 9 + 2 * 9);
  });
});
