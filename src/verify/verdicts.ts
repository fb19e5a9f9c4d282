import type { AbiName } from '../kernel/pkeys/names.js';
import { type GuestRecord, parseRecords } from '../observe/records.js';
import type { GuestProcess, Question } from './plan.js';
import type { Verdict } from './property.js';

/** One step of an interleaving that shows a violation. */
export interface Step {
  /** From 1 on. */
  readonly step: number;
  /** The program's threads, numbered from 1 in the order of their ids: 1 is usually the main thread. */
  readonly thread: number;
  readonly cpu: number;
  /** What the thread did. */
  readonly did: string;
  /** PKRU of the thread after the step, "0x55555554". */
  readonly pkru: string;
  /** Key of the page that the step is about, null if it is about none. */
  readonly key: number | null;
  readonly result: string;
}

/** The answer to one question, as it goes into the JSON report. */
export interface Result {
  readonly abi: AbiName;
  readonly property: string;
  /** The circumstances, if the property has several verdicts under this ABI. */
  readonly variant?: string;
  readonly expected: Verdict;
  readonly observed: Verdict | 'error';
  /** Schedules or cases tried. */
  readonly schedules: number;
  readonly seconds: number;
  /** Steps that show the violation; null if it holds. */
  readonly witness: readonly Step[] | null;
  /** What limits the answer, or what went wrong. */
  readonly note?: string;
}

/** What is known when a guest process has ended. */
export interface GuestOutput {
  /** Standard output. */
  readonly output: string;
  /** Null if it ended well; else one line that says how it ended. */
  readonly failure: string | null;
}

/** The answers in a guest program's output; a question without one is an error. */
export function readVerdicts(process: GuestProcess, { output, failure }: GuestOutput): Result[] {
  const records = parseRecords(output);
  const error = records.find((record) => record.error !== undefined || record.skip !== undefined);
  return process.questions.map((question) => {
    const mine = records.filter((record) => record.property === question.property.name);
    const verdict = mine.find((record) => record.observed !== undefined);
    if (verdict === undefined) return failed(question, failure ?? describeError(error));
    return readVerdict(question, mine, verdict);
  });
}

export const agrees = (result: Result): boolean => result.expected === result.observed;

function header({ property, cell }: Question) {
  const { abi, variant, expected } = cell;
  return { abi, property: property.name, ...(variant === undefined ? {} : { variant }), expected };
}

/** Notes are for the reader of a verdict: those of the guest before those of the table. */
function readVerdict(question: Question, records: readonly GuestRecord[], verdict: GuestRecord): Result {
  const observed = verdict.observed;
  if (observed !== 'holds' && observed !== 'violated') return failed(question, `verdict '${observed}'`);
  const notes = records.flatMap(({ note }) => (note === undefined ? [] : [readText(note)]));
  if (question.cell.note !== undefined) notes.push(question.cell.note);
  const steps = records.filter((record) => record.step !== undefined);
  return {
    ...header(question),
    observed,
    schedules: Number(verdict.tried),
    seconds: Number(verdict.nanoseconds) / 1e9,
    witness: observed === 'violated' ? readSteps(steps) : null,
    ...(notes.length === 0 ? {} : { note: notes.join('; ') }),
  };
}

function failed(question: Question, reason: string): Result {
  return { ...header(question), observed: 'error', schedules: 0, seconds: 0, witness: null, note: reason };
}

function describeError(record: GuestRecord | undefined): string {
  if (record === undefined) return 'the program gave no verdict';
  if (record.skip !== undefined) return `skipped: ${record.skip}`;
  return ['error', 'code', 'argument', 'detail']
    .filter((key) => record[key] !== undefined)
    .map((key) => `${key} ${record[key]}`)
    .join(', ');
}

function readSteps(records: readonly GuestRecord[]): Step[] {
  const threads = [...new Set(records.map(({ thread }) => Number(thread)))].sort((a, b) => a - b);
  return records.map((record) => ({
    step: Number(record.step),
    thread: threads.indexOf(Number(record.thread)) + 1,
    cpu: Number(record.cpu),
    did: readText(record.did ?? ''),
    pkru: record.pkru ?? '',
    key: Number(record.key) < 0 ? null : Number(record.key),
    result: readText(record.result ?? ''),
  }));
}

/** Values of records have no spaces: guest programs write "~" for them. */
const readText = (text: string): string => text.replaceAll('~', ' ');
