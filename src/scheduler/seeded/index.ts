import { ExhaustiveSchedule } from './exhaustive.js';
import { PctSchedule } from './pct.js';
import { RandomSchedule } from './random.js';
import { RoundRobinSchedule } from './round-robin.js';
import type { Schedule } from './schedule.js';

export type { Choice, Delay, Schedule } from './schedule.js';

/** How the schedules of `createSchedule` are called. */
export const SCHEDULE_NAMES = 'round-robin, random, pct[:DEPTH], exhaustive[:PREEMPTIONS]';

/** A schedule by its name on the command line, or null if there is none. */
export function createSchedule(name: string): Schedule | null {
  const match = /^([a-z-]+)(?::(\d{1,3}))?$/.exec(name);
  if (!match) return null;
  const number = match[2] === undefined ? undefined : Number(match[2]);
  switch (match[1]) {
    case 'round-robin':
      return number === undefined ? new RoundRobinSchedule() : null;
    case 'random':
      return number === undefined ? new RandomSchedule() : null;
    case 'pct':
      return number === 0 ? null : new PctSchedule(number ?? 3);
    case 'exhaustive':
      return new ExhaustiveSchedule(number ?? 2);
  }
  return null;
}
