import { createSchedule } from '../../src/scheduler/seeded/index.js';
import { PctSchedule } from '../../src/scheduler/seeded/pct.js';
import type { Schedule } from '../../src/scheduler/seeded/schedule.js';
import { DEFAULT_BOUNDS, type RunOutcome, type SeededOptions } from '../../src/stress/options.js';
import { SeededMachine } from '../../src/stress/seeded-machine.js';
import { guest } from '../machine/fixtures.js';

/** Options of a seeded machine for one of the guest programs, or for a path. */
export function options(
  program: string,
  args: readonly string[],
  more: Partial<SeededOptions> = {},
): SeededOptions {
  return {
    path: program.includes('/') ? program : guest(program),
    args,
    env: [],
    cpus: 4,
    abi: 'minimal',
    debugFpu: false,
    memory: 16 << 20,
    memoryModel: 'tso',
    machineSeed: 7,
    stdin: '',
    mutants: 0,
    bounds: DEFAULT_BOUNDS,
    ...more,
  };
}

/** A machine at its snapshot, and a schedule as a campaign has it. */
export function prepare(
  settings: SeededOptions,
  name: string,
): { machine: SeededMachine; schedule: Schedule } {
  const machine = new SeededMachine(settings);
  machine.boot();
  const points = machine.learn();
  const schedule = createSchedule(name)!;
  if (schedule instanceof PctSchedule) schedule.expect(points);
  return { machine, schedule };
}

/** Runs up to `most` schedules, or until `stop`; the outcomes in order. */
export function explore(
  { machine, schedule }: { machine: SeededMachine; schedule: Schedule },
  most: number,
  stop: (outcome: RunOutcome) => boolean = () => false,
): RunOutcome[] {
  const outcomes: RunOutcome[] = [];
  for (let run = 0; run < most; run++) {
    const outcome = machine.run(schedule, run);
    if (outcome === null) break;
    outcomes.push(outcome);
    if (stop(outcome)) break;
  }
  return outcomes;
}

/** C: `thread(i, run)` starts a thread on stack i; `flag` is something to wait for. */
export const CLONE = `
static char stacks[512][4096] __attribute__((aligned(16)));
static int thread(int i, void (*run)(void)) {
  long r;
  long *top = (long *)(stacks[i] + 4096 - 16);
  *top = (long)run;
  __asm__ volatile("syscall\\n test %%eax, %%eax\\n jnz 1f\\n pop %%rax\\n call *%%rax\\n mov $60, %%eax\\n syscall\\n1:"
    : "=a"(r) : "a"(56), "D"(0x50f00L), "S"(top), "d"(0), "m"(*top) : "rcx", "r11", "memory");
  return r;
}
static volatile int flag;
`;
