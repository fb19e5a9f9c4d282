import type { CpuHooks, GuestCpu } from '../cpu/guest-cpu.js';
import { CpuState, cpuPointer, Interrupt } from '../cpu/state.js';
import { putInput } from '../kernel/console.js';
import { CpuLoop, type CpuLoopState, Slice } from '../kernel/cpu-loop.js';
import { startProgram } from '../kernel/exec.js';
import { stopMachine } from '../kernel/exit.js';
import { say } from '../kernel/host-write.js';
import { Mm } from '../kernel/memory/mm-layout.js';
import { debugClearApplies } from '../kernel/pkeys/debug-clear.js';
import { interruptCpu } from '../kernel/run-queue.js';
import { setHostSystem } from '../kernel/files/host-system.js';
import { createKernelCpu, type HostServices } from '../kernel/services.js';
import { signalName } from '../kernel/signal/numbers.js';
import { expireTimers } from '../kernel/timers.js';
import { createSharedMemory } from '../machine/shared.js';
import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import { AddressSpace } from '../mmu/address-space.js';
import { Scheduler, type SchedulerState } from '../scheduler/scheduler.js';
import type { Schedule } from '../scheduler/seeded/index.js';
import { TIME } from '../scheduler/seeded/shared-objects.js';
import { RandomSchedule } from '../scheduler/seeded/random.js';
import { RoundRobinSchedule } from '../scheduler/seeded/round-robin.js';
import { ReadyQueue } from '../scheduler/seeded/ready-queue.js';
import { Cpu } from '../translate/cpu.js';
import { Engine } from '../translate/engine.js';
import { SeededAccesses, SeededCpu, type SwitchDecider } from './accesses.js';
import { type FailureKind, type RunOutcome, type SeededOptions, SKIPPED } from './options.js';
import { type HostRecording, type HostState, RecordedHost } from './recorded-host.js';
import { keyAt, type ThreadState, threadState, translate } from './inspection.js';
import { SeededServices } from './seeded-services.js';
import { type LoadedCpu, Threads } from './threads.js';
import { MemorySnapshot } from './snapshot.js';
import type { StepKind, TraceStep } from './trace.js';
import { VirtualClock } from './virtual-clock.js';

/** Switch points without another thread's turn after which a thread is taken to wait for one. */
const PATIENCE = 2000;
/** The same for PAUSE, which says so. */
const PAUSES = 3;
/** Runs for finding out what is shared end after so many without news, or after so many. */
const QUIET_LESSONS = 4;
const MOST_LESSONS = 24;
/** Long programs get fewer of them: none begins after so many steps. */
const LESSON_STEPS = 200_000;
/** The wall clock at boot of all seeded machines: 2020-01-01. */
const BOOT_REALTIME = 1_577_836_800_000;

const CLEAN_EXIT = new Set([0, SKIPPED]);

interface Snapshot {
  readonly memory: MemorySnapshot;
  readonly loops: readonly CpuLoopState[];
  readonly pkrus: readonly number[];
  readonly mms: readonly number[];
  readonly threads: readonly number[];
  readonly scheduler: SchedulerState;
  readonly ready: readonly number[];
  readonly clock: readonly [number, number];
  readonly host: HostState;
  readonly instructions: number;
  readonly output: number;
  readonly thread: number;
}

/**
 * A machine whose CPUs all live in this thread. A schedule decides at each switch point which of them goes on; with the same
 * options and the same decisions everything happens again.
 *
 * `boot` runs the program up to the moment when it has a second thread; each `run` starts from a snapshot made there.
 */
export class SeededMachine implements SwitchDecider {
  readonly memory: Memory;
  readonly accesses: SeededAccesses;
  /** What to add to the addresses of the program's symbols. */
  base = 0;
  /** Whether system calls are not logged for now. */
  quiet = true;
  /** The run ends before this step, if it is given. */
  until = Infinity;
  /** Addresses of the instructions at which runs have switched so far. */
  readonly switchPoints = new Set<number>();
  private readonly engine: Engine;
  private readonly cpus: LoadedCpu[] = [];
  private readonly threads: Threads;
  private readonly clock: VirtualClock;
  private readonly scheduler: Scheduler;
  private readonly queue: ReadyQueue;
  private schedule: Schedule | null = null;
  private snapshot: Snapshot | null = null;
  /** Whether what is known of the threads may be out of date. */
  private changed = true;
  /** The thread that runs, or ran last; and the one chosen to run next, −1 for none. */
  private thread = 0;
  private next = -1;
  /** Threads that lost their CPU at a switch point: when they go on it is not asked again. */
  private readonly decided = new Set<number>();
  /** By thread: at which step the schedule was asked last, and how often before. */
  private readonly asked: { step: number; nth: number }[] = [];
  private leave = false;
  private codeChanged = false;
  private streak = 0;
  private pauses = 0;
  private yielded = false;
  private switches = 0;
  private preemptions = 0;
  private failure: FailureKind | null = null;
  private pieces: Uint8Array[] = [];
  outputBytes = 0;
  private notes: string[] = [];
  /** The outcome of a program that never had a second thread. */
  private alone: RunOutcome | null = null;

  /**
   * @param strace whether to log system calls to standard error while `quiet` is false
   * @param host what the program is told about its host
   */
  constructor(
    readonly options: SeededOptions,
    strace = false,
    private readonly host = new RecordedHost(),
  ) {
    const { cpus, abi, debugFpu, machineSeed, mutants } = options;
    const checked = {
      cpus,
      abi,
      debugFpu,
      memory: options.memory,
      seed: machineSeed,
      mutants,
      strace,
      translations: null,
    };
    const memory = createSharedMemory({ ...checked, stdout: 'capture', stdin: new Uint8Array(0) });
    this.memory = memory;
    setHostSystem(memory, this.host);
    memory.store32(MACHINE + Machine.seeded, 1);
    memory.f64[(MACHINE + Machine.bootRealtime) >>> 3] = BOOT_REALTIME;
    this.accesses = new SeededAccesses(memory, this, options.memoryModel === 'tso');
    this.engine = new Engine(memory, this.accesses);
    this.accesses.connect(this.engine.runtime, this.engine.pkru);
    this.accesses.keyOf = (address) => keyAt(this.currentCpu, address);
    this.accesses.translate = (address) => translate(this.currentCpu, address);
    this.clock = new VirtualClock(
      memory,
      Array.from({ length: cpus }, (_, id) => cpuPointer(id)),
    );
    this.queue = new ReadyQueue(memory);
    const timers = { expire: (now: number) => expireTimers(memory, now, Infinity) };
    const clears = (mm: number) => debugClearApplies(memory, mm);
    this.scheduler = new Scheduler(memory, this.clock, this.queue, timers, clears);
    this.threads = new Threads(memory, this.cpus, this.clock, this.scheduler, this.queue);
    for (let id = 0; id < cpus; id++) this.addCpu(id);
  }

  private addCpu(id: number): void {
    const { memory, options } = this;
    const host: HostServices = {
      clock: this.clock,
      output: { write: (_fd, bytes) => this.write(bytes) },
      fatal: () => {},
      keyFault: () => {},
      note: (line) => this.notes.push(line),
      log: (line) => {
        if (!this.quiet) say(line);
      },
    };
    const made = createKernelCpu(memory, (hooks) => this.makeCpu(id, hooks), host);
    const { k, mmu } = made;
    const seeded = new SeededCpu(memory, id, k.cpu.base);
    this.accesses.cpus.push(seeded);
    const services = new SeededServices(made.services, this.accesses, seeded, this);
    k.user.watcher = services;
    const loop = new CpuLoop(k, services, options.bounds.instructions);
    this.cpus.push({ k, mmu, loop, seeded });
  }

  private makeCpu(id: number, hooks: CpuHooks): GuestCpu {
    const { memory, accesses } = this;
    return new Cpu(
      memory,
      id,
      {
        ...hooks,
        pageFault: (cpu) => {
          // A page that is copied on write goes to another frame, which buffered stores don't know of.
          const mm = memory.loadU32(cpu.base + CpuState.mm);
          if (mm !== 0 && memory.load32(mm + Mm.copyOnWrite) !== 0) accesses.drainAll();
          return hooks.pageFault(cpu);
        },
        now: (cpu) => {
          accesses.dependence?.touches(accesses.current.thread, TIME, true);
          return hooks.now(cpu);
        },
        codeWritten: (cpu, frame) => {
          this.codeChanged = true;
          hooks.codeWritten(cpu, frame);
        },
      },
      this.engine,
    );
  }

  // --- the life of a machine ---------------------------------------------------------------------------------------------

  /**
   * Loads the program and runs it until it has a second thread.
   * @throws LoadError
   */
  boot(): void {
    const { options, memory } = this;
    for (const { loop } of this.cpus) loop.online();
    const input = Buffer.from(options.stdin, 'base64');
    if (putInput(memory, input) < input.length)
      throw new Error('standard input of a seeded machine is at most 64 KiB');
    putInput(memory, null);
    const { k, mmu } = this.cpus[0];
    const { path, args, env } = options;
    this.base = startProgram(k, mmu, { path, args, env });
    this.accesses.limit = options.bounds.steps;
    this.loop(() => this.snapshot !== null);
    if (this.snapshot === null) this.alone = this.outcome();
  }

  /** What the program has been told about its host so far. */
  get recording(): HostRecording {
    return this.host.recording;
  }

  /** Whether the program has ever more than one thread: otherwise there is nothing to schedule. */
  get concurrent(): boolean {
    return this.snapshot !== null;
  }

  /** Bytes of the snapshot. */
  get snapshotBytes(): number {
    return this.snapshot?.memory.bytes ?? 0;
  }

  /** Bytes of it that the last run began with restoring. */
  get restoredBytes(): number {
    return this.snapshot?.memory.restored ?? 0;
  }

  /** Guest instructions of the last run, from the second thread's start on. */
  get instructions(): number {
    return this.clock.instructions - (this.snapshot?.instructions ?? 0);
  }

  /**
   * Runs the program from its second thread's start to its end.
   * @returns null if the schedule has nothing left to try
   */
  run(schedule: Schedule, seed: number, trace: TraceStep[] | null = null): RunOutcome | null {
    if (this.alone !== null) return this.alone;
    if (!schedule.begin(seed)) return null;
    this.restore();
    this.schedule = schedule;
    const { accesses, options } = this;
    accesses.trace = trace;
    accesses.watching = true;
    accesses.dependence = schedule.dependence ?? null;
    accesses.limit = Math.min(options.bounds.steps, this.until);
    this.refresh();
    const { thread } = this;
    const { candidates } = this.threads;
    this.next = candidates.length > 1 ? this.choose(thread, candidates, false) : candidates[0];
    this.count(this.next, thread);
    this.loop(() => false);
    if (accesses.dependence !== null) {
      this.refresh();
      accesses.dependence.ends(this.threads.candidates);
      accesses.dependence = null;
    }
    return this.outcome();
  }

  /**
   * Finds out what memory the threads share, by runs under schedules that are always the same. Call it once, after `boot`.
   * @returns the most switch points that a run had
   */
  learn(): number {
    if (this.snapshot === null) return 0;
    const { visibility } = this.accesses;
    const random = new RandomSchedule();
    let points = 0;
    visibility.learning = true;
    for (let seed = 0, quiet = 0, steps = 0; steps < LESSON_STEPS && quiet < QUIET_LESSONS; seed++) {
      if (seed === MOST_LESSONS) break;
      const before = visibility.sharedCount;
      const outcome = this.run(seed === 0 ? new RoundRobinSchedule(1) : random, seed)!;
      points = Math.max(points, outcome.points);
      steps += outcome.steps;
      quiet = visibility.sharedCount === before ? quiet + 1 : 0;
    }
    visibility.learning = false;
    this.switchPoints.clear();
    return points;
  }

  /** Runs until the program has ended or `done`. */
  private loop(done: () => boolean): void {
    for (;;) {
      if (this.memory.load32(MACHINE + Machine.stopping) !== 0 || done()) return;
      this.refresh();
      if (this.threads.candidates.length === 0) {
        if (this.threads.skipIdleTime()) continue;
        this.fail('deadlock');
        return;
      }
      let thread = this.next;
      this.next = -1;
      if (thread < 0 || !this.threads.candidates.includes(thread)) {
        thread =
          this.threads.candidates.length > 1 && this.schedule
            ? this.choose(-1, this.threads.candidates, false)
            : this.threads.candidates[0];
        this.count(thread, -1);
      }
      this.slice(thread);
    }
  }

  /** Gives a thread its CPU until that leaves guest code for good, or has to give way. */
  private slice(thread: number): void {
    let id = this.threads.cpuOf(thread);
    const task = this.threads.taskOf(thread);
    if (id < 0) {
      id = this.threads.victim(task, this.thread);
      this.queue.prefer(task);
      if (this.cpus[id].loop.mayRun()) interruptCpu(this.memory, id, Interrupt.reschedule);
      const { seeded } = this.cpus[id];
      if (seeded.decided) this.decided.add(seeded.thread);
      this.accesses.abandon(seeded);
      this.next = thread;
    } else {
      if (thread !== this.thread) this.streak = this.pauses = 0;
      this.thread = thread;
      if (this.decided.delete(thread)) this.cpus[id].seeded.decided = true;
    }
    const { loop, seeded } = this.cpus[id];
    seeded.thread = this.threads.threadOn(id);
    this.accesses.current = seeded;
    this.changed = true;
    const end = loop.runSlice();
    if (end === Slice.budget) this.fail('no-progress');
    if (end === Slice.idle) {
      this.accesses.drain(seeded);
      this.accesses.abandon(seeded);
      if (!loop.mayRun()) loop.park();
    }
    if (this.leave) this.takeSnapshot();
  }

  // --- for reports -------------------------------------------------------------------------------------------------------

  /** "mov eax,[rdi]", as the program has it at the moment. */
  disassemble(rip: number): string {
    return this.currentCpu.k.cpu.describeInstruction(rip)?.text ?? '?';
  }

  /** The state of every thread that has a CPU. */
  inspect(): ThreadState[] {
    return this.cpus
      .filter(({ k }) => k.task !== 0)
      .map((cpu) => threadState(cpu, this.threads.threadOn(cpu.k.cpu.id)));
  }

  private get currentCpu(): LoadedCpu {
    return this.cpus[this.accesses.current.id];
  }

  /** Finds out who can run. */
  private refresh(): void {
    this.changed = false;
    this.threads.refresh();
    if (this.threads.count > this.options.bounds.threads) this.fail('thread-bound');
    this.accesses.several = this.threads.candidates.length > 1;
  }

  // --- decisions ---------------------------------------------------------------------------------------------------------

  goesOn(_cpu: SeededCpu, kind: StepKind): boolean {
    if (this.changed) this.refresh();
    const { thread } = this;
    const { candidates } = this.threads;
    if (candidates.length < 2) {
      this.accesses.dependence?.passes(thread);
      return true;
    }
    this.streak++;
    if (kind === 'pause') this.pauses++;
    const yields = this.yielded || this.pauses >= PAUSES || this.streak > PATIENCE;
    if (yields) this.streak = this.pauses = 0;
    this.yielded = false;
    const chosen = this.choose(
      thread,
      yields ? candidates.filter((other) => other !== thread) : candidates,
      yields,
    );
    if (chosen === thread) return true;
    this.count(chosen, yields ? -1 : thread);
    this.next = chosen;
    return false;
  }

  private choose(current: number, runnable: readonly number[], yields: boolean): number {
    if (this.schedule === null) return runnable[0];
    const at = this.thread;
    const step = this.accesses.stepsOf(at);
    const asked = this.asked[at];
    const nth = asked?.step === step ? asked.nth + 1 : 0;
    this.asked[at] = { step, nth };
    return this.schedule.choose({ current, runnable, yields, at, step, nth });
  }

  /** Counts a switch. @param current the thread that could have gone on, −1 for none */
  private count(chosen: number, current: number): void {
    if (chosen === this.thread) return;
    this.switches++;
    if (current >= 0) this.preemptions++;
    const { accesses } = this;
    this.switchPoints.add(this.memory.loadNumber(accesses.current.base + CpuState.rip));
    accesses.hash.add(SWITCH, chosen, accesses.step, this.thread);
    accesses.trace?.push({
      step: accesses.step,
      kind: 'switch',
      thread: this.thread,
      cpu: accesses.current.id,
      rip: 0,
      address: chosen,
      size: 0,
      value: 0n,
      key: 0,
      pkru: 0,
      visible: true,
    });
  }

  delays(_cpu: SeededCpu, owner: SeededCpu, older: boolean): boolean {
    if (this.schedule === null) return false;
    return this.schedule.delays({
      current: this.thread,
      owner: owner.thread,
      older,
    });
  }

  overrun(): void {
    if (this.accesses.step >= this.options.bounds.steps) this.fail('no-progress');
    else stopMachine(this.memory);
  }

  /** A system call has been made: others may be ready to run. */
  called(number: number): void {
    // Who knows whom it has woken: the next switch point looks.
    this.changed = this.accesses.several = true;
    if (number === SCHED_YIELD) this.yielded = true;
    if (this.snapshot === null && this.threads.count > 1) this.leave = true;
  }

  /** Whether guest code is to be left for good, whatever it was left for. */
  get leaving(): boolean {
    return this.leave;
  }

  private fail(kind: FailureKind): void {
    this.failure ??= kind;
    stopMachine(this.memory);
  }

  private write(bytes: Uint8Array): number {
    this.outputBytes += bytes.length;
    if (this.outputBytes > this.options.bounds.output) this.fail('output-bound');
    else this.pieces.push(bytes);
    return bytes.length;
  }

  private outcome(): RunOutcome {
    const { memory, accesses } = this;
    const number = memory.load32(MACHINE + Machine.exitSignal);
    const signal = this.failure !== null || number === 0 ? null : signalName(number);
    const exitCode = this.failure === null && number === 0 ? memory.load32(MACHINE + Machine.exitCode) : null;
    let kind = this.failure;
    if (kind === null && signal !== null) kind = 'signal';
    if (kind === null && exitCode !== null && !CLEAN_EXIT.has(exitCode)) kind = 'exit';
    return {
      kind,
      exitCode,
      signal,
      traceHash: accesses.hash.toString(),
      switches: this.switches,
      preemptions: this.preemptions,
      steps: accesses.step,
      points: accesses.points,
      threads: this.threads.most,
      output: Buffer.concat(this.pieces).toString('utf8'),
      notes: this.notes,
    };
  }

  // --- snapshot ----------------------------------------------------------------------------------------------------------

  private takeSnapshot(): void {
    this.leave = false;
    this.refresh();
    const mm = this.cpus[this.threads.cpuOf(this.thread)].k.mm;
    // Every CPU has the address space: taking it later would drop the translations, which are everybody's.
    for (const { k, mmu } of this.cpus) {
      if (k.mm !== 0) continue;
      Atomics.add(this.memory.i32, (mm + Mm.references) >>> 2, 1);
      mmu.load(mm);
      k.mm = mm;
    }
    const { cpus, accesses } = this;
    this.snapshot = {
      memory: new MemorySnapshot(
        this.memory,
        this.memory.loadU32(mm + Mm.space + AddressSpace.root),
        cpus.map(({ k }) => k.user.scratch),
      ),
      loops: cpus.map(({ loop }) => loop.state()),
      pkrus: cpus.map(({ k }) => k.cpu.pkru),
      mms: cpus.map(({ k }) => k.mm),
      threads: cpus.map(({ seeded }) => seeded.thread),
      scheduler: this.scheduler.state(),
      ready: this.queue.tasks,
      clock: this.clock.state,
      host: this.host.save(),
      instructions: this.clock.instructions,
      output: this.pieces.length,
      thread: this.thread,
    };
    accesses.trace = null;
    this.codeChanged = false;
  }

  private restore(): void {
    const { cpus, accesses, snapshot } = this;
    const { memory, loops, pkrus, mms, threads, scheduler, ready, clock, host, output, thread } = snapshot!;
    const masks = memory.codeMasks();
    for (const frame of masks.keys()) if (!memory.has(frame)) this.codeChanged = true;
    memory.restore();
    if (this.codeChanged) this.engine.dropCode();
    else memory.markCode(masks);
    this.codeChanged = false;
    for (let id = 0; id < cpus.length; id++) {
      const { k, loop, seeded } = cpus[id];
      loop.restore(loops[id]);
      k.cpu.pkru = pkrus[id];
      k.mm = mms[id];
      seeded.buffer.stores.length = 0;
      seeded.thread = threads[id];
      accesses.abandon(seeded);
    }
    this.scheduler.restore(scheduler);
    this.queue.tasks = ready;
    this.clock.state = clock;
    this.host.restore(host);
    this.pieces.length = output;
    this.outputBytes = this.pieces.reduce((sum, piece) => sum + piece.length, 0);
    this.notes = [];
    this.thread = thread;
    this.decided.clear();
    this.asked.length = 0;
    this.next = -1;
    this.leave = this.yielded = false;
    this.changed = true;
    this.failure = null;
    this.switches = this.preemptions = 0;
    this.streak = this.pauses = 0;
    this.threads.most = 1;
    accesses.begin(cpus[this.threadCpu(thread)].seeded);
  }

  private threadCpu(thread: number): number {
    return this.cpus.findIndex((_, id) => this.threads.threadOn(id) === thread);
  }
}

const SWITCH = 255;
const SCHED_YIELD = 24;
