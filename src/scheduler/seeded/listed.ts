import type { Choice, Delay, Dependence, Schedule } from './schedule.js';

/** What a run did otherwise than running each thread until it blocks, all stores at once. */
export interface Decisions {
  /** [thread, step, nth, next]: when it is asked the nth time (from 0) after so many steps of `thread`, `next` runs. In the order in which it happened. */
  readonly switches: readonly (readonly [number, number, number, number])[];
  /** Numbers of the looks at another thread's waiting store (counted from 0) that left it waiting against the order. */
  readonly delays: readonly number[];
}

/** Repeats recorded decisions. Where the list says nothing the current thread goes on, or else the lowest-numbered one that can. */
export class ListedSchedule implements Schedule {
  readonly name = 'replay';
  private looks = 0;
  private readonly delayed: ReadonlySet<number>;

  constructor(private readonly decisions: Decisions) {
    this.delayed = new Set(decisions.delays);
  }

  begin(): boolean {
    this.looks = 0;
    return true;
  }

  choose({ current, runnable, yields, at, step, nth }: Choice): number {
    const listed = this.decisions.switches.find(
      ([thread, when, which]) => thread === at && when === step && which === nth,
    );
    if (listed !== undefined && runnable.includes(listed[3])) return listed[3];
    return defaultThread(current, runnable, yields);
  }

  delays({ older }: Delay): boolean {
    return this.delayed.has(this.looks++) ? older : !older;
  }

  guarantee(): string | null {
    return null;
  }
}

/** Who runs where nothing says otherwise. */
export function defaultThread(current: number, runnable: readonly number[], yields: boolean): number {
  if (current >= 0 && !yields && runnable.includes(current)) return current;
  return runnable.find((thread) => thread > current) ?? runnable[0];
}

/** Writes down what another schedule decides, as `Decisions`. */
export class Recorder implements Schedule {
  readonly name: string;
  readonly dependence: Dependence | null;
  private switches: [number, number, number, number][] = [];
  private delayed: number[] = [];
  private looks = 0;

  constructor(private readonly schedule: Schedule) {
    this.name = schedule.name;
    this.dependence = schedule.dependence ?? null;
  }

  begin(seed: number): boolean {
    this.switches = [];
    this.delayed = [];
    this.looks = 0;
    return this.schedule.begin(seed);
  }

  choose(choice: Choice): number {
    const thread = this.schedule.choose(choice);
    const { current, runnable, yields, at, step, nth } = choice;
    if (thread !== defaultThread(current, runnable, yields)) this.switches.push([at, step, nth, thread]);
    return thread;
  }

  delays(delay: Delay): boolean {
    const delays = this.schedule.delays(delay);
    if (delays === delay.older) this.delayed.push(this.looks);
    this.looks++;
    return delays;
  }

  guarantee(campaign: { runs: number; threads: number; steps: number }): string | null {
    return this.schedule.guarantee(campaign);
  }

  get decisions(): Decisions {
    return { switches: this.switches, delays: this.delayed };
  }
}
