import type { KernelCpu } from '../kernel-cpu.js';
import { WakeReason } from '../task-layout.js';
import { Restart } from '../signal/registers.js';
import { sleep } from '../wait.js';

/** Between two attempts on a host file that was not ready, ns: the host tells nobody here when it becomes so. */
const RETRY = 5e6;

/** Puts the task to sleep for a moment; the call is then tried again. Answers BLOCKED, or a restart code on a signal. */
export function napBeforeRetry(k: KernelCpu): number {
  if (k.wakeReason === WakeReason.signal) return -Restart.ERESTARTSYS;
  return sleep(k, k.now() + RETRY);
}
