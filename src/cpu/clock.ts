import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';

/**
 * The only source of time in a machine: the kernel's clocks, timeouts and the time-stamp counter all come from here, so that a
 * seeded run can put a count of instructions in its place and repeat exactly.
 */
export interface Clock {
  /** Nanoseconds since the machine was booted, a whole number; never goes back, on whatever CPU it is asked. */
  monotonic(): number;
}

/** Time since boot by the host's monotonic clock, which is the same for all threads (`performance.now` is not). */
export class HostClock implements Clock {
  readonly #bootSeconds: number;
  readonly #bootNanoseconds: number;

  constructor(memory: Memory) {
    const boot = memory.f64[(MACHINE + Machine.bootMonotonic) >>> 3];
    this.#bootSeconds = Math.floor(boot / 1000);
    this.#bootNanoseconds = Math.floor((boot % 1000) * 1e6);
  }

  monotonic(): number {
    const [seconds, nanoseconds] = process.hrtime();
    return (seconds - this.#bootSeconds) * 1e9 + nanoseconds - this.#bootNanoseconds;
  }
}

/** Writes the time of boot to the machine control block; called once, when the machine is made. */
export function stampBoot(memory: Memory, realtimeMs = Date.now()): void {
  const [seconds, nanoseconds] = process.hrtime();
  memory.f64[(MACHINE + Machine.bootRealtime) >>> 3] = realtimeMs;
  // In milliseconds, rounded down so that no clock starts below 0.
  memory.f64[(MACHINE + Machine.bootMonotonic) >>> 3] = seconds * 1000 + Math.floor(nanoseconds / 1e6);
}
