import { waitForStart } from '../kernel/run-queue.js';
import { MACHINE, Machine } from '../memory/layout.js';
import { Memory } from '../memory/memory.js';
import type { CpuEnd, CpuJob } from './messages.js';

/**
 * The body of a CPU worker in parallel mode. The translator and the kernel are only loaded now, and by CPUs other than the one
 * that starts the program not before that has begun: a short program must not wait for CPUs that it never uses.
 */
export async function runCpuWorker(job: CpuJob): Promise<CpuEnd> {
  const memory = new Memory(job.memory);
  if (!job.program) waitForStart(memory);
  if (memory.load32(MACHINE + Machine.stopping) !== 0) return {};
  const { runCpu } = await import('./cpu-main.js');
  return runCpu(memory, job);
}
