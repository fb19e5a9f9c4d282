import { describe, expect, it } from 'vitest';
import { CPU_BLOCK_BYTES, CpuState } from '../../src/cpu/state.js';
import { loadX87, saveX87, setMxcsr } from '../../src/cpu/xsave.js';
import { fxrstor, fxsave, SaveKind, xrstor, xsave } from '../../src/cpu/xsave-instructions.js';
import { CPUS } from '../../src/memory/layout.js';
import { PAGE_SIZE } from '../../src/memory/memory.js';
import { DATA, initialState, PAGE, patternBytes, RODATA, type TestCase } from '../oracle/driver.js';
import { hostFeatures, NativeDriver, nativeUnavailable } from '../oracle/native.js';
import { BareCpu, FlatPages } from './bare-cpu.js';

const unavailable =
  nativeUnavailable() ?? (hostFeatures().has('xsavec') ? undefined : 'the processor has no XSAVEC');

/** xorshift32, so that a failure repeats. */
function random(seed: number): () => number {
  return () => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return seed >>> 0;
  };
}

/** x87 part of an FXSAVE image: random TOP and tags, values of every class. No pending exception: FNSTENV would be next. */
function x87Image(next: () => number): Uint8Array {
  const fx = new Uint8Array(512);
  const view = new DataView(fx.buffer);
  view.setUint16(0, 0x37f | (next() & 0xc00), true);
  view.setUint16(2, ((next() & 7) << 11) | (next() & 0x4700) | (next() & 0x7f & 0x3f), true);
  view.setUint8(4, next());
  for (let i = 0; i < 8; i++) {
    const exponent = [0, 0x7fff, 0x3fff, next() & 0x7fff][next() & 3];
    view.setUint32(32 + 16 * i, [0, next()][next() & 1], true);
    view.setUint32(36 + 16 * i, [0, 0x8000_0000, next(), next() | 0x8000_0000][next() & 3] >>> 0, true);
    view.setUint16(40 + 16 * i, exponent | (next() & 0x8000), true);
  }
  return fx;
}

const SSE_MXCSR = 0x1f80;

function stateOf(next: () => number, gpr: Record<number, number>) {
  const state = initialState({
    xmm: Uint8Array.from({ length: 256 }, next),
    mxcsr: SSE_MXCSR | (next() & 0xe07f),
    fx: x87Image(next),
  });
  for (const [index, value] of Object.entries(gpr)) state.gpr[Number(index)] = BigInt(value);
  return state;
}

const [RAX, RSI, RDI] = [0, 6, 7];

/** The same initial state on a bare CPU, with DATA and RODATA mapped. */
function emulated(test: TestCase) {
  const first = CPUS + CPU_BLOCK_BYTES;
  const cpu = new BareCpu(3 * PAGE_SIZE);
  const { memory, base } = cpu;
  const pages = new FlatPages(cpu);
  pages.map(RODATA, first, { write: false });
  pages.map(DATA, first + PAGE);
  pages.map(DATA + PAGE, first + 2 * PAGE);
  memory.u8.set(patternBytes(RODATA, 3 * PAGE), first);
  for (const run of test.memory) memory.u8.set(run.bytes, first + run.address - RODATA);
  const image = base + CpuState.scratch;
  memory.u8.set(test.state.fx!, image);
  loadX87(memory, base, image);
  memory.u8.set(test.state.xmm, base + CpuState.xmm);
  setMxcsr(memory, base, test.state.mxcsr);
  return {
    cpu,
    pages,
    data: (at: number, n: number) => memory.u8.slice(first + at - RODATA, first + at - RODATA + n),
  };
}

/** Bytes of DATA after a native run. */
function nativeData(test: TestCase, changed: readonly { address: number; bytes: Uint8Array }[]): Uint8Array {
  const data = patternBytes(DATA, 2 * PAGE);
  for (const run of [...test.memory, ...changed]) {
    if (run.address >= DATA && run.address < DATA + 2 * PAGE) data.set(run.bytes, run.address - DATA);
  }
  return data;
}

/**
 * What may differ: MXCSR_MASK (bit 17 is AMD's), and FOP, FIP and FDP, which AMD's processors save only while an x87
 * exception is pending.
 */
function comparable(data: Uint8Array, area: number): Uint8Array {
  const copy = data.slice();
  copy.fill(0, area + 6, area + 24);
  copy.fill(0, area + 28, area + 32);
  return copy;
}

describe.skipIf(unavailable)(
  `XSAVE family against the host${unavailable ? ` (skipped: ${unavailable})` : ''}`,
  () => {
    const driver = unavailable ? undefined : new NativeDriver();
    const CASES = 200;
    const area = PAGE - 256; // crosses the page

    const savers: [string, number[], number | null][] = [
      ['fxsave64', [0x48, 0x0f, 0xae, 0x07], null],
      ['xsave64', [0x48, 0x0f, 0xae, 0x27], SaveKind.xsave],
      ['xsaveopt64', [0x48, 0x0f, 0xae, 0x37], SaveKind.xsaveopt],
      ['xsavec64', [0x48, 0x0f, 0xc7, 0x27], SaveKind.xsavec],
    ];
    it.each(savers)('%s writes what the host writes', (_name, code, kind) => {
      const next = random(1);
      const cases = Array.from({ length: CASES }, () => ({
        code: Uint8Array.from(code),
        state: stateOf(next, { [RDI]: DATA + area, [RAX]: next() & 3 }),
        memory: [{ address: DATA + area + 512, bytes: Uint8Array.from({ length: 64 }, () => next() & 3) }],
      }));
      driver!.run(cases).forEach((result, i) => {
        const test = cases[i];
        const { cpu, pages, data } = emulated(test);
        const done =
          kind === null
            ? fxsave(cpu, pages, DATA + area, true)
            : xsave(cpu, pages, kind, DATA + area, Number(test.state.gpr[RAX]), true);
        expect(done).toBe(true);
        expect(result.exception).toBeNull();
        const [ours, theirs] = [data(DATA, 2 * PAGE), nativeData(test, result.memory)].map((bytes) =>
          comparable(bytes, area),
        );
        expect(
          ours.findIndex((byte, at) => byte !== theirs[at]),
          `case ${i}: first difference`,
        ).toBe(-1);
      });
    });

    it('saves with 32-bit pointers without REX.W', () => {
      const { cpu, pages, data } = emulated({
        code: new Uint8Array(),
        state: stateOf(random(3), {}),
        memory: [],
      });
      cpu.memory.storeNumber(cpu.base + CpuState.fip, 0x7fff_1234_5678);
      cpu.memory.storeNumber(cpu.base + CpuState.fdp, 0x7ffe_9abc_def0);
      expect(fxsave(cpu, pages, DATA, false)).toBe(true);
      expect([...data(DATA + 8, 16)]).toEqual([
        0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0, 0xf0, 0xde, 0xbc, 0x9a, 0, 0, 0, 0,
      ]);
    });

    const loaders: [string, number[], boolean][] = [
      ['fxrstor64', [0x48, 0x0f, 0xae, 0x0e], false],
      ['xrstor64', [0x48, 0x0f, 0xae, 0x2e], true],
    ];
    it.each(loaders)('%s loads, initialises and refuses what the host does', (_name, code, header) => {
      const next = random(2);
      const FNSTENV = [0xd9, 0x37]; // fnstenv [rdi]: the full tag word
      const cases = Array.from({ length: CASES }, (_, i) => {
        const source = new Uint8Array(576);
        const view = new DataView(source.buffer);
        source.set(x87Image(next));
        for (let b = 160; b < 416; b++) source[b] = next();
        view.setUint32(24, i % 16 === 5 ? 0x8001_1f80 : SSE_MXCSR | (next() & 0xe07f), true);
        view.setUint8(512, next() & 3);
        // Every kind of bad header, now and then; compacted ones in a third of the cases.
        const compacted = i % 3 === 0;
        if (compacted) {
          view.setUint8(520, 3);
          view.setUint8(527, 0x80);
        }
        if (i % 16 === 1) view.setUint8(518, 1); // XSTATE_BV bit of no component
        if (i % 16 === 2) view.setUint8(526, 1); // XCOMP_BV bit of no component, or without bit 63
        if (i % 16 === 3) view.setUint8(530, 1); // reserved bytes 23:16
        if (i % 16 === 4) view.setUint8(570, 1); // reserved bytes 63:24
        if (i % 16 === 6 && compacted) view.setUint8(520, 1); // XSTATE_BV may have what XCOMP_BV has not
        const state = stateOf(next, {
          [RSI]: DATA + area + (i % 16 === 7 ? 8 : 0),
          [RAX]: next() & 3,
          [RDI]: DATA,
        });
        return {
          code: Uint8Array.from([...code, ...FNSTENV]),
          state,
          memory: [{ address: DATA + area, bytes: source }],
        };
      });
      let refused = 0;
      driver!.run(cases).forEach((result, i) => {
        const test = cases[i];
        const { cpu, pages, data } = emulated(test);
        const { memory, base } = cpu;
        const address = Number(test.state.gpr[RSI]);
        const done = header
          ? xrstor(cpu, pages, address, Number(test.state.gpr[RAX]), true)
          : fxrstor(cpu, pages, address, true);
        const label = `case ${i}`;
        if (!done) {
          refused++;
          expect(result.exception?.vector, label).toBe(memory.load32(base + CpuState.vector));
          expect(result.exception?.errorCode, label).toBe(memory.load32(base + CpuState.errorCode));
        } else {
          expect(result.exception, label).toBeNull();
          const environment = nativeData(test, result.memory).subarray(0, 28);
          expect(environment[8] | (environment[9] << 8), label).toBe(memory.u16[(base + CpuState.ftw) >> 1]);
        }
        const image = base + CpuState.scratch;
        saveX87(memory, base, image);
        // A fault leaves the registers as they were; some models have loaded XMM registers when they find the bad MXCSR.
        const { fx, xmm, mxcsr } = done ? result : { ...test.state, fx: test.state.fx! };
        expect(memory.u8.slice(image + 32, image + 160), label).toEqual(fx.slice(32, 160));
        expect(memory.u8.slice(image + 2, image + 5), label).toEqual(fx.slice(2, 5));
        expect(memory.u8.slice(base + CpuState.xmm, base + CpuState.xmm + 256), label).toEqual(xmm);
        expect(memory.load32(base + CpuState.mxcsr), label).toBe(mxcsr);
        expect(data(DATA + area, 576), label).toEqual(test.memory[0].bytes);
      });
      expect(refused).toBeGreaterThan(CASES / 20);
    });
  },
);
