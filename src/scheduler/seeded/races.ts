import { EVERY_STEP, type SharedObject } from './shared-objects.js';

/** A stretch of a run between two switches, or two points where the schedule was asked. */
interface Step {
  readonly thread: number;
  /** The schedule's own number for the decision that the step followed; −1 if there was no choice. */
  readonly decision: number;
  /** By thread: its last step that happened before this one or is a part of it; −1 for none. */
  clock: readonly number[];
}

/** By thread: the steps that have read, and that have written, ascending. */
interface Uses {
  readonly reads: number[][];
  readonly writes: number[][];
}

/** Thread `other` could have run before a step (by its number), and what came of it may be different. */
export type OnRace = (step: number, other: number) => void;

/**
 * Finds the races of a run: steps of two threads that depend on each other and are ordered by nothing but the schedule
 * (Flanagan and Godefroid, "Dynamic partial-order reduction for model checking software", POPL 2005).
 *
 * Two steps depend on each other if both use an object and one of them writes to it. A step happens before another if it is
 * earlier and they depend on each other, or so by way of steps in between.
 *
 * Stores that wait in a buffer are different: whether another thread's access comes before the store or after it makes no
 * difference as long as the store waits, and whether it goes on waiting is decided at that access. So only the store's way to
 * memory counts as writing; and it races with accesses before the store was executed.
 */
export class Races {
  readonly steps: Step[] = [];
  private readonly clocks: number[][] = [];
  private readonly uses = new Map<SharedObject, Uses>();
  /** Steps of the stores that wait in buffers, by their place in the order of all stores. */
  private readonly waiting = new Map<number, number>();
  /** The current thread's clock when its step began, and its step before that. */
  private before: readonly number[] = [];
  private previous = -1;
  /** Steps that race with the current one. */
  private readonly found = new Set<number>();

  constructor(private readonly onRace: OnRace) {}

  begin(): void {
    this.steps.length = 0;
    this.clocks.length = 0;
    this.uses.clear();
    this.waiting.clear();
    this.found.clear();
  }

  /** The thread goes on from a decision (−1: without one). */
  step(thread: number, decision: number): void {
    this.end();
    const index = this.steps.length;
    const clock = (this.clocks[thread] ??= []);
    this.previous = clock[thread] ?? -1;
    this.before = clock.slice();
    clock[thread] = index;
    this.steps.push({ thread, decision, clock });
    for (const object of EVERY_STEP) this.touches(thread, object, false);
  }

  /** The current step is over: reports its races. */
  end(): void {
    const last = this.steps.at(-1);
    if (last === undefined) return;
    last.clock = last.clock.slice();
    for (const index of this.found) this.onRace(index, last.thread);
    this.found.clear();
  }

  touches(thread: number, object: SharedObject, writes: boolean): void {
    if (this.steps.at(-1)?.thread !== thread) this.step(thread, -1);
    const uses = this.usesOf(object);
    this.look(thread, uses.writes, true);
    if (writes) this.look(thread, uses.reads, true);
    note(writes ? uses.writes : uses.reads, thread, this.steps.length - 1);
  }

  /** A store of the thread is executed and waits. */
  buffers(thread: number, object: SharedObject, order: number): void {
    if (this.steps.at(-1)?.thread !== thread) this.step(thread, -1);
    const uses = this.usesOf(object);
    this.look(thread, uses.writes, false);
    this.look(thread, uses.reads, false);
    this.waiting.set(order, this.steps.length - 1);
  }

  /** A store that has waited goes to memory, because of what `thread` does. @param owner whose it is */
  commits(thread: number, owner: number, object: SharedObject, order: number): void {
    this.touches(thread, object, true);
    const executed = this.waiting.get(order);
    if (executed === undefined || owner === thread) return;
    this.join(this.clocks[thread], this.steps[executed].clock);
    const writes = this.usesOf(object).writes;
    // It may be older than what the owner has written since, to other bytes of the object.
    const own = (writes[owner] ??= []);
    let at = own.length;
    while (at > 0 && own[at - 1] > executed) at--;
    if (own[at - 1] !== executed) own.splice(at, 0, executed);
  }

  private usesOf(object: SharedObject): Uses {
    let uses = this.uses.get(object);
    if (uses === undefined) this.uses.set(object, (uses = { reads: [], writes: [] }));
    return uses;
  }

  /** Compares the current step with other threads' uses of the same object. */
  private look(thread: number, uses: readonly number[][], joins: boolean): void {
    for (let other = 0; other < uses.length; other++) {
      const steps = uses[other];
      if (other === thread || steps === undefined) continue;
      const known = this.before[other] ?? -1;
      for (let i = steps.length; i-- > 0 && steps[i] > known; ) {
        this.found.add(steps[i]);
        // What the current step would have raced with in the states before this thread's step before it was looked at then.
        if (steps[i] < this.previous) break;
      }
      if (joins) this.join(this.clocks[thread], this.steps[steps[steps.length - 1]].clock);
    }
  }

  private join(clock: number[], other: readonly number[]): void {
    for (let thread = 0; thread < other.length; thread++) {
      if ((other[thread] ?? -1) > (clock[thread] ?? -1)) clock[thread] = other[thread];
    }
  }
}

function note(uses: number[][], thread: number, step: number): void {
  const own = (uses[thread] ??= []);
  if (own.at(-1) !== step) own.push(step);
}
