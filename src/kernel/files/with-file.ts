import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { BLOCKED } from '../syscalls.js';
import { Task, WakeReason } from '../task.js';
import { dropFile } from './description.js';
import { filesOf } from './links.js';
import { getFile } from './table.js';

/**
 * Runs a call on the file of a descriptor, with a reference to it. A call that blocks keeps its file (in Task.scratch[3]), even
 * if another thread closes or replaces the descriptor before the call goes on.
 */
export function withFile(k: KernelCpu, fd: number, use: (file: number) => number): number {
  const { memory } = k;
  const kept = (k.task + Task.scratch + 24) >>> 3;
  const file = k.wakeReason === WakeReason.none ? getFile(memory, filesOf(k), fd) : memory.f64[kept];
  if (file === 0) return -Errno.EBADF;
  const result = use(file);
  if (result === BLOCKED) memory.f64[kept] = file;
  else dropFile(memory, file);
  return result;
}
