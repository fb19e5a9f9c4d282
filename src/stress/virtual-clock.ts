import type { Clock } from '../cpu/clock.js';
import { CpuState } from '../cpu/state.js';
import type { Memory } from '../memory/memory.js';

/** Time that passes with each look at the clock, ns: who waits for a time in a loop gets there. */
const LOOK = 20;

/** The clock of a seeded machine: a nanosecond an instruction, as far as the CPUs have left guest code; idle time is skipped. */
export class VirtualClock implements Clock {
  private skipped = 0;
  private looks = 0;

  constructor(
    private readonly memory: Memory,
    private readonly bases: readonly number[],
  ) {}

  monotonic(): number {
    this.looks++;
    return this.now;
  }

  /** The time, without the look counting. */
  get now(): number {
    return this.instructions + this.skipped + this.looks * LOOK;
  }

  /** Instructions of all CPUs, as far as they have left guest code. */
  get instructions(): number {
    let sum = 0;
    for (const base of this.bases) sum += this.memory.f64[(base + CpuState.instructions) >>> 3];
    return sum;
  }

  /** Nothing happens until then. */
  skipTo(time: number): void {
    this.skipped += Math.max(0, Math.ceil(time - this.now));
  }

  get state(): readonly [number, number] {
    return [this.skipped, this.looks];
  }

  set state([skipped, looks]: readonly [number, number]) {
    this.skipped = skipped;
    this.looks = looks;
  }
}
