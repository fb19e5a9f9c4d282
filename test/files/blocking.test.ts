import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { putInput } from '../../src/kernel/console.js';
import { openDescriptors } from '../../src/kernel/files/table.js';
import type { KernelCpu } from '../../src/kernel/kernel-cpu.js';
import { BLOCKED } from '../../src/kernel/syscalls.js';
import { Process, Task, TaskState } from '../../src/kernel/task.js';
import { interruptForSignal, loadWord, stateOf, wake } from '../../src/kernel/wait.js';
import { DENIED, Folders, TestKernel, USER } from './fixtures.js';

const [READ, WRITE, POLL, PIPE, SELECT, CLOSE, DUP2, EVENTFD, PPOLL] = [0, 1, 7, 22, 23, 3, 33, 290, 271];
const EINTR_RESTART = -512;
const [WOKEN, TIMEOUT, SIGNAL] = [1, 2, 3];

let folders: Folders;
let kernel: TestKernel;

beforeEach(() => {
  folders = new Folders((folder) => writeFileSync(join(folder, 'text'), '0123456789'));
  kernel = new TestKernel(folders.own);
});

afterEach(() => {
  kernel.close();
  folders.remove();
});

/** A second thread that makes a call which blocks; `resume` is what the CPU's loop does once it is woken. */
class Sleeper {
  readonly k: KernelCpu;

  constructor(private readonly syscall: readonly [number, ...number[]]) {
    this.k = kernel.thread();
    expect(kernel.callOn(this.k, ...syscall)).toBe(BLOCKED);
    expect(kernel.asleep(this.k)).toBe(true);
  }

  get awake(): boolean {
    return stateOf(loadWord(kernel.memory, this.k.task)) === TaskState.Running;
  }

  resume(reason = WOKEN): number {
    expect(this.awake).toBe(true);
    const k = this.k as { wakeReason: number };
    k.wakeReason = reason;
    const result = kernel.callOn(this.k, ...this.syscall);
    k.wakeReason = 0;
    return result;
  }

  interrupt(): number {
    interruptForSignal(kernel.memory, this.k.task);
    return this.resume(SIGNAL);
  }
}

function pipe(): [number, number] {
  const address = kernel.place(new Uint8Array(8));
  expect(kernel.call(PIPE, address)).toBe(0);
  const bytes = kernel.bytes(address, 8);
  return [bytes.readInt32LE(0), bytes.readInt32LE(4)];
}

const text = (address: number, length: number) => kernel.bytes(address, length).toString('latin1');

describe('a reader of a pipe', () => {
  it('sleeps until somebody writes', () => {
    const [read, write] = pipe();
    const buffer = kernel.place(new Uint8Array(10));
    const sleeper = new Sleeper([READ, read, buffer, 10]);
    expect(kernel.call(WRITE, write, kernel.place('hello'), 5)).toBe(5);
    expect(sleeper.resume()).toBe(5);
    expect(text(buffer, 5)).toBe('hello');
  });

  it('goes back to sleep when another reader was faster', () => {
    const [read, write] = pipe();
    const buffer = kernel.place(new Uint8Array(10));
    const sleeper = new Sleeper([READ, read, buffer, 10]);
    kernel.call(WRITE, write, kernel.place('a'), 1);
    expect(kernel.call(READ, read, buffer, 10)).toBe(1);
    expect(sleeper.resume()).toBe(BLOCKED);
    kernel.call(WRITE, write, kernel.place('b'), 1);
    expect(sleeper.resume()).toBe(1);
  });

  it('sees the end when the last writer closes', () => {
    const [read, write] = pipe();
    const sleeper = new Sleeper([READ, read, kernel.place(new Uint8Array(10)), 10]);
    kernel.call(DUP2, write, 50);
    kernel.call(CLOSE, write);
    expect(sleeper.awake).toBe(false);
    kernel.call(CLOSE, 50);
    expect(sleeper.resume()).toBe(0);
  });

  it('is interrupted by a signal, and leaves the queue', () => {
    const [read, write] = pipe();
    const buffer = kernel.place(new Uint8Array(10));
    const first = new Sleeper([READ, read, buffer, 1]);
    const second = new Sleeper([READ, read, buffer, 1]);
    expect(first.interrupt()).toBe(EINTR_RESTART);
    kernel.call(WRITE, write, kernel.place('ab'), 2);
    expect(second.resume()).toBe(1);
  });

  it('keeps its file when another thread closes the descriptor and reuses it', () => {
    const [read, write] = pipe();
    const buffer = kernel.place(new Uint8Array(10));
    const sleeper = new Sleeper([READ, read, buffer, 10]);
    kernel.call(CLOSE, read);
    expect(kernel.call(2, kernel.place('text'), 0)).toBe(read);
    expect(kernel.call(WRITE, write, kernel.place('pipe'), 4)).toBe(4);
    expect(sleeper.resume()).toBe(4);
    expect(text(buffer, 4)).toBe('pipe');
    // Its end was the last one and is gone now.
    expect(kernel.call(WRITE, write, kernel.place('x'), 1)).toBe(-32);
  });
});

describe('a writer of a pipe', () => {
  it('writes what fits, sleeps, and goes on where it was', () => {
    const [read, write] = pipe();
    const data = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7) & 255);
    const from = kernel.place(data);
    const sleeper = new Sleeper([WRITE, write, from, data.length]);
    const to = kernel.place(new Uint8Array(data.length));
    let got = 0;
    got += kernel.call(READ, read, to, 30_000);
    expect(sleeper.resume()).toBe(BLOCKED);
    got += kernel.call(READ, read, to + got, 65_536);
    expect(sleeper.resume()).toBe(100_000);
    got += kernel.call(READ, read, to + got, 65_536);
    expect(got).toBe(100_000);
    expect(kernel.bytes(to, data.length).equals(data)).toBe(true);
  });

  it('answers what it has written when a signal comes', () => {
    const [, write] = pipe();
    const sleeper = new Sleeper([WRITE, write, kernel.place(new Uint8Array(70_000)), 70_000]);
    expect(sleeper.interrupt()).toBe(65_536);
  });

  it('does not divide a write of PIPE_BUF bytes', () => {
    const [read, write] = pipe();
    kernel.call(WRITE, write, kernel.place(new Uint8Array(65_000)), 65_000);
    const sleeper = new Sleeper([WRITE, write, kernel.place(new Uint8Array(4096)), 4096]);
    kernel.call(READ, read, USER, 3000);
    expect(sleeper.resume()).toBe(BLOCKED);
    kernel.call(READ, read, USER, 1000);
    expect(sleeper.resume()).toBe(4096);
  });

  it('gets EPIPE and SIGPIPE when nobody reads any more', () => {
    const [read, write] = pipe();
    const sleeper = new Sleeper([WRITE, write, kernel.place(new Uint8Array(65_537)), 65_537]);
    kernel.call(CLOSE, read);
    expect(sleeper.resume()).toBe(65_536);
    expect(kernel.callOn(sleeper.k, WRITE, write, USER, 1)).toBe(-32);
  });
});

describe('an event counter', () => {
  it('makes readers sleep at 0 and writers at its limit', () => {
    const fd = kernel.call(EVENTFD, 0, 0);
    const word = (n: bigint) => kernel.place(new Uint8Array(BigUint64Array.of(n).buffer));
    const buffer = word(0n);
    const reader = new Sleeper([READ, fd, buffer, 8]);
    kernel.call(WRITE, fd, word(3n), 8);
    expect(reader.resume()).toBe(8);
    expect(kernel.bytes(buffer, 8).readBigUInt64LE()).toBe(3n);
    kernel.call(WRITE, fd, word(0xffff_ffff_ffff_fffen), 8);
    const writer = new Sleeper([WRITE, fd, word(1n), 8]);
    kernel.call(READ, fd, buffer, 8);
    expect(writer.resume()).toBe(8);
  });
});

describe('standard input', () => {
  it('makes readers sleep until there is some, and ends', () => {
    const buffer = kernel.place(new Uint8Array(10));
    const sleeper = new Sleeper([READ, 0, buffer, 10]);
    putInput(kernel.memory, Buffer.from('line\n'));
    expect(sleeper.resume()).toBe(5);
    expect(text(buffer, 5)).toBe('line\n');
    const again = new Sleeper([READ, 0, buffer, 10]);
    putInput(kernel.memory, null);
    expect(again.resume()).toBe(0);
  });

  it('can be interrupted', () => {
    expect(new Sleeper([READ, 0, USER, 10]).interrupt()).toBe(EINTR_RESTART);
  });
});

describe('poll and select', () => {
  const pollfd = (fd: number, events: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeInt32LE(fd, 0);
    bytes.writeInt16LE(events, 4);
    return kernel.place(bytes);
  };

  it('sleep until a file is ready', () => {
    const [read, write] = pipe();
    const fds = pollfd(read, 1);
    const sleeper = new Sleeper([POLL, fds, 1, -1]);
    kernel.call(WRITE, write, kernel.place('x'), 1);
    expect(sleeper.resume()).toBe(1);
    expect(kernel.bytes(fds, 8).readInt16LE(6)).toBe(1);
  });

  it('wake for each of several files, all sleepers', () => {
    const [readA, writeA] = pipe();
    const [readB] = pipe();
    const a = new Sleeper([POLL, pollfd(readA, 1), 1, -1]);
    const b = new Sleeper([POLL, pollfd(readB, 1), 1, -1]);
    kernel.call(WRITE, writeA, kernel.place('x'), 1);
    expect(a.resume()).toBe(1);
    expect(b.resume()).toBe(BLOCKED);
    expect(b.interrupt()).toBe(-514);
  });

  it('end at their timeout, which a wake-up for nothing does not prolong', () => {
    const [readA, writeA] = pipe();
    const [readB] = pipe();
    const sleeper = new Sleeper([POLL, pollfd(readB, 1), 1, 50]);
    expect(kernel.memory.f64[(sleeper.k.task + Task.deadline) >>> 3]).toBe(50e6);
    kernel.time = 20e6;
    const other = new Sleeper([POLL, pollfd(readA, 1), 1, -1]);
    kernel.call(WRITE, writeA, kernel.place('x'), 1);
    expect(other.resume()).toBe(1);
    expect(sleeper.resume()).toBe(BLOCKED);
    expect(kernel.memory.f64[(sleeper.k.task + Task.deadline) >>> 3]).toBe(50e6);
    kernel.time = 50e6;
    wake(kernel.memory, sleeper.k.task, TIMEOUT);
    expect(sleeper.resume(TIMEOUT)).toBe(0);
  });

  it('select tells the time that is left', () => {
    const [read, write] = pipe();
    const set = kernel.place(Uint8Array.of(1 << read, 0, 0, 0, 0, 0, 0, 0));
    const time = kernel.place(new Uint8Array(BigInt64Array.of(2n, 500_000n).buffer));
    const sleeper = new Sleeper([SELECT, read + 1, set, 0, 0, time]);
    kernel.time = 1e9;
    kernel.call(WRITE, write, kernel.place('x'), 1);
    expect(sleeper.resume()).toBe(1);
    expect(kernel.bytes(set, 1)[0]).toBe(1 << read);
    expect([...new BigInt64Array(new Uint8Array(kernel.bytes(time, 16)).buffer)]).toEqual([1n, 500_000n]);
  });

  it('ppoll blocks signals while it lasts, and only then', () => {
    const blocked = kernel.k.task;
    const [read, write] = pipe();
    const mask = kernel.place(new Uint8Array(BigUint64Array.of(0xf0n).buffer));
    const sleeper = new Sleeper([PPOLL, pollfd(read, 1), 1, 0, mask, 8]);
    expect(blocked).not.toBe(sleeper.k.task);
    kernel.call(WRITE, write, kernel.place('x'), 1);
    expect(sleeper.resume()).toBe(1);
    expect(kernel.callOn(sleeper.k, PPOLL, pollfd(read, 1), 1, 0, mask, 4)).toBe(-22);
  });
});

describe('memory that cannot be accessed', () => {
  it('ends a read or write short, or with EFAULT', () => {
    const fd = kernel.call(2, kernel.place('text'), 2);
    expect(kernel.call(READ, fd, DENIED - 4, 10)).toBe(4);
    expect(kernel.call(8, fd, 0, 1)).toBe(4);
    expect(kernel.call(READ, fd, DENIED, 10)).toBe(-14);
    expect(kernel.call(8, fd, 0, 1)).toBe(4);
    expect(kernel.call(WRITE, fd, DENIED - 2, 10)).toBe(2);
    expect(kernel.call(WRITE, fd, DENIED, 10)).toBe(-14);
    expect(kernel.call(WRITE, 1, DENIED, 10)).toBe(-14);
    expect(kernel.call(5, fd, DENIED - 10)).toBe(-14);
    expect(kernel.call(2, DENIED, 0)).toBe(-14);
    kernel.user.fill(0x61, DENIED - USER - 100, DENIED - USER);
    expect(kernel.call(2, DENIED - 50, 0)).toBe(-14);
  });

  it('leaves in a pipe what cannot be read into it, a page as a whole', () => {
    const [read, write] = pipe();
    expect(kernel.call(WRITE, write, kernel.place('hello'), 5)).toBe(5);
    expect(kernel.call(READ, read, DENIED, 5)).toBe(-14);
    expect(kernel.call(READ, read, DENIED - 2, 5)).toBe(-14);
    const buffer = kernel.place(new Uint8Array(10));
    expect(kernel.call(READ, read, buffer, 10)).toBe(5);
    expect(text(buffer, 5)).toBe('hello');
    const pages = Uint8Array.from({ length: 8192 }, (_, i) => i >>> 8);
    expect(kernel.call(WRITE, write, kernel.place(pages), 8192)).toBe(8192);
    expect(kernel.call(READ, read, DENIED - 5000, 8192)).toBe(4096);
    expect(kernel.call(READ, read, kernel.place(new Uint8Array(8192)), 8192)).toBe(4096);
  });

  it('makes other readers of the pipe wait for one that copies, and lets them have what that leaves', () => {
    const [read, write] = pipe();
    const [one, two] = [kernel.place(new Uint8Array(5)), kernel.place(new Uint8Array(5))];
    expect(kernel.call(WRITE, write, kernel.place('hello'), 5)).toBe(5);
    let other: Sleeper | null = null;
    kernel.whileCopying = () => {
      kernel.whileCopying = () => undefined;
      other = new Sleeper([READ, read, two, 5]);
    };
    expect(kernel.call(READ, read, one, 3)).toBe(3);
    expect(other!.resume()).toBe(2);
    expect([text(one, 3), text(two, 2)]).toEqual(['hel', 'lo']);
  });

  it('loses nothing of a pipe that is written from it', () => {
    const [read, write] = pipe();
    kernel.user.set(Buffer.from('tail'), DENIED - USER - 4);
    expect(kernel.call(WRITE, write, DENIED - 4, 100)).toBe(4);
    expect(kernel.call(WRITE, write, DENIED, 100)).toBe(-14);
    expect(kernel.call(READ, read, USER, 100)).toBe(4);
    expect(text(USER, 4)).toBe('tail');
  });
});

describe('host descriptors', () => {
  const hostDescriptors = () => readdirSync('/proc/self/fd').length;

  it.skipIf(process.platform !== 'linux')('are closed with the last reference, or with the machine', () => {
    const before = hostDescriptors();
    const path = kernel.place('text');
    const fd = kernel.call(2, path, 0);
    kernel.call(DUP2, fd, 40);
    kernel.call(CLOSE, fd);
    expect(hostDescriptors()).toBe(before + 1);
    kernel.call(CLOSE, 40);
    expect(hostDescriptors()).toBe(before);
    for (let i = 0; i < 5; i++) expect(kernel.call(2, path, 0)).toBe(3 + i);
    expect(hostDescriptors()).toBe(before + 5);
    kernel.close();
    expect(hostDescriptors()).toBe(before);
  });

  it('are limited like the process: EMFILE', () => {
    const path = kernel.place('/dev/null');
    const limit = kernel.place(new Uint8Array(BigUint64Array.of(10n, 20n).buffer));
    expect(kernel.call(160, 7, limit)).toBe(0);
    for (let fd = 3; fd < 10; fd++) expect(kernel.call(2, path, 0)).toBe(fd);
    expect(kernel.call(2, path, 0)).toBe(-24);
    expect(kernel.call(PIPE, limit)).toBe(-24);
    expect(kernel.call(DUP2, 0, 10)).toBe(-9);
    const table = kernel.memory.loadU32(kernel.k.process + Process.files);
    expect(openDescriptors(kernel.memory, table)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

describe('output', () => {
  it('goes to the console, in order and whole', () => {
    expect(kernel.call(WRITE, 1, kernel.place('out '), 4)).toBe(4);
    const big = kernel.place(new Uint8Array(200_000).fill(0x78));
    expect(kernel.call(WRITE, 1, big, 200_000)).toBe(200_000);
    expect(kernel.call(WRITE, 2, kernel.place('err'), 3)).toBe(3);
    expect(kernel.output[1]).toBe(`out ${'x'.repeat(200_000)}`);
    expect(kernel.output[2]).toBe('err');
    expect(kernel.call(READ, 1, USER, 1)).toBe(-9);
  });
});
