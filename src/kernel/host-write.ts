import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { CpuState, cpuPointer } from '../cpu/state.js';
import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import { Errno } from './errno.js';
import { isNotified } from './signal/state.js';
import { Task } from './task-layout.js';

/** Ms between two attempts at a pipe that is full, at first and at most: nobody tells when there is room again. */
const RETRY = { first: 0.05, most: 2 } as const;

/** A word that never changes, to wait on. */
const never = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes bytes to a descriptor of the host's, all of them unless that fails, or there is no room and it is `vain` to wait.
 * @returns bytes written, or −errno if none were
 */
export function writeAll(fd: number, bytes: Uint8Array, vain: () => boolean = () => false): number {
  let done = 0;
  let pause: number = RETRY.first;
  while (done < bytes.length) {
    try {
      done += writeSync(fd, bytes, done, bytes.length - done);
      pause = RETRY.first;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Somebody has made the pipe non-blocking: we, or Node itself.
      if (code !== 'EAGAIN') return done || -(Errno[code as keyof typeof Errno] ?? Errno.EIO);
      if (vain()) return done;
      Atomics.wait(never, 0, 0, pause);
      pause = Math.min(2 * pause, RETRY.most);
    }
  }
  return done;
}

/** For `vain`: the machine stops, or the CPU's task has a signal to see to. */
export function interruption(memory: Memory, cpu: number): () => boolean {
  const stopping = (MACHINE + Machine.stopping) >>> 2;
  return () => {
    if (Atomics.load(memory.i32, stopping) !== 0) return true;
    const task = memory.loadU32(cpuPointer(cpu) + CpuState.task);
    return task !== 0 && isNotified(memory, task + Task.signals);
  };
}

/** This thread's own ways to pipes among the standard streams. */
const opened = new Map<number, number>();

/**
 * A descriptor for the same pipe as a standard stream's, whose writes don't block, since a thread that waits for a reader inside the host
 * can be neither interrupted nor ended; the stream itself, which others may share, stays as it is. For what is no pipe: the
 * stream's own.
 */
export function nonBlocking(stream: number): number {
  let fd = opened.get(stream);
  if (fd === undefined) {
    fd = stream;
    try {
      if (fstatSync(stream).isFIFO())
        fd = openSync(`/proc/self/fd/${stream}`, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch {
      // Nobody reads any more, or the host has no such files: the stream says so, or blocks.
    }
    opened.set(stream, fd);
  }
  return fd;
}

/** Closes what `nonBlocking` has opened in this thread. */
export function closeNonBlocking(): void {
  for (const [stream, fd] of opened) if (fd !== stream) closeSync(fd);
  opened.clear();
}

/**
 * Writes a message of the machine's to standard error. Nobody is told if that fails: there is nowhere else to say it.
 *
 * Not through process.stderr: a worker's goes through the main thread, which may have ended by then.
 */
export function say(text: string): void {
  writeAll(2, Buffer.from(text));
}
