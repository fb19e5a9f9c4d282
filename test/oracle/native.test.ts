import { describe, expect, it } from 'vitest';
import {
  CODE,
  DATA,
  DATA_END,
  initialState,
  patternBytes,
  RODATA,
  STACK,
  STACK_END,
  type TestCase,
  type TestResult,
  TIMEOUT,
} from './driver.js';
import { NativeDriver, nativeUnavailable } from './native.js';

const unavailable = nativeUnavailable();

/** A case of `code` with these registers (index → value). */
function testCase(
  code: number[],
  gpr: Record<number, bigint | number> = {},
  more: Partial<TestCase> = {},
): TestCase {
  const state = initialState();
  for (const [index, value] of Object.entries(gpr))
    state.gpr[Number(index)] = BigInt.asUintN(64, BigInt(value));
  return { code: Uint8Array.from(code), state, memory: [], ...more };
}

describe.skipIf(unavailable)(`native driver${unavailable ? ` (skipped: ${unavailable})` : ''}`, () => {
  const driver = unavailable ? undefined : new NativeDriver();
  const run = (c: TestCase): TestResult => driver!.run([c])[0];
  const RAX = 0;
  const RBX = 3;
  const RSP = 4;

  it('adds and sets flags', () => {
    const r = run(testCase([0x48, 0x01, 0xd8], { [RAX]: -1n, [RBX]: 1 })); // add rax, rbx
    expect(r.exception).toBeNull();
    expect(r.gpr[RAX]).toBe(0n);
    expect(r.gpr[RBX]).toBe(1n);
    expect(r.rip).toBe(BigInt(CODE + 3));
    expect(r.rflags & 0xcd5).toBe(0x55); // CF PF AF ZF
    expect(r.memory).toEqual([]);
  });

  it('starts with the flags asked for', () => {
    const state = initialState({ rflags: 0xcd5 });
    const [set, clear] = driver!.run([
      { code: Uint8Array.of(0x90), state, memory: [] },
      { code: Uint8Array.of(0x90), state: initialState(), memory: [] },
    ]);
    expect(set.rflags & 0xcd5).toBe(0xcd5);
    expect(clear.rflags & 0xcd5).toBe(0);
  });

  it('loads and returns every register', () => {
    const state = initialState({
      gpr: BigUint64Array.from({ length: 16 }, (_, i) => 0x1111_2222_3333_4444n * BigInt(i + 1)),
      xmm: Uint8Array.from({ length: 256 }, (_, i) => i ^ 0x5a),
      mxcsr: 0x7fbf,
      fx: new Uint8Array(512),
    });
    state.fx!.set([0x7f, 0x02, 0x00, 0x28, 0x60]); // FCW, FSW with TOP = 5, two registers in use
    state.fx!.set([1, 2, 3, 4, 5, 6, 7, 0x88, 0xff, 0x3f], 32);
    const r = run({ code: Uint8Array.of(0x90), state, memory: [] });
    expect(r.exception).toBeNull();
    expect(r.gpr).toEqual(state.gpr);
    expect(r.xmm).toEqual(state.xmm);
    expect(r.mxcsr).toBe(0x7fbf);
    expect(r.fx.slice(0, 5)).toEqual(state.fx!.slice(0, 5));
    expect(r.fx.slice(32, 160)).toEqual(state.fx!.slice(32, 160));
  });

  it('starts the x87 unit as FNINIT does', () => {
    const r = run(testCase([0xd9, 0xe8])); // fld1
    expect([...r.fx.slice(0, 5)]).toEqual([0x7f, 0x03, 0x00, 0x38, 0x80]);
    expect([...r.fx.slice(32, 42)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f]);
  });

  it('runs cases with the segment registers of a Linux process', () => {
    const selectors = [0, 1, 2, 3, 4, 5].map((s) => run(testCase([0x8c, 0xc0 | (s << 3)])).gpr[RAX]); // mov eax, sreg
    expect(selectors).toEqual([0n, 0x33n, 0x2bn, 0n, 0n, 0n]);
    expect(run(testCase([0x9c, 0x58])).gpr[RAX]).toBe(0x202n); // pushfq; pop rax
  });

  it('returns the memory bytes that changed, and starts each case with fresh memory', () => {
    const address = DATA + 0xfff;
    const store = testCase([0x89, 0x03], { [RAX]: 0x1122_3344, [RBX]: address }); // mov [rbx], eax
    const load = testCase([0x8b, 0x03], { [RBX]: address }); // mov eax, [rbx]
    const [stored, loaded, patched, after] = driver!.run([
      store,
      load,
      { ...load, memory: [{ address: address + 1, bytes: Uint8Array.of(0xaa, 0xbb) }] },
      load,
    ]);
    const changed = stored.memory.flatMap((m) => [...m.bytes].map((b, i) => [m.address + i, b]));
    const before = patternBytes(address, 4);
    expect(changed).toEqual(
      [0x44, 0x33, 0x22, 0x11].map((b, i) => [address + i, b]).filter(([, b], i) => b !== before[i]),
    );
    const word = (bytes: Uint8Array): bigint => BigInt(new DataView(bytes.buffer).getUint32(0, true));
    expect(loaded.gpr[RAX]).toBe(word(before));
    expect(patched.gpr[RAX]).toBe(word(Uint8Array.of(before[0], 0xaa, 0xbb, before[3])));
    expect(patched.memory).toEqual([]);
    expect(after.gpr[RAX]).toBe(word(before));
  });

  it('does not report a store of what was there', () => {
    const r = run(testCase([0x8a, 0x03, 0x88, 0x03], { [RBX]: DATA })); // mov al, [rbx]; mov [rbx], al
    expect(r.exception).toBeNull();
    expect(r.memory).toEqual([]);
  });

  it.each([
    ['div by zero', [0xf7, 0xf3], { [RBX]: 0 }, 0, 0, 0],
    ['ud2', [0x0f, 0x0b], {}, 6, 0, 0],
    ['hlt', [0xf4], {}, 13, 0, 0],
    ['misaligned movaps', [0x0f, 0x28, 0x03], { [RBX]: DATA + 8 }, 13, 0, 0],
    ['non-canonical load', [0x8b, 0x03], { [RBX]: 1n << 63n }, 13, 0, 0],
    ['non-canonical push', [0x50], { [RSP]: 1n << 63n }, 12, 0, 0],
    ['int 0x20', [0xcd, 0x20], {}, 13, 0x20 * 8 + 2, 0],
    ['load from the unmapped page', [0x8b, 0x03], { [RBX]: DATA_END + 0x123 }, 14, 4, DATA_END + 0x123],
    ['load across into the unmapped page', [0x8b, 0x03], { [RBX]: DATA_END - 1 }, 14, 4, DATA_END],
    ['store to the unmapped page', [0x89, 0x03], { [RBX]: DATA_END }, 14, 6, DATA_END],
    ['store to the read-only page', [0x89, 0x03], { [RBX]: RODATA + 8 }, 14, 7, RODATA + 8],
    ['store to the code page', [0x89, 0x03], { [RBX]: CODE + 0x800 }, 14, 7, CODE + 0x800],
    ['push below the stack', [0x50], { [RSP]: STACK }, 14, 6, STACK - 8],
    ['pop above the stack', [0x58], { [RSP]: STACK_END }, 14, 4, STACK_END],
  ] as [string, number[], Record<number, bigint>, number, number, number][])(
    'reports %s',
    (_, code, gpr, vector, errorCode, address) => {
      const c = testCase(code, gpr);
      const r = run(c);
      expect(r.exception).toEqual({ vector, errorCode, address: BigInt(address) });
      expect(r.rip).toBe(BigInt(CODE));
      expect(r.gpr).toEqual(c.state.gpr);
      expect(r.memory).toEqual([]);
    },
  );

  it('reports a jump to an unmapped page as an instruction fetch', () => {
    const r = run(testCase([0xff, 0xe3], { [RBX]: DATA_END })); // jmp rbx
    expect(r.exception).toEqual({ vector: 14, errorCode: 0x14, address: BigInt(DATA_END) });
    expect(r.rip).toBe(BigInt(DATA_END));
  });

  it('reports a jump to a page without execute permission', () => {
    const r = run(testCase([0xff, 0xe3], { [RBX]: DATA }));
    expect(r.exception).toEqual({ vector: 14, errorCode: 0x15, address: BigInt(DATA) });
  });

  it('tells the INT3 after the code from others', () => {
    const [own, beyond] = driver!.run([testCase([0xcc, 0x90]), testCase([0xeb, 0x10])]);
    expect(own.exception?.vector).toBe(3);
    expect(own.rip).toBe(BigInt(CODE + 1));
    expect(beyond.exception?.vector).toBe(3);
    expect(beyond.rip).toBe(BigInt(CODE + 0x13));
  });

  it('reports unmasked floating-point exceptions', () => {
    const divide = testCase([0xf3, 0x0f, 0x5e, 0xc1]); // divss xmm0, xmm1
    divide.state.xmm.set([0, 0, 0x80, 0x3f]);
    const state = { ...divide.state, mxcsr: 0x1d80 }; // ZM clear
    expect(run(divide).exception).toBeNull();
    expect(run({ ...divide, state }).exception?.vector).toBe(19);
    const x87 = testCase([0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0x9b]); // fld1; fldz; fdivp; fwait
    expect(run(x87).exception).toBeNull();
    const fx = new Uint8Array(512);
    fx.set([0x7b, 0x03]);
    const fault = run({ ...x87, state: { ...x87.state, fx } });
    expect(fault.exception?.vector).toBe(16);
    expect(fault.rip).toBe(BigInt(CODE + 6));
  });

  it('ends a case that loops, and goes on', () => {
    const [loop, next] = driver!.run([testCase([0xeb, 0xfe]), testCase([0x90])]);
    expect(loop.exception?.vector).toBe(TIMEOUT);
    expect(next.exception).toBeNull();
  });

  it('keeps cases apart: thousands with changing stack pointers, memory and faults', () => {
    const kinds = [
      testCase([0x50], { [RAX]: 7, [RSP]: DATA + 0x1004 }), // push rax
      testCase([0x50], { [RSP]: 0x8000 }),
      testCase([0xf7, 0xf3], { [RSP]: 0 }), // div ebx
      testCase([0x0f, 0x0b], { [RSP]: -1n }),
      testCase([0xc9], { [RSP]: 1, 5: STACK + 0x10 }), // leave
    ];
    const first = driver!.run(kinds);
    const many = driver!.run(Array.from({ length: 20000 }, (_, i) => kinds[i % kinds.length]));
    many.forEach((r, i) => {
      if (
        r.rip !== first[i % kinds.length].rip ||
        r.exception?.vector !== first[i % kinds.length].exception?.vector
      ) {
        expect(r).toEqual(first[i % kinds.length]);
      }
    });
    expect(many.slice(-5)).toEqual(first);
  });
});
