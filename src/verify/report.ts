import { agrees, type Result } from './verdicts.js';

/** The JSON report: `{results: […]}`, indented. */
export function toJson(results: readonly object[]): string {
  return `${JSON.stringify({ results }, null, 2)}\n`;
}

/** One test of a JUnit report. */
export interface TestCase {
  readonly suite: string;
  readonly name: string;
  readonly seconds: number;
  /** Why it failed: the first line is the message. Null if it passed. */
  readonly failure: string | null;
  /** It could not be run. */
  readonly error: boolean;
}

/** A test for each verdict: it passes if the verdict is the expected one. */
export function testCases(results: readonly Result[]): TestCase[] {
  return results.map((result) => ({
    suite: result.abi,
    name: result.variant === undefined ? result.property : `${result.property} (${result.variant})`,
    seconds: result.seconds,
    failure: agrees(result) ? null : describe(result),
    error: result.observed === 'error',
  }));
}

function describe({ expected, observed, note, witness }: Result): string {
  const steps = (witness ?? []).map(
    ({ step, thread, cpu, did, pkru, key, result }) =>
      `${step}. thread ${thread}, CPU ${cpu}: ${did} → ${result} [PKRU ${pkru}, key ${key ?? '-'}]`,
  );
  return [`expected ${expected}, observed ${observed}${note ? `: ${note}` : ''}`, ...steps].join('\n');
}

/** JUnit XML (the schema that CI servers read): one suite for each `suite`. */
export function toJunit(tests: readonly TestCase[]): string {
  const lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<testsuites>'];
  for (const suite of new Set(tests.map((test) => test.suite))) {
    const mine = tests.filter((test) => test.suite === suite);
    const errors = mine.filter(({ error }) => error).length;
    const failures = mine.filter(({ failure, error }) => failure !== null && !error).length;
    const seconds = mine.reduce((sum, test) => sum + test.seconds, 0).toFixed(3);
    lines.push(
      `  <testsuite name="${escapeXml(suite)}" tests="${mine.length}" failures="${failures}" errors="${errors}" time="${seconds}">`,
      ...mine.flatMap(testCase),
      '  </testsuite>',
    );
  }
  return `${[...lines, '</testsuites>'].join('\n')}\n`;
}

function testCase({ suite, name, seconds, failure, error }: TestCase): string[] {
  const head = `    <testcase classname="${escapeXml(suite)}" name="${escapeXml(name)}" time="${seconds.toFixed(3)}"`;
  if (failure === null) return [`${head}/>`];
  const kind = error ? 'error' : 'failure';
  const message = escapeXml(failure.split('\n')[0]);
  return [
    `${head}>`,
    `      <${kind} message="${message}">${escapeXml(failure)}</${kind}>`,
    '    </testcase>',
  ];
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escapeXml(text: string): string {
  // Control characters, which XML 1.0 cannot express, become question marks.
  return [...text.replace(/[&<>"]/g, (character) => ENTITIES[character])]
    .map((character) => (character < ' ' && character !== '\n' && character !== '\t' ? '?' : character))
    .join('');
}
