import type { Memory } from '../../memory/memory.js';
import { SigInfo } from './frame-layout.js';
import { highHalf, SIGRTMIN, SiCode, SYNCHRONOUS, signalBit } from './numbers.js';
import { Pending, SIGINFO_KEPT, SigQueue } from './state.js';

/** Pending sets and their siginfo queues (kernel/signal.c). Callers hold ProcessSignals.lock. */

/** Where queue entries come from. */
export interface EntryPool {
  /** Pointer to SigQueue.size bytes, or 0 if there are too many already. */
  allocate(): number;
  free(entry: number): void;
}

export function inSet(memory: Memory, set: number, signal: number): boolean {
  return (memory.load32(set + (highHalf(signal) ? 4 : 0)) & signalBit(signal)) !== 0;
}

export function addToSet(memory: Memory, set: number, signal: number): void {
  const half = set + (highHalf(signal) ? 4 : 0);
  memory.store32(half, memory.load32(half) | signalBit(signal));
}

export function removeFromSet(memory: Memory, set: number, signal: number): void {
  const half = set + (highHalf(signal) ? 4 : 0);
  memory.store32(half, memory.load32(half) & ~signalBit(signal));
}

export function setEmpty(memory: Memory, set: number): boolean {
  return (memory.load32(set) | memory.load32(set + 4)) === 0;
}

/** Whether a set has a signal that the mask (lo, hi) doesn't block. */
export function hasUnblocked(memory: Memory, set: number, low: number, high: number): boolean {
  return ((memory.load32(set) & ~low) | (memory.load32(set + 4) & ~high)) !== 0;
}

/**
 * Makes a signal pending.
 * @param info pointer to the siginfo (SIGINFO_KEPT bytes), which is copied
 * @returns false if a real-time signal's siginfo found no room; standard signals are pending without one then
 */
export function enqueue(
  memory: Memory,
  pool: EntryPool,
  pending: number,
  signal: number,
  info: number,
): boolean {
  // A standard signal that is pending already is the same signal (legacy_queue), unless a POSIX timer sends it (send_sigqueue).
  const ofTimer = memory.load32(info + SigInfo.code) === SiCode.TIMER;
  if (signal < SIGRTMIN && inSet(memory, pending + Pending.set, signal) && !ofTimer) return true;
  const entry = pool.allocate();
  if (entry === 0) {
    if (signal >= SIGRTMIN) return false;
    addToSet(memory, pending + Pending.set, signal);
    return true;
  }
  memory.store32(entry + SigQueue.next, 0);
  memory.store32(entry + SigQueue.signo, signal);
  memory.u8.copyWithin(entry + SigQueue.info, info, info + SIGINFO_KEPT);
  const last = memory.loadU32(pending + Pending.last);
  if (last === 0) memory.store32(pending + Pending.first, entry);
  else memory.store32(last + SigQueue.next, entry);
  memory.store32(pending + Pending.last, entry);
  addToSet(memory, pending + Pending.set, signal);
  return true;
}

/**
 * The next signal to deliver of a pending set: synchronous ones first, then the lowest number.
 * @returns 0 if all that is pending is blocked by (low, high)
 */
export function nextSignal(memory: Memory, pending: number, low: number, high: number): number {
  const set = pending + Pending.set;
  let word = memory.load32(set) & ~low;
  if (word !== 0) {
    if (word & SYNCHRONOUS) word &= SYNCHRONOUS;
    return 32 - Math.clz32(word & -word);
  }
  word = memory.load32(set + 4) & ~high;
  return word === 0 ? 0 : 64 - Math.clz32(word & -word);
}

/**
 * Takes one instance of a signal out of a pending set.
 * @param info receives its siginfo; one made up (SI_USER of nobody) if it was pending without
 */
export function take(memory: Memory, pool: EntryPool, pending: number, signal: number, info: number): void {
  let previous = 0;
  let found = 0;
  let more = false;
  let foundPrevious = 0;
  for (let entry = memory.loadU32(pending + Pending.first); entry !== 0; ) {
    const next = memory.loadU32(entry + SigQueue.next);
    if (memory.load32(entry + SigQueue.signo) === signal) {
      if (found !== 0) {
        more = true;
        break;
      }
      found = entry;
      foundPrevious = previous;
    }
    previous = entry;
    entry = next;
  }
  if (!more) removeFromSet(memory, pending + Pending.set, signal);
  if (found === 0) {
    memory.u8.fill(0, info, info + SIGINFO_KEPT);
    memory.store32(info, signal);
    return;
  }
  memory.u8.copyWithin(info, found + SigQueue.info, found + SigQueue.info + SIGINFO_KEPT);
  unlink(memory, pending, foundPrevious, found);
  pool.free(found);
}

/** Drops all instances of the signals in (low, high), as a stop signal does with a pending SIGCONT, or SIG_IGN. */
export function discard(memory: Memory, pool: EntryPool, pending: number, low: number, high: number): void {
  const set = pending + Pending.set;
  if (((memory.load32(set) & low) | (memory.load32(set + 4) & high)) === 0) return;
  memory.store32(set, memory.load32(set) & ~low);
  memory.store32(set + 4, memory.load32(set + 4) & ~high);
  let previous = 0;
  for (let entry = memory.loadU32(pending + Pending.first); entry !== 0; ) {
    const next = memory.loadU32(entry + SigQueue.next);
    const signal = memory.load32(entry + SigQueue.signo);
    if ((highHalf(signal) ? high : low) & signalBit(signal)) {
      unlink(memory, pending, previous, entry);
      pool.free(entry);
    } else {
      previous = entry;
    }
    entry = next;
  }
}

/** Drops everything, when the thread or process ends. */
export function discardAll(memory: Memory, pool: EntryPool, pending: number): void {
  discard(memory, pool, pending, -1, -1);
}

function unlink(memory: Memory, pending: number, previous: number, entry: number): void {
  const next = memory.loadU32(entry + SigQueue.next);
  if (previous === 0) memory.store32(pending + Pending.first, next);
  else memory.store32(previous + SigQueue.next, next);
  if (memory.loadU32(pending + Pending.last) === entry) memory.store32(pending + Pending.last, previous);
}
