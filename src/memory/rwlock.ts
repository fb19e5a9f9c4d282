import type { Memory } from './memory.js';
import { struct } from './struct.js';

/**
 * A lock that many may hold shared, or one alone. Writers go first: readers that come while one waits wait too.
 *
 * Who wakes a waiter: whoever gives the lock up for good (the last reader, or the writer), if `waiters` is not 0 then; it
 * wakes all. No wake-up is lost: a waiter raises `waiters` first and looks at the lock again afterwards, while the other side
 * changes the state first and looks at `waiters` afterwards; and `Atomics.wait` returns at once if the state has changed.
 *
 * CPUs waiting here are in kernel mode, so no shootdown waits for them (src/mmu/shootdown.ts).
 */
export const RwLock = struct({
  /** Atomic: number of readers, or −1 for a writer. */
  state: 'i32',
  /** Atomic: threads that park, or are about to. */
  waiters: 'i32',
  /** Atomic: writers that wait. */
  writers: 'i32',
});

/** Looks before parking: about a microsecond. */
const SPINS = 100;

export function lockShared(memory: Memory, at: number): void {
  const { i32 } = memory;
  const state = (at + RwLock.state) >>> 2;
  const writers = (at + RwLock.writers) >>> 2;
  for (let spins = 0; ; spins++) {
    const seen = Atomics.load(i32, state);
    if (seen >= 0 && Atomics.load(i32, writers) === 0) {
      if (Atomics.compareExchange(i32, state, seen, seen + 1) === seen) return;
    } else if (spins >= SPINS) {
      park(i32, at, (now) => now < 0 || Atomics.load(i32, writers) !== 0);
    }
  }
}

export function unlockShared(memory: Memory, at: number): void {
  const { i32 } = memory;
  if (Atomics.sub(i32, (at + RwLock.state) >>> 2, 1) === 1) wakeAll(i32, at);
}

export function lockExclusive(memory: Memory, at: number): void {
  const { i32 } = memory;
  const state = (at + RwLock.state) >>> 2;
  if (Atomics.compareExchange(i32, state, 0, -1) === 0) return;
  const writers = (at + RwLock.writers) >>> 2;
  Atomics.add(i32, writers, 1);
  for (let spins = 0; Atomics.compareExchange(i32, state, 0, -1) !== 0; spins++) {
    if (spins >= SPINS) park(i32, at, (now) => now !== 0);
  }
  Atomics.sub(i32, writers, 1);
}

export function unlockExclusive(memory: Memory, at: number): void {
  const { i32 } = memory;
  Atomics.store(i32, (at + RwLock.state) >>> 2, 0);
  wakeAll(i32, at);
}

/** Runs `body` with the lock held shared: see `locked` in lock.ts. */
export function lockedShared<T>(memory: Memory, at: number, body: () => T): T {
  lockShared(memory, at);
  try {
    return body();
  } finally {
    unlockShared(memory, at);
  }
}

/** Runs `body` with the lock held alone: see `locked` in lock.ts. */
export function lockedExclusive<T>(memory: Memory, at: number, body: () => T): T {
  lockExclusive(memory, at);
  try {
    return body();
  } finally {
    unlockExclusive(memory, at);
  }
}

function park(i32: Int32Array, at: number, taken: (state: number) => boolean): void {
  const state = (at + RwLock.state) >>> 2;
  const waiters = (at + RwLock.waiters) >>> 2;
  Atomics.add(i32, waiters, 1);
  const now = Atomics.load(i32, state);
  if (taken(now)) Atomics.wait(i32, state, now);
  Atomics.sub(i32, waiters, 1);
}

function wakeAll(i32: Int32Array, at: number): void {
  if (Atomics.load(i32, (at + RwLock.waiters) >>> 2) !== 0) Atomics.notify(i32, (at + RwLock.state) >>> 2);
}
