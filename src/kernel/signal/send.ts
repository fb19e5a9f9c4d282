import { locked } from '../../memory/lock.js';
import type { Memory } from '../../memory/memory.js';
import { SI_ADDR, SigInfo } from './frame-layout.js';
import { forEachThread } from '../task.js';
import { interruptForSignal } from '../wait.js';
import { entryPool, processOf, processSignalsOf, taskExiting, taskSignalsOf } from './links.js';
import {
  defaultAction,
  highHalf,
  SIG_DFL,
  SIG_IGN,
  SIGRTMIN,
  Signal,
  SiCode,
  STOP_SIGNALS,
  signalBit,
} from './numbers.js';
import { addToSet, discard, enqueue, hasUnblocked, inSet, setEmpty } from './pending.js';
import {
  actionPointer,
  isNotified,
  Pending,
  ProcessSignals,
  SIGINFO_KEPT,
  SigAction,
  TaskSignals,
} from './state.js';

/**
 * Sending signals (kernel/signal.c: send_signal_locked, prepare_signal, complete_signal).
 *
 * How a signal is never lost: a sender makes it pending and sets TaskSignals.notify under the lock, and only then
 * interrupts the target (`interruptForSignal`): it wakes it if it sleeps, or raises Interrupt.signal at the CPU it runs on.
 * The target looks at `notify` after it has entered a sleeping state and before it returns to user code, and clears it only
 * under the lock, after it has found nothing deliverable.
 */

const EAGAIN = 11;

/** A siginfo under construction, outside shared memory; fields that a kind doesn't have stay 0. */
export interface Info {
  signo: number;
  code: number;
  /** Sender, for kill, tkill and sigqueue. */
  pid?: number;
  uid?: number;
  /** si_value as a safe integer, or si_status. */
  value?: number;
  /** For signals that an exception raised: pointer to what is to be si_addr, of which a number would be rounded. */
  addressAt?: number;
  pkey?: number;
}

/** Writes SIGINFO_KEPT bytes. */
export function writeInfo(memory: Memory, to: number, info: Info): void {
  memory.i32.fill(0, to >>> 2, (to + SIGINFO_KEPT) >>> 2);
  memory.store32(to + SigInfo.signo, info.signo);
  memory.store32(to + SigInfo.code, info.code);
  if (info.pid !== undefined) memory.store32(to + SigInfo.pid, info.pid);
  if (info.uid !== undefined) memory.store32(to + SigInfo.uid, info.uid);
  if (info.value !== undefined) memory.storeNumber(to + SigInfo.value, info.value);
  if (info.addressAt !== undefined) memory.copy64(to + SI_ADDR, info.addressAt);
  if (info.pkey !== undefined) memory.store32(to + SigInfo.pkey, info.pkey);
}

/** Whether the task has a deliverable signal; the caller holds the lock. */
export function hasDeliverable(memory: Memory, signals: number, shared: number): boolean {
  const low = memory.load32(signals + TaskSignals.blocked);
  const high = memory.load32(signals + TaskSignals.blocked + 4);
  return (
    hasUnblocked(memory, signals + TaskSignals.pending + Pending.set, low, high) ||
    hasUnblocked(memory, shared + ProcessSignals.pending + Pending.set, low, high) ||
    memory.load32(shared + ProcessSignals.stopped) !== 0
  );
}

/** Clears `notify` of the own task if there is nothing to deliver (recalc_sigpending); the caller holds the lock. */
export function recalculate(memory: Memory, signals: number, shared: number): void {
  Atomics.store(
    memory.i32,
    (signals + TaskSignals.notify) >>> 2,
    hasDeliverable(memory, signals, shared) ? 1 : 0,
  );
}

function notify(memory: Memory, task: number): void {
  Atomics.store(memory.i32, (taskSignalsOf(task) + TaskSignals.notify) >>> 2, 1);
  interruptForSignal(memory, task);
}

/** Whether the process drops the signal right away because of its action (sig_handler_ignored). */
function actionIgnores(memory: Memory, shared: number, signal: number): boolean {
  const handler = memory.loadNumber(actionPointer(shared, signal) + SigAction.handler);
  return handler === SIG_IGN || (handler === SIG_DFL && defaultAction(signal) === 'ignore');
}

/** Whether a thread would take a signal now: it doesn't block it, or waits for it in rt_sigtimedwait. */
function wants(memory: Memory, task: number, signal: number): boolean {
  if (taskExiting(memory, task)) return false;
  const signals = taskSignalsOf(task);
  return (
    signal === Signal.KILL ||
    !inSet(memory, signals + TaskSignals.blocked, signal) ||
    inSet(memory, signals + TaskSignals.waiting, signal)
  );
}

/**
 * Sends a signal to a process, or to one thread of it.
 * @param task 0 for the process as a whole
 * @param info pointer to its siginfo (SIGINFO_KEPT bytes), copied
 * @returns 0, or −EAGAIN if a real-time signal of sigqueue found its queue full
 */
export function sendSignal(
  memory: Memory,
  process: number,
  task: number,
  signal: number,
  info: number,
): number {
  const shared = processSignalsOf(process);
  return locked(memory, shared + ProcessSignals.lock, () => sendLocked(memory, process, task, signal, info));
}

/** `sendSignal` for a caller that holds the lock. */
export function sendLocked(
  memory: Memory,
  process: number,
  task: number,
  signal: number,
  info: number,
): number {
  const shared = processSignalsOf(process);
  const pool = entryPool(memory, shared);
  prepareStopAndContinue(memory, process, signal);
  // A signal that a thread blocks is kept even if ignored: its action may be another by the time it is unblocked.
  const keeper = task !== 0 ? blocks(memory, task, signal) : mainBlocks(memory, process, signal);
  if (!keeper && signal !== Signal.KILL && actionIgnores(memory, shared, signal)) return 0;
  const pending = task !== 0 ? taskSignalsOf(task) + TaskSignals.pending : shared + ProcessSignals.pending;
  if (!enqueue(memory, pool, pending, signal, info)) {
    // Only sigqueue must report it; for kill the signal is pending without its siginfo.
    if (memory.load32(info + SigInfo.code) !== SiCode.USER) return -EAGAIN;
    addToSet(memory, pending + Pending.set, signal);
  }
  if (task !== 0) {
    if (wants(memory, task, signal)) notify(memory, task);
    return 0;
  }
  let chosen = 0;
  forEachThread(memory, process, (thread) => {
    // The first thread that takes it; better one that has nothing else to do yet.
    if (!wants(memory, thread, signal)) return true;
    if (chosen === 0) chosen = thread;
    if (isNotified(memory, taskSignalsOf(thread))) return true;
    chosen = thread;
    return false;
  });
  if (chosen !== 0) notify(memory, chosen);
  return 0;
}

function blocks(memory: Memory, task: number, signal: number): boolean {
  const signals = taskSignalsOf(task);
  return (
    inSet(memory, signals + TaskSignals.blocked, signal) ||
    inSet(memory, signals + TaskSignals.waiting, signal)
  );
}

function mainBlocks(memory: Memory, process: number, signal: number): boolean {
  let result = false;
  forEachThread(memory, process, (thread) => {
    result = blocks(memory, thread, signal);
    return false;
  });
  return result;
}

/** SIGCONT cancels pending stop signals and continues; a stop signal cancels pending SIGCONT (prepare_signal). */
function prepareStopAndContinue(memory: Memory, process: number, signal: number): void {
  if (signal >= SIGRTMIN) return;
  const stops = (signalBit(signal) & STOP_SIGNALS) !== 0;
  const continues = signal === Signal.CONT || signal === Signal.KILL;
  if (!stops && !continues) return;
  const shared = processSignalsOf(process);
  const pool = entryPool(memory, shared);
  const low = stops ? signalBit(Signal.CONT) : signal === Signal.CONT ? STOP_SIGNALS : 0;
  discard(memory, pool, shared + ProcessSignals.pending, low, 0);
  const resume = continues && memory.load32(shared + ProcessSignals.stopped) !== 0;
  if (resume) memory.store32(shared + ProcessSignals.stopped, 0);
  forEachThread(memory, process, (thread) => {
    discard(memory, pool, taskSignalsOf(thread) + TaskSignals.pending, low, 0);
    if (resume) notify(memory, thread);
    return true;
  });
}

/** Makes every thread of a process look for what to do: its process stops, or ends. */
export function notifyAll(memory: Memory, process: number, except: number): void {
  forEachThread(memory, process, (thread) => {
    if (thread !== except) notify(memory, thread);
    return true;
  });
}

/**
 * Sets the mask of blocked signals of the own task. Signals to the process that it blocks from now on are passed to a
 * thread that doesn't (retarget_shared_pending).
 */
export function setBlocked(memory: Memory, task: number, low: number, high: number): void {
  const shared = processSignalsOf(processOf(memory, task));
  locked(memory, shared + ProcessSignals.lock, () => setBlockedLocked(memory, task, low, high));
}

export function setBlockedLocked(memory: Memory, task: number, low: number, high: number): void {
  const signals = taskSignalsOf(task);
  const process = processOf(memory, task);
  const shared = processSignalsOf(process);
  const blocked = signals + TaskSignals.blocked;
  const newLow = low & ~memory.load32(blocked);
  const newHigh = high & ~memory.load32(blocked + 4);
  memory.store32(blocked, low & ~(signalBit(Signal.KILL) | signalBit(Signal.STOP)));
  memory.store32(blocked + 4, high);
  const set = shared + ProcessSignals.pending + Pending.set;
  if (!setEmpty(memory, set) && hasUnblocked(memory, set, ~newLow, ~newHigh)) {
    retarget(memory, process, task, newLow, newHigh);
  }
  recalculate(memory, signals, shared);
}

function retarget(memory: Memory, process: number, self: number, low: number, high: number): void {
  const set = processSignalsOf(process) + ProcessSignals.pending + Pending.set;
  for (let signal = 1; signal <= 64; signal++) {
    if (!((highHalf(signal) ? high : low) & signalBit(signal)) || !inSet(memory, set, signal)) continue;
    forEachThread(memory, process, (thread) => {
      if (thread === self || !wants(memory, thread, signal)) return true;
      notify(memory, thread);
      return false;
    });
  }
}

/** For a thread that ends: what it was chosen for goes to another thread. The caller holds the lock. */
export function retargetAll(memory: Memory, task: number): void {
  retarget(memory, processOf(memory, task), task, -1, -1);
}
