import type { Memory } from '../memory/memory.js';
import { rootPointer, setRoot } from '../memory/roots.js';
import { heapAllocate } from '../memory/slab.js';
import { struct } from '../memory/struct.js';
import { Errno } from './errno.js';
import type { KernelCpu } from './kernel-cpu.js';

/**
 * The table of futexes: buckets in shared memory, each with its own lock and a queue of waiting tasks. A task waits for one
 * futex at a time, so its queue entry is in the task (Task.wait). Who waits and who wakes: futex.ts, futex-pi.ts.
 */

/** A task's place in a queue, at Task.wait. */
export const Waiter = struct({
  /** The bucket in whose queue it is; 0 when woken or not waiting. Changed under that bucket's lock. Atomic. */
  bucket: 'u32',
  /** Neighbours in the queue (pointers to Waiter). */
  next: 'u32',
  previous: 'u32',
  /** What it waits for: see Key. */
  space: 'u32',
  offset: 'f64',
  /** 0 for one that waits for a mutex with priority inheritance: nothing but its owner wakes it. */
  bitset: 'i32',
  /** Who holds that mutex (src/kernel/futex-pi.ts). */
  owner: 'i32',
});

/** `inheriting`: how many of the waiters wait for a mutex with priority inheritance. Atomic, changed under the lock. */
export const Bucket = struct({ lock: 'i32', first: 'u32', last: 'u32', inheriting: 'i32' });
const BUCKETS = 256;

/** Slot of Machine.roots (16–23 are for signals, futexes and time). */
const TABLE_ROOT = 17;

/** Called once at boot. */
export function createFutexTable(memory: Memory): void {
  const table = heapAllocate(memory, BUCKETS * Bucket.size);
  if (table === 0) throw new Error('the kernel heap has no room for the futex table');
  setRoot(memory, TABLE_ROOT, table);
}

/** Identity of a futex: pointer of the mm and address, or 0 and the pointer of the word in a frame for shared ones. */
export interface Key {
  space: number;
  offset: number;
}

/** Calls `visit` for every bucket. */
export function forEachBucket(memory: Memory, visit: (bucket: number) => void): void {
  const table = rootPointer(memory, TABLE_ROOT);
  for (let i = 0; i < BUCKETS; i++) visit(table + i * Bucket.size);
}

/** Fills a key. Returns 0 or −errno. */
export function findKey(k: KernelCpu, address: number, shared: boolean, key: Key): number {
  if (address % 4 !== 0) return -Errno.EINVAL;
  if (address >= 0x7fff_ffff_f000) return -Errno.EFAULT;
  if (!shared) {
    key.space = k.mm;
    key.offset = address;
    return 0;
  }
  // Looked up for writing, if it may be written: a frame that the first write would replace is replaced before.
  const place = k.user.place(address, true) || k.user.place(address, false);
  if (place === 0) return -Errno.EFAULT;
  key.space = 0;
  key.offset = place;
  return 0;
}

export function bucketOf(memory: Memory, key: Key): number {
  let hash =
    Math.imul(key.space ^ (key.offset / 4), 0x9e37_79b1) ^ Math.imul(key.offset / 0x1_0000_0000, 0x85eb_ca6b);
  hash ^= hash >>> 15;
  return rootPointer(memory, TABLE_ROOT) + (hash & (BUCKETS - 1)) * Bucket.size;
}

export const matches = (memory: Memory, waiter: number, key: Key) =>
  memory.loadU32(waiter + Waiter.space) === key.space &&
  memory.f64[(waiter + Waiter.offset) >>> 3] === key.offset;

export function append(memory: Memory, bucket: number, waiter: number, key: Key): void {
  const last = memory.loadU32(bucket + Bucket.last);
  memory.store32(waiter + Waiter.space, key.space);
  memory.f64[(waiter + Waiter.offset) >>> 3] = key.offset;
  memory.store32(waiter + Waiter.next, 0);
  memory.store32(waiter + Waiter.previous, last);
  memory.store32(last === 0 ? bucket + Bucket.first : last + Waiter.next, waiter);
  memory.store32(bucket + Bucket.last, waiter);
  Atomics.store(memory.i32, (waiter + Waiter.bucket) >>> 2, bucket);
}

export function remove(memory: Memory, bucket: number, waiter: number): void {
  const next = memory.loadU32(waiter + Waiter.next);
  const previous = memory.loadU32(waiter + Waiter.previous);
  memory.store32(previous === 0 ? bucket + Bucket.first : previous + Waiter.next, next);
  memory.store32(next === 0 ? bucket + Bucket.last : next + Waiter.previous, previous);
  Atomics.store(memory.i32, (waiter + Waiter.bucket) >>> 2, 0);
}

/** Bits of the word of a robust or PI futex. */
export const WAITERS = 0x8000_0000 | 0;
export const OWNER_DIED = 0x4000_0000;
export const TID_MASK = 0x3fff_ffff;

/** The futex word, signed; null if its page is not there (no page fault is served). */
export function loadWordNoFault(k: KernelCpu, address: number): number | null {
  const word = k.user.peekU32(address);
  return word < 0 ? null : word | 0;
}

/** Compare-exchange without page faults: what was found there, signed; null if its page is not there for writing. */
export function compareExchangeWord(
  k: KernelCpu,
  address: number,
  expected: number,
  value: number,
): number | null {
  const found = k.user.compareExchange32(address, expected, value, false);
  return found < 0 ? null : found | 0;
}
