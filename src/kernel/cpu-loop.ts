import { CpuState, Exit, Gpr, Interrupt } from '../cpu/state.js';
import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import { enterKernel, enterUser } from '../mmu/shootdown.js';
import { mayRunOn } from './affinity.js';
import type { KernelCpu } from './kernel-cpu.js';
import {
  CpuSlot,
  cpuSlot,
  Online,
  pushReady,
  RunQueue,
  ringScheduler,
  runQueue,
  settleOnline,
} from './run-queue.js';
import { isNotified, ProcessSignals } from './signal/state.js';
import { loadTask, saveTask } from './switch.js';
import { BLOCKED, NO_RESULT } from './syscalls.js';
import { BlockedIn, Process, Task, TaskState, WakeReason } from './task-layout.js';
import {
  changeWord,
  cpuOf,
  loadWord,
  reasonOf,
  sleep,
  sleepNumberOf,
  stateOf,
  taskWord,
  wake,
} from './wait.js';

/** What the CPU's loop needs of the rest of the kernel (src/kernel/services.ts). */
export interface KernelServices {
  /** Runs the call whose number is in RAX: returns its result as a Handler does. */
  syscall(k: KernelCpu, number: number): number;
  /**
   * Delivers pending signals, and settles the result of an interrupted call.
   * @param number of the call the task came from, −1 if none
   */
  deliverSignals(k: KernelCpu, number: number): Delivery;
  /** Turns the exception described in CpuState into a signal. */
  raiseException(k: KernelCpu): Delivery;
  /** Reports an instruction that is not implemented, and raises #UD for it. */
  unimplemented(k: KernelCpu): Delivery;
  /** Makes an mm's page tables the CPU's. */
  loadMm(k: KernelCpu, mm: number): void;
  /** Drops what the CPU has cached and must not use any more; called in mode `user` before guest code runs. */
  catchUp(k: KernelCpu): void;
  /** Stands still while another CPU performs an exclusive access; called in mode `kernel`. */
  standStill(k: KernelCpu): void;
  /** The current thread ends because its process does. */
  exitThread(k: KernelCpu): void;
  /**
   * Seeded mode: guest code was left for a system call or an exception. True if another CPU is to run first; the kernel then
   * serves it at the beginning of this CPU's next slice.
   */
  hold?(k: KernelCpu, exit: number): boolean;
}

/** What to do after a signal was looked at; 'gone' when the task has ended. */
export type Delivery = 'user' | 'stopped' | 'gone';

/** What `runSlice` ended with. */
export const Slice = {
  /** The instruction budget is used up: another CPU may have its turn. */
  budget: 0,
  /** There is nothing to run here until somebody rings. */
  idle: 1,
  /** The machine has stopped. */
  stopped: 2,
  /** Seeded mode: the schedule wants another CPU to run. */
  yielded: 3,
} as const;

export interface CpuLoopState {
  readonly task: number;
  readonly lastTask: number;
  readonly reschedule: boolean;
  readonly saved: boolean;
  readonly held: number;
}

/** Instructions between two looks at the clock of seeded mode; in parallel mode only interrupts matter. */
export const BUDGET = 0x4000_0000;

/**
 * Looks at the doorbell before parking. The long wait takes about as long as a wake-up of a parked thread. It pays only while the
 * host gives both threads a core at the same time: after a wait in vain it is tried again only once in `retry` times, since with
 * cores that others use too it takes the time from the very thread it waits for.
 */
const SPINS = { short: 256, long: 32_768, retry: 64 } as const;
/** Looks between two checks of whether spinning is still allowed. */
const SPINS_UNCHECKED = 256;

/**
 * The kernel's loop on one CPU: takes tasks from its mailbox, runs guest code, serves what it exits for.
 *
 * It owns no thread: `runSlice` returns at a safe point, so that one thread can host several CPUs; a thread with one CPU calls
 * `idle` when there is nothing to run.
 */
export class CpuLoop {
  private readonly memory: Memory;
  private readonly base: number;
  private readonly slot: number;
  private readonly queue: number;
  /** Byte offsets / 4 of atomics that are looked at often. */
  private readonly stopping = (MACHINE + Machine.stopping) >>> 2;
  private readonly interrupt: number;
  private readonly bell: number;
  /** Waits in a row that ended in parking. */
  private parks = 0;
  /** The task whose registers are loaded, asleep or running; 0 for none. */
  private task = 0;
  /** The task that was loaded before. */
  private lastTask = 0;
  /** The scheduler wants the CPU for another task. */
  private reschedule = false;
  /** Whether the loaded task's registers are saved since it last ran. */
  private saved = false;
  /** The Exit that is to be served first; Exit.next for none. */
  private held: number = Exit.next;

  constructor(
    private readonly k: KernelCpu,
    private readonly services: KernelServices,
    private readonly budget = BUDGET,
  ) {
    this.memory = k.memory;
    this.base = k.cpu.base;
    this.slot = cpuSlot(this.memory, k.cpu.id);
    this.queue = runQueue(this.memory);
    this.interrupt = (this.base + CpuState.interrupt) >>> 2;
    this.bell = (this.base + CpuState.doorbell) >>> 2;
  }

  /**
   * Announces the CPU to the scheduler: it has no task and may be given one.
   * @returns false if the machine has ended without this CPU
   */
  online(): boolean {
    const { memory } = this;
    if (settleOnline(memory, this.k.cpu.id, Online.yes) !== Online.yes) return false;
    Atomics.add(memory.i32, (this.queue + RunQueue.awake) >>> 2, 1);
    Atomics.store(memory.i32, (this.slot + CpuSlot.free) >>> 2, 1);
    ringScheduler(memory);
    return true;
  }

  /** Runs guest code until the budget is used up or there is nothing to run. */
  runSlice(): number {
    const { k, memory, services } = this;
    const { cpu } = k;
    memory.store32(this.base + CpuState.budget, this.budget);
    /** The call that the task comes from, for restarting it; −1 if it comes from elsewhere. */
    let call = -1;
    if (!this.running()) return this.stopped() ? Slice.stopped : Slice.idle;
    const blockedIn = memory.load32(this.task + Task.blockedIn);
    if (blockedIn !== BlockedIn.nothing) {
      memory.store32(this.task + Task.blockedIn, BlockedIn.nothing);
      k.wakeReason = reasonOf(loadWord(memory, this.task));
      if (blockedIn === BlockedIn.syscall) {
        call = this.syscall();
        if (call < 0) return Slice.idle;
      }
    }
    for (;;) {
      let exit = this.held;
      this.held = Exit.next;
      if (exit === Exit.next) {
        if (!this.enterUser(call)) return this.stopped() ? Slice.stopped : Slice.idle;
        this.saved = false;
        exit = cpu.run();
        enterKernel(memory, this.base);
        if (services.hold?.(k, exit)) {
          this.held = exit;
          return Slice.yielded;
        }
      }
      call = -1;
      let delivery: Delivery = 'user';
      switch (exit) {
        case Exit.syscall:
          k.wakeReason = WakeReason.none;
          call = this.syscall();
          if (call < 0) return Slice.idle;
          break;
        case Exit.exception:
          delivery = services.raiseException(k);
          break;
        case Exit.unimplemented:
          delivery = services.unimplemented(k);
          break;
        case Exit.yielded:
          return Slice.yielded;
        case Exit.interrupt:
          if (memory.load32(this.base + CpuState.budget) < 0) {
            memory.store32(this.base + CpuState.budget, this.budget);
            if (this.budget !== BUDGET) return Slice.budget;
          }
      }
      if (!this.settle(delivery)) return Slice.idle;
    }
  }

  /** What a snapshot of the machine has to keep of this object. */
  state(): CpuLoopState {
    const { task, lastTask, reschedule, saved, held } = this;
    return { task, lastTask, reschedule, saved, held };
  }

  restore(state: CpuLoopState): void {
    Object.assign(this, state);
    this.k.task = state.task;
    this.k.process = state.task === 0 ? 0 : this.memory.loadU32(state.task + Task.process);
  }

  /** Whether the machine stops. */
  private stopped(): boolean {
    return Atomics.load(this.memory.i32, this.stopping) !== 0;
  }

  /** Makes sure that a running task is loaded: the one that is (it runs, or was woken), or one from the mailbox. */
  private running(): boolean {
    if (this.stopped()) return false;
    const { memory, k } = this;
    const next = Atomics.exchange(memory.i32, (this.slot + CpuSlot.next) >>> 2, 0) >>> 0;
    if (next !== 0) {
      this.load(next);
      return true;
    }
    if (this.task === 0) return false;
    const word = loadWord(memory, this.task);
    if (stateOf(word) !== TaskState.Running || cpuOf(word) !== k.cpu.id) return false;
    if (this.saved) {
      // Woken where it slept; nothing was loaded here meanwhile.
      this.saved = false;
      memory.f64[(this.slot + CpuSlot.since) >>> 3] = k.now();
      // Its affinity may have changed while it slept.
      if (!mayRunOn(memory, this.task, k.cpu.id)) this.reschedule = true;
    }
    return true;
  }

  /** Loads a task that the scheduler has handed over. */
  private load(task: number): void {
    const { memory, k } = this;
    Atomics.and(memory.i32, this.interrupt, ~Interrupt.reschedule);
    this.reschedule = false;
    loadTask(k.cpu, task);
    if (task !== this.lastTask) memory.count(this.base + CpuState.contextSwitches);
    this.task = this.lastTask = task;
    this.saved = false;
    k.task = task;
    k.process = memory.loadU32(task + Task.process);
    memory.store32(this.base + CpuState.task, task);
    const mm = memory.loadU32(task + Task.mm);
    if (mm !== k.mm) {
      this.services.loadMm(k, mm);
      k.mm = mm;
    }
    memory.f64[(this.slot + CpuSlot.since) >>> 3] = k.now();
    const word = loadWord(memory, task);
    const running = taskWord(TaskState.Running, reasonOf(word), k.cpu.id, sleepNumberOf(word));
    Atomics.store(memory.i32, (task + Task.word) >>> 2, running);
  }

  /**
   * Runs the system call whose number is in RAX.
   * @returns its number, or −1 if the task sleeps or has ended
   */
  private syscall(): number {
    const { k, memory } = this;
    const rax = this.base + CpuState.gpr + Gpr.rax * 8;
    const number = memory.loadU32(rax);
    const result = this.services.syscall(k, number);
    if (result === BLOCKED) {
      memory.store32(this.task + Task.blockedIn, BlockedIn.syscall);
      return this.asleep() ? -1 : this.syscallAgain();
    }
    if (result !== NO_RESULT) memory.storeNumber(rax, result);
    else if (stateOf(loadWord(memory, this.task)) === TaskState.Dead) {
      this.gone();
      return -1;
    }
    return number;
  }

  private syscallAgain(): number {
    const { k, memory } = this;
    memory.store32(this.task + Task.blockedIn, BlockedIn.nothing);
    k.wakeReason = reasonOf(loadWord(memory, this.task));
    return this.syscall();
  }

  /** The task's state has become Asleep; returns false if it was woken already. */
  private asleep(): boolean {
    const { memory, task } = this;
    // A sender sets `notify` and then looks at the state; we have set the state and look at `notify`: one of us sees the other.
    if (this.notified() || this.exiting()) wake(memory, task, WakeReason.signal);
    return stateOf(loadWord(memory, task)) !== TaskState.Running;
  }

  private notified(): boolean {
    return isNotified(this.memory, this.task + Task.signals);
  }

  private exiting(): boolean {
    return Atomics.load(this.memory.i32, (this.k.process + Process.exiting) >>> 2) !== 0;
  }

  /** Acts on what a look at the signals has led to; false if the task has left the CPU or sleeps. */
  private settle(delivery: Delivery): boolean {
    if (delivery === 'user') return true;
    if (delivery === 'gone') {
      this.gone();
      return false;
    }
    this.memory.store32(this.task + Task.blockedIn, BlockedIn.stop);
    sleep(this.k, Infinity);
    // SIGCONT and SIGKILL wake it: they change what is looked at here, then look at its state.
    const stopped = (this.k.process + Process.signals + ProcessSignals.stopped) >>> 2;
    if (this.exiting() || Atomics.load(this.memory.i32, stopped) === 0) {
      wake(this.memory, this.task, WakeReason.signal);
    }
    return false;
  }

  /** The task has ended: the scheduler may forget it. */
  private gone(): void {
    const { memory, k } = this;
    this.task = this.lastTask = 0;
    k.task = 0;
    k.process = 0;
    memory.store32(this.base + CpuState.task, 0);
    Atomics.store(memory.i32, (this.slot + CpuSlot.free) >>> 2, 1);
    ringScheduler(memory);
  }

  /**
   * Does all that must be done before guest code runs, and leaves the CPU in mode `user`.
   * @param call number of the system call whose result is in RAX, or −1
   * @returns false if there is no guest code to run now
   */
  private enterUser(call: number): boolean {
    const { k, memory, services } = this;
    const { i32 } = memory;
    for (;;) {
      if (this.stopped()) return false;
      if (this.exiting()) {
        services.exitThread(k);
        this.gone();
        return false;
      }
      if (this.notified() || (call >= 0 && this.interruptedCall())) {
        if (!this.settle(services.deliverSignals(k, call))) return false;
        call = -1;
      }
      if (this.reschedule && this.yieldCpu()) return false;
      // The mode first, then the interrupts: whoever raises one and then finds the mode `kernel` knows that we look here.
      enterUser(memory, this.base);
      const bits = Atomics.load(i32, this.interrupt) === 0 ? 0 : Atomics.exchange(i32, this.interrupt, 0);
      services.catchUp(k);
      if ((bits & ~(Interrupt.flush | Interrupt.any)) === 0) return true;
      enterKernel(memory, this.base);
      // Every bit but `reschedule` stands for a state that is looked at above, or by standStill.
      if (bits & Interrupt.reschedule) this.reschedule = true;
      if (bits & Interrupt.standStill) services.standStill(k);
    }
  }

  /** Whether RAX holds one of the restart codes that user code must not see. */
  private interruptedCall(): boolean {
    const rax = (this.base + CpuState.gpr + Gpr.rax * 8) >>> 2;
    const low = this.memory.i32[rax];
    return low <= -512 && low >= -516 && this.memory.i32[rax + 1] === -1;
  }

  /** Gives the CPU to another task if there is one for it; false if the task stays. */
  private yieldCpu(): boolean {
    const { memory, task, k } = this;
    this.reschedule = false;
    const ready = Atomics.load(memory.i32, (this.queue + RunQueue.ready) >>> 2);
    if (ready === 0 && mayRunOn(memory, task, k.cpu.id)) return false;
    saveTask(k.cpu, task);
    this.accountTime();
    this.task = 0;
    k.task = 0;
    memory.store32(this.base + CpuState.task, 0);
    const word = loadWord(memory, task);
    Atomics.store(
      memory.i32,
      (task + Task.word) >>> 2,
      taskWord(TaskState.Ready, WakeReason.none, 0, sleepNumberOf(word)),
    );
    // Free before pushed: see Scheduler.collectFree.
    Atomics.store(memory.i32, (this.slot + CpuSlot.free) >>> 2, 1);
    pushReady(memory, task);
    return true;
  }

  private accountTime(): void {
    const { memory } = this;
    const { f64 } = memory;
    f64[(this.task + Task.cpuTime) >>> 3] += this.k.now() - f64[(this.slot + CpuSlot.since) >>> 3];
  }

  /**
   * Saves the sleeping task's registers, so that the scheduler may give the CPU to another.
   * @returns false if it was woken meanwhile
   */
  park(): boolean {
    const { memory, task, k } = this;
    const word = loadWord(memory, task);
    if (stateOf(word) === TaskState.Asleep && cpuOf(word) === k.cpu.id) {
      saveTask(k.cpu, task);
      this.accountTime();
      this.saved = true;
      if (!changeWord(memory, task, word, word - TaskState.Asleep + TaskState.Parked)) return false;
      // A task that became ready before may have found this one not parked yet.
      if (Atomics.load(memory.i32, (this.queue + RunQueue.ready) >>> 2) > 0) ringScheduler(memory);
    }
    return true;
  }

  /**
   * Waits until there may be something to run.
   *
   * Woken by: whoever wakes the loaded task (src/kernel/wait.ts), the scheduler when it has filled the mailbox, whoever stops the
   * machine; and by itself at the loaded task's deadline. Each of them changes the state, then rings the doorbell, then looks at
   * `parked`. We read the doorbell, look at the state, set `parked`, and wait only if the doorbell has still that value. So a
   * ring after our look ends the wait, or it comes before `parked` is set and the wait doesn't begin.
   */
  idle(): void {
    const { memory } = this;
    const { i32 } = memory;
    const awake = (this.queue + RunQueue.awake) >>> 2;
    const parked = (this.slot + CpuSlot.parked) >>> 2;
    for (;;) {
      const seen = Atomics.load(i32, this.bell);
      if (this.stopped() || this.mayRun()) return;
      if (this.spin(seen)) continue;
      if (this.task !== 0 && !this.park()) return;
      // A parked task can be detached, woken and asleep again elsewhere by the time we look at its deadline: ends only this sleep.
      const sleepNumber = this.task === 0 ? 0 : sleepNumberOf(loadWord(memory, this.task));
      const timeout = this.untilDeadline();
      if (timeout <= 0) {
        wake(memory, this.task, WakeReason.timeout, sleepNumber);
        continue;
      }
      Atomics.store(i32, parked, 1);
      Atomics.sub(i32, awake, 1);
      Atomics.wait(i32, this.bell, seen, timeout);
      Atomics.add(i32, awake, 1);
      Atomics.store(i32, parked, 0);
    }
  }

  /** Whether there is something to run: a loaded task that doesn't sleep, or one in the mailbox. */
  mayRun(): boolean {
    const { memory, k } = this;
    if (Atomics.load(memory.i32, (this.slot + CpuSlot.next) >>> 2) !== 0) return true;
    if (this.task === 0) return false;
    const word = loadWord(memory, this.task);
    return stateOf(word) === TaskState.Running && cpuOf(word) === k.cpu.id;
  }

  /** Looks at the doorbell for a moment; true if it rang. */
  private spin(seen: number): boolean {
    const { i32 } = this.memory;
    const looks = this.parks % SPINS.retry === 0 ? SPINS.long : SPINS.short;
    for (let left: number = looks; left > 0 && this.maySpin(); left -= SPINS_UNCHECKED) {
      for (let i = 0; i < SPINS_UNCHECKED; i++) {
        if (Atomics.load(i32, this.bell) === seen) continue;
        this.parks = 0;
        return true;
      }
    }
    this.parks++;
    return false;
  }

  /** Whether the host has a core to spare and no task waits for this CPU. */
  private maySpin(): boolean {
    const { i32 } = this.memory;
    const cores = this.memory.load32(this.queue + RunQueue.hostCores);
    if (Atomics.load(i32, (this.queue + RunQueue.awake) >>> 2) > cores) return false;
    return this.task === 0 || Atomics.load(i32, (this.queue + RunQueue.ready) >>> 2) <= 0;
  }

  /** Ms until the loaded task's deadline; Infinity if it has none or there is no task. */
  private untilDeadline(): number {
    if (this.task === 0) return Infinity;
    const deadline = this.memory.f64[(this.task + Task.deadline) >>> 3];
    if (deadline === Infinity) return Infinity;
    const word = loadWord(this.memory, this.task);
    if (stateOf(word) !== TaskState.Parked || cpuOf(word) !== this.k.cpu.id) return Infinity;
    return (deadline - this.k.now()) / 1e6;
  }
}
