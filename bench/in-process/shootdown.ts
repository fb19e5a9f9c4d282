import { availableParallelism } from 'node:os';
import { MessageChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { CpuMode, CpuState, cpuPointer } from '../../src/cpu/state.js';
import { stopMachine } from '../../src/kernel/exit.js';
import { pkeyMprotect } from '../../src/kernel/memory/mprotect.js';
import type { CpuJob } from '../../src/machine/messages.js';
import { compiledFile } from '../../src/startup/package-file.js';
import { PAGE_SIZE } from '../../src/memory/memory.js';
import { endless, LOAD_EAX } from './code.js';
import { BenchMachine, RW } from './machine.js';
import { type Benchmark, type Prepared, time } from './measure.js';

const cores = availableParallelism();
/** Calls of one sample. With more threads than cores each takes as long as the host lets the others wait. */
const callsFor = (others: number): number => (others + 1 > cores ? 2 : 50);
const MOST_OTHERS = 7;

/** This thread's CPU changes the key of a page that all other CPUs, workers as in any machine, keep reading in guest code. */
async function shootdown(others: number): Promise<Prepared> {
  const machine = new BenchMachine({ cpus: others + 1, hosted: 1, abi: 'minimal' });
  const { memory, scheduler } = machine;
  const page = machine.map(1);
  const code = machine.code(endless(LOAD_EAX));
  const pool = new Piscina({
    filename: compiledFile('workers/cpu.js'),
    minThreads: others,
    maxThreads: others,
    atomics: 'disabled',
    trackUnmanagedFds: false,
  });
  const ids = Array.from({ length: others }, (_, i) => i + 1);
  const ports = ids.map(() => new MessageChannel());
  const ends = ids.map((id, i) => {
    const { port2: port } = ports[i];
    const job: CpuJob = { memory: memory.wasm, id, port, translations: null };
    machine.start(code, { rsi: page }, id);
    return pool.run(job, { transferList: [port] });
  });
  const close = async () => {
    stopMachine(memory);
    await Promise.allSettled(ends);
    for (const { port1 } of ports) port1.close();
    await pool.destroy();
  };
  const inGuestCode = (id: number) =>
    Atomics.load(memory.i32, (cpuPointer(id) + CpuState.mode) >>> 2) === CpuMode.user;
  try {
    // The event loop turns meanwhile, since that is what starts workers; a CPU gets its task when it has announced itself.
    while (!ids.every(inGuestCode)) {
      scheduler.step();
      await Promise.race([new Promise((resolve) => setImmediate(resolve)), ...ends]);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const { k } = machine.cpus[0];
  const calls = callsFor(others);
  return {
    operations: calls,
    sample: () =>
      time(() => {
        for (let i = 0; i < calls; i++) {
          if (pkeyMprotect(k, page, PAGE_SIZE, RW, 1 + (i & 1)) !== 0) throw new Error('refused');
        }
      }),
    close,
  };
}

export const shootdownBenchmarks: readonly Benchmark[] = Array.from({ length: MOST_OTHERS }, (_, i) => {
  const others = i + 1;
  const shared = others + 1 > cores ? `, ${cores} cores` : '';
  return {
    name: `shootdown-${others}`,
    what: `pkey_mprotect, page read by ${others} other CPU${others === 1 ? '' : 's'}${shared}`,
    prepare: () => shootdown(others),
  };
});
