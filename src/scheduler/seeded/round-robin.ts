import type { Choice, Delay, Schedule } from './schedule.js';

/** Every thread in turn, a fixed number of switch points each. The seed only decides where the first turn ends. */
export class RoundRobinSchedule implements Schedule {
  readonly name = 'round-robin';
  private left = 0;

  /** @param turn switch points of a turn */
  constructor(private readonly turn = 4) {}

  begin(seed: number): boolean {
    this.left = seed % this.turn;
    return true;
  }

  choose({ current, runnable, yields }: Choice): number {
    if (current >= 0 && !yields && this.left-- > 0 && runnable.includes(current)) return current;
    this.left = this.turn - 1;
    return runnable.find((thread) => thread > current) ?? runnable[0];
  }

  delays({ older }: Delay): boolean {
    return !older;
  }

  guarantee(): string | null {
    return null;
  }
}
