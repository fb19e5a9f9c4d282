import { Races } from './races.js';
import type { Choice, Delay, Dependence, Schedule } from './schedule.js';
import type { SharedObject } from './shared-objects.js';

/** One decision of a run. */
interface Decision {
  /** Threads that could run; or, of a store, 0 and 1. */
  readonly possible: readonly number[];
  /** The thread that runs on without cost; −1 if all are free. */
  readonly free: number;
  /** Preemptions that are left. */
  readonly left: number;
  /** Options in the order in which they were found to be worth trying, and which of them is taken. */
  readonly options: number[];
  taken: number;
}

/**
 * Every schedule with at most so many preemptions (Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007), depth first.
 *
 * A preemption is a switch away from a thread that could go on; who runs when a thread blocks or yields is free, and so is
 * how long a store is delayed. Switch points are only the accesses that other threads can see.
 *
 * Partial-order reduction: orders of steps that do not depend on each other lead to the same end, and one of them is enough. At
 * first a decision has one option, the thread that runs on; another is added when a race is found (races.ts): there, and at the
 * switch before, where the same may be had without a preemption (Coons, Musuvathi and McKinley, "Bounded partial-order reduction",
 * OOPSLA 2013, which shows that with both no state within the bound is missed).
 */
export class ExhaustiveSchedule implements Schedule, Dependence {
  readonly name: string;
  readonly dependence: Dependence | null;
  private readonly path: Decision[] = [];
  private readonly races: Races;
  private depth = 0;
  private spent = 0;
  private started = false;
  /** Whether every schedule has been tried. */
  exhausted = false;

  /**
   * @param delayed whether stores may be delayed against the order of execution
   * @param reduced whether one order of steps that do not depend on each other is enough
   */
  constructor(
    private readonly preemptions: number,
    private readonly delayed = true,
    reduced = true,
  ) {
    this.name = `exhaustive:${preemptions}`;
    this.dependence = reduced ? this : null;
    this.races = new Races((index, other) => this.reverse(index, other));
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
    this.races.begin();
    return true;
  }

  choose({ current, runnable, yields }: Choice): number {
    const goesOn = current >= 0 && !yields && runnable.includes(current);
    const possible = goesOn ? [current, ...runnable.filter((thread) => thread !== current)] : [...runnable];
    const at = this.depth;
    const thread = this.decide(possible, goesOn ? current : -1, this.dependence === null);
    if (this.dependence !== null) this.races.step(thread, at);
    return thread;
  }

  delays({ older }: Delay): boolean {
    if (!this.delayed) return !older;
    return this.decide(older ? [0, 1] : [1, 0], -1, true) === 1;
  }

  private decide(possible: readonly number[], free: number, all: boolean): number {
    let decision = this.path[this.depth];
    if (decision === undefined) {
      const left = this.preemptions - this.spent;
      decision = { possible, free, left, options: [possible[0]], taken: 0 };
      if (all) for (const option of possible) propose(decision, option);
      this.path.push(decision);
    }
    this.depth++;
    const option = decision.options[decision.taken];
    this.spent += cost(decision, option);
    return option;
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

  // --- Dependence ------------------------------------------------------------------------------------------------------

  passes(thread: number): void {
    this.races.step(thread, -1);
  }

  touches(thread: number, object: SharedObject, writes: boolean): void {
    this.races.touches(thread, object, writes);
  }

  buffers(thread: number, object: SharedObject, order: number): void {
    if (this.delayed) this.races.buffers(thread, object, order);
    // In the order of execution: as if it were done at once.
    else this.races.touches(thread, object, true);
  }

  commits(thread: number, owner: number, object: SharedObject, order: number): void {
    if (this.delayed) this.races.commits(thread, owner, object, order);
  }

  ends(runnable: readonly number[]): void {
    this.races.end();
    // What is the end of all threads depends on whatever they would have done.
    const last = this.races.steps.length - 1;
    for (const thread of runnable) if (this.races.steps[last]?.thread !== thread) this.reverse(last, thread);
  }

  /** Another thread is to be tried before a step, and where the stretch of the step's thread begins. */
  private reverse(index: number, other: number): void {
    const { steps } = this.races;
    this.tryAt(steps[index].decision, other);
    let first = index;
    while (first > 0 && steps[first - 1].thread === steps[index].thread) first--;
    if (first < index) this.tryAt(steps[first].decision, other);
  }

  private tryAt(at: number, thread: number): void {
    if (at < 0) return;
    const decision = this.path[at];
    // If it cannot run there, one of those that can may lead to it.
    const options = decision.possible.includes(thread) ? [thread] : decision.possible;
    for (const option of options) propose(decision, option);
  }

  guarantee({ runs }: { runs: number }): string {
    const bound = `at most ${this.preemptions} preemption${this.preemptions === 1 ? '' : 's'}`;
    return this.exhausted
      ? `complete: whatever schedules with ${bound} can lead to was tried, in ${runs} runs`
      : `not complete: ${runs} runs with ${bound}`;
  }
}

function cost(decision: Decision, option: number): number {
  return decision.free < 0 || option === decision.free ? 0 : 1;
}

/** Adds an option, if it is a new one within the bound. */
function propose(decision: Decision, option: number): void {
  if (decision.options.includes(option) || cost(decision, option) > decision.left) return;
  decision.options.push(option);
}
