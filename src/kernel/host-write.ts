import { writeSync } from 'node:fs';
import { Errno } from './errno.js';

const RETRY_MS = 1;

/** A word that never changes, to wait on. */
const never = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes bytes to a descriptor of the host's, all of them unless that fails or is `vain` meanwhile.
 * @returns bytes written, or −errno if none were
 */
export function writeAll(fd: number, bytes: Uint8Array, vain: () => boolean = () => false): number {
  let done = 0;
  while (done < bytes.length && !vain()) {
    try {
      done += writeSync(fd, bytes, done, bytes.length - done);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A full pipe that somebody has made non-blocking, perhaps Node itself: nobody tells when there is room again.
      if (code !== 'EAGAIN') return done || -(Errno[code as keyof typeof Errno] ?? Errno.EIO);
      Atomics.wait(never, 0, 0, RETRY_MS);
    }
  }
  return done;
}

/**
 * Writes a message of the machine's to standard error. Nobody is told if that fails: there is nowhere else to say it.
 *
 * Not through process.stderr: a worker's goes through the main thread, which may have ended by then.
 */
export function say(text: string): void {
  writeAll(2, Buffer.from(text));
}
