import { writeFileSync } from 'node:fs';
import { checkQuestions } from '../verify/check.js';
import { checkMutants, MUTANTS, type MutantResult } from '../verify/mutants.js';
import { type Selection, selectQuestions } from '../verify/plan.js';
import { showProgress } from '../verify/progress.js';
import { findProperty } from '../verify/properties/index.js';
import { testCases, toJson, toJunit } from '../verify/report.js';
import { renderSummary, renderTable } from '../verify/table.js';
import { agrees } from '../verify/verdicts.js';
import { renderWitness } from '../verify/witness.js';
import { machineRunner } from './guest-runner.js';
import { UsageError } from './options.js';

/** Machines at once: each has two CPUs, and the checks want them to run side by side. */
const JOBS = 2;

export interface VerificationOptions extends Selection {
  /** Files for the reports. */
  readonly json?: string;
  readonly junit?: string;
  /** Print the interleaving of every violation, not only of those that are not expected. */
  readonly witnesses: boolean;
}

/**
 * `europa verify`: prints the table.
 * @returns 0 if every verdict is the expected one, else 1
 * @throws UsageError
 */
export async function runVerification(options: VerificationOptions): Promise<number> {
  const questions = selectQuestions({ ...options, properties: options.properties?.map(propertyName) });
  if (questions.length === 0) throw new UsageError('no such property applies to these ABIs');
  const begin = performance.now();
  const progress = showProgress(questions.length, 'verdicts');
  const results = await checkQuestions(questions, machineRunner(), {
    jobs: JOBS,
    onResults: (some) => progress.add(some.length),
  });
  progress.stop();
  process.stdout.write(renderTable(results));
  for (const result of results) {
    if (!agrees(result) || (options.witnesses && result.witness !== null)) {
      process.stdout.write(`\n${renderWitness(result)}`);
    }
  }
  process.stdout.write(`\n${renderSummary(results, (performance.now() - begin) / 1000)}`);
  if (options.json !== undefined) writeReport(options.json, toJson(results));
  if (options.junit !== undefined) writeReport(options.junit, toJunit(testCases(results)));
  return results.every(agrees) ? 0 : 1;
}

/**
 * `europa verify --mutants`: broken machines, each of which a property must catch.
 * @returns 0 if all are caught, else 1
 * @throws UsageError
 */
export async function runMutants(options: { json?: string; junit?: string }): Promise<number> {
  const begin = performance.now();
  const progress = showProgress(MUTANTS.length, 'mutants');
  const results = await checkMutants(
    MUTANTS,
    (bit) => machineRunner(bit, MUTANT_PATIENCE),
    JOBS,
    () => progress.add(1),
  );
  progress.stop();
  const width = Math.max(...results.map(({ mutant }) => mutant.length));
  for (const { mutant, observed, caught_by, note } of results) {
    const how = observed === 'caught' ? `caught by ${caught_by.join(', ')}` : 'SURVIVED';
    process.stdout.write(`${mutant.padEnd(width)}  ${how}${note === undefined ? '' : ` (${note})`}\n`);
  }
  const caught = results.filter(({ observed }) => observed === 'caught').length;
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  process.stdout.write(`\n${caught} of ${results.length} mutants caught in ${seconds} s\n`);
  if (options.json !== undefined) writeReport(options.json, toJson(results));
  if (options.junit !== undefined) writeReport(options.junit, toJunit(results.map(mutantTest)));
  return caught === results.length ? 0 : 1;
}

/** A broken machine may hang: ms until it counts as giving no verdict. */
const MUTANT_PATIENCE = 25_000;

const mutantTest = ({ mutant, observed, note }: MutantResult) => ({
  suite: 'mutants',
  name: mutant,
  seconds: 0,
  failure: observed === 'caught' ? null : `survived${note === undefined ? '' : `: ${note}`}`,
  error: false,
});

function propertyName(text: string): string {
  const property = findProperty(text);
  if (property === undefined) throw new UsageError(`there is no property '${text}'`);
  return property.name;
}

function writeReport(path: string, content: string): void {
  try {
    writeFileSync(path, content);
  } catch (error) {
    throw new UsageError(`${path}: cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}
