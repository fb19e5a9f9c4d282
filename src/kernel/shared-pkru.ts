import type { GuestCpu } from '../cpu/guest-cpu.js';
import { RunQueue, runQueue } from './run-queue.js';

/** Instructions between two looks at the shared register. */
export const SHARED_PKRU_BUDGET = 200;

/**
 * The deliberate defect pkruShared: gives a CPU's PKRU to all CPUs that this is called for. Each takes over what another has
 * written whenever it enters guest code, so its runs must be short.
 */
export function sharePkru(cpu: GuestCpu): void {
  const { memory } = cpu;
  const word = (runQueue(memory) + RunQueue.sharedPkru) >>> 2;
  const own = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(cpu), 'pkru')!;
  const run = cpu.run.bind(cpu);
  let outside = true;
  Object.defineProperty(cpu, 'pkru', {
    get: () => (outside ? Atomics.load(memory.i32, word) >>> 0 : own.get!.call(cpu)),
    set: (value: number) => {
      own.set!.call(cpu, value);
      Atomics.store(memory.i32, word, value | 0);
    },
  });
  cpu.run = () => {
    const before = Atomics.load(memory.i32, word);
    own.set!.call(cpu, before >>> 0);
    outside = false;
    const exit = run();
    outside = true;
    const after = own.get!.call(cpu) | 0;
    if (after !== before) Atomics.store(memory.i32, word, after);
    return exit;
  };
}
