import type { AbiName } from '../kernel/pkeys/names.js';
import { PROPERTIES } from './properties/index.js';
import type { Cell, Flag, ProgramName, Property } from './property.js';

/** One question: a property under an ABI in certain circumstances. */
export interface Question {
  readonly property: Property;
  readonly cell: Cell;
}

/** One run of a guest program, which answers several questions. */
export interface GuestProcess {
  readonly abi: AbiName;
  readonly program: ProgramName;
  readonly flags: readonly Flag[];
  readonly questions: readonly Question[];
}

export interface Selection {
  /** All ABIs unless given. */
  readonly abis?: readonly AbiName[];
  /** Names of properties; all unless given. */
  readonly properties?: readonly string[];
}

/** The questions of a selection, in the order of PROPERTIES. */
export function selectQuestions({ abis, properties }: Selection = {}): Question[] {
  return PROPERTIES.filter(({ name }) => properties === undefined || properties.includes(name)).flatMap(
    (property) =>
      property.cells
        .filter(({ abi }) => abis === undefined || abis.includes(abi))
        .map((cell) => ({ property, cell })),
  );
}

/** Questions that one guest process can answer share it: a machine runs one. Processes that take longest come first. */
export function planProcesses(questions: readonly Question[]): GuestProcess[] {
  const processes = new Map<string, GuestProcess & { questions: Question[] }>();
  for (const question of questions) {
    const { abi, flags } = question.cell;
    const { program } = question.property;
    const key = [abi, program, ...flags].join(' ');
    const process = processes.get(key) ?? { abi, program, flags, questions: [] };
    process.questions.push(question);
    processes.set(key, process);
  }
  return [...processes.values()].sort((a, b) => weight(b) - weight(a));
}

const weight = ({ program, questions }: GuestProcess): number =>
  questions.length + (program === 'retag' ? 20 : program === 'threads' ? 10 : 0);

/** Arguments of the guest program. */
export function processArguments({ abi, flags, questions }: GuestProcess): string[] {
  return [abi, ...flags.map((flag) => `+${flag}`), ...questions.map(({ property }) => property.name)];
}
