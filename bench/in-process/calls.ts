import { Slice } from '../../src/kernel/cpu-loop.js';
import { futexWake } from '../../src/kernel/futex.js';
import { batches, endless, FutexOperation, futex, SYS_GETPPID, storeAtRdi, systemCall } from './code.js';
import { BenchMachine } from './machine.js';
import { type Benchmark, type Prepared, time } from './measure.js';

const CALLS = 1000;

/** Times guest code that makes CALLS system calls by `body` and then waits for the word at RDI. */
function calls(body: readonly number[]): Prepared {
  const machine = new BenchMachine();
  const [{ k, loop }] = machine.cpus;
  const turn = machine.map(1);
  machine.start(machine.code(batches(CALLS, body)), { rdi: turn });
  loop.online();
  machine.scheduler.step();
  const untilItWaits = () => {
    let slice = loop.runSlice();
    while (slice === Slice.budget) slice = loop.runSlice();
    if (slice !== Slice.idle) throw new Error(`the loop ended with ${slice}`);
  };
  untilItWaits();
  return {
    operations: CALLS,
    sample: () => {
      if (futexWake(k, turn, false, 1, -1) !== 1) throw new Error('nobody waited');
      return time(untilItWaits);
    },
  };
}

/** Two tasks on two CPUs of this thread pass a turn to and fro: each wakes the other, then waits. */
function handOver(): Prepared {
  const machine = new BenchMachine({ cpus: 2 });
  const turn = machine.map(1);
  const tasks = [0, 1].map((mine) => {
    const other = 1 - mine;
    const body = [
      ...storeAtRdi(other),
      ...futex(FutexOperation.wake, 1),
      ...futex(FutexOperation.wait, other),
    ];
    return machine.start(machine.code(endless(body)), { rdi: turn }, mine);
  });
  const loops = machine.cpus.map(({ loop }) => loop);
  for (const loop of loops) loop.online();
  machine.scheduler.step();
  const rounds = CALLS / tasks.length;
  return {
    operations: CALLS,
    sample: () =>
      time(() => {
        for (let i = 0; i < rounds; i++) {
          for (const loop of loops) if (loop.runSlice() !== Slice.idle) throw new Error('it did not wait');
        }
      }),
  };
}

export const callBenchmarks: readonly Benchmark[] = [
  {
    name: 'syscall',
    what: 'getppid from guest code',
    prepare: () => calls(systemCall(SYS_GETPPID)),
  },
  {
    name: 'futex-wake',
    what: 'FUTEX_WAKE from guest code, nobody waits',
    prepare: () => calls(futex(FutexOperation.wake, 1)),
  },
  {
    name: 'futex-hand-over',
    what: 'FUTEX_WAKE of a waiting task and FUTEX_WAIT, one thread',
    prepare: handOver,
  },
];
