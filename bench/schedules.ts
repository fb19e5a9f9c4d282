import { createSchedule } from '../src/scheduler/seeded/index.js';
import { DEFAULT_BOUNDS } from '../src/stress/options.js';
import { SeededMachine } from '../src/stress/seeded-machine.js';
import { workloadProgram } from '../src/stress/workloads.js';

/**
 * Schedules a second on one core, for two-thread workloads: `node dist/bench/schedules.js [WORKLOAD…]`. Prints one line each;
 * the figure is the median of five batches after one to warm up.
 */
const BATCH = 2000;

for (const target of process.argv.length > 2
  ? process.argv.slice(2)
  : ['lost-update/fixed', 'shadow-pkru/fixed']) {
  const { path, args } = workloadProgram(target);
  const machine = new SeededMachine({
    path,
    args,
    env: [],
    cpus: 4,
    abi: 'linux',
    debugFpu: false,
    memory: 64 << 20,
    memoryModel: 'tso',
    machineSeed: 0,
    stdin: '',
    mutants: 0,
    bounds: DEFAULT_BOUNDS,
  });
  machine.boot();
  machine.learn();
  const schedule = createSchedule('random')!;
  const rates: number[] = [];
  let steps = 0;
  for (let batch = 0; batch < 6; batch++) {
    const begin = performance.now();
    for (let run = 0; run < BATCH; run++) steps = machine.run(schedule, batch * BATCH + run)!.steps;
    rates.push((BATCH / (performance.now() - begin)) * 1000);
  }
  const median = rates.slice(1).sort((a, b) => a - b)[2];
  console.log(
    `${target}: ${Math.round(median)} schedules/s of ${steps} steps, ${machine.snapshotBytes >> 10} KiB restored`,
  );
}
