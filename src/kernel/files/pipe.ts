import { lock, locked, unlock } from '../../memory/lock.js';
import type { Memory } from '../../memory/memory.js';
import { struct } from '../../memory/struct.js';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { Restart } from '../signal/registers.js';
import { Task, WakeReason } from '../task.js';
import { leaveQueue, sleepOn, WaitQueue, wakeQueueLocked } from '../wait.js';
import { createFile, dropFile, File, FileKind, fileFlags, releaseObject } from './description.js';
import { Open, Poll } from './flags.js';
import { allocate, raisePipeSignal, release } from './links.js';
import { wakePollers } from './pollers.js';
import { bounce, type UserBuffer } from './user-buffer.js';

/** Pipes (pipe(7)): a ring of bytes in shared memory. Writes of at most PIPE_BUF bytes are not divided. */
const Pipe = struct({
  /** Guards everything here, both queues included. User memory is never touched under it. */
  lock: 'i32',
  readers: 'i32',
  writers: 'i32',
  /** Index of the first byte, and number of bytes. */
  start: 'i32',
  count: 'i32',
  /** 1 while a reader copies bytes to user memory, which it takes out of the ring only when they have arrived. */
  reading: 'i32',
  data: 'u32',
  /** How often bytes came, room came where there was none, or the other end went: what wakes readers and writers. */
  arrivals: 'i32',
  departures: 'i32',
  readQueue: { bytes: WaitQueue.size, align: 4 },
  writeQueue: { bytes: WaitQueue.size, align: 4 },
});

const CAPACITY = 65536;
const PIPE_BUF = 4096;

/** File.variant of the two ends. */
const End = { read: 0, write: 1 } as const;

/** Makes both ends; [read, write] with one reference each, or null if there is no room. */
export function createPipe(memory: Memory, flags: number): [number, number] | null {
  const pipe = allocate(memory, Pipe.size);
  const data = pipe === 0 ? 0 : allocate(memory, CAPACITY);
  if (data === 0) {
    if (pipe !== 0) release(memory, pipe, Pipe.size);
    return null;
  }
  memory.u8.fill(0, pipe, pipe + Pipe.size);
  memory.store32(pipe + Pipe.data, data);
  const read = createFile(memory, {
    kind: FileKind.pipe,
    flags: flags | Open.RDONLY,
    variant: End.read,
    object: pipe,
  });
  if (read !== 0) memory.store32(pipe + Pipe.readers, 1);
  const write =
    read === 0
      ? 0
      : createFile(memory, {
          kind: FileKind.pipe,
          flags: flags | Open.WRONLY,
          variant: End.write,
          object: pipe,
        });
  if (write !== 0) {
    memory.store32(pipe + Pipe.writers, 1);
    return [read, write];
  }
  if (read !== 0) dropFile(memory, read);
  else freePipe(memory, pipe);
  return null;
}

function freePipe(memory: Memory, pipe: number): void {
  release(memory, memory.loadU32(pipe + Pipe.data), CAPACITY);
  release(memory, pipe, Pipe.size);
}

releaseObject[FileKind.pipe] = (memory, file) => {
  const pipe = memory.loadU32(file + File.object);
  const end = memory.load32(file + File.variant) === End.read ? Pipe.readers : Pipe.writers;
  const unused = locked(memory, pipe + Pipe.lock, () => {
    memory.store32(pipe + end, memory.load32(pipe + end) - 1);
    count(memory, pipe + Pipe.arrivals);
    count(memory, pipe + Pipe.departures);
    wakeQueueLocked(memory, pipe + Pipe.readQueue);
    wakeQueueLocked(memory, pipe + Pipe.writeQueue);
    return memory.load32(pipe + Pipe.readers) === 0 && memory.load32(pipe + Pipe.writers) === 0;
  });
  wakePollers(memory);
  // Nobody sleeps in a pipe without ends: a sleeper's call holds a reference to its end.
  if (unused) freePipe(memory, pipe);
};

/**
 * A reader copies without the lock; `reading` keeps other readers away meanwhile. They sleep in readQueue; the reader wakes them when
 * it has cleared `reading`, under the lock under which they saw it. It never sleeps in between.
 */
export function readPipe(k: KernelCpu, file: number, to: UserBuffer): number {
  const { memory } = k;
  const pipe = memory.loadU32(file + File.object);
  if (to.remaining === 0) return 0;
  const buffer = bounce(memory, to.remaining);
  lock(memory, pipe + Pipe.lock);
  if (k.wakeReason !== WakeReason.none) leaveQueue(memory, pipe + Pipe.readQueue, k.task);
  const available = memory.load32(pipe + Pipe.count);
  const reading = memory.load32(pipe + Pipe.reading) !== 0;
  if (available === 0 || reading) {
    let result = 0;
    // As short as another reader's copy is, a descriptor that doesn't block waits for it.
    if (!reading && memory.load32(pipe + Pipe.writers) === 0) result = 0;
    else if (!reading && fileFlags(memory, file) & Open.NONBLOCK) result = -Errno.EAGAIN;
    else if (k.wakeReason === WakeReason.signal) result = -Restart.ERESTARTSYS;
    else result = sleepOn(k, pipe + Pipe.readQueue, Infinity);
    unlock(memory, pipe + Pipe.lock);
    return result;
  }
  const wanted = Math.min(available, buffer.length);
  const start = memory.load32(pipe + Pipe.start);
  const data = memory.loadU32(pipe + Pipe.data);
  const first = Math.min(wanted, CAPACITY - start);
  buffer.set(memory.u8.subarray(data + start, data + start + first));
  buffer.set(memory.u8.subarray(data, data + wanted - first), first);
  memory.store32(pipe + Pipe.reading, 1);
  unlock(memory, pipe + Pipe.lock);
  const copied = to.push(buffer.subarray(0, wanted));
  // What lies in one page of Linux's pipe is read as a whole or, for want of memory to put it, not at all.
  const taken = copied < wanted ? copied - (copied % PIPE_BUF) : wanted;
  lock(memory, pipe + Pipe.lock);
  const held = memory.load32(pipe + Pipe.count);
  memory.store32(pipe + Pipe.reading, 0);
  memory.store32(pipe + Pipe.start, (start + taken) % CAPACITY);
  memory.store32(pipe + Pipe.count, held - taken);
  if (taken > 0 && CAPACITY - held < PIPE_BUF) count(memory, pipe + Pipe.departures);
  wakeQueueLocked(memory, pipe + Pipe.readQueue);
  if (taken > 0) wakeQueueLocked(memory, pipe + Pipe.writeQueue);
  unlock(memory, pipe + Pipe.lock);
  if (taken > 0) wakePollers(memory);
  return taken || -Errno.EFAULT;
}

/** What a blocked writer has written so far is in Task.scratch[0] while it sleeps. */
export function writePipe(k: KernelCpu, file: number, from: UserBuffer): number {
  const { memory } = k;
  const pipe = memory.loadU32(file + File.object);
  const progress = (k.task + Task.scratch) >>> 3;
  let done = 0;
  if (k.wakeReason !== WakeReason.none) {
    done = memory.f64[progress];
    from.skip(done);
  }
  const total = done + from.remaining;
  if (total === 0) return 0;
  for (;;) {
    const buffer = bounce(memory, from.remaining);
    const taken = from.pull(buffer);
    if (taken === 0 && done < total) return done || -Errno.EFAULT;
    lock(memory, pipe + Pipe.lock);
    if (k.wakeReason !== WakeReason.none) leaveQueue(memory, pipe + Pipe.writeQueue, k.task);
    if (memory.load32(pipe + Pipe.readers) === 0) {
      unlock(memory, pipe + Pipe.lock);
      if (done > 0) return done;
      raisePipeSignal(k);
      return -Errno.EPIPE;
    }
    const used = memory.load32(pipe + Pipe.count);
    const room = CAPACITY - used;
    const whole = total <= PIPE_BUF;
    const count = whole && room < taken ? 0 : Math.min(room, taken);
    if (count > 0) {
      append(memory, pipe, buffer.subarray(0, count));
      wakeQueueLocked(memory, pipe + Pipe.readQueue);
      done += count;
    }
    let result = done;
    if (count < taken) {
      from.unpull(taken - count);
      if (fileFlags(memory, file) & Open.NONBLOCK) result = done || -Errno.EAGAIN;
      else if (k.wakeReason === WakeReason.signal) result = done || -Restart.ERESTARTSYS;
      else {
        memory.f64[progress] = done;
        result = sleepOn(k, pipe + Pipe.writeQueue, Infinity);
      }
    }
    unlock(memory, pipe + Pipe.lock);
    if (count > 0) wakePollers(memory);
    if (count < taken || done === total || taken < buffer.length) return result;
  }
}

function append(memory: Memory, pipe: number, bytes: Uint8Array): void {
  const used = memory.load32(pipe + Pipe.count);
  const end = (memory.load32(pipe + Pipe.start) + used) % CAPACITY;
  const data = memory.loadU32(pipe + Pipe.data);
  const first = Math.min(bytes.length, CAPACITY - end);
  memory.u8.set(bytes.subarray(0, first), data + end);
  memory.u8.set(bytes.subarray(first), data);
  memory.store32(pipe + Pipe.count, used + bytes.length);
  count(memory, pipe + Pipe.arrivals);
}

/** Under the pipe's lock. */
function count(memory: Memory, pointer: number): void {
  memory.store32(pointer, memory.load32(pointer) + 1);
}

export function pollPipe(k: KernelCpu, file: number): number {
  const { memory } = k;
  const pipe = memory.loadU32(file + File.object);
  lock(memory, pipe + Pipe.lock);
  const count = memory.load32(pipe + Pipe.count);
  const others = memory.load32(
    pipe + (memory.load32(file + File.variant) === End.read ? Pipe.writers : Pipe.readers),
  );
  unlock(memory, pipe + Pipe.lock);
  if (memory.load32(file + File.variant) === End.read) {
    return (count > 0 ? Poll.IN | Poll.RDNORM : 0) | (others === 0 ? Poll.HUP : 0);
  }
  return (CAPACITY - count >= PIPE_BUF ? Poll.OUT | Poll.WRNORM : 0) | (others === 0 ? Poll.ERR : 0);
}

/** For `changesOf`. */
export function pipeChanges(memory: Memory, file: number): number {
  const pipe = memory.loadU32(file + File.object);
  const reads = memory.load32(file + File.variant) === End.read;
  return memory.load32(pipe + (reads ? Pipe.arrivals : Pipe.departures));
}

/** Bytes waiting in the pipe (FIONREAD). */
export function pipeBytes(memory: Memory, file: number): number {
  return memory.load32(memory.loadU32(file + File.object) + Pipe.count);
}

export const PIPE_CAPACITY = CAPACITY;
