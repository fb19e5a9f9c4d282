import { describe, expect, it } from 'vitest';
import pc from 'picocolors';
import { ABI_NAMES } from '../../src/kernel/pkeys/names.js';
import { checkQuestions } from '../../src/verify/check.js';
import { oracleScript, splitOutput } from '../../src/verify/linux-oracle.js';
import { checkMutants, MUTANTS } from '../../src/verify/mutants.js';
import { planProcesses, processArguments, selectQuestions } from '../../src/verify/plan.js';
import { findProperty, PROPERTIES } from '../../src/verify/properties/index.js';
import { testCases, toJson, toJunit } from '../../src/verify/report.js';
import { renderSummary, renderTable } from '../../src/verify/table.js';
import { type Result, readVerdicts } from '../../src/verify/verdicts.js';
import { renderWitness } from '../../src/verify/witness.js';
import { Mutant } from '../../src/memory/mutants.js';

const plain = pc.createColors(false);

/** A process with the questions of `linux` about one property. */
function processOf(property: string) {
  return planProcesses(selectQuestions({ abis: ['linux'], properties: [property] }))[0];
}

const VIOLATION = [
  'a line for people',
  'E property=free0-refused step=1 thread=101 cpu=1 pkru=0x55555554 key=0 did=pkey_free(0) result=0',
  'E property=free0-refused step=2 thread=100 cpu=0 pkru=0x55555554 key=-1 did=pkey_alloc(0,~0) result=0',
  'E property=free0-refused note=seen~twice',
  'E property=free0-refused observed=violated tried=7 nanoseconds=1500000',
  '',
].join('\n');

function violation(): Result {
  return readVerdicts(processOf('free0-refused'), { output: VIOLATION, failure: null })[0];
}

describe('properties', () => {
  it('are the 33 of the specification, each once', () => {
    expect(PROPERTIES.map(({ number }) => number).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 33 }, (_, i) => i + 1),
    );
    expect(new Set(PROPERTIES.map(({ name }) => name)).size).toBe(33);
    expect(findProperty('17')).toBe(findProperty('failed-call-changes-nothing'));
    expect(findProperty('34')).toBeUndefined();
  });

  it('have at most one cell for an ABI and a variant', () => {
    for (const { name, cells } of PROPERTIES) {
      const keys = cells.map(({ abi, variant }) => `${abi} ${variant}`);
      expect(new Set(keys).size, name).toBe(keys.length);
    }
  });

  it('are asked once each by the processes of a plan, and `hybrid` is switched over last', () => {
    const questions = selectQuestions();
    const processes = planProcesses(questions);
    expect(processes.flatMap((process) => process.questions)).toHaveLength(questions.length);
    expect(new Set(questions.map(({ cell }) => cell.abi))).toEqual(new Set(ABI_NAMES));
    for (const process of processes.filter(({ abi, flags }) => abi === 'hybrid' && flags.length === 0)) {
      const names = process.questions.map(({ property }) => property.name);
      for (const last of ['raw-only-unchanged', 'available-stays-available']) {
        if (names.includes(last)) expect(names.at(-1)).toBe(last);
      }
    }
    expect(processArguments(processOf('free0-refused'))).toEqual(['linux', 'free0-refused']);
  });
});

describe('verdicts', () => {
  it('are read from records, with the interleaving', () => {
    expect(violation()).toEqual({
      abi: 'linux',
      property: 'free0-refused',
      expected: 'violated',
      observed: 'violated',
      schedules: 7,
      seconds: 0.0015,
      note: 'seen twice',
      witness: [
        { step: 1, thread: 2, cpu: 1, did: 'pkey_free(0)', pkru: '0x55555554', key: 0, result: '0' },
        { step: 2, thread: 1, cpu: 0, did: 'pkey_alloc(0, 0)', pkru: '0x55555554', key: null, result: '0' },
      ],
    });
  });

  it.each([
    ['a process that says nothing', '', null, 'the program gave no verdict'],
    ['an error of the program', 'E error=mmap code=-12\n', null, 'error mmap, code -12'],
    ['a machine without keys', 'E skip=no-protection-keys\n', null, 'skipped: no-protection-keys'],
    ['a death', '', 'the program was killed by SIGSEGV', 'the program was killed by SIGSEGV'],
    ['an unknown verdict', 'E property=free0-refused observed=maybe tried=1\n', null, "verdict 'maybe'"],
  ])('are errors for %s', (_what, output, failure, note) => {
    const [result] = readVerdicts(processOf('free0-refused'), { output, failure });
    expect(result).toMatchObject({ observed: 'error', witness: null, note });
  });

  it('come in the order of the questions, whatever ends first', async () => {
    const questions = selectQuestions({ abis: ['linux', 'minimal'], properties: ['pk-bit', 'handler-pkru'] });
    const results = await checkQuestions(
      questions,
      async ({ questions: [{ property }] }) => {
        await new Promise((done) => setTimeout(done, property.name === 'pk-bit' ? 20 : 0));
        return {
          output: `E property=${property.name} observed=holds tried=1 nanoseconds=0\n`,
          failure: null,
        };
      },
      { jobs: 2 },
    );
    expect(results.map(({ abi, property, observed }) => `${abi} ${property} ${observed}`)).toEqual(
      questions.map(({ cell, property }) => `${cell.abi} ${property.name} holds`),
    );
  });
});

describe('reports', () => {
  const wrong: Result = { ...violation(), expected: 'holds' };
  const variant: Result = { ...violation(), property: 'xonly-caller', variant: 'no key free' };

  it('mark what differs in the table', () => {
    const table = renderTable([wrong, variant], plain);
    expect(table).toMatch(/23 +free0-refused +✗ not ✓/);
    expect(table).toMatch(/no key free +✗ *$/m);
    expect(table).not.toContain('minimal');
    expect(renderSummary([wrong, variant], 2, plain)).toBe(
      '2 verdicts in 2.0 s, 1 differs from the expected\n',
    );
    expect(renderSummary([variant], 2, plain)).toBe('1 verdicts in 2.0 s, all as expected\n');
  });

  it('show an interleaving as a numbered list', () => {
    expect(renderWitness(violation(), plain).split('\n')).toEqual([
      'free0-refused (linux): violated',
      '  key 0 cannot be freed',
      '  1. thread 2, CPU 1: pkey_free(0) → 0  [PKRU 0x55555554, page key 0]',
      '  2. thread 1, CPU 0: pkey_alloc(0, 0) → 0  [PKRU 0x55555554]',
      '  seen twice',
      '',
    ]);
  });

  it('are JSON that reads back', () => {
    expect(JSON.parse(toJson([wrong]))).toEqual({ results: [wrong] });
  });

  it('are JUnit XML with failures, errors and escaped text', () => {
    const error: Result = { ...wrong, observed: 'error', witness: null, note: 'a < b & "c"\u0001' };
    const xml = toJunit(testCases([violation(), wrong, error, variant]));
    expect(xml).toContain('<testsuite name="linux" tests="4" failures="1" errors="1" time="0.006">');
    expect(xml).toContain('<testcase classname="linux" name="free0-refused" time="0.002"/>');
    expect(xml).toContain('name="xonly-caller (no key free)"');
    expect(xml).toContain('message="expected holds, observed violated: seen twice"');
    expect(xml).toContain('a &lt; b &amp; &quot;c&quot;?');
  });
});

describe('mutants', () => {
  it('are all the defects there are', () => {
    expect(MUTANTS.map(({ bit }) => bit).sort((a, b) => a - b)).toEqual(
      Object.values(Mutant).sort((a, b) => a - b),
    );
    for (const { abi, properties } of MUTANTS) {
      expect(selectQuestions({ abis: [abi], properties }).length).toBeGreaterThan(0);
    }
  });

  it('are caught by a verdict that differs, not by a crash', async () => {
    const cases = MUTANTS.filter(({ name }) =>
      ['no-shootdown', 'pkru-shared', 'pkru-not-saved'].includes(name),
    );
    const results = await checkMutants(
      cases,
      (bit) => async (process) => {
        const { name } = process.questions[0].property;
        if (bit === Mutant.pkruShared) return { output: '', failure: 'killed' };
        const observed = bit === Mutant.noShootdown ? 'violated' : 'holds';
        return { output: `E property=${name} observed=${observed} tried=1 nanoseconds=1\n`, failure: null };
      },
      1,
    );
    expect(results).toEqual([
      { mutant: 'no-shootdown', caught_by: ['retag-shootdown'], observed: 'caught' },
      { mutant: 'pkru-not-saved', caught_by: [], observed: 'survived' },
      { mutant: 'pkru-shared', caught_by: [], observed: 'survived', note: 'pkru-thread-local: killed' },
    ]);
  });
});

describe('the script for Linux', () => {
  it('is answered process by process', () => {
    const processes = planProcesses(selectQuestions({ abis: ['linux'] }));
    expect(oracleScript(processes)).toContain(
      'timeout 60 verify-execute-only linux +no-free-key xonly-caller\n',
    );
    const output =
      '@@process 0\nE a=1\n@@process 0 status 0\n@@process 1\nE b=2\n@@process 1 status 139\n@@process 2\nE c=3\n';
    expect(splitOutput(output, 4)).toEqual([
      { output: 'E a=1\n', failure: null },
      { output: 'E b=2\n', failure: 'the program was killed by signal 11' },
      { output: 'E c=3\n', failure: 'it did not end' },
      { output: '', failure: 'not run' },
    ]);
  });
});
