import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { wrap } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import type { Piscina } from 'piscina';
import type { ProgramStart } from '../kernel/exec.js';
import { stopMachine } from '../kernel/exit.js';
import { closeHostFiles } from '../kernel/files/index.js';
import { syncAllFiles } from '../kernel/memory/index.js';
import { Online, settleOnline } from '../kernel/run-queue.js';
import type { FatalSignal } from '../kernel/signal/deliver.js';
import { sendFromHost } from '../kernel/signal/host.js';
import { signalName } from '../kernel/signal/numbers.js';
import { mainProcess } from '../kernel/task.js';
import { LoadError } from '../loader/load-error.js';
import { SymbolTable } from '../loader/symbols.js';
import { MACHINE, Machine as MachineBlock } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import { readStats, type Stats } from '../observe/stats.js';
import { programDigest } from '../translate/translation-store.js';
import { describeStreams, feedInput, InputPump } from './input.js';
import type { CpuEnd, CpuJob, CpuMessage, KeyFault, SchedulerJob } from './messages.js';
import { type CheckedOptions, checkOptions, type MachineOptions } from './options.js';
import { compiledFile } from '../startup/package-file.js';
import { takePool } from './pool.js';
import type { SchedulerControl } from './scheduler-worker.js';
import { createSharedMemory } from './shared.js';

/** How a program ended, and what happened meanwhile. */
export interface RunResult {
  /** Exit status, 0 to 255; null if a signal killed it. */
  readonly exitCode: number | null;
  /** Name of the signal that killed it ("SIGSEGV"), or null. */
  readonly signal: string | null;
  /** Standard output and error, with `stdout: 'capture'`; else empty. */
  readonly output: Buffer;
  readonly errorOutput: Buffer;
  readonly stats: Stats;
  /** Protection-key faults, the first 256 of each CPU; `stats` counts all. */
  readonly faults: readonly KeyFault[];
  /** What the machine had to say about the program, with `stdout: 'capture'`; else it went to standard error. */
  readonly notes: readonly string[];
  /** What it died of, if a signal killed it. */
  readonly death: Death | null;
}

export interface Death extends FatalSignal {
  readonly tid: number;
  readonly cpu: number;
  /** "main+0x1c" for RIP, if the program has symbols. */
  readonly symbol: string | null;
}

/** A program that runs so long (ms) is likely to go on, and may make tasks later. */
const UNSCHEDULED_MS = 250;

/**
 * An emulated machine: boots the workers, runs one program, and leaves nothing behind when it is closed.
 *
 * Each CPU is one task of a Piscina pool until the machine stops; the scheduler is a worker of its own, controlled through
 * Comlink. They all share one WebAssembly.Memory.
 */
export class Machine {
  private readonly pool: Piscina;
  /** Null until the scheduler is needed. */
  private scheduler: Worker | null = null;
  private readonly ports: MessagePort[] = [];
  /** Settled when the scheduler has ended, or is known not to begin. */
  private scheduled: Promise<void> = Promise.resolve();
  /** The CPUs' tasks, which end when the machine stops. */
  private readonly ends: Promise<CpuEnd>[] = [];
  private readonly pieces: { fd: number; sequence: number; bytes: Uint8Array }[] = [];
  private readonly faults: KeyFault[] = [];
  private readonly notes: string[] = [];
  private fatal: Extract<CpuMessage, { kind: 'fatal' }> | null = null;
  private input: InputPump | null = null;
  private used = false;
  private closed = false;

  private constructor(
    readonly options: CheckedOptions,
    readonly memory: Memory,
  ) {
    const { cpus } = options;
    this.pool = takePool(cpus);
  }

  /**
   * Starts the scheduler when there is something for it to do: loading it would take the time of a program that starts, and those with
   * one task never need it. It is there some time later anyway, for those that will.
   * @param task what CPU 0 has been given before
   * @param bell value of the doorbell up to which nobody has rung
   */
  private async schedule(task: number, bell: number): Promise<void> {
    const { memory } = this;
    const doorbell = (MACHINE + MachineBlock.schedulerDoorbell) >>> 2;
    const ring = Atomics.waitAsync(memory.i32, doorbell, bell, UNSCHEDULED_MS);
    if (ring.async) await ring.value;
    if (memory.load32(MACHINE + MachineBlock.stopping) !== 0) return;
    this.scheduler = new Worker(compiledFile('start/scheduler.js'), { trackUnmanagedFds: false });
    const control = wrap<SchedulerControl>(nodeEndpoint(this.scheduler));
    const failed = new Promise<never>((_resolve, reject) => this.scheduler!.once('error', reject));
    const job: SchedulerJob = { memory: memory.wasm, first: task };
    await Promise.race([control.run(job), failed]);
  }

  private othersStarted = false;
  private translations: CpuJob['translations'] = null;

  private startCpu(id: number, program?: ProgramStart): void {
    const { port1, port2 } = new MessageChannel();
    port1.on('message', (message: CpuMessage) => this.hear(message));
    this.ports.push(port1);
    const job: CpuJob = {
      memory: this.memory.wasm,
      id,
      port: port2,
      translations: this.translations,
      program,
    };
    const end: Promise<CpuEnd> = this.pool.run(job, { transferList: [port2] });
    // One CPU that fails ends the machine, so that the others end too.
    end.catch(() => stopMachine(this.memory));
    this.ends.push(end);
  }

  /** Settled when all CPUs have ended that ever began: one that is still being loaded when the machine stops never does. */
  private async cpusEnded(): Promise<readonly CpuEnd[]> {
    await this.ends[0];
    return Promise.all(
      this.ends.filter((_, id) => settleOnline(this.memory, id, Online.never) === Online.yes),
    );
  }

  /**
   * Makes a machine; its workers start in the background.
   * @throws UsageError
   */
  static async boot(options: MachineOptions = {}): Promise<Machine> {
    const checked = checkOptions(options);
    return new Machine(checked, createSharedMemory(checked));
  }

  /**
   * Runs a program to its end; a machine runs one.
   * @param argv arguments without the program's name
   * @throws LoadError if the file is no program for this machine
   */
  async run(
    path: string,
    argv: readonly string[] = [],
    env: Readonly<Record<string, string | undefined>> = process.env,
  ): Promise<RunResult> {
    if (this.used || this.closed) throw new Error('a machine runs one program');
    this.used = true;
    const { memory, options } = this;
    const begin = performance.now();
    const inherit = options.stdin === 'inherit';
    describeStreams(memory, inherit, options.stdout === 'capture');
    const digest = options.translations === null ? null : programDigest(path);
    if (options.translations !== null && digest !== null)
      this.translations = { directory: options.translations, program: digest };
    const variables = Object.entries(env).filter(([, value]) => value !== undefined);
    const environment = variables.map(([name, value]) => `${name}=${value}`);
    this.startCpu(0, { path, args: argv, env: environment });
    if (options.stdin === 'inherit') {
      this.input = new InputPump(memory);
      void this.input.run();
    } else {
      void feedInput(memory, options.stdin, () => this.closed);
    }
    let ends: readonly CpuEnd[] = [];
    try {
      ends = await this.cpusEnded();
      await this.scheduled;
    } finally {
      this.drain();
      this.input?.stop();
      syncAllFiles(memory);
      closeHostFiles(memory);
    }
    for (const { loadError } of ends) if (loadError) throw new LoadError(loadError.path, loadError.reason);
    const symbols = new SymbolTable(path, ends.find((end) => end.base !== undefined)?.base ?? 0);
    const number = memory.load32(MACHINE + MachineBlock.exitSignal);
    const signal = number === 0 ? null : signalName(number);
    const exitCode = number === 0 ? memory.load32(MACHINE + MachineBlock.exitCode) : null;
    this.pieces.sort((a, b) => a.sequence - b.sequence);
    const collect = (fd: number) =>
      Buffer.concat(this.pieces.filter((piece) => piece.fd === fd).map((piece) => piece.bytes));
    return {
      exitCode,
      signal,
      output: collect(1),
      errorOutput: collect(2),
      stats: readStats(memory, exitCode, signal, (performance.now() - begin) / 1000),
      faults: this.faults,
      notes: this.notes,
      death: this.fatal && {
        ...this.fatal.signal,
        tid: this.fatal.tid,
        cpu: this.fatal.cpu,
        symbol: symbols.describe(Number(this.fatal.signal.rip)),
      },
    };
  }

  /** Whether the program has been loaded. */
  get started(): boolean {
    return mainProcess(this.memory) !== 0;
  }

  /** Sends the program a signal, as if somebody outside had. Nothing happens before it runs or after its end. */
  kill(signal: number): void {
    if (this.started && !this.closed) sendFromHost(this.memory, signal);
  }

  /** Stops the machine at once; a running `run` resolves with what there is. */
  stop(): void {
    stopMachine(this.memory);
  }

  /** Takes what the CPUs have said but the event loop has not delivered yet. */
  private drain(): void {
    for (const port of this.ports) {
      for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) {
        this.hear(next.message as CpuMessage);
      }
    }
  }

  private hear(message: CpuMessage): void {
    if (message.kind === 'output') this.pieces.push(message);
    else if (message.kind === 'fault') this.faults.push(message.fault);
    else if (message.kind === 'parallel') this.startOthers();
    else if (message.kind === 'started') {
      this.scheduled = this.schedule(message.task, message.bell);
      // `run` reports a failure; without a run there is nobody to tell.
      this.scheduled.catch(() => stopMachine(this.memory));
    } else if (message.kind === 'note') this.notes.push(message.line);
    else this.fatal ??= message;
  }

  /** CPUs beyond the first start when there is something for them to do: a program with one thread need not wait for them. */
  private startOthers(): void {
    if (this.othersStarted) return;
    this.othersStarted = true;
    if (this.memory.load32(MACHINE + MachineBlock.stopping) !== 0) return;
    for (let id = 1; id < this.options.cpus; id++) this.startCpu(id);
  }

  /** Ends everything that belongs to the machine. May be called at any time, more than once. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    stopMachine(this.memory);
    // Whatever waits for input in this thread ends.
    this.input?.stop();
    // A worker that is terminated while it loads its modules leaves their files open, so each gets to the end of its task.
    if (!this.used) this.startCpu(0);
    await Promise.allSettled([...this.ends, this.scheduled]);
    for (const port of this.ports) port.close();
    await Promise.all([this.pool.destroy(), this.scheduler?.terminate()]);
  }
}
