import { CpuState } from '../../cpu/state.js';
import { lock, locked, unlock } from '../../memory/lock.js';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { timerSignalTaken } from '../posix-timers.js';
import { initialPkru } from '../pkeys/abi.js';
import { NO_RESULT, type SyscallTable } from '../syscalls.js';
import { forEachThread, Process, Task, WakeReason, withTask } from '../task.js';
import { readDeadline } from '../timespec.js';
import { sleep } from '../wait.js';
import { getAltStack, setAltStack } from './altstack.js';
import { forcePending } from './deliver.js';
import { leaveHandler } from './frame.js';
import { SigInfo } from './frame-layout.js';
import { entryPool, processSignalsOf, taskSignalsOf, withProcess } from './links.js';
import {
  defaultAction,
  How,
  highHalf,
  NSIG,
  Sa,
  SIG_DFL,
  SIG_IGN,
  Signal,
  SiCode,
  signalBit,
  UNBLOCKABLE,
} from './numbers.js';
import { discard, nextSignal, take } from './pending.js';
import { Restart } from './registers.js';
import { recalculate, sendSignal, setBlocked, writeInfo } from './send.js';
import { actionPointer, Pending, ProcessSignals, SIGINFO_KEPT, SigAction, TaskSignals } from './state.js';

/** System calls about signals (kernel/signal.c). Errors are those of the manual pages, in the kernel's order. */

const SIGSET_BYTES = 8;
const STACK_T_BYTES = 24;
const SIGINFO_USER_BYTES = 128;

/** Flags that exist (UAPI_SA_FLAGS); others are dropped, which is how programs find out. */
const KNOWN_FLAGS =
  Sa.NOCLDSTOP |
  Sa.NOCLDWAIT |
  Sa.SIGINFO |
  Sa.ONSTACK |
  Sa.RESTART |
  Sa.NODEFER |
  Sa.RESETHAND |
  Sa.RESTORER;

/** Where arguments that come from user memory are put: the CPU's scratch area, free during a system call. */
const scratchOf = (k: KernelCpu) => k.cpu.base + CpuState.scratch;
const signalsOf = (k: KernelCpu) => taskSignalsOf(k.task);
const sharedOf = (k: KernelCpu) => processSignalsOf(k.process);

function rtSigaction(k: KernelCpu, signal: number, act: number, old: number, size: number): number {
  if (size !== SIGSET_BYTES) return -Errno.EINVAL;
  const { memory } = k;
  const scratch = scratchOf(k);
  if (act !== 0 && !k.user.copyIn(scratch, act, SigAction.size)) return -Errno.EFAULT;
  if (signal < 1 || signal > NSIG) return -Errno.EINVAL;
  if (act !== 0 && (signal === Signal.KILL || signal === Signal.STOP)) return -Errno.EINVAL;
  const shared = sharedOf(k);
  const action = actionPointer(shared, signal);
  const saved = scratch + SigAction.size;
  locked(memory, shared + ProcessSignals.lock, () => {
    memory.u8.copyWithin(saved, action, action + SigAction.size);
    if (act !== 0) {
      memory.u8.copyWithin(action, scratch, scratch + SigAction.size);
      memory.store32(action + SigAction.flags, memory.load32(action + SigAction.flags) & KNOWN_FLAGS);
      memory.store32(action + SigAction.flags + 4, 0);
      memory.store32(action + SigAction.mask, memory.load32(action + SigAction.mask) & ~UNBLOCKABLE);
      const handler = memory.loadNumber(action + SigAction.handler);
      if (handler === SIG_IGN || (handler === SIG_DFL && defaultAction(signal) === 'ignore')) {
        discardEverywhere(k, signal);
      }
    }
  });
  return old === 0 || k.user.copyOut(old, saved, SigAction.size) ? 0 : -Errno.EFAULT;
}

/** POSIX: setting a signal to be ignored discards what is pending of it, blocked or not. The caller holds the lock. */
function discardEverywhere(k: KernelCpu, signal: number): void {
  const { memory } = k;
  const shared = sharedOf(k);
  const pool = entryPool(memory, shared);
  const low = highHalf(signal) ? 0 : signalBit(signal);
  const high = highHalf(signal) ? signalBit(signal) : 0;
  discard(memory, pool, shared + ProcessSignals.pending, low, high);
  forEachThread(memory, k.process, (thread) => {
    discard(memory, pool, taskSignalsOf(thread) + TaskSignals.pending, low, high);
    return true;
  });
}

function rtSigprocmask(k: KernelCpu, how: number, set: number, old: number, size: number): number {
  if (size !== SIGSET_BYTES) return -Errno.EINVAL;
  const { memory } = k;
  const scratch = scratchOf(k);
  const blocked = signalsOf(k) + TaskSignals.blocked;
  const low = memory.load32(blocked);
  const high = memory.load32(blocked + 4);
  if (set !== 0) {
    if (!k.user.copyIn(scratch, set, SIGSET_BYTES)) return -Errno.EFAULT;
    const newLow = memory.load32(scratch);
    const newHigh = memory.load32(scratch + 4);
    if (how === How.BLOCK) setBlocked(memory, k.task, low | newLow, high | newHigh);
    else if (how === How.UNBLOCK) setBlocked(memory, k.task, low & ~newLow, high & ~newHigh);
    else if (how === How.SETMASK) setBlocked(memory, k.task, newLow, newHigh);
    else return -Errno.EINVAL;
  }
  if (old === 0) return 0;
  memory.store32(scratch, low);
  memory.store32(scratch + 4, high);
  return k.user.copyOut(old, scratch, SIGSET_BYTES) ? 0 : -Errno.EFAULT;
}

function rtSigpending(k: KernelCpu, set: number, size: number): number {
  if (size > SIGSET_BYTES) return -Errno.EINVAL;
  const { memory } = k;
  const signals = signalsOf(k);
  const shared = sharedOf(k);
  const scratch = scratchOf(k);
  locked(memory, shared + ProcessSignals.lock, () => {
    for (const half of [0, 4]) {
      const pending =
        memory.load32(signals + TaskSignals.pending + Pending.set + half) |
        memory.load32(shared + ProcessSignals.pending + Pending.set + half);
      memory.store32(scratch + half, pending & memory.load32(signals + TaskSignals.blocked + half));
    }
  });
  return k.user.copyOut(set, scratch, size) ? 0 : -Errno.EFAULT;
}

/** Sleeps until a signal is delivered; ends by ERESTARTNOHAND, which no handler turns into the call again. */
function waitForSignal(k: KernelCpu): number {
  if (k.wakeReason === WakeReason.signal) return -Restart.ERESTARTNOHAND;
  return sleep(k, Number.POSITIVE_INFINITY);
}

function rtSigsuspend(k: KernelCpu, set: number, size: number): number {
  if (k.wakeReason === WakeReason.none) {
    if (size !== SIGSET_BYTES) return -Errno.EINVAL;
    const { memory } = k;
    const scratch = scratchOf(k);
    const signals = signalsOf(k);
    if (!k.user.copyIn(scratch, set, SIGSET_BYTES)) return -Errno.EFAULT;
    memory.store32(signals + TaskSignals.saved, memory.load32(signals + TaskSignals.blocked));
    memory.store32(signals + TaskSignals.saved + 4, memory.load32(signals + TaskSignals.blocked + 4));
    memory.store32(signals + TaskSignals.restoreSaved, 1);
    setBlocked(memory, k.task, memory.load32(scratch), memory.load32(scratch + 4));
  }
  return waitForSignal(k);
}

/**
 * rt_sigtimedwait. While the thread sleeps, TaskSignals.waiting makes senders choose and wake it although it blocks the
 * signals; it takes the signal itself.
 */
function rtSigtimedwait(k: KernelCpu, set: number, info: number, timeout: number, size: number): number {
  if (size !== SIGSET_BYTES) return -Errno.EINVAL;
  const { memory } = k;
  const scratch = scratchOf(k);
  const signals = signalsOf(k);
  const shared = sharedOf(k);
  if (!k.user.copyIn(scratch, set, SIGSET_BYTES)) return -Errno.EFAULT;
  const low = memory.load32(scratch) & ~UNBLOCKABLE;
  const high = memory.load32(scratch + 4);
  const deadline = k.wakeReason === WakeReason.none ? readDeadline(k, timeout) : k.deadline;
  if (deadline < 0) return deadline;

  lock(memory, shared + ProcessSignals.lock);
  const pool = entryPool(memory, shared);
  let pending = signals + TaskSignals.pending;
  let signal = nextSignal(memory, pending, ~low, ~high);
  if (signal === 0) {
    pending = shared + ProcessSignals.pending;
    signal = nextSignal(memory, pending, ~low, ~high);
  }
  if (signal !== 0) {
    take(memory, pool, pending, signal, scratch);
    timerSignalTaken(k, scratch);
  }
  const waits = signal === 0 && k.wakeReason !== WakeReason.signal && k.now() < deadline;
  const waiting = signals + TaskSignals.waiting;
  memory.store32(waiting, waits ? low : 0);
  memory.store32(waiting + 4, waits ? high : 0);
  recalculate(memory, signals, shared);
  unlock(memory, shared + ProcessSignals.lock);

  if (waits) return sleep(k, deadline);
  if (signal === 0) return k.wakeReason === WakeReason.signal ? -Errno.EINTR : -Errno.EAGAIN;
  if (info !== 0) {
    memory.u8.fill(0, scratch + SIGINFO_KEPT, scratch + SIGINFO_USER_BYTES);
    if (!k.user.copyOut(info, scratch, SIGINFO_USER_BYTES)) return -Errno.EFAULT;
  }
  return signal;
}

/** Sends to a process (task 0) or thread with the caller as sender; signal 0 only checks. */
function sendFrom(k: KernelCpu, process: number, task: number, signal: number, code: number): number {
  if (signal === 0) return 0;
  const info = scratchOf(k);
  const { memory } = k;
  writeInfo(memory, info, { signo: signal, code, pid: k.pid, uid: memory.load32(k.process + Process.uid) });
  return sendSignal(memory, process, task, signal, info);
}

const validSignal = (signal: number) => signal >= 0 && signal <= NSIG;

function kill(k: KernelCpu, pid: number, signal: number): number {
  if (!validSignal(signal)) return -Errno.EINVAL;
  const { memory } = k;
  if (pid > 0) {
    return withProcess(memory, pid, -Errno.ESRCH, (process) => sendFrom(k, process, 0, signal, SiCode.USER));
  }
  // 0 is the caller's group and -n group n; a process is a group of its own so far. -1 is everyone but the caller.
  if (pid === 0 || -pid === k.pid) return sendFrom(k, k.process, 0, signal, SiCode.USER);
  return -Errno.ESRCH;
}

/** @param tgid the process that the thread must belong to, −1 for any */
function sendToThread(k: KernelCpu, tgid: number, tid: number, signal: number): number {
  if (tid <= 0) return -Errno.EINVAL;
  const { memory } = k;
  return withTask(memory, tid, -Errno.ESRCH, (task) => {
    const process = memory.loadU32(task + Task.process);
    if (tgid !== -1 && memory.load32(process + Process.pid) !== tgid) return -Errno.ESRCH;
    return validSignal(signal) ? sendFrom(k, process, task, signal, SiCode.TKILL) : -Errno.EINVAL;
  });
}

function tkill(k: KernelCpu, tid: number, signal: number): number {
  return sendToThread(k, -1, tid, signal);
}

function tgkill(k: KernelCpu, tgid: number, tid: number, signal: number): number {
  return tgid <= 0 ? -Errno.EINVAL : sendToThread(k, tgid, tid, signal);
}

/** Reads a siginfo that the caller made up into the scratch area; only to itself may it send any si_code. */
function readUserInfo(k: KernelCpu, toSelf: boolean, signal: number, info: number): number {
  const scratch = scratchOf(k);
  if (!k.user.copyIn(scratch, info, SIGINFO_USER_BYTES)) return -Errno.EFAULT;
  const code = k.memory.load32(scratch + SigInfo.code);
  if ((code >= 0 || code === SiCode.TKILL) && !toSelf) return -Errno.EPERM;
  k.memory.store32(scratch + SigInfo.signo, signal);
  return 0;
}

function rtSigqueueinfo(k: KernelCpu, pid: number, signal: number, info: number): number {
  const error = readUserInfo(k, pid === k.pid, signal, info);
  if (error !== 0) return error;
  return withProcess(k.memory, pid, -Errno.ESRCH, (process) => {
    if (!validSignal(signal)) return -Errno.EINVAL;
    return signal === 0 ? 0 : sendSignal(k.memory, process, 0, signal, scratchOf(k));
  });
}

function rtTgsigqueueinfo(k: KernelCpu, tgid: number, tid: number, signal: number, info: number): number {
  if (tgid <= 0 || tid <= 0) return -Errno.EINVAL;
  const error = readUserInfo(k, tid === k.tid, signal, info);
  if (error !== 0) return error;
  const { memory } = k;
  return withTask(memory, tid, -Errno.ESRCH, (task) => {
    const process = memory.loadU32(task + Task.process);
    if (memory.load32(process + Process.pid) !== tgid) return -Errno.ESRCH;
    if (!validSignal(signal)) return -Errno.EINVAL;
    return signal === 0 ? 0 : sendSignal(memory, process, task, signal, scratchOf(k));
  });
}

function sigaltstack(k: KernelCpu, stack: number, old: number): number {
  const { memory } = k;
  const scratch = scratchOf(k);
  const signals = signalsOf(k);
  const before = getAltStack(memory, signals, k.stackPointer);
  if (stack !== 0) {
    if (!k.user.copyIn(scratch, stack, STACK_T_BYTES)) return -Errno.EFAULT;
    const wanted = {
      pointer: memory.loadNumber(scratch),
      flags: memory.loadU32(scratch + 8),
      size: memory.loadNumber(scratch + 16),
    };
    const error = setAltStack(memory, signals, wanted, k.stackPointer);
    if (error !== 0) return error;
  }
  if (old === 0) return 0;
  memory.storeNumber(scratch, before.pointer);
  memory.store32(scratch + 8, before.flags);
  memory.store32(scratch + 12, 0);
  memory.storeNumber(scratch + 16, before.size);
  return k.user.copyOut(old, scratch, STACK_T_BYTES) ? 0 : -Errno.EFAULT;
}

/** Registers come from the frame, RAX too. */
function rtSigreturn(k: KernelCpu): number {
  const { memory } = k;
  const result = leaveHandler(k.cpu, k.user, initialPkru(k), (low, high) =>
    setBlocked(memory, k.task, low, high),
  );
  if (result === null) {
    forcePending(k, Signal.SEGV);
    return 0;
  }
  const stack = { pointer: result.stackPointer, flags: result.stackFlags, size: result.stackSize };
  setAltStack(memory, signalsOf(k), stack, k.stackPointer);
  return NO_RESULT;
}

export const signalSyscalls: SyscallTable = {
  13: { name: 'rt_sigaction', handler: rtSigaction, args: 'dppz' },
  14: { name: 'rt_sigprocmask', handler: rtSigprocmask, args: 'dppz' },
  15: { name: 'rt_sigreturn', handler: rtSigreturn, args: '' },
  34: { name: 'pause', handler: waitForSignal, args: '' },
  62: { name: 'kill', handler: kill, args: 'dd' },
  127: { name: 'rt_sigpending', handler: rtSigpending, args: 'pz' },
  128: { name: 'rt_sigtimedwait', handler: rtSigtimedwait, args: 'pppz' },
  129: { name: 'rt_sigqueueinfo', handler: rtSigqueueinfo, args: 'ddp' },
  130: { name: 'rt_sigsuspend', handler: rtSigsuspend, args: 'pz' },
  131: { name: 'sigaltstack', handler: sigaltstack, args: 'pp' },
  200: { name: 'tkill', handler: tkill, args: 'dd' },
  234: { name: 'tgkill', handler: tgkill, args: 'ddd' },
  297: { name: 'rt_tgsigqueueinfo', handler: rtTgsigqueueinfo, args: 'dddp' },
};
