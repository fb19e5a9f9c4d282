import { ABI_NAMES, type AbiName } from '../kernel/pkeys/names.js';

export type Verdict = 'holds' | 'violated';

/** Circumstances that a guest program is told, without the "+" (src/guests/include/europa/verify.h). */
export type Flag = 'managed' | 'debug' | 'no-free-key' | 'page0' | 'thorough';

/** The guest programs under src/guests/verify, without "verify-". */
export type ProgramName = 'access' | 'threads' | 'retag' | 'signals' | 'keys' | 'execute-only';

/** What is expected of a property under one ABI. */
export interface Cell {
  readonly abi: AbiName;
  readonly expected: Verdict;
  /** Circumstances; `debug` also boots the machine with its debug clear. */
  readonly flags: readonly Flag[];
  /** Names the circumstances, where a property has several cells for an ABI: a row of its own in the table. */
  readonly variant?: string;
  /** What a reader of the result should know. */
  readonly note?: string;
}

/** A row of part E of the protection-key specification, with the program that looks for counterexamples. */
export interface Property {
  readonly number: number;
  readonly name: string;
  readonly statement: string;
  readonly program: ProgramName;
  readonly cells: readonly Cell[];
}

const LETTERS: Readonly<Record<string, AbiName>> = {
  M: 'minimal',
  L: 'linux',
  K: 'mm-bitmap',
  T: 'task-bitmap',
  Y: 'hybrid',
  V: 'vdso',
};

/** Cells of several ABIs, which are named by letters separated by spaces: M L K T Y V. */
export function cells(letters: string, expected: Verdict, more: Partial<Cell> = {}): Cell[] {
  return letters.split(' ').map((letter) => ({ abi: LETTERS[letter], expected, flags: [], ...more }));
}

/** Every ABI; `hybrid` as it starts, not managed. */
export const everywhere = (expected: Verdict): Cell[] =>
  ABI_NAMES.map((abi) => ({ abi, expected, flags: [] }));

/** `hybrid` after its switch-over, where that is the only state that matters or a second one beside the first. */
export const managed = (expected: Verdict, variant?: string): Cell => ({
  abi: 'hybrid',
  expected,
  flags: ['managed'],
  ...(variant === undefined ? {} : { variant }),
});
