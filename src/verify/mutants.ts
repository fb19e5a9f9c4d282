import type { AbiName } from '../kernel/pkeys/names.js';
import { Mutant } from '../memory/mutants.js';
import { checkQuestions, type GuestRunner, inParallel } from './check.js';
import { type Question, selectQuestions } from './plan.js';

/** A deliberately broken machine, and the checks that should notice. */
export interface MutantCase {
  readonly name: string;
  readonly bit: number;
  readonly abi: AbiName;
  /** Properties whose verdict should differ from a healthy machine's. */
  readonly properties: readonly string[];
}

/** Every defect of src/memory/mutants.ts. Checks that need real concurrency come under the ABI where they are quickest. */
export const MUTANTS: readonly MutantCase[] = [
  mutant('no-shootdown', Mutant.noShootdown, 'minimal', 'retag-shootdown'),
  mutant('shootdown-without-wait', Mutant.shootdownWithoutWait, 'minimal', 'retag-shootdown'),
  mutant('entry-in-halves', Mutant.entryInHalves, 'minimal', 'retag-atomic'),
  mutant('pkru-not-saved', Mutant.pkruNotSaved, 'linux', 'switch-preserves-pkru'),
  mutant('pkru-not-restored', Mutant.pkruNotRestored, 'linux', 'switch-preserves-pkru'),
  mutant('pkru-shared', Mutant.pkruShared, 'minimal', 'pkru-thread-local'),
  mutant('clone-without-inheritance', Mutant.cloneWithoutInheritance, 'linux', 'inheritance'),
  mutant('debug-clear-forgotten', Mutant.debugClearForgotten, 'minimal', 'key14-cleared'),
  mutant('debug-clear-wrong-key', Mutant.debugClearWrongKey, 'minimal', 'key14-cleared'),
  mutant('execute-only-key-usable', Mutant.executeOnlyKeyUsable, 'linux', 'xonly-caller'),
  mutant('kernel-copies-ignore-pkru', Mutant.kernelCopiesIgnorePkru, 'minimal', 'uaccess-efault'),
  mutant('error-code-without-pk', Mutant.errorCodeWithoutPk, 'minimal', 'pk-bit', 'pkru-table'),
  mutant('handler-keeps-pkru', Mutant.handlerKeepsPkru, 'minimal', 'handler-pkru'),
];

function mutant(name: string, bit: number, abi: AbiName, ...properties: string[]): MutantCase {
  return { name, bit, abi, properties };
}

/** What became of a mutant, as it goes into the JSON report. */
export interface MutantResult {
  readonly mutant: string;
  /** Properties whose verdict was the opposite of the expected one. */
  readonly caught_by: readonly string[];
  readonly observed: 'caught' | 'survived';
  /** Why a check gave no verdict; a crash is not counted as caught. */
  readonly note?: string;
}

/** The verdicts that a mutant should change: those of its properties under its ABI, in one state each. */
function questionsOf({ abi, properties }: MutantCase): Question[] {
  return selectQuestions({ abis: [abi], properties })
    .filter(({ cell }) => cell.variant === undefined)
    .map(({ property, cell }) => ({ property, cell: { ...cell, flags: [...cell.flags, 'thorough'] } }));
}

/**
 * Runs each mutant's checks on broken machines.
 * @param runner machines with the given defects
 */
export async function checkMutants(
  cases: readonly MutantCase[],
  runner: (mutants: number) => GuestRunner,
  jobs: number,
  onResult?: (result: MutantResult) => void,
): Promise<MutantResult[]> {
  const answers = new Map<MutantCase, MutantResult>();
  await inParallel(cases, jobs, async (mutantCase) => {
    const results = await checkQuestions(questionsOf(mutantCase), runner(mutantCase.bit), { jobs: 1 });
    const caught = results.filter(({ observed, expected }) => observed !== 'error' && observed !== expected);
    const errors = results.filter(({ observed }) => observed === 'error');
    const answer: MutantResult = {
      mutant: mutantCase.name,
      caught_by: caught.map(({ property }) => property),
      observed: caught.length > 0 ? 'caught' : 'survived',
      ...(errors.length === 0
        ? {}
        : { note: errors.map(({ property, note }) => `${property}: ${note}`).join('; ') }),
    };
    answers.set(mutantCase, answer);
    onResult?.(answer);
  });
  return cases.map((mutantCase) => answers.get(mutantCase)!);
}
