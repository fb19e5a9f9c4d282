import { beforeEach, describe, expect, it } from 'vitest';
import { Exit, PfError, Vector } from '../../src/cpu/state.js';
import { PAGE_SIZE } from '../../src/memory/memory.js';
import { Pte } from '../../src/mmu/pte.js';
import { groupAccesses, type RecordedAccess, RegisterValues } from '../../src/translate/access-groups.js';
import { CODE, DATA, DATA_END, RODATA } from '../oracle/driver.js';
import { CodeCpu } from './threaded-cpu.js';

const RAX = 0;
const RBX = 3;

describe('what is known of addresses', () => {
  const at = (values: RegisterValues, displacement: number, base = RAX) =>
    values.place(base, -1, 1, displacement, 'none')!;

  it('addresses by the same value differ by constants', () => {
    const values = new RegisterValues();
    const first = at(values, 8);
    values.set(RBX, values.sum(RAX, 100));
    const second = at(values, 4, RBX);
    expect(second.name).toBe(first.name);
    expect(second.distance - first.distance).toBe(96);
  });

  it('a register that is written, and rights that change, end that', () => {
    const values = new RegisterValues();
    const first = at(values, 8);
    values.forget(RAX);
    expect(at(values, 8).name).not.toBe(first.name);
    const absolute = () => values.place(-1, -1, 1, 0x1000, 'none')!.name;
    const before = absolute();
    values.beginEpoch();
    expect(absolute()).not.toBe(before);
  });

  it('an index counts with its scale, and a segment by its name', () => {
    const values = new RegisterValues();
    const scaled = values.place(RAX, RBX, 4, 0, 'none')!;
    values.set(RBX, values.sum(RBX, 3));
    expect(values.place(RAX, RBX, 4, 0, 'none')).toEqual({ ...scaled, distance: 12 });
    expect(values.place(RAX, RBX, 8, 0, 'none')!.name).not.toBe(scaled.name);
    expect(values.place(RAX, RBX, 4, 0, 'fs')!.name).not.toBe(scaled.name);
  });
});

describe('groups', () => {
  const access = (distance: number, write = false, name = 'a'): RecordedAccess => ({
    place: { name, distance },
    size: 8,
    write,
  });

  it('are of one value, span what their accesses reach, and write if one does', () => {
    const [first, other, second, alone] = groupAccesses([
      access(16),
      access(0, false, 'b'),
      access(-8, true),
      { place: null, size: 8, write: false },
    ]);
    expect(first).toBe(second);
    expect(first).toMatchObject({ low: -8, high: 24, write: true, members: [0, 2] });
    expect([other, alone]).toEqual([null, null]);
  });

  it('are no longer than half a kilobyte', () => {
    const [a, b, c, d] = groupAccesses([access(0), access(504), access(505), access(600)]);
    expect(a).toBe(b);
    expect(c).toBe(d);
    expect(a).not.toBe(c);
  });
});

describe('accesses that share a look-up', () => {
  let cpu: CodeCpu;
  beforeEach(() => {
    cpu = new CodeCpu();
  });

  /** add [rdi-8], 1; mov rax, [rdi]; add rax, [rdi+8]; mov [rdi+16], rax; int3 */
  const FOUR = '488347f801 488b07 48034708 48894710 cc';

  it.each([
    ['inside a page', DATA + 64],
    ['with a page that ends among them', DATA + PAGE_SIZE - 4],
    ['with a page that ends between two of them', DATA + PAGE_SIZE],
  ])('are right %s, at once and again', (_where, rdi) => {
    cpu.place(FOUR);
    for (let run = 1; run <= 3; run++) {
      cpu.store64(rdi, 40);
      cpu.store64(rdi + 8, 2);
      cpu.store64(rdi - 8, run);
      expect(cpu.start({ rdi })).toBe(Exit.exception);
      expect([cpu.vector, cpu.gpr('rax')]).toEqual([Vector.BP, 42]);
      expect([cpu.load64(rdi - 8), cpu.load64(rdi + 16)]).toEqual([run + 1, 42]);
    }
  });

  it('fault where each of them would, with what came before it done', () => {
    cpu.place(FOUR);
    const rdi = DATA_END - 12;
    cpu.store64(rdi - 8, 5);
    for (let run = 0; run < 2; run++) {
      expect(cpu.start({ rdi })).toBe(Exit.exception);
      expect(cpu.vector).toBe(Vector.PF);
      // The eight bytes at rdi + 8 begin in the last page.
      expect(cpu.fault).toEqual({ address: DATA_END, error: PfError.user });
      expect([cpu.rip, cpu.load64(rdi - 8)]).toEqual([CODE + 8, 6 + run]);
    }
  });

  it('a write among reads of a page that is not writable faults, and only that', () => {
    cpu.place('488b07 48034708 48894710 cc');
    cpu.store64(RODATA, 40);
    cpu.store64(RODATA + 8, 2);
    expect(cpu.start({ rdi: RODATA })).toBe(Exit.exception);
    expect(cpu.vector).toBe(Vector.PF);
    const error = PfError.user | PfError.write | PfError.present;
    expect(cpu.fault).toEqual({ address: RODATA + 16, error });
    expect([cpu.rip, cpu.gpr('rax')]).toEqual([CODE + 7, 42]);
  });

  it('are not shared across WRPKRU', () => {
    // mov rbx, [rdi]; mov eax, 1; xor ecx, ecx; xor edx, edx; wrpkru; mov rbx, [rdi+8]; int3
    cpu.place('488b1f b801000000 31c9 31d2 0f01ef 488b5f08 cc');
    for (let run = 0; run < 2; run++) {
      cpu.cpu.pkru = 0;
      expect(cpu.start({ rdi: DATA })).toBe(Exit.exception);
      const error = PfError.user | PfError.present | PfError.pk;
      expect(cpu.fault).toEqual({ address: DATA + 8, error });
      expect(cpu.rip).toBe(CODE + 15);
    }
  });

  it('are looked up again when one of them has passed through the kernel', () => {
    const mapper = new RemappingCpu();
    // mov rax, [rdi]; mov rbx, [rsi]; mov rcx, [rdi+8]; int3
    mapper.place('488b07 488b1e 488b4f08 cc');
    mapper.store64(DATA, 1);
    mapper.store64(DATA + 8, 2);
    // So that the pages at rdi are in the TLB.
    expect(mapper.start({ rdi: DATA, rsi: DATA })).toBe(Exit.exception);
    expect(mapper.gpr('rcx')).toBe(2);
    expect(mapper.start({ rdi: DATA, rsi: MISSING })).toBe(Exit.exception);
    expect([mapper.vector, mapper.gpr('rax'), mapper.gpr('rcx')]).toEqual([Vector.BP, 1, NEW_VALUE]);
  });
});

/** A page that is mapped when it is missed. */
const MISSING = 0x4000_0000;
const NEW_VALUE = 77;

/** A CPU whose kernel, called for MISSING, maps DATA to another frame as well. */
class RemappingCpu extends CodeCpu {
  constructor() {
    super();
    this.hooks.pageFault = () => {
      if (this.frames.has(MISSING)) return false;
      this.frames.set(MISSING, this.map(MISSING, 0, 0));
      this.frames.set(DATA, this.map(DATA, Pte.writable, 0));
      this.store64(DATA + 8, NEW_VALUE);
      this.cpu.flushTlb();
      return true;
    };
  }
}
