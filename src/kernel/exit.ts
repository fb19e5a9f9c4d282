import { CpuState, Interrupt } from '../cpu/state.js';
import { MACHINE, Machine } from '../memory/layout.js';
import { locked } from '../memory/lock.js';
import type { Memory } from '../memory/memory.js';
import { ANY, futexWake } from './futex.js';
import { handOverMutexes } from './futex-pi.js';
import type { KernelCpu } from './kernel-cpu.js';
import { exitRobustList } from './robust-list.js';
import { CpuSlot, cpuSlot, interruptCpu, ringCpu, ringScheduler } from './run-queue.js';
import { exitPkeys } from './pkeys/lifetime.js';
import { entryPool } from './signal/links.js';
import { discardAll } from './signal/pending.js';
import { notifyAll, retargetAll } from './signal/send.js';
import { ProcessSignals, TaskSignals } from './signal/state.js';
import { NO_RESULT, type SyscallTable } from './syscalls.js';
import { mainProcess, Process, Task, TaskState, unlinkTask } from './task.js';
import { loadWord, sleepNumberOf, taskWord } from './wait.js';

/** What other parts of the kernel do when the last thread of a process ends. */
export interface ExitHooks {
  process(k: KernelCpu): void;
}

/** Ends CLONE_CHILD_CLEARTID and set_tid_address: writes 0 there and wakes one waiter, which is how threads are joined. */
export function clearChildTid(k: KernelCpu): void {
  const { memory } = k;
  const address = memory.loadNumber(k.task + Task.clearChildTid);
  if (address === 0) return;
  memory.storeNumber(k.task + Task.clearChildTid, 0);
  const scratch = k.cpu.base + CpuState.scratch;
  memory.store32(scratch, 0);
  if (k.user.copyOut(address, scratch, 4)) futexWake(k, address, true, 1, ANY);
}

/**
 * Ends the current thread (kernel/exit.c do_exit); it never runs again. Whoever calls this returns NO_RESULT, or leaves the task
 * to the CPU's loop, which sees that it is Dead.
 */
export function exitThread(k: KernelCpu, hooks: ExitHooks): void {
  const { memory, task, process } = k;
  Atomics.store(memory.i32, (task + Task.exiting) >>> 2, 1);
  exitRobustList(k);
  handOverMutexes(k);
  clearChildTid(k);
  exitPkeys(k);
  const { f64 } = memory;
  const ran = k.now() - f64[(cpuSlot(memory, k.cpu.id) + CpuSlot.since) >>> 3];
  const shared = process + Process.signals;
  locked(memory, shared + ProcessSignals.lock, () => {
    f64[(process + Process.cpuTime) >>> 3] += f64[(task + Task.cpuTime) >>> 3] + ran;
    retargetAll(memory, task);
    discardAll(memory, entryPool(memory, shared), task + Task.signals + TaskSignals.pending);
  });
  if (unlinkTask(memory, task) === 0) {
    hooks.process(k);
    if (process === mainProcess(memory)) stopMachine(memory);
  }
  const word = taskWord(TaskState.Dead, 0, 0, sleepNumberOf(loadWord(memory, task)));
  Atomics.store(memory.i32, (task + Task.word) >>> 2, word);
}

/**
 * Makes a whole process end: its threads end on their way to user code, and those that sleep are woken for it.
 * The end of the machine's first process is the end of the machine, with all threads that there are.
 * @param status exit status (0–255)
 * @param signal what it died of, 0 if it exits
 */
export function exitProcess(memory: Memory, process: number, status: number, signal: number): void {
  if (Atomics.compareExchange(memory.i32, (process + Process.exiting) >>> 2, 0, 1) !== 0) return;
  memory.store32(process + Process.exitCode, status & 0xff);
  memory.store32(process + Process.exitSignal, signal);
  if (process === mainProcess(memory)) {
    stopMachine(memory);
    return;
  }
  const shared = process + Process.signals;
  locked(memory, shared + ProcessSignals.lock, () => notifyAll(memory, process, 0));
}

/** Stops all CPUs at their next safe point and the scheduler; the machine's exit status is the first process's. */
export function stopMachine(memory: Memory): void {
  const process = mainProcess(memory);
  if (process !== 0) {
    memory.store32(MACHINE + Machine.exitCode, memory.load32(process + Process.exitCode));
    memory.store32(MACHINE + Machine.exitSignal, memory.load32(process + Process.exitSignal));
  }
  Atomics.store(memory.i32, (MACHINE + Machine.stopping) >>> 2, 1);
  const cpus = memory.load32(MACHINE + Machine.cpuCount);
  for (let cpu = 0; cpu < cpus; cpu++) {
    interruptCpu(memory, cpu, Interrupt.stop);
    ringCpu(memory, cpu);
  }
  // A CPU may also be waiting for an exclusive access to end.
  Atomics.notify(memory.i32, (MACHINE + Machine.splitLockOwner) >>> 2);
  ringScheduler(memory);
}

function exit(k: KernelCpu, status: number): number {
  // The status of a process whose threads all leave by exit is the last one's.
  if (Atomics.load(k.memory.i32, (k.process + Process.exiting) >>> 2) === 0) {
    k.memory.store32(k.process + Process.exitCode, status & 0xff);
  }
  k.exitThread();
  return NO_RESULT;
}

function exitGroup(k: KernelCpu, status: number): number {
  exitProcess(k.memory, k.process, status, 0);
  k.exitThread();
  return NO_RESULT;
}

export const exitSyscalls: SyscallTable = {
  60: { name: 'exit', handler: exit, args: 'd' },
  231: { name: 'exit_group', handler: exitGroup, args: 'd' },
};
