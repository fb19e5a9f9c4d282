import { fstatSync } from 'node:fs';
import { Console, consolePointer, putInput, StreamKind } from '../kernel/console.js';
import type { Memory } from '../memory/memory.js';

/** Tells the kernel what the host's standard streams are. */
export function describeStreams(memory: Memory, inheritInput: boolean, capture: boolean): void {
  const console = consolePointer(memory);
  for (let fd = 0; fd < 3; fd++) {
    const inherited = fd === 0 ? inheritInput : !capture;
    memory.store32(console + Console.kinds + 4 * fd, inherited ? streamKind(fd) : StreamKind.pipe);
  }
  // Making a stream of a descriptor takes milliseconds: only of a terminal, which may know its size, and of a socket, which can't be
  // opened anew as a pipe can (src/kernel/host-write.ts), and which Node's stream makes non-blocking.
  const needed = (fd: number) => streamKind(fd) === StreamKind.terminal || (!capture && isSocket(fd));
  const streams = [...(needed(1) ? [process.stdout] : []), ...(needed(2) ? [process.stderr] : [])];
  const terminal = streams.find((stream) => stream.isTTY);
  memory.store32(console + Console.rows, terminal?.rows ?? 0);
  memory.store32(console + Console.columns, terminal?.columns ?? 0);
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}

function streamKind(fd: number): number {
  try {
    const stat = fstatSync(fd);
    if (stat.isFile()) return StreamKind.file;
    if (stat.isCharacterDevice()) {
      // Device 1:3 is /dev/null.
      return stat.rdev === 0x103 ? StreamKind.null : StreamKind.terminal;
    }
    return StreamKind.pipe;
  } catch {
    return StreamKind.closed;
  }
}

/**
 * Passes the host's standard input to the guest once the guest asks for it, and no faster than it takes it.
 *
 * The guest sets Console.wanted and notifies; it adds to Console.taken and notifies. We wait for either by its value, so a
 * change between our look and our wait ends the wait at once. `stop` changes neither, so it notifies until nobody waits.
 */
export class InputPump {
  private stopped = false;
  private readonly console: number;
  private source: NodeJS.ReadStream | null = null;

  constructor(private readonly memory: Memory) {
    this.console = consolePointer(memory);
  }

  async run(): Promise<void> {
    const { memory, console } = this;
    const wanted = (console + Console.wanted) >>> 2;
    while (Atomics.load(memory.i32, wanted) === 0) {
      await this.changed(wanted, 0);
      if (this.stopped) return;
    }
    const source = (this.source = process.stdin);
    try {
      for await (const chunk of source.iterator({ destroyOnReturn: false })) {
        if (!(await this.put(chunk as Buffer))) return;
      }
    } catch {
      // A terminal that has gone reads like the end of input.
    }
    if (!this.stopped) putInput(memory, null);
  }

  private async put(chunk: Uint8Array): Promise<boolean> {
    const taken = (this.console + Console.taken) >>> 2;
    while (!this.stopped) {
      const before = Atomics.load(this.memory.i32, taken);
      chunk = chunk.subarray(putInput(this.memory, chunk));
      if (chunk.length === 0) return true;
      await this.changed(taken, before);
    }
    return false;
  }

  private async changed(word: number, value: number): Promise<void> {
    const wait = Atomics.waitAsync(this.memory.i32, word, value);
    if (wait.async) await wait.value;
  }

  /** Lets go of standard input and ends `run`. */
  stop(): void {
    this.stopped = true;
    const { i32 } = this.memory;
    Atomics.notify(i32, (this.console + Console.wanted) >>> 2);
    Atomics.notify(i32, (this.console + Console.taken) >>> 2);
    if (this.source) {
      this.source.pause();
      this.source.unref?.();
    }
  }
}

/** Makes bytes all the input that the guest gets, as far as the ring holds them at once; the rest follows as it reads. */
export async function feedInput(memory: Memory, bytes: Uint8Array, stopped: () => boolean): Promise<void> {
  const taken = (consolePointer(memory) + Console.taken) >>> 2;
  while (bytes.length > 0 && !stopped()) {
    const before = Atomics.load(memory.i32, taken);
    const count = putInput(memory, bytes);
    bytes = bytes.subarray(count);
    if (bytes.length === 0) break;
    const wait = Atomics.waitAsync(memory.i32, taken, before);
    if (wait.async) await wait.value;
  }
  if (!stopped()) putInput(memory, null);
}
