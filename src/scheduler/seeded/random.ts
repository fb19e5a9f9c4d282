import { Generator } from './generator.js';
import type { Choice, Delay, Schedule } from './schedule.js';

/**
 * At each switch point another thread with a probability that each run draws anew, so that runs with long undisturbed stretches
 * and runs with many switches both occur.
 */
export class RandomSchedule implements Schedule {
  readonly name = 'random';
  private readonly random = new Generator();
  private one = 2;

  begin(seed: number): boolean {
    this.random.seed(seed);
    // One switch in 2, 4, 8 … 64 switch points.
    this.one = 2 ** (1 + this.random.below(6));
    return true;
  }

  choose({ current, runnable, yields }: Choice): number {
    const { random } = this;
    if (current >= 0 && !yields && random.below(this.one) !== 0 && runnable.includes(current)) return current;
    const others = runnable.filter((thread) => thread !== current);
    return others[random.below(others.length)];
  }

  delays(_delay: Delay): boolean {
    return this.random.below(2) === 0;
  }

  guarantee(): string | null {
    return null;
  }
}
