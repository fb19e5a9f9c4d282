import { Code, Decoder, DecoderOptions, Register } from 'iced-x86';
import { describe, expect, it } from 'vitest';
import { makeTemplate } from './cases.js';
import { disassemble } from './compare.js';
import { casesFor, formatReport, runDifferential } from './differential.js';
import { MAX_CODE, patternBytes, type TestCase, type TestDriver, TIMEOUT } from './driver.js';
import { decodedCode } from './encodings.js';
import { hostFeatures, NativeDriver, nativeUnavailable } from './native.js';
import { hostHas, opcodeOf, testableCodes } from './opcodes.js';
import { Random } from './random.js';
import { isSplitLock, KEPT, withoutSlow } from './split-locks.js';

const unavailable = nativeUnavailable();
const SEED = 1;

describe('generator', () => {
  it('has a valid encoding of every testable code', () => {
    const codes = testableCodes();
    expect(codes.length).toBeGreaterThan(1000);
    for (const code of codes) {
      for (let i = 0; i < 3; i++) {
        const template = makeTemplate(opcodeOf(code), new Random(SEED, code, i));
        expect(template, Code[code]).toBeDefined();
        expect(decodedCode(template!.encoded.bytes), Code[code]).toBe(code);
        expect(template!.code.length).toBeLessThanOrEqual(MAX_CODE);
      }
    }
  });

  it('uses every form of operand', () => {
    const opcode = opcodeOf(Code.Add_rm8_r8);
    const seen = new Set<string>();
    for (let i = 0; i < 1000; i++) {
      const { bytes, memory, reg, hasRex, addressSize, locked } = makeTemplate(
        opcode,
        new Random(SEED, i),
      )!.encoded;
      const decoder = new Decoder(64, bytes, DecoderOptions.None);
      const instruction = decoder.decode();
      seen.add(memory ? `address size ${addressSize}` : 'register');
      if (locked) seen.add('lock');
      if (reg! >= 8) seen.add('extended register');
      if (reg! >= 4 && reg! < 8) seen.add(hasRex ? 'spl' : 'ah');
      if (memory) {
        const parts = [
          memory.base === undefined ? '' : 'base',
          memory.index === undefined ? '' : `index*${memory.scale}`,
        ];
        if (instruction.isIpRelMemoryOperand) parts.push('rip');
        else if (memory.fixed !== undefined) parts.push('absolute');
        else parts.push(`disp${8 * instruction.memoryDisplSize}`);
        seen.add(parts.filter(Boolean).join('+'));
        if (instruction.memoryIndex !== Register.None && memory.base === memory.index)
          seen.add('base is index');
      }
      instruction.free();
      decoder.free();
    }
    for (const form of [
      ...[
        'register',
        'lock',
        'extended register',
        'spl',
        'ah',
        'address size 32',
        'address size 64',
        'rip',
        'absolute',
      ],
      ...[
        'base+disp0',
        'base+disp8',
        'base+disp64',
        'base+index*1+disp0',
        'base+index*8+disp8',
        'index*4+disp64',
      ],
      'base is index',
    ]) {
      expect(seen).toContain(form);
    }
  });

  it('makes the same cases from the same seed, whatever their number', () => {
    const all = casesFor(Code.Imul_r64_rm64, 60, SEED);
    const fewer = casesFor(Code.Imul_r64_rm64, 20, SEED);
    expect(fewer.map((c) => c.test)).toEqual(all.slice(0, 20).map((c) => c.test));
    expect(casesFor(Code.Imul_r64_rm64, 20, SEED + 1).map((c) => c.test)).not.toEqual(
      fewer.map((c) => c.test),
    );
  });
});

describe('split locks', () => {
  const casesOf = (code: Code) => casesFor(code, 600, SEED).map((generated) => ({ generated }));

  it.each([Code.Xchg_rm64_r64, Code.Xadd_rm32_r32, Code.Add_rm64_r64, Code.Cmpxchg16b_m128])(
    'are few where they are slow, and nothing else is left out: %i',
    (code) => {
      const all = casesOf(code);
      const split = all.filter(({ generated }) => isSplitLock(generated));
      expect(split.length).toBeGreaterThan(KEPT);
      const left = withoutSlow(all, () => true);
      expect(left).toEqual(all.filter((c) => !split.includes(c) || split.indexOf(c) < KEPT));
      expect(withoutSlow(all, () => false)).toEqual(all);
    },
  );

  it('are what crosses a line and is locked', () => {
    for (const { generated } of casesOf(Code.Xadd_rm64_r64)) {
      const { encoded } = generated.template;
      const crosses = encoded.memory !== undefined && Number(generated.operandAddress! % 64n) > 56;
      expect(isSplitLock(generated)).toBe(crosses && encoded.locked);
    }
    for (const code of [Code.Add_r64_rm64, Code.Xchg_rm8_r8, Code.Mov_rm64_r64])
      expect(
        casesOf(code).some(({ generated }) => isSplitLock(generated)),
        Code[code],
      ).toBe(false);
    // The bit offset moves the address.
    const moved = casesOf(Code.Bts_rm64_r64).filter(
      ({ generated: g }) => g.template.encoded.memory && isSplitLock(g) !== g.operandAddress! % 64n > 56n,
    );
    expect(moved.length).toBeGreaterThan(0);
  });
});

describe.skipIf(unavailable)(`differential runs${unavailable ? ` (skipped: ${unavailable})` : ''}`, () => {
  const native = unavailable ? undefined : new NativeDriver();

  it('computes operand addresses as the processor does', () => {
    const cases = casesFor(Code.Mov_r64_rm64, 1500, SEED).filter((c) => c.operandAddress !== undefined);
    const results = native!.run(cases.map((c) => c.test));
    let loads = 0;
    let faults = 0;
    cases.forEach(({ test, operandAddress, template }, i) => {
      const { exception, gpr } = results[i];
      const address = Number(operandAddress);
      const context = `${disassemble(test.code)} at 0x${address.toString(16)}`;
      if (exception?.vector === 14) {
        faults++;
        expect(Number(exception.address) - address, context).toBeGreaterThanOrEqual(0);
        expect(Number(exception.address) - address, context).toBeLessThan(8);
      } else if (!exception) {
        loads++;
        const bytes = patternBytes(address, 8);
        for (const run of test.memory) {
          run.bytes.forEach((b, at) => {
            const offset = run.address + at - address;
            if (offset >= 0 && offset < 8) bytes[offset] = b;
          });
        }
        expect(gpr[template.encoded.reg!], context).toBe(new DataView(bytes.buffer).getBigUint64(0, true));
      }
    });
    expect(loads).toBeGreaterThan(500);
    expect(faults).toBeGreaterThan(30);
  });

  it('makes cases of which most run through, and all end', () => {
    const flags = hostFeatures();
    const codes = testableCodes().filter((c, i) => i % 4 === 0 && hostHas(opcodeOf(c), flags));
    expect(codes.length).toBeGreaterThan(250);
    const cases = codes.flatMap((code) => casesFor(code, 20, SEED));
    for (const code of [Code.Push_r64, Code.Idiv_rm32, Code.Fadd_st0_sti])
      cases.push(...casesFor(code, 210, SEED));
    const results = native!.run(cases.map((c) => c.test));
    const vectors = new Map<number, number>();
    for (const { exception } of results) {
      const vector = exception?.vector ?? -1;
      vectors.set(vector, (vectors.get(vector) ?? 0) + 1);
    }
    expect(vectors.get(TIMEOUT)).toBeUndefined();
    expect(vectors.get(1)).toBeUndefined();
    expect(vectors.get(-1)! / results.length).toBeGreaterThan(0.8);
    for (const vector of [0, 12, 13, 14, 16, 19])
      expect(vectors.get(vector), `vector ${vector}`).toBeGreaterThan(0);
  });

  it('finds no difference between the processor and itself', async () => {
    const codes = testableCodes().filter((_, i) => i % 9 === 0);
    const report = await runDifferential(codes, 30, [native!], SEED);
    expect(report.cases).toBeGreaterThan(3000);
    expect(formatReport(report)).toContain(' 0 failures ');
  });

  /** A driver that executes another opcode byte: `from` at the first place it occurs becomes `to`. */
  const mutant = (from: number, to: number): TestDriver => ({
    name: 'mutant',
    run: (cases: readonly TestCase[]) =>
      native!.run(cases.map((c) => ({ ...c, code: c.code.with(c.code.indexOf(from), to) }))),
  });

  it.each([
    ['ADC for ADD', Code.Add_r32_rm32, 0x03, 0x13],
    ['SUB for CMP', Code.Cmp_r64_rm64, 0x3b, 0x2b],
    ['MOVSX for MOVZX', Code.Movzx_r32_rm8, 0xb6, 0xbe],
    ['JLE for JL', Code.Jl_rel8_64, 0x7c, 0x7e],
    ['CMOVA for CMOVAE', Code.Cmovae_r32_rm32, 0x43, 0x47],
    ['PADDSB for PADDUSB', Code.Paddusb_xmm_xmmm128, 0xdc, 0xec],
    ['MINPS for MAXPS', Code.Maxps_xmm_xmmm128, 0x5f, 0x5d],
    ['COMISD for UCOMISD (only SNaN against QNaN differs, in MXCSR)', Code.Ucomisd_xmm_xmmm64, 0x2e, 0x2f],
    ['MOVAPS for MOVUPS', Code.Movups_xmm_xmmm128, 0x10, 0x28],
    ['FLDL2E for FLDL2T', Code.Fldl2t, 0xe9, 0xea],
    ['SCASB for STOSB', Code.Stosb_m8_AL, 0xaa, 0xae],
    ['BTS for BT', Code.Bt_rm32_r32, 0xa3, 0xab],
  ])('finds %s', async (_, code, from, to) => {
    const report = await runDifferential([code], 210, [mutant(from, to)], SEED);
    expect(report.failures.length).toBeGreaterThan(0);
    const [first] = report.failures;
    const again = await runDifferential([code], 210, [mutant(from, to)], SEED, { only: first.index });
    expect(again.cases).toBe(1);
    expect(again.failures).toEqual([first]);
    expect(formatReport(report)).toContain(first.text);
  });

  it('shows a failure so that a reader can follow it', async () => {
    const report = await runDifferential([Code.Add_r32_rm32], 15, [mutant(0x03, 0x13)], SEED);
    const { text } = report.failures[0];
    expect(text).toMatch(/^Add_r32_rm32\n {2}0x10000000 {2}.*add e?[a-z0-9]+,/);
    expect(text).toMatch(/rax=[0-9a-f]{16}/);
    expect(text).toMatch(/differences\n {2}.*: expected .*, got /);
  });
});
