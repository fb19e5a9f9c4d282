import type { SharedObject } from './shared-objects.js';

/** A place where a seeded machine may run another thread. Threads are numbered by their order of creation, from 0. */
export interface Choice {
  /** The thread at the switch point; −1 if it cannot go on (it sleeps or has ended). */
  readonly current: number;
  /** Threads that can run, ascending; more than one. Without `current` if that has to give way (see `yields`). */
  readonly runnable: readonly number[];
  /** The current thread waits for another, as far as one can see: PAUSE, sched_yield, or long without progress. */
  readonly yields: boolean;
  /** The thread that has come to a switch point: `current`, or the one that cannot go on. */
  readonly at: number;
  /** Accesses to memory, system calls and other steps that `at` has made so far. */
  readonly step: number;
  /** How often it was asked before at this step of `at`. */
  readonly nth: number;
}

/** A store that still sits in another CPU's buffer when this CPU reads or writes the same bytes. */
export interface Delay {
  readonly current: number;
  /** The thread whose store it is. */
  readonly owner: number;
  /** Whether the order of execution, and so sequential consistency, asks for the store to be done first. */
  readonly older: boolean;
}

/** What a schedule with partial-order reduction is told of a run, in its order. Threads are those that run at the time. */
export interface Dependence {
  /** A thread goes on past a switch point at which there was no choice. */
  passes(thread: number): void;
  /** A thread uses something that others may use. */
  touches(thread: number, object: SharedObject, writes: boolean): void;
  /** A thread executes a store, which waits. @param order its place in the order of all stores */
  buffers(thread: number, object: SharedObject, order: number): void;
  /** A store that has waited goes to memory, because of what `thread` does. @param owner whose it is */
  commits(thread: number, owner: number, object: SharedObject, order: number): void;
  /** The run is over. @param runnable threads that could have gone on */
  ends(runnable: readonly number[]): void;
}

/**
 * Decides everything about a seeded run that could be otherwise. The same object serves run after run; `begin` starts one, and
 * all that it decides then must follow from the seed (or, for `exhaustive`, from the runs before).
 */
export interface Schedule {
  /** Present if the schedule wants to be told what depends on what. */
  readonly dependence?: Dependence | null;
  /** As on the command line: "pct:3". */
  readonly name: string;
  /** Starts a run. @returns false if there is no schedule left to try */
  begin(seed: number): boolean;
  /** The thread to run next, one of `runnable`. */
  choose(choice: Choice): number;
  /** Whether the store stays in its buffer for now. */
  delays(delay: Delay): boolean;
  /** What the schedule can say for itself after a campaign, like a bound on the probability of a miss; null for nothing. */
  guarantee(campaign: {
    readonly runs: number;
    readonly threads: number;
    readonly steps: number;
  }): string | null;
}
