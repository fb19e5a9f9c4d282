/** The comparison's rules: what each lets pass, and what beside it still counts. */
import { Code } from 'iced-x86';
import { describe, expect, it } from 'vitest';
import type { GeneratedCase } from './cases.js';
import { compareResults, rulesFor } from './compare.js';
import { casesFor } from './differential.js';
import { PAGE, type TestException, type TestResult } from './driver.js';

/** The first of the code's cases for which `wanted` holds. */
function caseOf(code: Code, wanted: (g: GeneratedCase) => boolean): GeneratedCase {
  const found = casesFor(code, 1500, 1).find(wanted);
  if (!found) throw new Error(`no such case of ${Code[code]}`);
  return found;
}

/** A result in which nothing has changed, but for what is given. */
function result({ test }: GeneratedCase, changes: Partial<TestResult> = {}): TestResult {
  const { gpr, rflags, xmm, mxcsr } = test.state;
  const fx = test.state.fx ?? Uint8Array.from({ length: 512 }, (_, i) => [0x7f, 3][i] ?? 0);
  return { exception: null, gpr, rip: 0n, rflags, xmm, mxcsr, fx, memory: [], ...changes };
}

const pageFault = (address: bigint): TestException => ({ vector: 14, errorCode: 4, address });
const fault = pageFault(0x2000_2000n);

function differences(generated: GeneratedCase, expected: TestResult, actual: TestResult): number {
  return compareResults(generated.test, expected, actual, rulesFor(generated)).length;
}

describe('rules of the comparison', () => {
  it('flags of a repeated CMPS that faults: the host may differ from those before it, ours not from both', () => {
    const repeated = caseOf(Code.Cmpsb_m8_m8, (g) => g.template.encoded.repeated);
    const { rflags } = repeated.test.state;
    const host = result(repeated, { exception: fault, rflags: rflags ^ 0x41 });
    expect(differences(repeated, host, result(repeated, { exception: fault }))).toBe(0);
    expect(differences(repeated, host, result(repeated, { exception: fault, rflags: rflags ^ 1 }))).toBe(1);
    expect(differences(repeated, { ...host, exception: null }, result(repeated))).toBe(1);
    const single = caseOf(Code.Cmpsb_m8_m8, (g) => !g.template.encoded.repeated);
    const other = single.test.state.rflags ^ 1;
    expect(
      differences(
        single,
        result(single, { exception: fault, rflags: other }),
        result(single, { exception: fault }),
      ),
    ).toBe(1);
  });

  it('CMPS of which both operands fault: either address', () => {
    const compare = caseOf(Code.Cmpsb_m8_m8, () => true);
    const [one, other] = [fault, pageFault(0x3000_2000n)].map((exception) => result(compare, { exception }));
    expect(differences(compare, one, other)).toBe(0);
    expect(differences(compare, one, result(compare))).toBe(1);
    const move = caseOf(Code.Movsb_m8_m8, () => true);
    expect(differences(move, one, other)).toBeGreaterThan(0);
  });

  it('upper halves before the first element with 32-bit addresses: kept or cleared', () => {
    const move = caseOf(
      Code.Movsb_m8_m8,
      ({ template: { encoded }, test }) =>
        encoded.repeated && encoded.addressSize === 32 && test.state.gpr[6] >> 32n > 0n,
    );
    const rsi = (value: bigint): TestResult =>
      result(move, { exception: fault, gpr: move.test.state.gpr.with(6, value) });
    const before = move.test.state.gpr[6];
    expect(differences(move, rsi(before), rsi(before & 0xffff_ffffn))).toBe(0);
    expect(differences(move, rsi(before & 0xffff_ffffn), rsi(before))).toBe(0);
    expect(differences(move, rsi(before), rsi(before ^ (1n << 40n)))).toBe(1);
    expect(differences(move, rsi((before + 1n) & 0xffff_ffffn), rsi(before + 1n))).toBe(1);
  });

  it('a store of an MMX register that faults: the x87 unit changed on the host, ours not', () => {
    const store = caseOf(Code.Movq_mmm64_mm, (g) => g.template.encoded.memory !== undefined);
    const before = result(store, { exception: fault });
    const changed = { ...before, fx: before.fx.with(3, before.fx[3] ^ 0x38).with(4, before.fx[4] ^ 0xff) };
    expect(differences(store, changed, before)).toBe(0);
    expect(differences(store, before, changed)).toBeGreaterThan(0);
    expect(
      differences(store, { ...changed, exception: null }, { ...before, exception: null }),
    ).toBeGreaterThan(0);
  });

  it('an x87 store: its fault or the pending exception first', () => {
    const store = caseOf(Code.Fstp_m32fp, () => true);
    const faulting = result(store, { exception: fault });
    const pending = result(store, { fx: faulting.fx.with(2, faulting.fx[2] | 0x80) });
    const none = result(store, { fx: faulting.fx.with(2, faulting.fx[2] & 0x7f) });
    expect(differences(store, faulting, pending)).toBe(0);
    expect(differences(store, pending, faulting)).toBe(0);
    expect(differences(store, faulting, none)).toBeGreaterThan(0);
    expect(differences(store, none, pending)).toBeGreaterThan(0);
  });

  it.each([
    ['DPPS', Code.Dpps_xmm_xmmm128_imm8, [0, 0, 0xc0, 0x7f], [1, 0, 0xc0, 0xff]],
    ['DPPD', Code.Dppd_xmm_xmmm128_imm8, [0, 0, 0, 0, 0, 0, 0xf8, 0x7f], [9, 8, 7, 6, 5, 4, 0xf8, 0xff]],
  ])('%s: which NaN, but not whether, and only in the destination', (_, code, nan, other) => {
    const product = caseOf(code, () => true);
    const at = 16 * product.template.encoded.reg!;
    const put = (bytes: number[], where: number): TestResult => {
      const xmm = new Uint8Array(256);
      xmm.set(bytes, where);
      return result(product, { xmm });
    };
    expect(differences(product, put(nan, at), put(other, at))).toBe(0);
    expect(differences(product, put(nan, at), put([1], at))).toBe(1);
    const beside = (at + 16) % 256;
    expect(differences(product, put(nan, beside), put(other, beside))).toBe(1);
  });

  it('MOVSXD with a 16-bit operand at the end of a page: the host may read on', () => {
    const near = (g: GeneratedCase): boolean =>
      g.operandAddress !== undefined && g.operandAddress % BigInt(PAGE) === BigInt(PAGE - 2);
    const move = caseOf(Code.Movsxd_r16_rm16, near);
    expect(differences(move, result(move, { exception: fault }), result(move))).toBe(0);
    expect(differences(move, result(move), result(move, { exception: fault }))).toBe(1);
    const inside = caseOf(Code.Movsxd_r16_rm16, (g) => g.operandAddress !== undefined && !near(g));
    expect(differences(inside, result(inside, { exception: fault }), result(inside))).toBe(1);
  });

  it('a fault of a store of ten bytes: part of it may be written, nothing else', () => {
    const store = caseOf(Code.Fstp_m80fp, ({ operandAddress }) => operandAddress! % 4096n === 4090n);
    const address = Number(store.operandAddress);
    const written = (at: number): TestResult =>
      result(store, { exception: fault, memory: [{ address: at, bytes: Uint8Array.of(0x11, 0x22) }] });
    expect(differences(store, written(address), result(store, { exception: fault }))).toBe(0);
    expect(differences(store, written(address - 8), result(store, { exception: fault }))).toBeGreaterThan(0);
    const done = { ...written(address), exception: null };
    expect(differences(store, done, result(store))).toBeGreaterThan(0);
  });

  it('transcendentals: a few units in the last place, also of tiny values', () => {
    const sine = caseOf(Code.Fsin, (g) => (g.test.state.fx![4] & 0xff) === 0xff);
    const st0 = (bytes: number[]): TestResult => {
      const fx = result(sine).fx.slice();
      fx.set(bytes, 32);
      return result(sine, { fx });
    };
    const power = [0, 0, 0, 0, 0, 0, 0, 0x80, 0x01, 0xbc];
    const below = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0xbc];
    expect(differences(sine, st0(power), st0(below))).toBe(0);
    expect(differences(sine, st0(power), st0(power.with(2, 1)))).toBe(1);
    expect(differences(sine, st0(power), st0(power.with(9, 0x3c)))).toBe(1);
  });

  it('FXSAVE up to a page that is not there: ours faults, the host need not', () => {
    const endsOn = (g: GeneratedCase, offset: bigint): bigint => (g.operandAddress! + offset) / BigInt(PAGE);
    const save = caseOf(Code.Fxsave_m512byte, (g) => endsOn(g, 415n) !== endsOn(g, 511n));
    expect(differences(save, result(save), result(save, { exception: fault }))).toBe(0);
    expect(differences(save, result(save, { exception: fault }), result(save))).toBe(1);
    const inside = caseOf(Code.Fxsave_m512byte, (g) => endsOn(g, 0n) === endsOn(g, 511n));
    expect(differences(inside, result(inside), result(inside, { exception: fault }))).toBe(1);
  });

  it('OF of a rotation through CF: only where the masked count is 0 or 1', () => {
    const rotate = (count: number): GeneratedCase =>
      caseOf(Code.Rcl_rm8_imm8, ({ template: { encoded } }) => (encoded.bytes.at(-1)! & 31) === count);
    for (const [count, expected] of [
      [0, 1],
      [1, 1],
      [2, 0],
      [9, 0],
      [10, 0],
    ]) {
      const test = rotate(count);
      const other = result(test, { rflags: test.test.state.rflags ^ 0x800 });
      expect(differences(test, result(test), other), `count ${count}`).toBe(expected);
    }
  });
});
