import { type GuestProcess, planProcesses, type Question } from './plan.js';
import { type GuestOutput, type Result, readVerdicts } from './verdicts.js';

/** Runs a guest process on some machine; never rejects for what the guest does. */
export type GuestRunner = (process: GuestProcess) => Promise<GuestOutput>;

export interface CheckOptions {
  /** Processes at once. */
  readonly jobs: number;
  /** Called when some questions have been answered. */
  readonly onResults?: (results: readonly Result[]) => void;
}

/** Answers the questions, in their order. */
export async function checkQuestions(
  questions: readonly Question[],
  run: GuestRunner,
  { jobs, onResults }: CheckOptions,
): Promise<Result[]> {
  const answers = new Map<Question, Result>();
  await inParallel(planProcesses(questions), jobs, async (process) => {
    const results = readVerdicts(process, await run(process));
    for (const [i, question] of process.questions.entries()) answers.set(question, results[i]);
    onResults?.(results);
  });
  return questions.map((question) => answers.get(question)!);
}

/** Works through a list with at most `jobs` at once. */
export async function inParallel<T>(
  items: readonly T[],
  jobs: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < items.length) await work(items[next++]);
  };
  await Promise.all(Array.from({ length: Math.min(jobs, items.length) }, worker));
}
