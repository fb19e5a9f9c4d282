import type { Memory } from './memory.js';

/**
 * A sleeping mutex on one 32-bit word of shared memory: 0 free, 1 held, 2 held and perhaps waited for.
 *
 * Who wakes a waiter: `unlock`, which notifies one waiter whenever the word was 2. No wake-up is lost because a waiter
 * sets the word to 2 by the same exchange that found it held, and `Atomics.wait` returns at once if it is no longer 2.
 * A holder must never wait for a CPU that could be waiting here; see the lock order in src/kernel/locks.ts.
 *
 * CPUs waiting here are in kernel mode, so no shootdown waits for them (src/mmu/shootdown.ts).
 */
export function lock(memory: Memory, word: number): void {
  const i32 = memory.i32;
  const index = word >>> 2;
  if (Atomics.compareExchange(i32, index, 0, 1) === 0) return;
  for (let spins = 0; spins < SPINS; spins++) {
    if (Atomics.load(i32, index) === 0 && Atomics.compareExchange(i32, index, 0, 1) === 0) return;
  }
  while (Atomics.exchange(i32, index, 2) !== 0) Atomics.wait(i32, index, 2);
}

/** Takes the lock if it is free. */
export function tryLock(memory: Memory, word: number): boolean {
  return Atomics.compareExchange(memory.i32, word >>> 2, 0, 1) === 0;
}

export function unlock(memory: Memory, word: number): void {
  if (Atomics.exchange(memory.i32, word >>> 2, 0) === 2) Atomics.notify(memory.i32, word >>> 2, 1);
}

/**
 * Runs `body` with a lock held, and gives it up whatever comes of that. What else `body` locks must come after this lock in the order
 * of src/kernel/locks.ts. A throw passes on with the lock free; it is an error of Europa's own, which ends the machine, and what the
 * lock guards may then be half changed.
 *
 * Those that lock by hand are the few that run most often (futexes, page faults, pkey_mprotect, the delivery of signals, allocators), where a
 * closure would add up to 4 ns to the 29 that an uncontended lock takes, and those that give the lock up in the middle of what they do.
 * @param word pointer of the lock
 * @returns what `body` returns
 */
export function locked<T>(memory: Memory, word: number, body: () => T): T {
  lock(memory, word);
  try {
    return body();
  } finally {
    unlock(memory, word);
  }
}

/** Looks before parking: about a microsecond, less than the cost of one park and wake-up (tens of microseconds). */
const SPINS = 100;
