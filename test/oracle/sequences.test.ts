/** Random sequences of integer instructions: what one leaves in registers and lazy flags, the next must see. */
import { Code } from 'iced-x86';
import { describe, expect, it } from 'vitest';
import { Flag } from '../../src/cpu/flags.js';
import { rowOf } from '../../src/translate/table.js';
import { makeCase, makeTemplate } from './cases.js';
import { compareResults, disassemble, rulesFor } from './compare.js';
import { MAX_CODE, type TestCase } from './driver.js';
import { EmulatorDriver } from './emulator.js';
import { ThreadedDriver } from './threaded.js';
import { NativeDriver, nativeUnavailable } from './native.js';
import { opcodeOf, testableCodes } from './opcodes.js';
import { Random } from './random.js';

const unavailable = nativeUnavailable();
const SEQUENCES = Number(process.env.EUROPA_SEQUENCES ?? 3000);
const STATES = 4;
const SEED = Number(process.env.EUROPA_SEED ?? 1);

/** Instructions without undefined flags but AF, which nothing here reads. */
const CHOSEN =
  /^(Add|Adc|Sub|Sbb|Cmp|And|Or|Xor|Test|Inc|Dec|Neg|Not|Mov|Movzx|Movsx|Lea|Set\w+|Cmov\w+|Push|Pop|Xchg|Xadd|Bswap|Clc|Stc|Cmc|Cdq|Cqo|Cwde|Cdqe|Popcnt)_?/;

describe.skipIf(unavailable)(
  `instruction sequences${unavailable ? ` (skipped: ${unavailable})` : ''}`,
  () => {
    it('leave the same state as on the host', async () => {
      const codes = testableCodes().filter(
        (code) =>
          CHOSEN.test(Code[code]) &&
          !/Sreg|_cr|_dr|moffs|Movs[bwdq]_|Cmps[bwdq]_|Popf|Pushf|[xm]mm|Movsd_|FS|GS/.test(Code[code]) &&
          rowOf({ code, mnemonic: opcodeOf(code).mnemonic, lock: false }),
      );
      expect(codes.length).toBeGreaterThan(150);
      const cases: TestCase[] = [];
      const rules: ReturnType<typeof rulesFor>[] = [];
      for (let n = 0; n < SEQUENCES; n++) {
        const rng = new Random(SEED, n, 77);
        const first = makeTemplate(opcodeOf(codes[rng.below(codes.length)]), rng, { faults: false })!;
        const bytes = [...first.encoded.bytes];
        for (let i = rng.below(9); i >= 0; i--) {
          const next = makeTemplate(opcodeOf(codes[rng.below(codes.length)]), rng, { faults: false })!;
          if (bytes.length + next.encoded.bytes.length <= MAX_CODE) bytes.push(...next.encoded.bytes);
        }
        for (let s = 0; s < STATES; s++) {
          const generated = makeCase(first, rng, { faults: false });
          cases.push({ ...generated.test, code: Uint8Array.from(bytes) });
          rules.push(rulesFor(generated));
        }
      }
      const expected = await new NativeDriver().run(cases);
      const failures: string[] = [];
      for (const driver of [EmulatorDriver, ThreadedDriver]) {
        const actual = new driver().run(cases);
        cases.forEach((test, i) => {
          const clean = (r: (typeof actual)[number]) => ({ ...r, rflags: r.rflags & ~Flag.AF });
          const differences = compareResults(test, clean(expected[i]), clean(actual[i]), rules[i]);
          if (differences.length) failures.push([disassemble(test.code), ...differences].join('\n'));
        });
      }
      expect(failures.length, failures.slice(0, 5).join('\n\n')).toBe(0);
    }, 120_000);
  },
);
