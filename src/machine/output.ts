import { writeSync } from 'node:fs';
import type { MessagePort } from 'node:worker_threads';
import { Console, type ConsoleOutput, consolePointer } from '../kernel/console.js';
import { Errno } from '../kernel/errno.js';
import type { Memory } from '../memory/memory.js';
import type { CpuMessage } from './messages.js';

const RETRY_MS = 1;

/** Writes to the host's own descriptors 1 and 2. */
export class HostOutput implements ConsoleOutput {
  /** A word that never changes, to wait on. */
  private readonly never = new Int32Array(new SharedArrayBuffer(4));

  write(fd: number, bytes: Uint8Array): number {
    let done = 0;
    while (done < bytes.length) {
      try {
        done += writeSync(fd, bytes, done, bytes.length - done);
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        // A full pipe that somebody has made non-blocking: nobody tells when there is room again.
        if (code === 'EAGAIN') {
          Atomics.wait(this.never, 0, 0, RETRY_MS);
          continue;
        }
        if (done > 0) return done;
        return -(Errno[code as keyof typeof Errno] ?? Errno.EIO);
      }
    }
    return done;
  }
}

/** Sends output to the main thread. */
export class CapturedOutput implements ConsoleOutput {
  private readonly sequence: number;

  constructor(
    private readonly memory: Memory,
    private readonly port: MessagePort,
  ) {
    this.sequence = (consolePointer(memory) + Console.sequence) >>> 2;
  }

  write(fd: number, bytes: Uint8Array): number {
    const sequence = Atomics.add(this.memory.i32, this.sequence, 1);
    this.port.postMessage({ kind: 'output', fd, sequence, bytes } satisfies CpuMessage);
    return bytes.length;
  }
}
