/** Differential testing: the same cases on a reference and on a driver under test. */
import { Code } from 'iced-x86';
import { type GeneratedCase, makeCase, makeTemplate } from './cases.js';
import { compareResults, describeFailure, rulesFor } from './compare.js';
import type { TestDriver, TestResult } from './driver.js';
import { hostFeatures, NativeDriver } from './native.js';
import { hostHas, opcodeOf, skipReason } from './opcodes.js';
import { Random } from './random.js';
import { withoutSlow } from './split-locks.js';

/** Cases per code unless told otherwise: 14 encodings with 15 states each. */
export const DEFAULT_CASES = 210;
const STATES_PER_ENCODING = 15;
/** Cases handed to a driver at once, about. */
const BATCH = 4000;

export interface DifferentialOptions {
  /** What the drivers are compared with; default: the host's processor. */
  readonly reference?: TestDriver;
  /** Also cases whose memory accesses fault. Default true. */
  readonly faults?: boolean;
  /** Only the case of this number, of the one code given: to look at one failure again. */
  readonly only?: number;
}

export interface DifferentialFailure {
  /** Name of the driver that differs. */
  readonly driver: string;
  readonly code: Code;
  /** Number of the case among its code's. */
  readonly index: number;
  /** Readable account of the case and its differences. */
  readonly text: string;
}

export interface DifferentialReport {
  readonly drivers: readonly string[];
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
 * Runs `casesPerCode` cases of each code on the drivers and on the reference and compares the results. Codes that the
 * generator or the host's processor doesn't have are skipped, as are most split locks where the host delays them.
 */
export async function runDifferential(
  codes: readonly Code[],
  casesPerCode: number,
  drivers: readonly TestDriver[],
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
    exceptions += expected.filter(({ exception }) => exception).length;
    const rules = batch.map(({ generated }) => rulesFor(generated));
    for (const driver of drivers) {
      const actual: TestResult[] = await driver.run(tests);
      if (actual.length !== tests.length)
        throw new Error(`${driver.name}: ${actual.length} results of ${tests.length}`);
      batch.forEach(({ generated, index }, i) => {
        const differences = compareResults(generated.test, expected[i], actual[i], rules[i]);
        if (differences.length === 0) return;
        const { code } = generated.template.opcode;
        const text = describeFailure(generated, expected[i], differences);
        failures.push({ driver: driver.name, code, index, text });
      });
    }
    cases += batch.length;
    batch = [];
  };

  for (const code of codes) {
    const reason =
      skipReason(code) ??
      (!flags || hostHas(opcodeOf(code), flags) ? undefined : 'the host’s processor lacks it');
    const generated = reason ? [] : casesFor(code, casesPerCode, seed, options.faults);
    if (generated.length === 0) skipped.set(code, reason ?? 'no encoding found');
    const wanted = withoutSlow(generated.map((g, index) => ({ generated: g, index })));
    batch.push(...wanted.filter(({ index }) => options.only === undefined || options.only === index));
    if (batch.length >= BATCH) await flush();
  }
  await flush();
  const tested = codes.length - skipped.size;
  const names = drivers.map(({ name }) => name);
  return { drivers: names, seed, casesPerCode, codes: tested, cases, exceptions, failures, skipped };
}

/** The report as text: totals, failures per code, and the first `shown` failures in full. */
export function formatReport(report: DifferentialReport, shown = 5): string {
  const { failures } = report;
  const lines = [
    `${report.drivers.join(' and ')}: ${report.cases} cases of ${report.codes} codes, ${report.exceptions} with exceptions, ` +
      `${failures.length} failures (seed ${report.seed}, ${report.casesPerCode} cases per code)`,
  ];
  const perCode = new Map<string, number>();
  for (const { code, driver } of failures) {
    const name = `${Code[code]}, ${driver}`;
    perCode.set(name, (perCode.get(name) ?? 0) + 1);
  }
  for (const [name, count] of perCode) lines.push(`  ${name}: ${count}`);
  for (const failure of failures.slice(0, shown)) {
    const again = `runDifferential([Code.${Code[failure.code]}], ${report.casesPerCode}, drivers, ${report.seed}, { only: ${failure.index} })`;
    lines.push('', `${failure.driver}: ${failure.text}`, `again: ${again}`);
  }
  return lines.join('\n');
}
