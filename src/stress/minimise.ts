import { ExhaustiveSchedule } from '../scheduler/seeded/exhaustive.js';
import { type Decisions, ListedSchedule, Recorder } from '../scheduler/seeded/listed.js';
import type { FailureKind, RunOutcome } from './options.js';
import type { SeededMachine } from './seeded-machine.js';

export interface Minimised {
  readonly decisions: Decisions;
  readonly outcome: RunOutcome;
}

/** Schedules that the search for fewer preemptions may try for each number of them, and ms for all. */
const SEARCHED = 3000;
const SEARCH_MS = 10_000;

/**
 * Looks for a run with the same kind of failure and as few context switches as possible: leaves out recorded decisions as long as
 * the failure stays, then tries all schedules with fewer preemptions than what is left.
 */
export function minimise(machine: SeededMachine, decisions: Decisions, kind: FailureKind): Minimised {
  let best = attempt(machine, decisions, kind);
  if (best === null) throw new Error('the recorded run does not fail when it is repeated');
  best = leaveOut(machine, best, kind);
  const until = performance.now() + SEARCH_MS;
  const { preemptions: most } = best.outcome;
  const delayed = best.decisions.delays.length > 0;
  for (let preemptions = 0; preemptions <= most; preemptions++) {
    const fewer = preemptions < most;
    // Without delayed stores first: they are harder to follow.
    const found =
      (fewer || delayed ? search(machine, preemptions, kind, until, false) : null) ??
      (fewer ? search(machine, preemptions, kind, until, true) : null);
    if (found !== null) return leaveOut(machine, found, kind);
  }
  return best;
}

function attempt(machine: SeededMachine, decisions: Decisions, kind: FailureKind): Minimised | null {
  const recorder = new Recorder(new ListedSchedule(decisions));
  const outcome = machine.run(recorder, 0);
  // What the list says of points that the run never came to is not recorded again.
  return outcome?.kind === kind ? { decisions: recorder.decisions, outcome } : null;
}

/** Delta debugging: halves, quarters, … single decisions are left out as long as the failure stays. */
function leaveOut(machine: SeededMachine, from: Minimised, kind: FailureKind): Minimised {
  let best = from;
  const count = () => best.decisions.switches.length + best.decisions.delays.length;
  for (let piece = Math.ceil(count() / 2); piece >= 1; ) {
    let smaller = false;
    for (let at = 0; at < count(); ) {
      const candidate = attempt(machine, without(best.decisions, at, piece), kind);
      if (candidate !== null && cost(candidate) <= cost(best) && shorter(candidate, best)) {
        best = candidate;
        smaller = true;
      } else {
        at += piece;
      }
    }
    if (!smaller || piece > count()) piece = piece === 1 && !smaller ? 0 : Math.max(1, Math.floor(piece / 2));
  }
  return best;
}

function cost({ outcome, decisions }: Minimised): number {
  return outcome.preemptions * 1000 + outcome.switches + decisions.delays.length;
}

function shorter(a: Minimised, b: Minimised): boolean {
  const length = ({ decisions }: Minimised) => decisions.switches.length + decisions.delays.length;
  return length(a) < length(b) || cost(a) < cost(b);
}

function without({ switches, delays }: Decisions, at: number, count: number): Decisions {
  const outside = (i: number) => i < at || i >= at + count;
  return {
    switches: switches.filter((_, i) => outside(i)),
    delays: delays.filter((_, i) => outside(switches.length + i)),
  };
}

function search(
  machine: SeededMachine,
  preemptions: number,
  kind: FailureKind,
  until: number,
  delays: boolean,
): Minimised | null {
  const recorder = new Recorder(new ExhaustiveSchedule(preemptions, delays));
  for (let i = 0; i < SEARCHED && performance.now() < until; i++) {
    const outcome = machine.run(recorder, i);
    if (outcome === null) return null;
    if (outcome.kind === kind) return { decisions: recorder.decisions, outcome };
  }
  return null;
}
