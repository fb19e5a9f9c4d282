import { CpuState } from '../../cpu/state.js';
import { lock, unlock } from '../../memory/lock.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { timerSignalTaken } from '../posix-timers.js';
import { type Delivery, enterHandler } from './frame.js';
import { SI_ADDR, SigInfo } from './frame-layout.js';
import { handlerPkru } from '../pkeys/abi.js';
import { entryPool, processSignalsOf, taskSignalsOf } from './links.js';
import { defaultAction, highHalf, Sa, SIG_DFL, SIG_IGN, Signal, SiCode, signalBit } from './numbers.js';
import { enqueue, inSet, nextSignal, removeFromSet, take } from './pending.js';
import { settleRestart } from './registers.js';
import { notifyAll, recalculate, setBlockedLocked, writeInfo } from './send.js';
import { actionPointer, isNotified, ProcessSignals, SigAction, TaskSignals } from './state.js';

/**
 * Delivering signals: on the way back to user code (kernel/signal.c get_signal, arch/x86/kernel/signal.c
 * handle_signal), and at once for those that the thread's own instruction raised (exceptions.ts).
 */

/** What a process died of. */
export interface FatalSignal {
  signal: number;
  code: number;
  /** Where the instruction is. */
  rip: bigint;
  pkru: number;
  /** For signals of an exception: vector (SDM 6.3.1) and error code; vector −1 otherwise. */
  vector: number;
  errorCode: number;
  /** si_addr, and si_pkey with SEGV_PKUERR. */
  address: bigint;
  pkey: number;
  /** si_pid of signals that somebody sent. */
  sender: number;
}

/** What the CPU's loop does next. */
export type Delivered =
  /** Go on in user code. */
  | { kind: 'user' }
  /** The process is stopped: put the task to sleep (interruptibly) and call again when it is woken. */
  | { kind: 'stopped' }
  /** The process ends by a signal (exit_group). */
  | { kind: 'fatal'; signal: FatalSignal };

const USER: Delivered = { kind: 'user' };
const STOPPED: Delivered = { kind: 'stopped' };

// Here ProcessSignals.lock is taken by hand rather than by `locked`: every key fault takes it two or three times.

/** One object for all deliveries of this worker: a delivery is over before the next begins. */
const delivery: Delivery = {
  signo: 0,
  handler: 0,
  flags: 0,
  restorer: 0,
  savedLow: 0,
  savedHigh: 0,
  extraFlags: 0,
};

/** Reads and writes an action under the lock: what to do with a signal that was taken. */
function readAction(k: KernelCpu, signals: number, shared: number, signal: number): void {
  const { memory } = k;
  const action = actionPointer(shared, signal);
  delivery.signo = signal;
  delivery.handler = memory.loadExact(action + SigAction.handler);
  delivery.flags = memory.loadU32(action + SigAction.flags);
  delivery.restorer = memory.loadExact(action + SigAction.restorer);
  delivery.extraFlags = 0;
  const saved =
    signals + (memory.load32(signals + TaskSignals.restoreSaved) ? TaskSignals.saved : TaskSignals.blocked);
  delivery.savedLow = memory.load32(saved);
  delivery.savedHigh = memory.load32(saved + 4);
  if (delivery.handler !== SIG_DFL && delivery.handler !== SIG_IGN && delivery.flags & Sa.RESETHAND) {
    memory.storeNumber(action + SigAction.handler, SIG_DFL);
  }
}

/**
 * Writes the frame and blocks what the handler wants blocked.
 * @returns false if the frame could not be written
 */
function runHandler(k: KernelCpu, signals: number, shared: number): boolean {
  const { memory, cpu } = k;
  const { signo, flags } = delivery;
  if (!enterHandler(cpu, k.user, signals, delivery, handlerPkru(k))) return false;
  memory.store32(signals + TaskSignals.restoreSaved, 0);
  const action = actionPointer(shared, signo);
  lock(memory, shared + ProcessSignals.lock);
  let low = memory.load32(signals + TaskSignals.blocked) | memory.load32(action + SigAction.mask);
  let high = memory.load32(signals + TaskSignals.blocked + 4) | memory.load32(action + SigAction.mask + 4);
  if (!(flags & Sa.NODEFER)) {
    if (highHalf(signo)) high |= signalBit(signo);
    else low |= signalBit(signo);
  }
  setBlockedLocked(memory, k.task, low, high);
  unlock(memory, shared + ProcessSignals.lock);
  return true;
}

/**
 * Delivers a signal that cannot be ignored or blocked (force_sig_info_to_task); its siginfo is in TaskSignals.info.
 * @param extraFlags see Delivery.extraFlags
 * @param exception whether the thread's own instruction raised it, as TaskSignals.trapNumber and errorCode say
 * @param fatal never to be handled: its own frame could not be written
 */
export function force(
  k: KernelCpu,
  signal: number,
  extraFlags: number,
  exception: boolean,
  fatal = false,
): Delivered {
  const { memory } = k;
  const signals = taskSignalsOf(k.task);
  const shared = processSignalsOf(k.process);
  lock(memory, shared + ProcessSignals.lock);
  const blocked = inSet(memory, signals + TaskSignals.blocked, signal);
  const action = actionPointer(shared, signal) + SigAction.handler;
  if (blocked || fatal || memory.loadNumber(action) === SIG_IGN) memory.storeNumber(action, SIG_DFL);
  if (blocked) removeFromSet(memory, signals + TaskSignals.blocked, signal);
  readAction(k, signals, shared, signal);
  unlock(memory, shared + ProcessSignals.lock);
  if (delivery.handler === SIG_DFL) return fatalSignal(k, signals, signal, exception);
  delivery.extraFlags = extraFlags;
  return runHandler(k, signals, shared) ? USER : forceBadFrame(k, signal);
}

/** A frame could not be written: SIGSEGV, which kills if it was SIGSEGV's own (force_sigsegv). */
function forceBadFrame(k: KernelCpu, signal: number): Delivered {
  writeInfo(k.memory, taskSignalsOf(k.task) + TaskSignals.info, { signo: Signal.SEGV, code: SiCode.KERNEL });
  return force(k, Signal.SEGV, 0, false, signal === Signal.SEGV);
}

/** Has a system call end in a signal that cannot be ignored or blocked (force_sig). */
export function forcePending(k: KernelCpu, signal: number): void {
  const { memory } = k;
  const signals = taskSignalsOf(k.task);
  const shared = processSignalsOf(k.process);
  const info = signals + TaskSignals.info;
  writeInfo(memory, info, { signo: signal, code: SiCode.KERNEL });
  lock(memory, shared + ProcessSignals.lock);
  const blocked = inSet(memory, signals + TaskSignals.blocked, signal);
  const action = actionPointer(shared, signal) + SigAction.handler;
  if (blocked || memory.loadNumber(action) === SIG_IGN) memory.storeNumber(action, SIG_DFL);
  if (blocked) removeFromSet(memory, signals + TaskSignals.blocked, signal);
  enqueue(memory, entryPool(memory, shared), signals + TaskSignals.pending, signal, info);
  recalculate(memory, signals, shared);
  unlock(memory, shared + ProcessSignals.lock);
}

function fatalSignal(k: KernelCpu, signals: number, signal: number, exception: boolean): Delivered {
  const { memory, cpu } = k;
  const info = signals + TaskSignals.info;
  const code = memory.load32(info + SigInfo.code);
  return {
    kind: 'fatal',
    signal: {
      signal,
      code,
      rip: memory.u64[(cpu.base + CpuState.rip) >>> 3],
      pkru: cpu.pkru,
      vector: exception ? memory.load32(signals + TaskSignals.trapNumber) : -1,
      errorCode: exception ? memory.loadU32(signals + TaskSignals.errorCode) : 0,
      address: exception ? memory.u64[(info + SI_ADDR) >>> 3] : 0n,
      pkey: signal === Signal.SEGV && code === SiCode.SEGV_PKUERR ? memory.load32(info + SigInfo.pkey) : 0,
      sender: code > 0 ? 0 : memory.load32(info + SigInfo.pid),
    },
  };
}

/**
 * Delivers what is pending; called before user code goes on whenever TaskSignals.notify is 1 or the result of a call
 * `wantsRestart`.
 * @param syscall number of the call whose result is in RAX, or −1 if the thread did not come from one
 */
export function deliverSignals(k: KernelCpu, syscall: number): Delivered {
  const { memory, cpu } = k;
  const signals = taskSignalsOf(k.task);
  const shared = processSignalsOf(k.process);
  const word = shared + ProcessSignals.lock;
  const info = signals + TaskSignals.info;
  // After a stop the call is still the one that it came from.
  if (syscall < 0) syscall = memory.load32(signals + TaskSignals.stoppedCall) - 1;
  memory.store32(signals + TaskSignals.stoppedCall, 0);
  for (;;) {
    lock(memory, word);
    if (memory.load32(shared + ProcessSignals.stopped) !== 0) {
      unlock(memory, word);
      memory.store32(signals + TaskSignals.stoppedCall, syscall + 1);
      return STOPPED;
    }
    const low = memory.load32(signals + TaskSignals.blocked);
    const high = memory.load32(signals + TaskSignals.blocked + 4);
    const pool = entryPool(memory, shared);
    let pending = signals + TaskSignals.pending;
    let signal = nextSignal(memory, pending, low, high);
    if (signal === 0) {
      pending = shared + ProcessSignals.pending;
      signal = nextSignal(memory, pending, low, high);
    }
    if (signal === 0) {
      recalculate(memory, signals, shared);
      unlock(memory, word);
      break;
    }
    take(memory, pool, pending, signal, info);
    timerSignalTaken(k, info);
    recalculate(memory, signals, shared);
    readAction(k, signals, shared, signal);
    let stop = false;
    if (delivery.handler === SIG_DFL && defaultAction(signal) === 'stop') {
      memory.store32(shared + ProcessSignals.stopped, signal);
      notifyAll(memory, k.process, k.task);
      stop = true;
    }
    unlock(memory, word);
    if (stop) continue;
    if (delivery.handler === SIG_IGN) continue;
    if (delivery.handler === SIG_DFL) {
      if (defaultAction(signal) === 'ignore') continue;
      return fatalSignal(k, signals, signal, false);
    }
    if (syscall >= 0) settleRestart(memory, cpu.base, syscall, (delivery.flags & Sa.RESTART) !== 0);
    syscall = -1;
    if (!runHandler(k, signals, shared)) {
      const forced = forceBadFrame(k, signal);
      if (forced.kind !== 'user') return forced;
    }
    // Further signals get frames on top of this one's, so that their handlers run first, as on Linux.
    if (!isNotified(memory, signals)) return USER;
  }
  if (syscall >= 0) settleRestart(memory, cpu.base, syscall, null);
  if (memory.load32(signals + TaskSignals.restoreSaved)) {
    memory.store32(signals + TaskSignals.restoreSaved, 0);
    lock(memory, word);
    const saved = signals + TaskSignals.saved;
    setBlockedLocked(memory, k.task, memory.load32(saved), memory.load32(saved + 4));
    unlock(memory, word);
    if (isNotified(memory, signals)) return deliverSignals(k, -1);
  }
  return USER;
}
