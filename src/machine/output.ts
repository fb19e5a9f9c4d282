import type { MessagePort } from 'node:worker_threads';
import { Console, consolePointer } from '../kernel/console.js';
import type { ConsoleOutput } from '../kernel/kernel-cpu.js';
import { interruption, nonBlocking, writeAll } from '../kernel/host-write.js';
import type { Memory } from '../memory/memory.js';
import type { CpuMessage } from './messages.js';

/** Writes to the host's own descriptors 1 and 2. */
export class HostOutput implements ConsoleOutput {
  private readonly vain: () => boolean;

  constructor(memory: Memory, cpu: number) {
    this.vain = interruption(memory, cpu);
  }

  write(fd: number, bytes: Uint8Array): number {
    return writeAll(nonBlocking(fd), bytes, this.vain);
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
