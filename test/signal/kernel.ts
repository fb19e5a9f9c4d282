import type { Clock } from '../../src/cpu/clock.js';
import { CpuState } from '../../src/cpu/state.js';
import { cloneSyscalls } from '../../src/kernel/clone.js';
import { createFutexTable } from '../../src/kernel/futex-table.js';
import { robustListSyscalls } from '../../src/kernel/robust-list.js';
import { futexSyscalls } from '../../src/kernel/futex-pi.js';
import { KernelCpu } from '../../src/kernel/kernel-cpu.js';
import { Mm } from '../../src/kernel/memory/mm-layout.js';
import { type AbiName, ABI_NAMES } from '../../src/kernel/pkeys/names.js';
import { initPkeys } from '../../src/kernel/pkeys/lifetime.js';
import { createRunQueue } from '../../src/kernel/run-queue.js';
import { schedSyscalls } from '../../src/kernel/sched.js';
import { createSignalQueues } from '../../src/kernel/signal/links.js';
import { signalSyscalls } from '../../src/kernel/signal/syscalls.js';
import { BLOCKED, type Handler, type SyscallTable } from '../../src/kernel/syscalls.js';
import { createTask, createTasks, Process, Task, TaskState, WakeReason } from '../../src/kernel/task.js';
import { intervalTimerSyscalls } from '../../src/kernel/interval-timers.js';
import { timeSyscalls } from '../../src/kernel/time.js';
import { loadWord, reasonOf, sleepNumberOf, stateOf, taskWord, wake } from '../../src/kernel/wait.js';
import { MACHINE, Machine } from '../../src/memory/layout.js';
import { heapAllocate } from '../../src/memory/slab.js';
import { AddressSpace } from '../../src/mmu/address-space.js';
import { Mmu } from '../../src/mmu/mmu.js';
import { leafHigh, leafLow, Prot } from '../../src/mmu/pte.js';
import { UserMemory } from '../../src/mmu/user-memory.js';
import { bareMemory } from '../mmu/bare-machine.js';
import { BareCpu } from '../xsave/bare-cpu.js';

const TABLE: SyscallTable = {
  ...signalSyscalls,
  ...futexSyscalls,
  ...robustListSyscalls,
  ...intervalTimerSyscalls,
  ...timeSyscalls,
  ...schedSyscalls,
  ...cloneSyscalls,
};
const BY_NAME = new Map(Object.values(TABLE).map((call) => [call.name, call.handler]));

/** Addresses of the test's user memory: two pages of data, one stack page, and one that appears when it is touched. */
export const DATA = 0x1_0000;
export const STACK_TOP = 0x7000_2000;
export const LAZY = 0x2_0000;

/** A clock that the test sets. */
export class TestClock implements Clock {
  now = 1e9;
  monotonic(): number {
    return this.now;
  }
}

/**
 * A kernel without CPUs' loops: one process whose threads each sit on a CPU of their own. Every step is the test's: calls
 * are handlers called directly; whether a thread sleeps is read from its state.
 */
export class TestKernel {
  readonly memory;
  readonly clock = new TestClock();
  readonly threads: TestThread[] = [];
  readonly space: number;
  process = 0;

  constructor(
    readonly cpus = 4,
    abi: AbiName = 'linux',
  ) {
    this.memory = bareMemory({ cpus });
    this.memory.store32(MACHINE + Machine.abi, ABI_NAMES.indexOf(abi));
    createRunQueue(this.memory, cpus, 1);
    createTasks(this.memory);
    createSignalQueues(this.memory);
    createFutexTable(this.memory);
    this.space = heapAllocate(this.memory, Mm.size);
    initPkeys(this.memory, this.space);
    this.addThread();
  }

  addThread(task = createTask(this.memory, this.process)): TestThread {
    const thread = new TestThread(this, this.threads.length, task);
    this.threads.push(thread);
    return thread;
  }

  /** Makes a page readable and writable. */
  map(mmu: Mmu, address: number, key = 0): void {
    const root = this.memory.load32(this.space + AddressSpace.root);
    const frame = mmu.ops.allocateFrame();
    const prot = Prot.read | Prot.write;
    if (mmu.ops.map(root, address, 0, 0, frame | leafLow(prot), leafHigh(prot, key)) !== 1)
      throw new Error('map');
  }
}

export class TestThread {
  readonly cpu: BareCpu;
  readonly k: KernelCpu;
  private last: (() => number) | undefined;

  constructor(
    readonly kernel: TestKernel,
    id: number,
    readonly task: number,
  ) {
    const { memory, space } = kernel;
    this.cpu = new BareCpu(0, id, memory);
    const mmu = new Mmu(this.cpu, 1);
    if (kernel.process === 0) {
      memory.store32(space + AddressSpace.root, mmu.ops.allocateFrame());
      for (const page of [DATA, DATA + 4096, STACK_TOP - 4096, STACK_TOP - 8192]) kernel.map(mmu, page);
      kernel.process = memory.loadU32(task + Task.process);
      memory.store32(kernel.process + Process.mm, space);
    }
    const user = new UserMemory(mmu, (_mm, address) => {
      if (Math.floor(address / 4096) * 4096 !== LAZY) return false;
      kernel.map(mmu, LAZY);
      return true;
    });
    this.k = new KernelCpu(this.cpu, user, kernel.clock, { write: (_fd, bytes) => bytes.length });
    this.k.task = task;
    this.k.process = kernel.process;
    this.k.mm = space;
    mmu.load(space);
    const word = taskWord(TaskState.Running, 0, id, sleepNumberOf(loadWord(memory, task)));
    Atomics.store(memory.i32, (task + Task.word) >>> 2, word);
    memory.storeNumber(this.cpu.base + CpuState.gpr + 8 * 4, STACK_TOP - 256 - 1024 * id);
  }

  get tid(): number {
    return this.k.tid;
  }

  get asleep(): boolean {
    return stateOf(loadWord(this.kernel.memory, this.task)) === TaskState.Asleep;
  }

  /** Calls a system call; BLOCKED if the thread sleeps now. */
  call(name: string, ...args: number[]): number {
    const handler: Handler = BY_NAME.get(name)!;
    const [a0 = 0, a1 = 0, a2 = 0, a3 = 0, a4 = 0, a5 = 0] = args;
    this.last = () => handler(this.k, a0, a1, a2, a3, a4, a5);
    this.k.wakeReason = WakeReason.none;
    return this.last();
  }

  /** Goes on with the call in which the thread slept, after it was woken. */
  resume(): number {
    const word = loadWord(this.kernel.memory, this.task);
    if (stateOf(word) !== TaskState.Running) throw new Error('still asleep');
    this.k.wakeReason = reasonOf(word);
    return this.last!();
  }

  /** Lets the thread's deadline pass. */
  timeout(): number {
    this.kernel.clock.now = Math.max(this.kernel.clock.now, this.k.deadline);
    wake(this.kernel.memory, this.task, WakeReason.timeout);
    return this.resume();
  }

  word(address: number): number {
    return this.k.user.readU32(address);
  }

  setWord(address: number, value: number): void {
    if (!this.k.user.writeU32(address, value)) throw new Error('not writable');
  }

  setWord64(address: number, value: number): void {
    if (!this.k.user.writeU64(address, value)) throw new Error('not writable');
  }
}

export { BLOCKED };
