import { CpuState, Gpr, Segment } from '../cpu/state.js';
import { saveImage, setImagePkru } from '../cpu/xsave.js';
import { locked } from '../memory/lock.js';
import { hasMutant, Mutant } from '../memory/mutants.js';
import { Errno } from './errno.js';
import type { KernelCpu } from './kernel-cpu.js';
import { childPkeys } from './pkeys/lifetime.js';
import { resetAltStack } from './signal/frame.js';
import { processSignalsOf, taskSignalsOf } from './signal/links.js';
import { setBlockedLocked } from './signal/send.js';
import { ProcessSignals, TaskSignals } from './signal/state.js';
import type { SyscallTable } from './syscalls.js';
import { createTask, Process, Task } from './task.js';
import { wakeNew } from './wait.js';

/** Threads: clone, clone3 and the calls that say who is who (kernel/fork.c, kernel/sys.c). */

/** CLONE_* (include/uapi/linux/sched.h). */
export const Clone = {
  VM: 0x100,
  FS: 0x200,
  FILES: 0x400,
  SIGHAND: 0x800,
  PIDFD: 0x1000,
  VFORK: 0x4000,
  PARENT: 0x8000,
  THREAD: 0x1_0000,
  NEWNS: 0x2_0000,
  SYSVSEM: 0x4_0000,
  SETTLS: 0x8_0000,
  PARENT_SETTID: 0x10_0000,
  CHILD_CLEARTID: 0x20_0000,
  CHILD_SETTID: 0x100_0000,
} as const;

/** Flags that make a new namespace, or put the child into a cgroup: not offered. */
const NAMESPACES = Clone.NEWNS | 0x7e00_0080;
/** The low byte of clone's flags is the signal for the parent, not a flag. */
const CSIGNAL = 0xff;
const TASK_SIZE = 0x7fff_ffff_f000;

/** What clone and clone3 are asked for. */
interface Request {
  flags: number;
  /** New RSP; 0 keeps the caller's. */
  stack: number | bigint;
  parentTid: number;
  childTid: number;
  tls: number;
}

/**
 * Makes a thread that returns from the same call with 0.
 * @returns its tid or −errno
 */
function makeThread(k: KernelCpu, request: Request): number {
  const { flags } = request;
  const { memory, cpu } = k;
  if (flags & Clone.THREAD && !(flags & Clone.SIGHAND)) return -Errno.EINVAL;
  if (flags & Clone.SIGHAND && !(flags & Clone.VM)) return -Errno.EINVAL;
  if (flags & NAMESPACES) return -Errno.EPERM;
  if (!(flags & Clone.THREAD)) return makeProcess();
  if (flags & Clone.PIDFD) return -Errno.EINVAL;
  if (flags & Clone.SETTLS && request.tls >= TASK_SIZE) return -Errno.EPERM;
  // A thread shares files and directory with its process here; one that wants its own would need a table of its own.
  const sharing = Clone.FS | Clone.FILES;
  if ((flags & sharing) !== sharing) return -Errno.ENOSYS;

  const task = createTask(memory, k.process);
  if (task === 0) return -Errno.EAGAIN;
  const tid = memory.load32(task + Task.tid);
  copyRegisters(k, task, request);
  copySignalState(k, task);
  memory.u8.copyWithin(task + Task.comm, k.task + Task.comm, k.task + Task.comm + 16);
  memory.u8.copyWithin(task + Task.affinity, k.task + Task.affinity, k.task + Task.affinity + 8);
  for (const field of [Task.policy, Task.priority, Task.nice]) {
    memory.store32(task + field, memory.load32(k.task + field));
  }
  childPkeys(k, task);
  if (flags & Clone.CHILD_CLEARTID) memory.storeNumber(task + Task.clearChildTid, request.childTid);
  const scratch = cpu.base + CpuState.scratch;
  memory.store32(scratch, tid);
  // As on Linux a place that cannot be written is no error; parent and child have one memory.
  if (flags & Clone.PARENT_SETTID) k.user.copyOut(request.parentTid, scratch, 4);
  if (flags & Clone.CHILD_SETTID) k.user.copyOut(request.childTid, scratch, 4);
  wakeNew(memory, task);
  k.othersNeeded();
  return tid;
}

/** fork, vfork, posix_spawn: a process of its own. Not offered yet; address spaces would have to be copied or shared. */
function makeProcess(): number {
  return -Errno.ENOSYS;
}

function copyRegisters(k: KernelCpu, task: number, request: Request): void {
  const { memory, cpu } = k;
  const { base } = cpu;
  const registers = task + Task.registers - CpuState.gpr;
  memory.u8.copyWithin(task + Task.registers, base + CpuState.gpr, base + CpuState.ccDst);
  memory.storeNumber(registers + CpuState.gpr + Gpr.rax * 8, 0);
  if (request.stack !== 0) memory.storeExact(registers + CpuState.gpr + Gpr.rsp * 8, request.stack);
  if (request.flags & Clone.SETTLS) {
    memory.storeNumber(registers + CpuState.fsBase, request.tls);
    memory.u16[(registers + CpuState.selectors + 2 * Segment.FS) >>> 1] = 0;
  }
  memory.store32(task + Task.rflags, cpu.rflags);
  saveImage(cpu, task + Task.image);
  if (hasMutant(memory, Mutant.cloneWithoutInheritance)) setImagePkru(memory, task + Task.image, 0);
}

/** The mask is inherited; pending signals are not, nor the alternate stack, which two threads could not use at once. */
function copySignalState(k: KernelCpu, task: number): void {
  const { memory } = k;
  const from = taskSignalsOf(k.task);
  const to = taskSignalsOf(task);
  const word = processSignalsOf(k.process) + ProcessSignals.lock;
  const blocked = from + TaskSignals.blocked;
  locked(memory, word, () => {
    // The thread is in its process's list already and may have been chosen for a signal that it blocks from here on.
    setBlockedLocked(memory, task, memory.load32(blocked), memory.load32(blocked + 4));
    // The process's stop, or a signal to it, may be waiting for a thread: the new one looks first.
    memory.store32(to + TaskSignals.notify, 1);
  });
  resetAltStack(memory, to);
}

function clone(
  k: KernelCpu,
  flags: number,
  stack: number,
  parentTid: number,
  childTid: number,
  tls: number,
): number {
  return makeThread(k, {
    flags: flags & ~CSIGNAL & 0x7fff_ffff,
    // Whatever it is, the thread begins with it.
    stack: Number.isSafeInteger(stack) ? stack : k.memory.loadExact(k.cpu.base + CpuState.gpr + Gpr.rsi * 8),
    parentTid,
    childTid,
    tls,
  });
}

/** struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, then set_tid … cgroup. */
const CLONE_ARGS_MIN = 64;
const CLONE_ARGS_BYTES = 88;
const PAGE = 4096;

function clone3(k: KernelCpu, address: number, size: number): number {
  if (size > PAGE) return -Errno.E2BIG;
  if (size < CLONE_ARGS_MIN) return -Errno.EINVAL;
  const { memory } = k;
  const scratch = k.cpu.base + CpuState.scratch;
  memory.u8.fill(0, scratch, scratch + CLONE_ARGS_BYTES);
  if (!k.user.copyIn(scratch, address, Math.min(size, CLONE_ARGS_BYTES))) return -Errno.EFAULT;
  const word = (i: number) => memory.loadNumber(scratch + 8 * i);
  const [flags, , childTid, parentTid, exitSignal, stack, stackSize, tls] = [0, 1, 2, 3, 4, 5, 6, 7].map(
    word,
  );
  const setTidSize = word(9);
  // Fields beyond those known must be 0.
  for (let at = CLONE_ARGS_BYTES; at < size; at += 512) {
    const piece = Math.min(512, size - at);
    if (!k.user.copyIn(scratch, address + at, piece)) return -Errno.EFAULT;
    if (memory.u8.subarray(scratch, scratch + piece).some((byte) => byte !== 0)) return -Errno.E2BIG;
  }
  if (flags >= 2 ** 34 || exitSignal > 64 || flags % 256 !== 0 || setTidSize !== 0) return -Errno.EINVAL;
  // Bits 32 (CLEAR_SIGHAND) and 33 (INTO_CGROUP) are for processes.
  if (flags >= 2 ** 32) return -Errno.EINVAL;
  if (flags & (Clone.THREAD | Clone.PARENT) && exitSignal !== 0) return -Errno.EINVAL;
  if ((stack === 0) !== (stackSize === 0)) return -Errno.EINVAL;
  if (stack + stackSize > TASK_SIZE) return -Errno.EINVAL;
  return makeThread(k, { flags: flags & 0x7fff_ffff, stack: stack + stackSize, parentTid, childTid, tls });
}

function setTidAddress(k: KernelCpu, address: number): number {
  k.memory.storeNumber(k.task + Task.clearChildTid, address);
  return k.tid;
}

/** The pid of the process that made this one; 1 for the machine's program, whose maker is outside. */
function parentPid(k: KernelCpu): number {
  const parent = k.memory.loadU32(k.process + Process.parent);
  return parent === 0 ? 1 : k.memory.load32(parent + Process.pid);
}

/** Groups and sessions: each process is the leader of its own, as a shell starts it. */
function ofProcess(k: KernelCpu, pid: number): number {
  return pid === 0 || pid === k.pid ? k.pid : -Errno.ESRCH;
}

function setpgid(k: KernelCpu, pid: number, group: number): number {
  if (group < 0) return -Errno.EINVAL;
  if (pid !== 0 && pid !== k.pid) return -Errno.ESRCH;
  // A session's leader cannot change its group.
  return -Errno.EPERM;
}

export const cloneSyscalls: SyscallTable = {
  39: { name: 'getpid', handler: (k) => k.pid, args: '' },
  56: { name: 'clone', handler: clone, args: 'xpppx' },
  57: { name: 'fork', handler: makeProcess, args: '' },
  58: { name: 'vfork', handler: makeProcess, args: '' },
  109: { name: 'setpgid', handler: setpgid, args: 'dd' },
  110: { name: 'getppid', handler: parentPid, args: '' },
  111: { name: 'getpgrp', handler: (k) => k.pid, args: '' },
  112: { name: 'setsid', handler: () => -Errno.EPERM, args: '' },
  121: { name: 'getpgid', handler: ofProcess, args: 'd' },
  124: { name: 'getsid', handler: ofProcess, args: 'd' },
  186: { name: 'gettid', handler: (k) => k.tid, args: '' },
  218: { name: 'set_tid_address', handler: setTidAddress, args: 'p' },
  435: { name: 'clone3', handler: clone3, args: 'pz' },
};
