import { initImage } from '../cpu/xsave.js';
import { locked } from '../memory/lock.js';
import type { Memory } from '../memory/memory.js';
import { struct } from '../memory/struct.js';
import { heapAllocate } from '../memory/slab.js';
import { rootPointer, setRoot, TaskRoot } from './roots.js';
import { ProcessSignals } from './signal/state.js';
import { Process, Task, TaskState } from './task-layout.js';

export * from './task-layout.js';

/** Numbers of threads and processes are below this (pid_max's usual value). */
export const PID_MAX = 32768;
const FIRST_PID = 100;

/** All tasks and processes of the machine. */
export const Tasks = struct({
  /** Guards the fields below. A Task found by its tid may be used only while this is held, or the lock of its process. */
  lock: 'i32',
  nextPid: 'i32',
  /** Processes linked by Process.next; the first one made is the machine's program. */
  firstProcess: 'u32',
  mainProcess: 'u32',
  freeTasks: 'u32',
  freeProcesses: 'u32',
  taskCount: 'i32',
  byTid: ['u32', PID_MAX],
});

export function createTasks(memory: Memory): void {
  const tasks = heapAllocate(memory, Tasks.size);
  memory.store32(tasks + Tasks.nextPid, FIRST_PID);
  setRoot(memory, TaskRoot.tasks, tasks);
}

export function tasksPointer(memory: Memory): number {
  return rootPointer(memory, TaskRoot.tasks);
}

/** A new tid; the caller holds Tasks.lock. 0 if all are taken. */
function takeTid(memory: Memory, tasks: number, task: number): number {
  let tid = memory.load32(tasks + Tasks.nextPid);
  for (let tries = 0; tries < PID_MAX; tries++) {
    const slot = tasks + Tasks.byTid + tid * 4;
    const found = tid;
    tid = tid + 1 < PID_MAX ? tid + 1 : FIRST_PID;
    if (memory.load32(slot) === 0) {
      memory.store32(slot, task);
      memory.store32(tasks + Tasks.nextPid, tid);
      return found;
    }
  }
  return 0;
}

/**
 * Makes a thread in state New: all zero, XSAVE image initial with PKRU 0, may run on any CPU, in its process's list.
 * Without a process it makes that too (pid = tid, no mm, no files).
 * @returns its pointer, or 0 if there are too many or the kernel heap is full
 */
export function createTask(memory: Memory, process = 0): number {
  const tasks = tasksPointer(memory);
  return locked(memory, tasks + Tasks.lock, () => createLocked(memory, tasks, process));
}

function createLocked(memory: Memory, tasks: number, process: number): number {
  let task = memory.loadU32(tasks + Tasks.freeTasks);
  let number = 0;
  if (task !== 0) {
    memory.store32(tasks + Tasks.freeTasks, memory.loadU32(task + Task.queueNext));
    // The number of its last sleep stays, so that nobody mistakes the new task for the old one.
    number = Atomics.load(memory.i32, (task + Task.word) >>> 2) & SLEEP_NUMBER_MASK;
    memory.u8.fill(0, task, task + Task.size);
  } else {
    task = heapAllocate(memory, Task.size);
    if (task === 0) return 0;
  }
  const tid = takeTid(memory, tasks, task);
  if (tid === 0) {
    recycle(memory, tasks, task);
    return 0;
  }
  const owner = process === 0 ? createProcess(memory, tasks, tid, task) : process;
  if (owner === 0) {
    memory.store32(tasks + Tasks.byTid + tid * 4, 0);
    recycle(memory, tasks, task);
    return 0;
  }
  Atomics.store(memory.i32, (task + Task.word) >>> 2, number | TaskState.New);
  memory.store32(task + Task.tid, tid);
  memory.store32(task + Task.process, owner);
  memory.store32(task + Task.mm, memory.loadU32(owner + Process.mm));
  memory.store32(task + Task.lastCpu, -1);
  memory.store32(task + Task.affinity, -1);
  memory.store32(task + Task.affinity + 4, -1);
  initImage(memory, task + Task.image, 0);
  memory.store32(tasks + Tasks.taskCount, memory.load32(tasks + Tasks.taskCount) + 1);
  locked(memory, owner + Process.signals + ProcessSignals.lock, () => linkThread(memory, owner, task));
  return task;
}

function createProcess(memory: Memory, tasks: number, pid: number, leader: number): number {
  let process = memory.loadU32(tasks + Tasks.freeProcesses);
  if (process !== 0) {
    memory.store32(tasks + Tasks.freeProcesses, memory.loadU32(process + Process.next));
    memory.u8.fill(0, process, process + Process.size);
  } else {
    process = heapAllocate(memory, Process.size);
    if (process === 0) return 0;
  }
  memory.store32(process + Process.pid, pid);
  memory.store32(process + Process.leader, leader);
  memory.store32(process + Process.next, memory.loadU32(tasks + Tasks.firstProcess));
  memory.store32(tasks + Tasks.firstProcess, process);
  if (memory.load32(tasks + Tasks.mainProcess) === 0) memory.store32(tasks + Tasks.mainProcess, process);
  return process;
}

function linkThread(memory: Memory, process: number, task: number): void {
  // At the end: the list is in the order in which the threads were made.
  let last = memory.loadU32(process + Process.firstThread);
  if (last === 0) {
    memory.store32(process + Process.firstThread, task);
  } else {
    for (let next = last; next !== 0; next = memory.loadU32(last + Task.threadNext)) last = next;
    memory.store32(last + Task.threadNext, task);
    memory.store32(task + Task.threadPrevious, last);
  }
  memory.store32(process + Process.threads, memory.load32(process + Process.threads) + 1);
}

/**
 * Takes a thread that ends out of the tid table and its process's list; nobody finds it any more.
 * @returns the number of threads that the process has left
 */
export function unlinkTask(memory: Memory, task: number): number {
  const tasks = tasksPointer(memory);
  const process = memory.loadU32(task + Task.process);
  return locked(memory, tasks + Tasks.lock, () =>
    locked(memory, process + Process.signals + ProcessSignals.lock, () =>
      unlinkLocked(memory, tasks, process, task),
    ),
  );
}

function unlinkLocked(memory: Memory, tasks: number, process: number, task: number): number {
  const next = memory.loadU32(task + Task.threadNext);
  const previous = memory.loadU32(task + Task.threadPrevious);
  if (previous !== 0) memory.store32(previous + Task.threadNext, next);
  else memory.store32(process + Process.firstThread, next);
  if (next !== 0) memory.store32(next + Task.threadPrevious, previous);
  const left = memory.load32(process + Process.threads) - 1;
  memory.store32(process + Process.threads, left);
  memory.store32(tasks + Tasks.byTid + memory.load32(task + Task.tid) * 4, 0);
  memory.store32(tasks + Tasks.taskCount, memory.load32(tasks + Tasks.taskCount) - 1);
  return left;
}

/** Recycles a task in state Dead that no CPU has loaded (called by the scheduler). */
export function freeTask(memory: Memory, task: number): void {
  const tasks = tasksPointer(memory);
  locked(memory, tasks + Tasks.lock, () => recycle(memory, tasks, task));
}

function recycle(memory: Memory, tasks: number, task: number): void {
  memory.store32(task + Task.queueNext, memory.loadU32(tasks + Tasks.freeTasks));
  memory.store32(tasks + Tasks.freeTasks, task);
}

/**
 * Calls `use` with the task of a tid while Tasks.lock is held.
 * @returns what `use` returns, or `otherwise` if there is no such task
 */
export function withTask<T>(memory: Memory, tid: number, otherwise: T, use: (task: number) => T): T {
  if (!(tid > 0 && tid < PID_MAX)) return otherwise;
  const tasks = tasksPointer(memory);
  return locked(memory, tasks + Tasks.lock, () => {
    const task = memory.loadU32(tasks + Tasks.byTid + tid * 4);
    return task === 0 ? otherwise : use(task);
  });
}

/** The machine's first process, which ends the machine by its own end; 0 before it is made. */
export function mainProcess(memory: Memory): number {
  return memory.loadU32(tasksPointer(memory) + Tasks.mainProcess);
}

/** Calls `visit` for the threads of a process, in the order they were made, until it returns false; the caller holds ProcessSignals.lock. */
export function forEachThread(memory: Memory, process: number, visit: (task: number) => boolean): void {
  for (let task = memory.loadU32(process + Process.firstThread); task !== 0; ) {
    const next = memory.loadU32(task + Task.threadNext);
    if (!visit(task)) return;
    task = next;
  }
}

/** Bits of Task.word that number a task's sleeps; see src/kernel/wait.ts. */
export const SLEEP_NUMBER_SHIFT = 11;
export const SLEEP_NUMBER_MASK = -1 << SLEEP_NUMBER_SHIFT;
