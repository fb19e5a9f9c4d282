import { CpuMode, CpuState, cpuPointer, Interrupt } from '../cpu/state.js';
import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import { waitForCpu } from '../mmu/shootdown.js';
import { Errno } from './errno.js';
import type { KernelCpu } from './kernel-cpu.js';
import { interruptCpu, RunQueue, runQueue } from './run-queue.js';
import { processSignalsOf } from './signal/links.js';
import { ProcessSignals } from './signal/state.js';
import type { SyscallTable } from './syscalls.js';
import { Task, TaskState, withTask } from './task.js';
import { cpuOf, loadWord, stateOf } from './wait.js';

/** System calls about scheduling (kernel/sched). All threads are scheduled alike; policies and priorities are only kept. */

/** Gives the CPU to another thread if one waits for it. */
function schedYield(k: KernelCpu): number {
  const ready = Atomics.load(k.memory.i32, (runQueue(k.memory) + RunQueue.ready) >>> 2);
  if (ready > 0) interruptCpu(k.memory, k.cpu.id, Interrupt.reschedule);
  return 0;
}

/** Calls `use` with the task of a tid, 0 being the caller. */
function onTask(k: KernelCpu, tid: number, use: (task: number) => number): number {
  if (tid < 0) return -Errno.EINVAL;
  return tid === 0 ? use(k.task) : withTask(k.memory, tid, -Errno.ESRCH, use);
}

/** Bytes of the kernel's CPU mask: one long holds all CPUs that a machine can have. */
const MASK_BYTES = 8;

/** The CPUs that there are, as two 32-bit halves. */
function onlineMask(memory: Memory): [number, number] {
  const count = memory.load32(MACHINE + Machine.cpuCount);
  const half = (bits: number) => (bits <= 0 ? 0 : bits >= 32 ? -1 : (1 << bits) - 1);
  return [half(count), half(count - 32)];
}

function setAffinity(k: KernelCpu, tid: number, length: number, address: number): number {
  const { memory } = k;
  const scratch = k.cpu.base + CpuState.scratch;
  memory.storeNumber(scratch, 0);
  if (!k.user.copyIn(scratch, address, Math.min(length, MASK_BYTES))) return -Errno.EFAULT;
  const [low, high] = onlineMask(memory);
  const wanted = [memory.load32(scratch) & low, memory.load32(scratch + 4) & high];
  return onTask(k, tid, (task) => {
    if ((wanted[0] | wanted[1]) === 0) return -Errno.EINVAL;
    memory.store32(task + Task.affinity, wanted[0]);
    memory.store32(task + Task.affinity + 4, wanted[1]);
    // The others may not have been started.
    if ((wanted[0] & 1) === 0) k.othersNeeded();
    // Where it may not be any more it leaves at once.
    const word = loadWord(memory, task);
    const cpu = cpuOf(word);
    if (stateOf(word) === TaskState.Running && !((wanted[cpu >> 5] >>> (cpu & 31)) & 1)) {
      interruptCpu(memory, cpu, Interrupt.reschedule);
    }
    return 0;
  });
}

function getAffinity(k: KernelCpu, tid: number, length: number, address: number): number {
  const { memory } = k;
  if (length * 8 < memory.load32(MACHINE + Machine.cpuCount) || length % 8 !== 0) return -Errno.EINVAL;
  const scratch = k.cpu.base + CpuState.scratch;
  const [low, high] = onlineMask(memory);
  const found = onTask(k, tid, (task) => {
    memory.store32(scratch, memory.load32(task + Task.affinity) & low);
    memory.store32(scratch + 4, memory.load32(task + Task.affinity + 4) & high);
    return 0;
  });
  if (found !== 0) return found;
  return k.user.copyOut(address, scratch, MASK_BYTES) ? MASK_BYTES : -Errno.EFAULT;
}

/** One node; the third argument (a cache) has not been used since Linux 2.6.24. */
function getcpu(k: KernelCpu, cpu: number, node: number): number {
  const { memory } = k;
  const scratch = k.cpu.base + CpuState.scratch;
  memory.store32(scratch, k.cpu.id);
  memory.store32(scratch + 4, 0);
  if (cpu !== 0 && !k.user.copyOut(cpu, scratch, 4)) return -Errno.EFAULT;
  return node === 0 || k.user.copyOut(node, scratch + 4, 4) ? 0 : -Errno.EFAULT;
}

const Policy = { OTHER: 0, FIFO: 1, RR: 2, BATCH: 3, IDLE: 5 } as const;
const RESET_ON_FORK = 0x4000_0000;

/** Static priorities of a policy, [least, greatest]; null if there is no such policy. */
function priorities(policy: number): readonly [number, number] | null {
  if (policy === Policy.FIFO || policy === Policy.RR) return [1, 99];
  return policy === Policy.OTHER || policy === Policy.BATCH || policy === Policy.IDLE ? [0, 0] : null;
}

function getPriorityBound(policy: number, which: 0 | 1): number {
  return priorities(policy)?.[which] ?? -Errno.EINVAL;
}

function getScheduler(k: KernelCpu, tid: number): number {
  return onTask(k, tid, (task) => k.memory.load32(task + Task.policy));
}

function getParam(k: KernelCpu, tid: number, address: number): number {
  if (address === 0) return -Errno.EINVAL;
  const scratch = k.cpu.base + CpuState.scratch;
  const found = onTask(k, tid, (task) => {
    k.memory.store32(scratch, k.memory.load32(task + Task.priority));
    return 0;
  });
  if (found !== 0) return found;
  return k.user.copyOut(address, scratch, 4) ? 0 : -Errno.EFAULT;
}

/** @param policy null keeps the thread's */
function setSchedulerTo(k: KernelCpu, tid: number, policy: number | null, address: number): number {
  if (address === 0 || tid < 0) return -Errno.EINVAL;
  const { memory } = k;
  const scratch = k.cpu.base + CpuState.scratch;
  if (!k.user.copyIn(scratch, address, 4)) return -Errno.EFAULT;
  const priority = memory.load32(scratch);
  return onTask(k, tid, (task) => {
    const chosen = policy === null ? memory.load32(task + Task.policy) : policy & ~RESET_ON_FORK;
    const range = priorities(chosen);
    if (range === null || priority < range[0] || priority > range[1]) return -Errno.EINVAL;
    memory.store32(task + Task.policy, chosen);
    memory.store32(task + Task.priority, priority);
    return 0;
  });
}

function setScheduler(k: KernelCpu, tid: number, policy: number, address: number): number {
  return policy < 0 ? -Errno.EINVAL : setSchedulerTo(k, tid, policy, address);
}

function setParam(k: KernelCpu, tid: number, address: number): number {
  return setSchedulerTo(k, tid, null, address);
}

function rrGetInterval(k: KernelCpu, tid: number, address: number): number {
  const { memory } = k;
  const policy = getScheduler(k, tid);
  if (policy < 0) return policy;
  const scratch = k.cpu.base + CpuState.scratch;
  memory.storeNumber(scratch, 0);
  memory.storeNumber(scratch + 8, policy === Policy.FIFO ? 0 : TIME_SLICE_NS);
  return k.user.copyOut(address, scratch, 16) ? 0 : -Errno.EFAULT;
}

/** What sched_rr_get_interval reports; Linux's for round robin is 100 ms. */
const TIME_SLICE_NS = 100e6;

const PRIO_PROCESS = 0;
const PRIO_USER = 2;

/** The nice value as the call has it: 20 − nice, so that it is never negative. */
function getPriority(k: KernelCpu, which: number, who: number): number {
  if (which < PRIO_PROCESS || which > PRIO_USER) return -Errno.EINVAL;
  if (which !== PRIO_PROCESS) who = 0;
  return onTask(k, who, (task) => 20 - k.memory.load32(task + Task.nice));
}

function setPriority(k: KernelCpu, which: number, who: number, nice: number): number {
  if (which < PRIO_PROCESS || which > PRIO_USER) return -Errno.EINVAL;
  if (which !== PRIO_PROCESS) who = 0;
  return onTask(k, who, (task) => {
    k.memory.store32(task + Task.nice, Math.max(-20, Math.min(19, nice)));
    return 0;
  });
}

/** Commands of membarrier(2). */
const Membarrier = {
  QUERY: 0,
  GLOBAL: 1,
  GLOBAL_EXPEDITED: 2,
  REGISTER_GLOBAL_EXPEDITED: 4,
  PRIVATE_EXPEDITED: 8,
  REGISTER_PRIVATE_EXPEDITED: 16,
  PRIVATE_EXPEDITED_SYNC_CORE: 32,
  REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: 64,
} as const;
const MEMBARRIER_COMMANDS = 0x7f;
const MEMBARRIER_REGISTRATIONS =
  Membarrier.REGISTER_GLOBAL_EXPEDITED |
  Membarrier.REGISTER_PRIVATE_EXPEDITED |
  Membarrier.REGISTER_PRIVATE_EXPEDITED_SYNC_CORE;

/** Looks before parking. */
const BARRIER_SPINS = 1000;

/**
 * Makes every other CPU that runs guest code of this mm execute a sequentially consistent atomic: it takes Interrupt.flush by an
 * atomic exchange, or leaves mode `user` by an atomic store. A CPU that enters `user` later has done both stores and
 * loads of `mode` and `interrupt` after ours. Whoever leaves `user` wakes those who wait for it (src/mmu/shootdown.ts).
 */
function barrier(k: KernelCpu): void {
  const { memory } = k;
  const { i32 } = memory;
  const targets: number[] = [];
  for (let id = 0; id < memory.load32(MACHINE + Machine.cpuCount); id++) {
    const cpu = cpuPointer(id);
    if (id === k.cpu.id || Atomics.load(i32, (cpu + CpuState.mm) >>> 2) !== k.mm) continue;
    Atomics.or(i32, (cpu + CpuState.interrupt) >>> 2, Interrupt.flush | Interrupt.any);
    targets.push(cpu);
  }
  for (const cpu of targets) {
    waitForCpu(memory, cpu, BARRIER_SPINS, () => {
      if (Atomics.load(i32, (cpu + CpuState.mode) >>> 2) !== CpuMode.user) return true;
      return (Atomics.load(i32, (cpu + CpuState.interrupt) >>> 2) & Interrupt.flush) === 0;
    });
  }
}

/**
 * A memory barrier on every CPU that runs this process: see `barrier`. (Code is coherent anyway, so the SYNC_CORE commands need nothing more.)
 */
function membarrier(k: KernelCpu, command: number, flags: number): number {
  if (flags !== 0) return -Errno.EINVAL;
  if (command === Membarrier.QUERY) return MEMBARRIER_COMMANDS;
  const { memory } = k;
  const registrations = (processSignalsOf(k.process) + ProcessSignals.registrations) >>> 2;
  if (MEMBARRIER_REGISTRATIONS & command && (command & (command - 1)) === 0) {
    Atomics.or(memory.i32, registrations, command);
    return 0;
  }
  switch (command) {
    case Membarrier.PRIVATE_EXPEDITED:
    case Membarrier.PRIVATE_EXPEDITED_SYNC_CORE:
      // The command's registration is the next bit.
      if (!(Atomics.load(memory.i32, registrations) & (command << 1))) return -Errno.EPERM;
      break;
    case Membarrier.GLOBAL:
    case Membarrier.GLOBAL_EXPEDITED:
      break;
    default:
      return -Errno.EINVAL;
  }
  barrier(k);
  return 0;
}

export const schedSyscalls: SyscallTable = {
  24: { name: 'sched_yield', handler: schedYield, args: '' },
  140: { name: 'getpriority', handler: getPriority, args: 'dd' },
  141: { name: 'setpriority', handler: setPriority, args: 'ddd' },
  142: { name: 'sched_setparam', handler: setParam, args: 'dp' },
  143: { name: 'sched_getparam', handler: getParam, args: 'dp' },
  144: { name: 'sched_setscheduler', handler: setScheduler, args: 'ddp' },
  145: { name: 'sched_getscheduler', handler: getScheduler, args: 'd' },
  146: { name: 'sched_get_priority_max', handler: (_k, policy) => getPriorityBound(policy, 1), args: 'd' },
  147: { name: 'sched_get_priority_min', handler: (_k, policy) => getPriorityBound(policy, 0), args: 'd' },
  148: { name: 'sched_rr_get_interval', handler: rrGetInterval, args: 'dp' },
  203: { name: 'sched_setaffinity', handler: setAffinity, args: 'dup' },
  204: { name: 'sched_getaffinity', handler: getAffinity, args: 'dup' },
  309: { name: 'getcpu', handler: getcpu, args: 'ppp' },
  324: { name: 'membarrier', handler: membarrier, args: 'ddd' },
  // Restartable sequences are not offered: glibc goes on without them.
  334: { name: 'rseq', handler: () => -Errno.ENOSYS, args: 'pudu' },
};
