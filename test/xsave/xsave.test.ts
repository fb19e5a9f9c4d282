import { describe, expect, it } from 'vitest';
import { cpuid, FEATURES, isAdvertised } from '../../src/cpu/cpuid.js';
import { CPU_BLOCK_BYTES, CpuState, PfError, Vector } from '../../src/cpu/state.js';
import {
  abridgedTag,
  imagePkru,
  initImage,
  loadImage,
  MXCSR_DEFAULT,
  PKRU_OFFSET,
  saveImage,
  setImagePkru,
  setMxcsr,
  XSAVE_BYTES,
  XSAVE_HEADER,
} from '../../src/cpu/xsave.js';
import { SaveKind, xrstor, xsave } from '../../src/cpu/xsave-instructions.js';
import { CPUS } from '../../src/memory/layout.js';
import { PAGE_SIZE } from '../../src/memory/memory.js';
import { BareCpu, FlatPages } from './bare-cpu.js';

const AREA = 0x10000 + PAGE_SIZE - 768; // legacy area and header in the first page, PKRU in the second
const PKRU = 0x200;

function machine() {
  const cpu = new BareCpu(3 * PAGE_SIZE);
  const first = CPUS + CPU_BLOCK_BYTES;
  const pages = new FlatPages(cpu);
  pages.map(0x10000, first);
  pages.map(0x11000, first + PAGE_SIZE);
  return { cpu, pages, first, pointer: first + (AREA - 0x10000), memory: cpu.memory, base: cpu.base };
}

/** The CPU's registers as bytes, without scratch and what reports an exception. */
function registers(cpu: BareCpu): Uint8Array {
  return cpu.memory.u8.slice(cpu.base, cpu.base + CpuState.budget);
}

describe('PKRU in XSAVE images', () => {
  it('is stored at its offset with its bit set, and comes back', () => {
    const { cpu, pages, pointer, memory } = machine();
    cpu.pkru = 0xdead_beef;
    expect(xsave(cpu, pages, SaveKind.xsave, AREA, PKRU, true)).toBe(true);
    expect(memory.loadU32(pointer + PKRU_OFFSET)).toBe(0xdead_beef);
    expect(memory.loadNumber(pointer + XSAVE_HEADER)).toBe(PKRU);
    cpu.pkru = 0;
    expect(xrstor(cpu, pages, AREA, PKRU, true)).toBe(true);
    expect(cpu.pkru).toBe(0xdead_beef);
  });

  it('becomes 0 where XSTATE_BV[9] is 0, and is left alone where RFBM[9] is 0', () => {
    const { cpu, pages, pointer, memory } = machine();
    cpu.pkru = 0x5555_5554;
    memory.store32(pointer + PKRU_OFFSET, 0x1234);
    expect(xrstor(cpu, pages, AREA, 3, true)).toBe(true);
    expect(cpu.pkru).toBe(0x5555_5554);
    memory.store32(pointer + 24, MXCSR_DEFAULT);
    expect(xrstor(cpu, pages, AREA, -1, true)).toBe(true);
    expect(cpu.pkru).toBe(0);
  });

  it('follows the header directly in the compacted format', () => {
    const { cpu, pages, pointer, memory } = machine();
    cpu.pkru = 0x3000_000c;
    expect(xsave(cpu, pages, SaveKind.xsavec, AREA, -1, true)).toBe(true);
    expect(memory.load32(pointer + XSAVE_HEADER)).toBe(PKRU); // x87 and SSE are initial
    expect(memory.load32(pointer + XSAVE_HEADER + 8)).toBe(PKRU | 3);
    expect(memory.loadU32(pointer + XSAVE_HEADER + 12)).toBe(0x8000_0000);
    expect(memory.loadU32(pointer + 576)).toBe(0x3000_000c);
    cpu.pkru = 1;
    setMxcsr(memory, cpu.base, 0x9f80);
    expect(xrstor(cpu, pages, AREA, -1, true)).toBe(true);
    expect(cpu.pkru).toBe(0x3000_000c);
    expect(memory.load32(cpu.base + CpuState.mxcsr)).toBe(MXCSR_DEFAULT); // initial with its component
  });

  it('is not written by XSAVEOPT while it is initial', () => {
    const { cpu, pages, pointer, memory } = machine();
    memory.store32(pointer + PKRU_OFFSET, 0x77);
    memory.store32(pointer + XSAVE_HEADER, PKRU | 1);
    cpu.pkru = 0;
    expect(xsave(cpu, pages, SaveKind.xsaveopt, AREA, PKRU, true)).toBe(true);
    expect(memory.load32(pointer + PKRU_OFFSET)).toBe(0x77);
    expect(memory.load32(pointer + XSAVE_HEADER)).toBe(1);
  });
});

describe('faults of the XSAVE family', () => {
  it.each([SaveKind.xsave, SaveKind.xsaveopt])(
    'a save (kind %i) that faults on its last page has written nothing',
    (kind) => {
      const { cpu, pages, first, memory, base } = machine();
      pages.unmap(0x11000);
      cpu.pkru = 5;
      memory.u8.fill(1, base + CpuState.xmm, base + CpuState.xmm + 256);
      const before = memory.u8.slice(first, first + PAGE_SIZE);
      expect(xsave(cpu, pages, kind, AREA, -1, true)).toBe(false);
      expect(memory.u8.slice(first, first + PAGE_SIZE)).toEqual(before);
      expect(memory.load32(base + CpuState.vector)).toBe(Vector.PF);
      expect(memory.load32(base + CpuState.errorCode)).toBe(PfError.user | PfError.write);
      expect(memory.loadNumber(base + CpuState.faultAddress)).toBe(0x11000 + PKRU_OFFSET - 768);
    },
  );

  it('a load that faults on its last page has loaded nothing', () => {
    const { cpu, pages, memory, base } = machine();
    cpu.pkru = 5;
    memory.u8.fill(1, base + CpuState.xmm, base + CpuState.xmm + 256);
    expect(xsave(cpu, pages, SaveKind.xsave, AREA, -1, true)).toBe(true);
    memory.u8.fill(2, base + CpuState.xmm, base + CpuState.xmm + 256);
    cpu.pkru = 6;
    pages.unmap(0x11000);
    const before = registers(cpu);
    expect(xrstor(cpu, pages, AREA, -1, true)).toBe(false);
    expect(registers(cpu)).toEqual(before);
    expect(cpu.pkru).toBe(6);
  });

  it('places found before a shootdown are looked up again', () => {
    const { cpu, pages, first, memory, base } = machine();
    const other = first + 2 * PAGE_SIZE;
    cpu.pkru = 9;
    let accesses = 0;
    pages.onAccess = (address) => {
      // While the second page is being faulted in, another CPU replaces the first one.
      if (address >= 0x11000 && accesses++ === 0) {
        pages.map(0x10000, other);
        memory.i32[(base + CpuState.tlbGeneration) >> 2]++;
      }
    };
    const before = memory.u8.slice(first, first + PAGE_SIZE);
    expect(xsave(cpu, pages, SaveKind.xsave, AREA, -1, true)).toBe(true);
    expect(memory.u8.slice(first, first + PAGE_SIZE)).toEqual(before);
    expect(memory.load32(other + (AREA % PAGE_SIZE) + XSAVE_HEADER)).toBe(PKRU);
  });
});

describe('images of the kernel', () => {
  it('carry everything from one CPU to another', () => {
    const { cpu, memory, base, first } = machine();
    for (let i = 0; i < 256; i++) memory.u8[base + CpuState.xmm + i] = i;
    memory.u16[(base + CpuState.fsw) >> 1] = 5 << 11;
    memory.u16[(base + CpuState.ftw) >> 1] = 0x03ff; // physical 5 to 7 in use, valid
    for (let i = 5; i < 8; i++)
      memory.u8.set([i, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f], base + CpuState.fpr + 16 * i);
    setMxcsr(memory, base, 0x1fa0);
    cpu.pkru = 0x5555_5550;
    saveImage(cpu, first);
    const before = registers(cpu);
    initImage(memory, first + PAGE_SIZE, 0x55);
    loadImage(cpu, first + PAGE_SIZE);
    expect(cpu.pkru).toBe(0x55);
    expect(memory.load32(base + CpuState.mxcsrSlow)).toBe(1);
    expect(registers(cpu)).not.toEqual(before);
    loadImage(cpu, first);
    expect(registers(cpu)).toEqual(before);
    expect(cpu.pkru).toBe(0x5555_5550);
    expect(memory.load32(base + CpuState.mxcsrSlow)).toBe(0);
  });

  it('report a cleared PKRU as initial', () => {
    const { memory, first } = machine();
    initImage(memory, first, 0x3000_0000);
    expect(imagePkru(memory, first)).toBe(0x3000_0000);
    setImagePkru(memory, first, 0);
    expect(memory.load32(first + XSAVE_HEADER)).toBe(0);
    expect(imagePkru(memory, first)).toBe(0);
  });

  it('abridge tags', () => {
    expect(abridgedTag(0xffff)).toBe(0);
    expect(abridgedTag(0)).toBe(0xff);
    for (let i = 0; i < 8; i++) {
      for (let tag = 0; tag < 3; tag++) expect(abridgedTag(0xffff & ~((tag ^ 3) << (2 * i)))).toBe(1 << i);
    }
  });
});

describe('CPUID', () => {
  const context = { cpuId: 3, cpuCount: 4, pku: true };

  it('announces protection keys in every place that has to say so', () => {
    expect(cpuid(7, 0, context).ecx & 0x18).toBe(0x18);
    expect(cpuid(0x0d, 9, context)).toEqual({ eax: 8, ebx: PKRU_OFFSET, ecx: 0, edx: 0 });
    expect(cpuid(0x0d, 0, context)).toEqual({ eax: 0x203, ebx: XSAVE_BYTES, ecx: XSAVE_BYTES, edx: 0 });
    const without = { ...context, pku: false };
    expect(cpuid(7, 0, without).ecx & 0x18).toBe(0);
    expect(cpuid(0x0d, 9, without).eax).toBe(0);
    expect(cpuid(0x0d, 0, without).eax).toBe(3);
  });

  it('has vendor, brand and the CPU as APIC id', () => {
    const bytes = (...words: number[]) =>
      String.fromCharCode(...new Uint8Array(Int32Array.from(words).buffer));
    const vendor = cpuid(0, 0, context);
    expect(bytes(vendor.ebx, vendor.edx, vendor.ecx)).toBe('GenuineIntel');
    const brand = [2, 3, 4]
      .map((i) => cpuid(0x8000_0000 + i, 0, context))
      .flatMap((r) => [r.eax, r.ebx, r.ecx, r.edx]);
    expect(bytes(...brand).replace(/\0+$/, '')).toMatch(/^Europa/);
    expect(cpuid(1, 0, context).ebx >>> 24).toBe(3);
    expect(cpuid(0xb, 1, context).ebx).toBe(4);
  });

  it('is x86-64-v2 and nothing above', () => {
    const { ecx, edx } = cpuid(1, 0, context);
    for (const bit of [0, 9, 13, 19, 20, 23]) expect(ecx & (1 << bit), `ECX ${bit}`).not.toBe(0);
    for (const bit of [0, 8, 15, 23, 24, 25, 26]) expect(edx & (1 << bit), `EDX ${bit}`).not.toBe(0);
    for (const name of ['AVX', 'BMI1', 'FMA', 'MOVBE', 'LZCNT', 'AES', 'RDRAND'] as const) {
      expect(isAdvertised(name), name).toBe(false);
    }
    for (const name of ['SSE4_2', 'POPCNT', 'PKU', 'X64', 'CMOV', 'MMX'] as const) {
      expect(isAdvertised(name), name).toBe(true);
    }
    expect(cpuid(0x7fff_ffff, 0, context)).toEqual(cpuid(0x16, 0, context));
  });

  it('lists no bit twice', () => {
    const places = FEATURES.map((f) => `${f.leaf} ${f.register} ${f.bit}`);
    expect(new Set(places).size).toBe(places.length);
  });
});
