import { Generator } from './generator.js';
import type { Choice, Delay, Schedule } from './schedule.js';

/** Switch points that a run is taken to have before one has been seen. */
const FIRST_GUESS = 256;

/**
 * Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010): threads get random priorities,
 * the highest runs, and at depth − 1 random switch points the running thread falls below all others. A bug of that depth in a
 * program of n threads and k switch points is hit with a probability of at least 1/(n·k^(depth−1)) a run.
 *
 * `k` is fixed for a campaign, by `expect`: it must not depend on runs that another job may have made. A thread that waits for
 * others in a loop falls to the bottom as well; a store is delayed by the toss of a coin, once a run for each thread.
 */
export class PctSchedule implements Schedule {
  readonly name: string;
  private readonly random = new Generator();
  private readonly priorities: number[] = [];
  private readonly lazy: boolean[] = [];
  private changes: number[] = [];
  private points = 0;
  private lowest = 0;
  private expected = FIRST_GUESS;

  constructor(private readonly depth: number) {
    this.name = `pct:${depth}`;
  }

  /** @param points switch points of a run, as measured */
  expect(points: number): void {
    this.expected = Math.max(1, points);
  }

  begin(seed: number): boolean {
    this.random.seed(seed);
    this.priorities.length = 0;
    this.lazy.length = 0;
    this.points = 0;
    this.lowest = 0;
    this.changes = [];
    for (let i = 1; i < this.depth; i++) this.changes.push(this.random.below(this.expected));
    return true;
  }

  choose({ current, runnable, yields }: Choice): number {
    for (const thread of runnable) this.priorities[thread] ??= 1 + this.random.bits();
    if (current >= 0) {
      this.priorities[current] ??= 1 + this.random.bits();
      const point = this.points++;
      if (yields || this.changes.includes(point)) this.priorities[current] = --this.lowest;
    }
    let best = runnable[0];
    for (const thread of runnable) if (this.priorities[thread] > this.priorities[best]) best = thread;
    return best;
  }

  delays({ owner, older }: Delay): boolean {
    this.lazy[owner] ??= this.random.below(2) === 0;
    return this.lazy[owner] ? this.random.below(8) !== 0 : !older;
  }

  guarantee({ runs, threads }: { runs: number; threads: number }): string {
    const { depth, expected } = this;
    const hit = 1 / (threads * expected ** (depth - 1));
    const miss = (1 - hit) ** runs;
    return (
      `a bug of depth ${depth} among ${threads} threads and ${expected} switch points is hit with probability ` +
      `≥ ${hit.toExponential(2)} a run; missed by ${runs} runs with ≤ ${miss.toPrecision(3)}`
    );
  }
}
