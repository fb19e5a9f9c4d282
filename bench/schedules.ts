import { createSchedule } from '../src/scheduler/seeded/index.js';
import { DEFAULT_BOUNDS } from '../src/stress/options.js';
import { SeededMachine } from '../src/stress/seeded-machine.js';
import { workloadProgram } from '../src/stress/workloads.js';

/**
 * Schedules a second on one core, for two-thread workloads: `node dist/bench/schedules.js [WORKLOAD[,ARGUMENT…]…]`. Prints one
 * line each; the figures are medians of five batches after one to warm up, by the wall clock and by this process's processor time,
 * which other programs on the machine don't lengthen.
 */
const BATCH = 1000;
const DEFAULT = ['lost-update,fixed', 'shadow-pkru,fixed', 'shadow-pkru,fixed,2,8', 'erim-vault,fixed'];

const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];

for (const target of process.argv.length > 2 ? process.argv.slice(2) : DEFAULT) {
  const [name, ...args] = target.split(',');
  const { path } = workloadProgram(name);
  const machine = new SeededMachine({
    path,
    args,
    env: [],
    cpus: 4,
    abi: 'minimal',
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
  const wall: number[] = [];
  const processor: number[] = [];
  let last = { steps: 0, instructions: 0, restored: 0 };
  for (let batch = 0; batch < 6; batch++) {
    const begin = performance.now();
    const used = process.cpuUsage();
    for (let run = 0; run < BATCH; run++) {
      const { steps } = machine.run(schedule, batch * BATCH + run)!;
      last = { steps, instructions: machine.instructions, restored: machine.restoredBytes };
    }
    const { user, system } = process.cpuUsage(used);
    wall.push((BATCH / (performance.now() - begin)) * 1000);
    processor.push((BATCH / (user + system)) * 1e6);
  }
  console.log(
    `${target}: ${Math.round(median(wall.slice(1)))} schedules/s, ${Math.round(median(processor.slice(1)))} a second of ` +
      `processor time; a run has ${last.instructions} instructions, ${last.steps} steps, and restores ` +
      `${(last.restored / 1024).toFixed(0)} of ${machine.snapshotBytes >> 10} KiB`,
  );
}
