import type { MessagePort } from 'node:worker_threads';
import { Console, type ConsoleOutput, consolePointer } from '../kernel/console.js';
import { writeAll } from '../kernel/host-write.js';
import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import type { CpuMessage } from './messages.js';

/** Writes to the host's own descriptors 1 and 2. */
export class HostOutput implements ConsoleOutput {
  constructor(private readonly memory: Memory) {}

  write(fd: number, bytes: Uint8Array): number {
    // A machine that stops doesn't wait for somebody to read what is in the pipe.
    const stopping = (MACHINE + Machine.stopping) >>> 2;
    return writeAll(fd, bytes, () => Atomics.load(this.memory.i32, stopping) !== 0);
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
