/** Every implemented instruction, compared with the host's processor; generated from the table that defines it. */
import { Code } from 'iced-x86';
import { describe, expect, it } from 'vitest';
import { rowOf } from '../../src/translate/table.js';
import { formatReport, runDifferential } from './differential.js';
import { EmulatorDriver } from './emulator.js';
import { ThreadedDriver } from './threaded.js';
import { nativeUnavailable } from './native.js';
import { opcodeOf, testableCodes } from './opcodes.js';

const unavailable = nativeUnavailable();
const CASES = Number(process.env.EUROPA_CASES ?? 210);
const SEED = Number(process.env.EUROPA_SEED ?? 1);
/** Only codes whose name matches, to work on one family. */
const ONLY = new RegExp(process.env.EUROPA_CODES ?? '');

const codes = testableCodes().filter((code) => {
  const row = rowOf({ code, mnemonic: opcodeOf(code).mnemonic, lock: false });
  return row && !row.hostDiffers;
});
const SHARDS = 8;

describe.skipIf(unavailable)(
  `instructions against the host's processor${unavailable ? ` (skipped: ${unavailable})` : ''}`,
  () => {
    const wanted = codes.filter((code) => ONLY.test(Code[code]));
    for (const driver of [EmulatorDriver, ThreadedDriver])
      for (let shard = 0; shard < SHARDS; shard++) {
        it(`${driver.name}, shard ${shard} of ${SHARDS}`, async () => {
          const report = await runDifferential(
            wanted.filter((_, i) => i % SHARDS === shard),
            CASES,
            new driver(),
            SEED,
          );
          expect(report.failures.length, formatReport(report)).toBe(0);
        }, 600_000);
      }
  },
);
