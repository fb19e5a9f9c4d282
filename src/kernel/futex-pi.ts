import { lock, unlock } from '../memory/lock.js';
import type { Memory } from '../memory/memory.js';
import { Errno } from './errno.js';
import { decodeCommand, futex } from './futex.js';
import {
  append,
  Bucket,
  bucketOf,
  compareExchangeWord,
  findKey,
  forEachBucket,
  type Key,
  loadWordNoFault,
  matches,
  OWNER_DIED,
  remove,
  TID_MASK,
  WAITERS,
  Waiter,
} from './futex-table.js';
import type { KernelCpu } from './kernel-cpu.js';
import { Restart } from './signal/registers.js';
import type { SyscallTable } from './syscalls.js';
import { Task, Tasks, tasksPointer, WakeReason } from './task.js';
import { readTimeout, realtimeToMonotonic, toNanoseconds } from './timespec.js';
import { sleep, wake } from './wait.js';

/**
 * Mutexes with priority inheritance (kernel/futex/pi.c; futex(2), "Priority-inheritance futexes").
 *
 * Their word holds the owner's tid, so the mutex is handed over: who unlocks writes the next owner's tid into the word and takes
 * it out of the queue, both under the bucket's lock, and wakes it. The next owner is the waiter of the highest priority, and of
 * those the one that came first. Since the scheduler gives all tasks equal slices whatever their priority, there is none to lend
 * to the owner.
 *
 * No wake-up is lost: a waiter sets WAITERS in the word, enters the queue and enters its sleeping state under the bucket's
 * lock, and from then on the owner's compare-exchange in user space fails, so that it comes here and takes that lock. An owner
 * that ends (`handOverMutexes`) sets Task.exiting, then looks whether a bucket has such waiters; a waiter counts itself
 * in Bucket.inheriting, then looks whether the owner exits. Both orders are sequentially consistent, so that one sees the other.
 */
const Command = { LOCK_PI: 6, UNLOCK_PI: 7, TRYLOCK_PI: 8, LOCK_PI2: 13 } as const;

/** How long to sleep until an owner that is ending has written its words, ns. */
const EXITING_PAUSE = 50e3;

const key: Key = { space: 0, offset: 0 };

function enqueue(memory: Memory, bucket: number, waiter: number, owner: number): void {
  memory.store32(waiter + Waiter.bitset, 0);
  memory.store32(waiter + Waiter.owner, owner);
  append(memory, bucket, waiter, key);
  Atomics.add(memory.i32, (bucket + Bucket.inheriting) >>> 2, 1);
}

function dequeue(memory: Memory, bucket: number, waiter: number): void {
  remove(memory, bucket, waiter);
  Atomics.sub(memory.i32, (bucket + Bucket.inheriting) >>> 2, 1);
}

/** Takes the own task out of the queue; false if the mutex has been handed to it, or it was in none. */
function leave(memory: Memory, waiter: number): boolean {
  const bucket = Atomics.load(memory.i32, (waiter + Waiter.bucket) >>> 2) >>> 0;
  if (bucket === 0) return false;
  lock(memory, bucket + Bucket.lock);
  // Such waiters are never moved to another bucket.
  const queued = memory.loadU32(waiter + Waiter.bucket) === bucket;
  if (queued) dequeue(memory, bucket, waiter);
  unlock(memory, bucket + Bucket.lock);
  return queued;
}

/** What becomes of an owner: it lives, is ending, or is no thread. */
function fate(memory: Memory, tid: number): 'alive' | 'ending' | 'gone' {
  // Without Tasks.lock, which comes before a bucket's: a task's memory stays a task's, so that its words can be read.
  const task = Atomics.load(memory.u32, (tasksPointer(memory) + Tasks.byTid + 4 * tid) >>> 2);
  if (task === 0) return 'gone';
  return Atomics.load(memory.i32, (task + Task.exiting) >>> 2) === 0 ? 'alive' : 'ending';
}

const PID_LIMIT = 32768;

/**
 * FUTEX_LOCK_PI and FUTEX_TRYLOCK_PI.
 * @param deadline monotonic ns, or infinite; on the first call
 */
function lockPi(k: KernelCpu, address: number, shared: boolean, deadline: number, waits: boolean): number {
  const { memory, tid } = k;
  const waiter = k.task + Task.wait;
  const kept = (k.task + Task.scratch) >>> 3;
  if (k.wakeReason === WakeReason.none) memory.f64[kept] = deadline;
  else {
    deadline = memory.f64[kept];
    if (leave(memory, waiter)) {
      if (k.wakeReason === WakeReason.timeout) return -Errno.ETIMEDOUT;
      if (k.wakeReason === WakeReason.signal) return -Restart.ERESTARTNOINTR;
    } else {
      const word = loadWordNoFault(k, address);
      // Handed over. (Otherwise the pause for an owner that was ending is over.)
      if (word !== null && (word & TID_MASK) === tid) return 0;
    }
  }
  const error = findKey(k, address, shared, key);
  if (error !== 0) return error;
  const bucket = bucketOf(memory, key);
  for (;;) {
    lock(memory, bucket + Bucket.lock);
    const result = lockOrQueue(k, address, bucket, waiter, deadline, waits);
    unlock(memory, bucket + Bucket.lock);
    if (result === 'fault') {
      if (!k.user.prepare(address, true)) return -Errno.EFAULT;
    } else if (result === 'ending') return sleep(k, k.now() + EXITING_PAUSE);
    else if (result !== 'changed') return result;
  }
}

/** One attempt under the bucket's lock. A number is the call's result. */
function lockOrQueue(
  k: KernelCpu,
  address: number,
  bucket: number,
  waiter: number,
  deadline: number,
  waits: boolean,
): number | 'fault' | 'changed' | 'ending' {
  const { memory, tid } = k;
  const word = loadWordNoFault(k, address);
  if (word === null) return 'fault';
  const owner = word & TID_MASK;
  if (owner === tid) return -Errno.EDEADLK;
  const exchange = (to: number) => {
    const found = compareExchangeWord(k, address, word, to);
    return found === null ? 'fault' : found === word ? 0 : 'changed';
  };
  if (owner === 0) return exchange((word & OWNER_DIED) | (nextOwner(memory, bucket) ? WAITERS : 0) | tid);
  if (owner >= PID_LIMIT) return -Errno.ESRCH;
  if (!waits) return -Errno.EAGAIN;
  if (!(word & WAITERS)) {
    const marked = exchange(word | WAITERS);
    if (marked !== 0) return marked;
  }
  enqueue(memory, bucket, waiter, owner);
  const becomes = fate(memory, owner);
  if (becomes === 'alive') return sleep(k, deadline);
  dequeue(memory, bucket, waiter);
  return becomes === 'gone' ? -Errno.ESRCH : 'ending';
}

/** Real-time tasks come before others, by priority. */
function rank(memory: Memory, task: number): number {
  const policy = memory.load32(task + Task.policy);
  return policy === 1 || policy === 2 ? memory.load32(task + Task.priority) : 0;
}

/** The waiter for `key` that is to have the mutex next, or 0; the caller holds the bucket's lock. */
function nextOwner(memory: Memory, bucket: number): number {
  let best = 0;
  let waiter = memory.loadU32(bucket + Bucket.first);
  for (; waiter !== 0; waiter = memory.loadU32(waiter + Waiter.next)) {
    if (memory.load32(waiter + Waiter.bitset) !== 0 || !matches(memory, waiter, key)) continue;
    if (best === 0 || rank(memory, waiter - Task.wait) > rank(memory, best - Task.wait)) best = waiter;
  }
  return best;
}

/** Makes a waiter, whose tid is in the word already, the owner, and wakes it; the caller holds the bucket's lock. */
function handOver(memory: Memory, bucket: number, next: number): void {
  dequeue(memory, bucket, next);
  const owner = memory.load32(next - Task.wait + Task.tid);
  let waiter = memory.loadU32(bucket + Bucket.first);
  for (; waiter !== 0; waiter = memory.loadU32(waiter + Waiter.next)) {
    if (memory.load32(waiter + Waiter.bitset) === 0 && matches(memory, waiter, key)) {
      memory.store32(waiter + Waiter.owner, owner);
    }
  }
  wake(memory, next - Task.wait);
}

function unlockPi(k: KernelCpu, address: number, shared: boolean): number {
  const { memory, tid } = k;
  const error = findKey(k, address, shared, key);
  if (error !== 0) return error;
  const bucket = bucketOf(memory, key);
  for (;;) {
    lock(memory, bucket + Bucket.lock);
    const word = loadWordNoFault(k, address);
    let found: number | null = null;
    if (word !== null && (word & TID_MASK) !== tid) {
      unlock(memory, bucket + Bucket.lock);
      return -Errno.EPERM;
    }
    if (word !== null) {
      const next = nextOwner(memory, bucket);
      const value = next === 0 ? 0 : WAITERS | memory.load32(next - Task.wait + Task.tid);
      found = compareExchangeWord(k, address, word, value);
      if (found === word && next !== 0) handOver(memory, bucket, next);
    }
    unlock(memory, bucket + Bucket.lock);
    if (found === null && !k.user.prepare(address, true)) return -Errno.EFAULT;
    if (found !== null && found === word) return 0;
  }
}

/**
 * Gives the mutexes that the ending thread holds to those who wait for them, marked as of an owner that died (exit_pi_state_list).
 * Called by the thread itself, after Task.exiting is set and its robust list is done.
 */
export function handOverMutexes(k: KernelCpu): void {
  const { memory } = k;
  forEachBucket(memory, (bucket) => {
    if (Atomics.load(memory.i32, (bucket + Bucket.inheriting) >>> 2) === 0) return;
    lock(memory, bucket + Bucket.lock);
    for (let waiter = memory.loadU32(bucket + Bucket.first); waiter !== 0; ) {
      const held =
        memory.load32(waiter + Waiter.bitset) === 0 && memory.load32(waiter + Waiter.owner) === k.tid;
      if (!held) {
        waiter = memory.loadU32(waiter + Waiter.next);
        continue;
      }
      key.space = memory.loadU32(waiter + Waiter.space);
      key.offset = memory.f64[(waiter + Waiter.offset) >>> 3];
      const next = nextOwner(memory, bucket);
      setWord(k, OWNER_DIED | WAITERS | memory.load32(next - Task.wait + Task.tid));
      handOver(memory, bucket, next);
      // The queue has changed: from the start again. Each round takes one of this thread's mutexes away.
      waiter = memory.loadU32(bucket + Bucket.first);
    }
    unlock(memory, bucket + Bucket.lock);
  });
}

/** Writes the word of `key`: through its frame, or in the own address space. What cannot be written is left, as by Linux. */
function setWord(k: KernelCpu, value: number): void {
  if (key.space === 0) {
    Atomics.store(k.memory.i32, key.offset >>> 2, value);
    return;
  }
  for (let word = loadWordNoFault(k, key.offset); word !== null; ) {
    const found = compareExchangeWord(k, key.offset, word, value);
    if (found === word) return;
    word = found;
  }
}

function futexOrPi(
  k: KernelCpu,
  address: number,
  operation: number,
  value: number,
  timeout: number,
  address2: number,
  value3: number,
): number {
  const { command, shared, realtime } = decodeCommand(operation);
  const waits = command === Command.LOCK_PI || command === Command.LOCK_PI2;
  if (!waits && command !== Command.UNLOCK_PI && command !== Command.TRYLOCK_PI) {
    return futex(k, address, operation, value, timeout, address2, value3);
  }
  if (realtime && command !== Command.LOCK_PI2) return -Errno.ENOSYS;
  if (command === Command.UNLOCK_PI) return unlockPi(k, address, shared);
  let deadline = Infinity;
  if (waits && timeout !== 0 && k.wakeReason === WakeReason.none) {
    const time = readTimeout(k, timeout);
    if (typeof time === 'number') return time;
    // A point in time: of the wall clock, for LOCK_PI2 of the monotonic one unless told otherwise.
    const wall = command === Command.LOCK_PI || realtime;
    deadline = wall ? realtimeToMonotonic(k.memory, time) : toNanoseconds(time);
  }
  return lockPi(k, address, shared, deadline, waits);
}

export const futexSyscalls: SyscallTable = {
  202: { name: 'futex', handler: futexOrPi, args: 'pduxpu' },
};
