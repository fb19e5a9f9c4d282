import type { Choice, Delay, Schedule } from './schedule.js';

/** One decision of a run: which of its options was taken, and what each costs. */
interface Decision {
  readonly options: readonly number[];
  readonly costs: readonly number[];
  taken: number;
}

/**
 * Every schedule with at most so many preemptions (Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007), depth first.
 *
 * A preemption is a switch away from a thread that could go on; who runs when a thread blocks or yields is free, and so is
 * how long a store is delayed. Switch points are only the accesses that other threads can see, so that of all orders of
 * independent steps one is tried.
 */
export class ExhaustiveSchedule implements Schedule {
  readonly name: string;
  private path: Decision[] = [];
  private depth = 0;
  private spent = 0;
  private started = false;
  /** Whether every schedule has been tried. */
  exhausted = false;

  /** @param delayed whether stores may be delayed against the order of execution */
  constructor(
    private readonly preemptions: number,
    private readonly delayed = true,
  ) {
    this.name = `exhaustive:${preemptions}`;
  }

  /** The seed has no say here: each run is the next schedule. */
  begin(): boolean {
    if (this.started && !this.advance()) {
      this.exhausted = true;
      return false;
    }
    this.started = true;
    this.depth = 0;
    this.spent = 0;
    return true;
  }

  choose({ current, runnable, yields }: Choice): number {
    const free = current < 0 || yields || !runnable.includes(current);
    const options = free ? runnable : [current, ...runnable.filter((thread) => thread !== current)];
    return this.decide(options, (i) => (free || i === 0 ? 0 : 1));
  }

  delays({ older }: Delay): boolean {
    if (!this.delayed) return !older;
    return this.decide(older ? [0, 1] : [1, 0], () => 0) === 1;
  }

  private decide(options: readonly number[], cost: (option: number) => number): number {
    let decision = this.path[this.depth];
    if (decision === undefined) {
      // Options beyond the bound are left out, so that going back never has to skip one.
      const costs = options.map((_, i) => cost(i));
      const left = this.preemptions - this.spent;
      const affordable = options.filter((_, i) => costs[i] <= left);
      decision = { options: affordable, costs: costs.filter((c) => c <= left), taken: 0 };
      this.path.push(decision);
    }
    this.depth++;
    this.spent += decision.costs[decision.taken];
    return decision.options[decision.taken];
  }

  /** To the next schedule: the last decision with an option left takes it. */
  private advance(): boolean {
    this.path.length = this.depth;
    for (let last = this.path.at(-1); last !== undefined; last = this.path.at(-1)) {
      if (++last.taken < last.options.length) return true;
      this.path.pop();
    }
    return false;
  }

  guarantee({ runs }: { runs: number }): string {
    const bound = `at most ${this.preemptions} preemption${this.preemptions === 1 ? '' : 's'}`;
    return this.exhausted
      ? `all ${runs} schedules with ${bound} were tried`
      : `${runs} schedules with ${bound} were tried, not all`;
  }
}
