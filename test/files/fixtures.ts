import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CPU_BLOCK_BYTES, cpuPointer } from '../../src/cpu/state.js';
import { createConsole } from '../../src/kernel/console.js';
import {
  closeHostFiles,
  createFiles,
  createTable,
  fileSyscalls,
  openStandardFiles,
} from '../../src/kernel/files/index.js';
import type { KernelCpu } from '../../src/kernel/kernel-cpu.js';
import { createRandomSource } from '../../src/kernel/random.js';
import { createRunQueue } from '../../src/kernel/run-queue.js';
import { systemSyscalls } from '../../src/kernel/system.js';
import type { Syscall } from '../../src/kernel/syscalls.js';
import { createTask, createTasks, Process, Task, TaskState } from '../../src/kernel/task.js';
import { loadWord, stateOf } from '../../src/kernel/wait.js';
import { CPUS, MACHINE, Machine } from '../../src/memory/layout.js';
import { Memory } from '../../src/memory/memory.js';
import { createHeapClasses } from '../../src/memory/slab.js';

/** User memory of the tests: USER_BYTES from USER on, of which the last page is not accessible. */
export const USER = 0x10_0000;
export const USER_BYTES = 0x10_0000;
export const DENIED = USER + USER_BYTES - 0x1000;

/** A kernel without CPUs: one task, whose user memory is a plain array and whose output is kept. */
export class TestKernel {
  readonly memory = Memory.create(64 << 20);
  readonly k: KernelCpu;
  readonly user = new Uint8Array(USER_BYTES);
  readonly output: string[] = ['', '', ''];
  time = 0;
  /** Called before bytes are copied to user memory. */
  whileCopying: () => void = () => undefined;
  private used = 0;

  constructor(cwd: string) {
    const { memory } = this;
    memory.store32(MACHINE + Machine.cpuCount, 1);
    memory.store32(MACHINE + Machine.heapBase, CPUS + CPU_BLOCK_BYTES);
    memory.store32(MACHINE + Machine.heapEnd, 64 << 20);
    memory.store32(MACHINE + Machine.heapNext, CPUS + CPU_BLOCK_BYTES);
    createHeapClasses(memory);
    createTasks(memory);
    createRunQueue(memory, 1, 2);
    createConsole(memory);
    createFiles(memory);
    createRandomSource(memory);
    const task = createTask(memory);
    const process = memory.loadU32(task + Task.process);
    const table = createTable(memory, cwd, 0o022);
    memory.store32(process + Process.files, table);
    if (!openStandardFiles(memory, table)) throw new Error('no room');
    this.k = this.kernelFor(task, process);
  }

  /** Another thread of the process. */
  thread(): KernelCpu {
    const { process } = this.k;
    return this.kernelFor(createTask(this.memory, process), process);
  }

  private kernelFor(task: number, process: number): KernelCpu {
    const { memory } = this;
    memory.store32(task + Task.word, TaskState.Running);
    const pid = memory.load32(process + Process.pid);
    return {
      memory,
      machine: MACHINE,
      task,
      process,
      mm: 0,
      pid,
      tid: memory.load32(task + Task.tid),
      wakeReason: 0,
      now: () => this.time,
      cpu: { id: 0, base: cpuPointer(0), hasPku: true },
      output: {
        write: (fd: number, bytes: Uint8Array) => {
          this.output[fd] += Buffer.from(bytes).toString('latin1');
          return bytes.length;
        },
      },
      user: {
        readInto: (target: Uint8Array, address: number) =>
          this.copy(address, target.length, (from, to) => target.set(from, to)),
        writeFrom: (address: number, source: Uint8Array) =>
          this.copyOut(address, source.length, (to, from) => to.set(source.subarray(from, from + to.length))),
        copyIn: (pointer: number, address: number, length: number) =>
          this.copy(address, length, (from, to) => memory.u8.set(from, pointer + to)) === length,
        copyInSome: (pointer: number, address: number, length: number) =>
          this.copy(address, length, (from, to) => memory.u8.set(from, pointer + to)),
        copyOutSome: (address: number, pointer: number, length: number) =>
          this.copyOut(address, length, (to, from) =>
            to.set(memory.u8.subarray(pointer + from, pointer + from + to.length)),
          ),
      },
    } as unknown as KernelCpu;
  }

  private copyOut(address: number, length: number, run: (part: Uint8Array, at: number) => void): number {
    this.whileCopying();
    return this.copy(address, length, run);
  }

  private copy(address: number, length: number, run: (part: Uint8Array, at: number) => void): number {
    if (address < USER || address >= DENIED) return 0;
    const count = Math.min(length, DENIED - address);
    run(this.user.subarray(address - USER, address - USER + count), 0);
    return count;
  }

  /** Puts bytes into user memory; returns their address. */
  place(bytes: Uint8Array | string): number {
    const data = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
    const at = this.used;
    this.used += (data.length + 1 + 15) & ~15;
    if (this.used > USER_BYTES - 0x1000) throw new Error('out of test memory');
    this.user.set(data, at);
    return USER + at;
  }

  /** Forgets what `place` put there. */
  reset(): void {
    this.user.fill(0);
    this.used = 0;
  }

  bytes(address: number, length: number): Buffer {
    return Buffer.from(this.user.slice(address - USER, address - USER + length));
  }

  /** Makes a system call by its number, as the dispatcher does, on this kernel or another thread's. */
  call(number: number, ...args: number[]): number {
    return this.callOn(this.k, number, ...args);
  }

  callOn(k: KernelCpu, number: number, ...args: number[]): number {
    const syscall: Syscall | undefined = fileSyscalls[number] ?? systemSyscalls[number];
    if (!syscall) return -38;
    const converted = [0, 1, 2, 3, 4, 5].map((i) => {
      const value = args[i] ?? 0;
      switch (syscall.args[i]) {
        case undefined:
          return 0;
        case 'd':
          return value | 0;
        case 'u':
        case 'o':
        case 'f':
          return value >>> 0;
        case 'l':
          return value;
        default:
          return value < 0 ? value + 2 ** 64 : value;
      }
    }) as [number, number, number, number, number, number];
    return syscall.handler(k, ...converted);
  }

  asleep(k: KernelCpu): boolean {
    return stateOf(loadWord(this.memory, k.task)) === TaskState.Asleep;
  }

  seed(seed: number): void {
    this.memory.store32(MACHINE + Machine.seeded, 1);
    this.memory.f64[(MACHINE + Machine.seed) >>> 3] = seed;
  }

  close(): void {
    closeHostFiles(this.memory);
  }
}

/** A temporary folder with two identical parts: one for the host's calls, one for ours. */
export class Folders {
  readonly path = mkdtempSync(join(tmpdir(), 'europa-files-'));
  readonly native = join(this.path, 'a');
  readonly own = join(this.path, 'b');

  constructor(fill: (folder: string) => void = () => {}) {
    for (const folder of [this.native, this.own]) {
      mkdirSync(folder);
      fill(folder);
    }
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export function noNativeCalls(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'the host is not Linux on x86-64';
  return spawnSync('gcc', ['--version']).error ? 'gcc is missing' : undefined;
}

/** An argument: a number, a string or bytes by address, a buffer of n bytes, or the result of an earlier call. */
export type Argument =
  | number
  | string
  | Uint8Array
  | { buffer: number }
  | { inout: Uint8Array }
  | { result: number };
export type Call = readonly [number: number, ...args: Argument[]];

export interface Outcome {
  readonly result: number;
  readonly buffers: readonly Buffer[];
}

/** Runs calls on the host's kernel, in a folder. */
export function runNative(folders: Folders, calls: readonly Call[]): Outcome[] {
  const program = join(folders.path, 'native-calls');
  execFileSync('gcc', ['-O1', '-w', join(import.meta.dirname, 'native-calls.c'), '-o', program]);
  const script = join(folders.path, 'script');
  writeFileSync(script, calls.map((call) => `${call.map(word).join(' ')}\n`).join(''));
  const out = join(folders.path, 'results');
  const fds = [openSync(script, 'r'), openSync(out, 'w')];
  const run = spawnSync(program, [], {
    cwd: folders.native,
    stdio: ['pipe', 'pipe', fds[1], ...new Array(6).fill('ignore'), fds[0]],
  });
  fds.forEach(closeSync);
  if (run.status !== 0) throw new Error(`native calls: status ${run.status}`);
  return readFileSync(out, 'latin1')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [result, ...buffers] = line.split(' ');
      return { result: Number(result), buffers: buffers.map((hex) => Buffer.from(hex, 'hex')) };
    });
}

function word(argument: Argument): string {
  if (typeof argument === 'number') return `i${argument}`;
  if (typeof argument === 'string') return `s${Buffer.from(argument).toString('hex')}`;
  if (argument instanceof Uint8Array) return `s${Buffer.from(argument).toString('hex')}`;
  if ('buffer' in argument) return `b${argument.buffer}`;
  if ('inout' in argument) return `B${Buffer.from(argument.inout).toString('hex')}`;
  return `r${argument.result}`;
}

/** Runs the same calls on our kernel. */
export function runOwn(kernel: TestKernel, calls: readonly Call[]): Outcome[] {
  const outcomes: Outcome[] = [];
  for (const [number, ...args] of calls) {
    kernel.reset();
    const buffers: [number, number][] = [];
    const values = args.map((argument) => {
      if (typeof argument === 'number') return argument;
      if (typeof argument === 'string' || argument instanceof Uint8Array) return kernel.place(argument);
      if ('result' in argument) return outcomes[argument.result].result;
      const bytes = 'buffer' in argument ? new Uint8Array(argument.buffer) : argument.inout;
      const address = kernel.place(bytes);
      buffers.push([address, bytes.length]);
      return address;
    });
    const result = kernel.call(number, ...values);
    outcomes.push({ result, buffers: buffers.map(([address, length]) => kernel.bytes(address, length)) });
  }
  return outcomes;
}
