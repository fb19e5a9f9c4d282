import { lock, unlock } from '../memory/lock.js';
import type { Memory } from '../memory/memory.js';
import { Errno } from './errno.js';
import {
  append,
  Bucket,
  bucketOf,
  compareExchangeWord,
  findKey,
  type Key,
  loadWordNoFault,
  matches,
  remove,
  Waiter,
} from './futex-table.js';
import type { KernelCpu } from './kernel-cpu.js';
import { Restart } from './signal/registers.js';
import { Task, WakeReason } from './task.js';
import {
  RestartKind,
  readDeadline,
  readTimeout,
  realtimeToMonotonic,
  setRestart,
  toNanoseconds,
} from './timespec.js';
import { sleep, wake } from './wait.js';

/**
 * Futexes (kernel/futex; futex(2)).
 *
 * No wake-up is lost, because a waiter reads the futex word, enters the queue and enters its sleeping state under the
 * bucket's lock, and a waker takes that lock after it changed the word. If the waiter was first, the waker finds it asleep in
 * the queue. If the waker was first, the waiter, which locks after it, sees the new word (taking a lock is a sequentially
 * consistent atomic; on the waker's side it orders the guest's plain store before it) and doesn't sleep. Whether a
 * task was woken, or ended its sleep by a timeout or signal, is decided by whether it is still queued, under the lock.
 *
 * The word is read without serving page faults, since those take the mm's lock, which comes before a bucket's
 * (src/kernel/locks.ts); if it is not there, the bucket is unlocked, the page made accessible, and everything done again. That, and the
 * hundreds of thousands of waits and wake-ups a second, is why buckets are locked by hand rather than by `locked`.
 */

/** FUTEX_* commands and flags. */
const Command = {
  WAIT: 0,
  WAKE: 1,
  REQUEUE: 3,
  CMP_REQUEUE: 4,
  WAKE_OP: 5,
  WAIT_BITSET: 9,
  WAKE_BITSET: 10,
} as const;
const PRIVATE_FLAG = 128;
const CLOCK_REALTIME_FLAG = 256;
/** The bitset of all calls that name none. */
export const ANY = -1;

/** Two keys are all that a call needs; they never survive it. */
const keyA: Key = { space: 0, offset: 0 };
const keyB: Key = { space: 0, offset: 0 };

/** Takes the own task out of whatever queue it is in. False if somebody has woken it already. */
function cancel(memory: Memory, waiter: number): boolean {
  for (;;) {
    const bucket = Atomics.load(memory.i32, (waiter + Waiter.bucket) >>> 2) >>> 0;
    if (bucket === 0) return false;
    lock(memory, bucket + Bucket.lock);
    // A requeue may have moved it meanwhile.
    const still = memory.loadU32(waiter + Waiter.bucket) === bucket;
    if (still) remove(memory, bucket, waiter);
    unlock(memory, bucket + Bucket.lock);
    if (still) return true;
  }
}

function lockBoth(memory: Memory, a: number, b: number): void {
  lock(memory, Math.min(a, b) + Bucket.lock);
  if (a !== b) lock(memory, Math.max(a, b) + Bucket.lock);
}

function unlockBoth(memory: Memory, a: number, b: number): void {
  unlock(memory, a + Bucket.lock);
  if (a !== b) unlock(memory, b + Bucket.lock);
}

/**
 * FUTEX_WAIT and FUTEX_WAIT_BITSET.
 * @param deadline monotonic ns, or infinite
 */
function futexWait(
  k: KernelCpu,
  address: number,
  shared: boolean,
  value: number,
  bitset: number,
  deadline: number,
): number {
  const { memory } = k;
  const waiter = k.task + Task.wait;
  if (k.wakeReason !== WakeReason.none) {
    if (!cancel(memory, waiter)) return 0;
    if (k.wakeReason === WakeReason.timeout) return -Errno.ETIMEDOUT;
    if (k.wakeReason === WakeReason.signal) {
      if (k.deadline === Number.POSITIVE_INFINITY) return -Restart.ERESTARTSYS;
      return setRestart(k, RestartKind.futex, [address, shared ? 1 : 0, value, bitset, k.deadline]);
    }
    deadline = k.deadline;
  }
  if (bitset === 0) return -Errno.EINVAL;
  const error = findKey(k, address, shared, keyA);
  if (error !== 0) return error;
  const bucket = bucketOf(memory, keyA);
  for (;;) {
    lock(memory, bucket + Bucket.lock);
    const word = loadWordNoFault(k, address);
    if (word === (value | 0)) break;
    unlock(memory, bucket + Bucket.lock);
    if (word !== null) return -Errno.EAGAIN;
    if (!k.user.prepare(address, false)) return -Errno.EFAULT;
  }
  memory.store32(waiter + Waiter.bitset, bitset);
  append(memory, bucket, waiter, keyA);
  const result = sleep(k, deadline);
  unlock(memory, bucket + Bucket.lock);
  return result;
}

/**
 * Wakes up to `count` waiters whose bitset has a bit in common.
 * @returns the number woken, or −errno
 */
export function futexWake(
  k: KernelCpu,
  address: number,
  shared: boolean,
  count: number,
  bitset: number,
): number {
  if (bitset === 0) return -Errno.EINVAL;
  const { memory } = k;
  const error = findKey(k, address, shared, keyA);
  if (error !== 0) return error;
  const bucket = bucketOf(memory, keyA);
  lock(memory, bucket + Bucket.lock);
  const woken = wakeQueued(memory, bucket, keyA, count, bitset);
  unlock(memory, bucket + Bucket.lock);
  return woken;
}

/** Wakes waiters of a queue. As on Linux a count of 0 or less wakes one. The caller holds the bucket's lock. */
function wakeQueued(memory: Memory, bucket: number, key: Key, count: number, bitset: number): number {
  let woken = 0;
  for (let waiter = memory.loadU32(bucket + Bucket.first); waiter !== 0; ) {
    const next = memory.loadU32(waiter + Waiter.next);
    if (matches(memory, waiter, key) && memory.load32(waiter + Waiter.bitset) & bitset) {
      remove(memory, bucket, waiter);
      wake(memory, waiter - Task.wait);
      if (++woken >= count) break;
    }
    waiter = next;
  }
  return woken;
}

/**
 * FUTEX_REQUEUE and FUTEX_CMP_REQUEUE.
 * @param expected value the word at `from` must have; null for FUTEX_REQUEUE
 * @returns woken plus (with `expected`) requeued, or −errno
 */
function futexRequeue(
  k: KernelCpu,
  from: number,
  shared: boolean,
  wakeCount: number,
  requeueCount: number,
  to: number,
  expected: number | null,
): number {
  if (wakeCount < 0 || requeueCount < 0) return -Errno.EINVAL;
  const { memory } = k;
  const error = findKey(k, from, shared, keyA) || findKey(k, to, shared, keyB);
  if (error !== 0) return error;
  const source = bucketOf(memory, keyA);
  const target = bucketOf(memory, keyB);
  for (;;) {
    lockBoth(memory, source, target);
    const word = expected === null ? null : loadWordNoFault(k, from);
    if (word === expected) break;
    unlockBoth(memory, source, target);
    if (word !== null) return -Errno.EAGAIN;
    if (!k.user.prepare(from, false)) return -Errno.EFAULT;
  }
  const sameKey = keyA.space === keyB.space && keyA.offset === keyB.offset;
  let woken = 0;
  let moved = 0;
  for (let waiter = memory.loadU32(source + Bucket.first); waiter !== 0; ) {
    const next = memory.loadU32(waiter + Waiter.next);
    if (matches(memory, waiter, keyA) && memory.load32(waiter + Waiter.bitset) !== 0) {
      if (woken < wakeCount) {
        remove(memory, source, waiter);
        wake(memory, waiter - Task.wait);
        woken++;
      } else if (moved < requeueCount) {
        if (!sameKey) {
          remove(memory, source, waiter);
          append(memory, target, waiter, keyB);
        }
        moved++;
      } else {
        break;
      }
    }
    waiter = next;
  }
  unlockBoth(memory, source, target);
  return woken + moved;
}

/** What FUTEX_WAKE_OP does: `argument` with sign, the operation on the second word and the comparison of its old value. */
function decodeOperation(encoded: number) {
  const field = (encoded << 8) >> 20;
  return {
    operation: (encoded >>> 28) & 7,
    compare: (encoded >>> 24) & 15,
    // Bit 31: the argument is a shift count.
    argument: encoded < 0 ? 1 << (field & 31) : field,
    against: (encoded << 20) >> 20,
  };
}

const OPERATIONS: readonly ((old: number, argument: number) => number)[] = [
  (_old, argument) => argument,
  (old, argument) => (old + argument) | 0,
  (old, argument) => old | argument,
  (old, argument) => old & ~argument,
  (old, argument) => old ^ argument,
];

const COMPARISONS: readonly ((old: number, against: number) => boolean)[] = [
  (old, against) => old === against,
  (old, against) => old !== against,
  (old, against) => old < against,
  (old, against) => old <= against,
  (old, against) => old > against,
  (old, against) => old >= against,
];

function futexWakeOp(
  k: KernelCpu,
  first: number,
  shared: boolean,
  count: number,
  secondCount: number,
  second: number,
  encoded: number,
): number {
  const { memory } = k;
  const error = findKey(k, first, shared, keyA) || findKey(k, second, shared, keyB);
  if (error !== 0) return error;
  const { operation, compare, argument, against } = decodeOperation(encoded | 0);
  const operate = OPERATIONS[operation];
  const holds = COMPARISONS[compare];
  if (!operate || !holds) return -Errno.ENOSYS;
  const [a, b] = [bucketOf(memory, keyA), bucketOf(memory, keyB)];
  let old: number | null;
  for (;;) {
    lockBoth(memory, a, b);
    old = loadWordNoFault(k, second);
    if (old !== null) {
      const found = compareExchangeWord(k, second, old, operate(old, argument));
      if (found === old) break;
      old = found;
    }
    unlockBoth(memory, a, b);
    // Another thread changed the word (found something else), or the page is not there for writing.
    if (old === null && !k.user.prepare(second, true)) return -Errno.EFAULT;
  }
  let woken = wakeQueued(memory, a, keyA, count, ANY);
  if (holds(old, against)) woken += wakeQueued(memory, b, keyB, secondCount, ANY);
  unlockBoth(memory, a, b);
  return woken;
}

/** The parts of futex's second argument (include/uapi/linux/futex.h). */
export function decodeCommand(operation: number): { command: number; shared: boolean; realtime: boolean } {
  return {
    command: operation & ~(PRIVATE_FLAG | CLOCK_REALTIME_FLAG),
    shared: (operation & PRIVATE_FLAG) === 0,
    realtime: (operation & CLOCK_REALTIME_FLAG) !== 0,
  };
}

export function futex(
  k: KernelCpu,
  address: number,
  operation: number,
  value: number,
  timeout: number,
  address2: number,
  value3: number,
): number {
  const { command, shared, realtime } = decodeCommand(operation);
  if (realtime && command !== Command.WAIT_BITSET) return -Errno.ENOSYS;
  switch (command) {
    case Command.WAIT: {
      const deadline = k.wakeReason === WakeReason.none ? readDeadline(k, timeout) : Infinity;
      return deadline < 0 ? deadline : futexWait(k, address, shared, value, ANY, deadline);
    }
    case Command.WAIT_BITSET: {
      // A point in time.
      let deadline = Infinity;
      if (timeout !== 0 && k.wakeReason === WakeReason.none) {
        const time = readTimeout(k, timeout);
        if (typeof time === 'number') return time;
        deadline = realtime ? realtimeToMonotonic(k.memory, time) : toNanoseconds(time);
      }
      return futexWait(k, address, shared, value, value3 | 0, deadline);
    }
    case Command.WAKE:
      return futexWake(k, address, shared, value | 0, ANY);
    case Command.WAKE_BITSET:
      return futexWake(k, address, shared, value | 0, value3 | 0);
    case Command.REQUEUE:
      return futexRequeue(k, address, shared, value | 0, timeout | 0, address2, null);
    case Command.CMP_REQUEUE:
      return futexRequeue(k, address, shared, value | 0, timeout | 0, address2, value3 | 0);
    case Command.WAKE_OP:
      return futexWakeOp(k, address, shared, value | 0, timeout | 0, address2, value3);
    default:
      return -Errno.ENOSYS;
  }
}

/** Goes on with an interrupted wait that had a timeout (restart_syscall). */
export function restartFutex(k: KernelCpu, arguments_: readonly number[]): number {
  const [address, shared, value, bitset, deadline] = arguments_;
  return futexWait(k, address, shared !== 0, value, bitset, deadline);
}
