import { locked } from '../../memory/lock.js';
import type { Memory } from '../../memory/memory.js';
import { struct } from '../../memory/struct.js';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { WakeReason } from '../task-layout.js';
import { Restart } from '../signal/registers.js';
import { leaveQueue, sleepOn, WaitQueue, wakeQueueLocked } from '../wait.js';
import { createFile, File, FileKind, fileFlags, releaseObject } from './description.js';
import { Open, Poll } from './flags.js';
import { allocate, release } from './links.js';
import { wakePollers } from './pollers.js';
import type { UserBuffer } from './user-buffer.js';

/** eventfd(2). */
const EventCounter = struct({
  value: 'u64',
  /** Guards the counter and both queues. */
  lock: 'i32',
  semaphore: 'i32',
  /** How often it was written and read. */
  writes: 'i32',
  reads: 'i32',
  readQueue: { bytes: WaitQueue.size, align: 4 },
  writeQueue: { bytes: WaitQueue.size, align: 4 },
});

const MAX = 0xffff_ffff_ffff_fffen;

/** A description of a new counter, or 0 if there is no room. */
export function createCounter(memory: Memory, initial: number, semaphore: boolean, flags: number): number {
  const counter = allocate(memory, EventCounter.size);
  if (counter === 0) return 0;
  memory.u8.fill(0, counter, counter + EventCounter.size);
  memory.storeNumber(counter + EventCounter.value, initial);
  memory.store32(counter + EventCounter.semaphore, semaphore ? 1 : 0);
  const file = createFile(memory, { kind: FileKind.counter, flags: flags | Open.RDWR, object: counter });
  if (file === 0) release(memory, counter, EventCounter.size);
  return file;
}

releaseObject[FileKind.counter] = (memory, file) => {
  release(memory, memory.loadU32(file + File.object), EventCounter.size);
};

function valueIndex(counter: number): number {
  return (counter + EventCounter.value) >>> 3;
}

export function readCounter(k: KernelCpu, file: number, to: UserBuffer): number {
  const { memory } = k;
  if (to.remaining < 8) return -Errno.EINVAL;
  const counter = memory.loadU32(file + File.object);
  let taken = 0n;
  const result = locked(memory, counter + EventCounter.lock, () => {
    if (k.wakeReason !== WakeReason.none) leaveQueue(memory, counter + EventCounter.readQueue, k.task);
    const value = memory.u64[valueIndex(counter)];
    if (value === 0n) return waitOr(k, file, counter + EventCounter.readQueue);
    taken = memory.load32(counter + EventCounter.semaphore) ? 1n : value;
    memory.u64[valueIndex(counter)] = value - taken;
    memory.store32(counter + EventCounter.reads, memory.load32(counter + EventCounter.reads) + 1);
    wakeQueueLocked(memory, counter + EventCounter.writeQueue);
    return 8;
  });
  if (result < 0) return result;
  wakePollers(memory);
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, taken, true);
  return to.push(bytes) === 8 ? result : -Errno.EFAULT;
}

export function writeCounter(k: KernelCpu, file: number, from: UserBuffer): number {
  const { memory } = k;
  if (from.remaining < 8) return -Errno.EINVAL;
  const bytes = new Uint8Array(8);
  if (from.pull(bytes) < 8) return -Errno.EFAULT;
  const added = new DataView(bytes.buffer).getBigUint64(0, true);
  if (added > MAX) return -Errno.EINVAL;
  const counter = memory.loadU32(file + File.object);
  const result = locked(memory, counter + EventCounter.lock, () => {
    if (k.wakeReason !== WakeReason.none) leaveQueue(memory, counter + EventCounter.writeQueue, k.task);
    const value = memory.u64[valueIndex(counter)];
    if (added > MAX - value) return waitOr(k, file, counter + EventCounter.writeQueue);
    memory.u64[valueIndex(counter)] = value + added;
    memory.store32(counter + EventCounter.writes, memory.load32(counter + EventCounter.writes) + 1);
    if (added > 0n) wakeQueueLocked(memory, counter + EventCounter.readQueue);
    return 8;
  });
  if (result > 0) wakePollers(memory);
  return result;
}

function waitOr(k: KernelCpu, file: number, queue: number): number {
  if (fileFlags(k.memory, file) & Open.NONBLOCK) return -Errno.EAGAIN;
  if (k.wakeReason === WakeReason.signal) return -Restart.ERESTARTSYS;
  return sleepOn(k, queue, Infinity);
}

export function pollCounter(k: KernelCpu, file: number): number {
  const { memory } = k;
  const counter = memory.loadU32(file + File.object);
  const value = locked(memory, counter + EventCounter.lock, () => memory.u64[valueIndex(counter)]);
  return (value > 0n ? Poll.IN : 0) | (value < MAX ? Poll.OUT : 0);
}

/** For `changesOf`. */
export function counterChanges(memory: Memory, file: number, events: number): number {
  const counter = memory.loadU32(file + File.object);
  const written = events & Poll.IN ? memory.load32(counter + EventCounter.writes) : 0;
  return written + (events & Poll.OUT ? memory.load32(counter + EventCounter.reads) : 0);
}
