/** Differential testing: the same cases on a reference and on a driver under test. */
import { Code } from 'iced-x86';
import { type GeneratedCase, makeCase, makeTemplate } from './cases.js';
import { compareResults, describeFailure, rulesFor } from './compare.js';
import type { TestDriver, TestResult } from './driver.js';
import { hostFeatures, NativeDriver } from './native.js';
import { hostHas, opcodeOf, skipReason } from './opcodes.js';
import { Random } from './random.js';

/** Cases per code unless told otherwise: 14 encodings with 15 states each. */
export const DEFAULT_CASES = 210;
const STATES_PER_ENCODING = 15;
/** Cases handed to a driver at once, about. */
const BATCH = 4000;

export interface DifferentialOptions {
  /** What the driver is compared with; default: the host's processor. */
  readonly reference?: TestDriver;
  /** Also cases whose memory accesses fault. Default true. */
  readonly faults?: boolean;
  /** Only the case of this number, of the one code given: to look at one failure again. */
  readonly only?: number;
}

export interface DifferentialFailure {
  readonly code: Code;
  /** Number of the case among its code's. */
  readonly index: number;
  /** Readable account of the case and its differences. */
  readonly text: string;
}

export interface DifferentialReport {
  readonly driver: string;
  readonly seed: number;
  readonly casesPerCode: number;
  readonly codes: number;
  readonly cases: number;
  /** Cases that the reference ended with an exception. */
  readonly exceptions: number;
  readonly failures: readonly DifferentialFailure[];
  /** Codes not tested, with the reason. */
  readonly skipped: ReadonlyMap<Code, string>;
}

/**
 * The cases of one code. They depend on seed and code alone, and a longer list starts with the shorter one's cases.
 * Empty if the encoder finds no encoding.
 */
export function casesFor(code: Code, count: number, seed: number, faults = true): GeneratedCase[] {
  const opcode = opcodeOf(code);
  const cases: GeneratedCase[] = [];
  for (let encoding = 0; cases.length < count; encoding++) {
    const rng = new Random(seed, code, encoding);
    const template = makeTemplate(opcode, rng, { faults });
    if (!template) return [];
    for (let i = 0; i < STATES_PER_ENCODING && cases.length < count; i++)
      cases.push(makeCase(template, rng, { faults }));
  }
  return cases;
}

/**
 * Runs `casesPerCode` cases of each code on the driver and on the reference and compares the results. Codes that the
 * generator or the host's processor doesn't have are skipped.
 */
export async function runDifferential(
  codes: readonly Code[],
  casesPerCode: number,
  driver: TestDriver,
  seed: number,
  options: DifferentialOptions = {},
): Promise<DifferentialReport> {
  const reference = options.reference ?? new NativeDriver();
  const flags = options.reference ? undefined : hostFeatures();
  const skipped = new Map<Code, string>();
  const failures: DifferentialFailure[] = [];
  let batch: { generated: GeneratedCase; index: number }[] = [];
  let cases = 0;
  let exceptions = 0;

  const flush = async (): Promise<void> => {
    const tests = batch.map((b) => b.generated.test);
    const expected: TestResult[] = await reference.run(tests);
    const actual: TestResult[] = await driver.run(tests);
    if (actual.length !== tests.length)
      throw new Error(`${driver.name}: ${actual.length} results of ${tests.length}`);
    batch.forEach(({ generated, index }, i) => {
      const differences = compareResults(generated.test, expected[i], actual[i], rulesFor(generated));
      if (expected[i].exception) exceptions++;
      if (differences.length === 0) return;
      const { code } = generated.template.opcode;
      failures.push({ code, index, text: describeFailure(generated, expected[i], differences) });
    });
    cases += batch.length;
    batch = [];
  };

  for (const code of codes) {
    const reason =
      skipReason(code) ??
      (!flags || hostHas(opcodeOf(code), flags) ? undefined : 'the host’s processor lacks it');
    const generated = reason ? [] : casesFor(code, casesPerCode, seed, options.faults);
    if (generated.length === 0) skipped.set(code, reason ?? 'no encoding found');
    generated.forEach((g, index) => {
      if (options.only === undefined || options.only === index) batch.push({ generated: g, index });
    });
    if (batch.length >= BATCH) await flush();
  }
  await flush();
  const tested = codes.length - skipped.size;
  return { driver: driver.name, seed, casesPerCode, codes: tested, cases, exceptions, failures, skipped };
}

/** The report as text: totals, failures per code, and the first `shown` failures in full. */
export function formatReport(report: DifferentialReport, shown = 5): string {
  const { failures } = report;
  const lines = [
    `${report.driver}: ${report.cases} cases of ${report.codes} codes, ${report.exceptions} with exceptions, ` +
      `${failures.length} failures (seed ${report.seed}, ${report.casesPerCode} cases per code)`,
  ];
  const perCode = new Map<Code, number>();
  for (const { code } of failures) perCode.set(code, (perCode.get(code) ?? 0) + 1);
  for (const [code, count] of perCode) lines.push(`  ${Code[code]}: ${count}`);
  for (const failure of failures.slice(0, shown)) {
    const again = `runDifferential([Code.${Code[failure.code]}], ${report.casesPerCode}, driver, ${report.seed}, { only: ${failure.index} })`;
    lines.push('', failure.text, `again: ${again}`);
  }
  return lines.join('\n');
}
