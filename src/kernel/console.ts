import { locked } from '../memory/lock.js';
import type { Memory } from '../memory/memory.js';
import { heapAllocate } from '../memory/slab.js';
import { struct } from '../memory/struct.js';
import { Errno } from './errno.js';
import type { KernelCpu } from './kernel-cpu.js';
import { wakePollers } from './files/pollers.js';
import { rootPointer, setRoot, TaskRoot } from './roots.js';
import { leaveQueue, sleepOn, WaitQueue, wakeQueueLocked } from './wait.js';

/**
 * The machine's side of the standard streams. Input comes from the main thread through a ring in shared memory, because a
 * CPU must not be stuck in a read of a terminal or pipe; output goes to the host from the CPU that writes (ConsoleOutput).
 */
export const Console = struct({
  /** Tasks that wait for input; its lock guards the ring too. */
  queue: { bytes: WaitQueue.size, align: 8 },
  /** Atomic: 1 from the guest's first look at the input on; the main thread waits for it before it reads anything. */
  wanted: 'i32',
  /** Bytes ever put into and taken out of the ring, modulo 2^32. `taken` is atomic: the main thread waits on it when full. */
  put: 'i32',
  taken: 'i32',
  /** 1 when no more input comes. */
  ended: 'i32',
  /** What the host's descriptors 0, 1 and 2 are: a StreamKind each. */
  kinds: ['i32', 3],
  /** Size of the terminal, if one of them is one. */
  rows: 'i32',
  columns: 'i32',
  /** Atomic: number of the next captured piece of output. */
  sequence: 'i32',
  ring: ['u8', 65536],
});

/** Kinds of host streams. A regular file as input is read through its descriptor, not through the ring. */
export const StreamKind = { pipe: 0, terminal: 1, file: 2, null: 3, closed: 4 } as const;

const RING = 65536;

export function createConsole(memory: Memory): number {
  const pointer = heapAllocate(memory, Console.size);
  if (pointer === 0) throw new Error('the kernel heap has no room for the console');
  setRoot(memory, TaskRoot.console, pointer);
  return pointer;
}

export function consolePointer(memory: Memory): number {
  return rootPointer(memory, TaskRoot.console);
}

/** Bytes of input that are there, 0 for none yet, −1 when input has ended. Tells the main thread that input is wanted. */
export function inputAvailable(memory: Memory): number {
  const console = consolePointer(memory);
  want(memory, console);
  return locked(memory, console + Console.queue + WaitQueue.lock, () => available(memory, console));
}

/**
 * Takes input.
 * @returns bytes taken, 0 at the end of input, −EAGAIN if there is none yet
 */
export function takeInput(memory: Memory, to: Uint8Array): number {
  const console = consolePointer(memory);
  want(memory, console);
  let count = 0;
  const here = locked(memory, console + Console.queue + WaitQueue.lock, () => {
    const ready = available(memory, console);
    count = Math.min(ready, to.length);
    if (count > 0) {
      const taken = memory.load32(console + Console.taken);
      const at = taken & (RING - 1);
      const first = Math.min(count, RING - at);
      const ring = console + Console.ring;
      to.set(memory.u8.subarray(ring + at, ring + at + first));
      to.set(memory.u8.subarray(ring, ring + count - first), first);
      Atomics.store(memory.i32, (console + Console.taken) >>> 2, (taken + count) | 0);
    }
    return ready;
  });
  if (count > 0) Atomics.notify(memory.i32, (console + Console.taken) >>> 2);
  if (count > 0 || to.length === 0) return Math.max(count, 0);
  return here < 0 ? 0 : -Errno.EAGAIN;
}

/**
 * Puts the current task to sleep until there is input (or its end), a signal or the deadline; the handler then returns
 * BLOCKED. Whoever puts input into the ring wakes it, under the lock under which it has looked here.
 * @returns false if there is input already
 */
export function sleepForInput(k: KernelCpu, deadline: number): boolean {
  const { memory } = k;
  const console = consolePointer(memory);
  const queue = console + Console.queue;
  want(memory, console);
  return locked(memory, queue + WaitQueue.lock, () => {
    const sleeps = available(memory, console) === 0;
    if (sleeps) sleepOn(k, queue, deadline);
    return sleeps;
  });
}

/** To be called by handlers that slept for input, first thing when they are called again. */
export function stopSleepingForInput(k: KernelCpu): void {
  const queue = consolePointer(k.memory) + Console.queue;
  locked(k.memory, queue + WaitQueue.lock, () => leaveQueue(k.memory, queue, k.task));
}

/**
 * Puts input into the ring, or its end (null), and wakes those who wait for it. Called by the main thread.
 * @returns bytes taken; fewer than there are when the ring is full
 */
export function putInput(memory: Memory, from: Uint8Array | null): number {
  const console = consolePointer(memory);
  const queue = console + Console.queue;
  let count = 0;
  locked(memory, queue + WaitQueue.lock, () => {
    if (from === null) {
      memory.store32(console + Console.ended, 1);
    } else {
      const put = memory.load32(console + Console.put);
      const free = RING - ((put - memory.load32(console + Console.taken)) | 0);
      count = Math.min(free, from.length);
      const at = put & (RING - 1);
      const first = Math.min(count, RING - at);
      memory.u8.set(from.subarray(0, first), console + Console.ring + at);
      memory.u8.set(from.subarray(first, count), console + Console.ring);
      memory.store32(console + Console.put, (put + count) | 0);
    }
    wakeQueueLocked(memory, queue);
  });
  wakePollers(memory);
  return count;
}

function available(memory: Memory, console: number): number {
  const count = (memory.load32(console + Console.put) - memory.load32(console + Console.taken)) | 0;
  return count > 0 ? count : memory.load32(console + Console.ended) ? -1 : 0;
}

function want(memory: Memory, console: number): void {
  const word = (console + Console.wanted) >>> 2;
  if (Atomics.load(memory.i32, word) !== 0) return;
  Atomics.store(memory.i32, word, 1);
  Atomics.notify(memory.i32, word);
}
