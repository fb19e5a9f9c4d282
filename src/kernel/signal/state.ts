import type { Memory } from '../../memory/memory.js';
import { struct } from '../../memory/struct.js';
import { NSIG } from './numbers.js';

/**
 * Signal state in shared memory: one ProcessSignals for all threads of a process, one TaskSignals for each.
 *
 * ProcessSignals.lock guards both, as Linux's siglock does, except for the words said to be the own thread's.
 */

/** Bytes of a siginfo_t that any kind uses (sizeof(struct kernel_siginfo)). */
export const SIGINFO_KEPT = 48;

/** What a process has set for one signal with rt_sigaction, in the order of the kernel's struct sigaction. */
export const SigAction = struct({
  /** Address, SIG_DFL or SIG_IGN. */
  handler: 'u64',
  flags: 'u64',
  restorer: 'u64',
  mask: 'u64',
});

/** A pending signal with its siginfo; entries of one queue are linked in the order of arrival. */
export const SigQueue = struct({
  next: 'u32',
  signo: 'i32',
  /** The used part of siginfo_t, SigInfo in frame-layout.ts. */
  info: { bytes: SIGINFO_KEPT, align: 8 },
});

/** Pending signals: the set, and the queue of those that have a siginfo. */
export const Pending = struct({ set: 'u64', first: 'u32', last: 'u32' });

export const ProcessSignals = struct({
  /** Lock (src/memory/lock.ts). Innermost but for the run queue's and the slab's: see src/kernel/locks.ts. */
  lock: 'i32',
  /** Queued entries of the process, against RLIMIT_SIGPENDING. */
  queued: 'i32',
  actions: { bytes: NSIG * SigAction.size, align: 8 },
  pending: { bytes: Pending.size, align: 8 },
  /** ITIMER_REAL, VIRTUAL and PROF: when each fires next (ns of its clock; 0 when off), and its period in ns (0: once). */
  intervalTimers: ['f64', 6],
  /** The process's POSIX timers (src/kernel/posix-timers.ts), newest first, how many, and the number of the next. */
  timers: 'u32',
  timerCount: 'i32',
  nextTimer: 'i32',
  /** The stop signal that has stopped the process, 0 while it runs. */
  stopped: 'i32',
  /** What the process has registered for with membarrier (bits of the REGISTER commands). */
  registrations: 'i32',
  /** Where threads that are no CPU (timers, the host) put together a siginfo; under Tasks.lock. */
  outsideInfo: { bytes: SIGINFO_KEPT, align: 8 },
});

export const TaskSignals = struct({
  /** Atomic, written under the lock: 1 when there is a reason to call `deliverSignals` before user code goes on. */
  notify: 'i32',
  /** 1 when `saved` must be put back after the handler or restart decision (TIF_RESTORE_SIGMASK). Own thread's. */
  restoreSaved: 'i32',
  /** Written by the own thread under the lock, read by senders. */
  blocked: 'u64',
  saved: 'u64',
  /** The signals that rt_sigtimedwait waits for; a sender wakes the thread for these although they are blocked. */
  waiting: 'u64',
  pending: { bytes: Pending.size, align: 8 },
  /** sigaltstack; own thread's. */
  stackPointer: 'u64',
  stackSize: 'u64',
  stackFlags: 'u32',
  /** Last exception: vector and error code, and address of the last page fault; they stay until the next. Own thread's. */
  trapNumber: 'u32',
  errorCode: 'u32',
  faultAddress: 'u64',
  /** The siginfo of the signal that is being delivered, SIGINFO_KEPT bytes. Own thread's. */
  info: { bytes: SIGINFO_KEPT, align: 8 },
  /** The call whose result is not settled yet because its thread was stopped; as number + 1, 0 for none. Own thread's. */
  stoppedCall: 'i32',
  /** What restart_syscall continues: a RestartKind (src/kernel/time.ts) and its arguments. Own thread's. */
  restartKind: 'i32',
  restartArguments: ['f64', 5],
});

/** Pointer of the action of a signal. */
export function actionPointer(processSignals: number, signal: number): number {
  return processSignals + ProcessSignals.actions + (signal - 1) * SigAction.size;
}

/** Whether a task has a signal to look at. @param signals pointer of its TaskSignals */
export function isNotified(memory: Memory, signals: number): boolean {
  return Atomics.load(memory.i32, (signals + TaskSignals.notify) >>> 2) !== 0;
}
