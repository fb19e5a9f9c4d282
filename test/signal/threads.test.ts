import { beforeEach, describe, expect, it } from 'vitest';
import { CpuState, Gpr } from '../../src/cpu/state.js';
import { imagePkru } from '../../src/cpu/xsave.js';
import { Clone } from '../../src/kernel/clone.js';
import { Errno } from '../../src/kernel/errno.js';
import { Signal, Ss } from '../../src/kernel/signal/numbers.js';
import { TaskSignals } from '../../src/kernel/signal/state.js';
import { Process, Task, TaskState, withTask } from '../../src/kernel/task.js';
import { loadWord, stateOf } from '../../src/kernel/wait.js';
import { MACHINE, Machine } from '../../src/memory/layout.js';
import { DATA, TestKernel, type TestThread } from './kernel.js';

const THREAD = Clone.VM | Clone.FS | Clone.FILES | Clone.SIGHAND | Clone.THREAD | Clone.SYSVSEM;
const ALL = THREAD | Clone.SETTLS | Clone.PARENT_SETTID | Clone.CHILD_CLEARTID | Clone.CHILD_SETTID;
const PARENT_TID = DATA + 8;
const CHILD_TID = DATA + 16;
const STACK = 0x7100_0000;
const TLS = 0x7200_0000;
const ARGS = DATA + 256;

let kernel: TestKernel;
let main: TestThread;

beforeEach(() => {
  kernel = new TestKernel(2);
  main = kernel.threads[0];
});

function taskOf(tid: number): number {
  const task = withTask(kernel.memory, tid, 0, (found) => found);
  expect(task).not.toBe(0);
  return task;
}

/** A 64-bit register field of a task that is not loaded; `offset` as in CpuState. */
const saved = (task: number, offset: number) =>
  kernel.memory.loadNumber(task + Task.registers - CpuState.gpr + offset);

describe('clone', () => {
  it('makes a thread with the registers of its maker, its own stack, TLS and result 0', () => {
    const { memory } = kernel;
    main.k.setRegister(Gpr.rbx, 0x1234);
    main.k.setRegister(Gpr.rax, 56);
    memory.storeNumber(main.cpu.base + CpuState.rip, 0x40_1002);
    memory.u8.fill(7, main.cpu.base + CpuState.xmm, main.cpu.base + CpuState.xmm + 256);
    main.cpu.pkru = 0x5555_5550;
    main.cpu.rflags = 0x246;
    const tid = main.call('clone', ALL, STACK, PARENT_TID, CHILD_TID, TLS);
    expect(tid).toBeGreaterThan(main.tid);
    const task = taskOf(tid);
    expect(saved(task, CpuState.gpr + 8 * Gpr.rax)).toBe(0);
    expect(saved(task, CpuState.gpr + 8 * Gpr.rbx)).toBe(0x1234);
    expect(saved(task, CpuState.gpr + 8 * Gpr.rsp)).toBe(STACK);
    expect(saved(task, CpuState.rip)).toBe(0x40_1002);
    expect(saved(task, CpuState.fsBase)).toBe(TLS);
    expect(memory.loadU32(task + Task.rflags)).toBe(0x246);
    expect(imagePkru(memory, task + Task.image)).toBe(0x5555_5550);
    expect(memory.u8[task + Task.image + 160]).toBe(7);
    expect(main.word(PARENT_TID)).toBe(tid);
    expect(main.word(CHILD_TID)).toBe(tid);
    expect(memory.loadNumber(task + Task.clearChildTid)).toBe(CHILD_TID);
    expect(stateOf(loadWord(memory, task))).toBe(TaskState.Ready);
  });

  it('inherits the mask, not the pending signals nor the alternate stack', () => {
    const { memory } = kernel;
    main.setWord64(ARGS, 2 ** (Signal.USR1 - 1));
    main.call('rt_sigprocmask', 0, ARGS, 0, 8);
    main.call('tkill', main.tid, Signal.USR1);
    main.setWord64(ARGS, DATA);
    main.setWord64(ARGS + 8, 0);
    main.setWord64(ARGS + 16, 4096);
    main.call('sigaltstack', ARGS, 0);
    const task = taskOf(main.call('clone', THREAD, STACK, 0, 0, 0));
    const signals = task + Task.signals;
    expect(memory.loadNumber(signals + TaskSignals.blocked)).toBe(2 ** (Signal.USR1 - 1));
    expect(memory.loadNumber(signals + TaskSignals.pending)).toBe(0);
    expect(memory.loadU32(signals + TaskSignals.stackFlags)).toBe(Ss.DISABLE);
    expect(memory.loadNumber(signals + TaskSignals.stackSize)).toBe(0);
  });

  it.each([
    [Clone.THREAD | Clone.VM, Errno.EINVAL],
    [Clone.SIGHAND, Errno.EINVAL],
    [THREAD | Clone.NEWNS, Errno.EPERM],
    [THREAD & ~Clone.FILES, Errno.ENOSYS],
    [Signal.CHLD, Errno.ENOSYS],
  ])('with flags %i fails and leaves no thread behind', (flags, errno) => {
    const before = kernel.memory.load32(main.k.process + Process.threads);
    expect(main.call('clone', flags, 0, 0, 0, 0)).toBe(-errno);
    expect(kernel.memory.load32(main.k.process + Process.threads)).toBe(before);
  });

  function cloneArgs(fields: Partial<Record<number, number>>): void {
    for (let i = 0; i < 11; i++) main.setWord64(ARGS + 8 * i, fields[i] ?? 0);
  }

  it('clone3 takes the stack as base and size', () => {
    cloneArgs({ 0: ALL, 2: CHILD_TID, 3: PARENT_TID, 5: STACK, 6: 0x8000, 7: TLS });
    const tid = main.call('clone3', ARGS, 88);
    expect(tid).toBeGreaterThan(0);
    expect(saved(taskOf(tid), CpuState.gpr + 8 * Gpr.rsp)).toBe(STACK + 0x8000);
    expect(main.word(PARENT_TID)).toBe(tid);
  });

  it.each<[string, Partial<Record<number, number>>, number, number]>([
    ['a struct that is too small', { 0: ALL }, 63, Errno.EINVAL],
    ['one beyond a page', { 0: ALL }, 4097, Errno.E2BIG],
    ['a stack without size', { 0: ALL, 5: STACK }, 88, Errno.EINVAL],
    ['a thread with an exit signal', { 0: THREAD, 4: Signal.CHLD }, 88, Errno.EINVAL],
    ['a signal in the flags', { 0: THREAD | 17 }, 88, Errno.EINVAL],
  ])('clone3 refuses %s', (_name, fields, size, errno) => {
    cloneArgs(fields);
    expect(main.call('clone3', ARGS, size)).toBe(-errno);
  });

  it('clone3 refuses nonzero fields that it does not know', () => {
    cloneArgs({ 0: THREAD });
    main.setWord64(ARGS + 88, 1);
    expect(main.call('clone3', ARGS, 96)).toBe(-Errno.E2BIG);
    main.setWord64(ARGS + 88, 0);
    expect(main.call('clone3', ARGS, 96)).toBeGreaterThan(0);
  });
});

describe('who and where', () => {
  it('knows its numbers', () => {
    const other = kernel.addThread();
    expect(main.call('gettid')).toBe(main.call('getpid'));
    expect(other.call('getpid')).toBe(main.tid);
    expect(other.call('gettid')).toBe(other.tid);
    expect(main.call('getppid')).toBe(1);
    expect(main.call('getpgid', 0)).toBe(main.tid);
  });

  it('runs where it may', () => {
    const other = kernel.addThread();
    expect(main.call('sched_getaffinity', 0, 128, DATA)).toBe(8);
    expect(main.k.user.readU64(DATA)).toBe(3);
    main.setWord64(DATA, 2);
    expect(main.call('sched_setaffinity', other.tid, 8, DATA)).toBe(0);
    expect(other.call('sched_getaffinity', 0, 8, DATA)).toBe(8);
    expect(main.k.user.readU64(DATA)).toBe(2);
    main.setWord64(DATA, 0xf0);
    expect(main.call('sched_setaffinity', 0, 8, DATA)).toBe(-Errno.EINVAL);
    expect(other.call('getcpu', DATA, DATA + 4, 0)).toBe(0);
    expect([main.word(DATA), main.word(DATA + 4)]).toEqual([1, 0]);
  });

  it('keeps policy, priority and nice value', () => {
    main.setWord(DATA, 50);
    expect(main.call('sched_setscheduler', 0, 2, DATA)).toBe(0);
    expect(main.call('sched_getscheduler', 0)).toBe(2);
    expect(main.call('sched_getparam', 0, DATA + 4)).toBe(0);
    expect(main.word(DATA + 4)).toBe(50);
    expect(main.call('setpriority', 0, 0, 100)).toBe(0);
    expect(main.call('getpriority', 0, 0)).toBe(1);
    expect([main.call('sched_get_priority_min', 1), main.call('sched_get_priority_max', 1)]).toEqual([1, 99]);
  });
});

describe('time', () => {
  it('the wall clock is boot time plus monotonic time', () => {
    const { memory, clock } = kernel;
    memory.f64[(MACHINE + Machine.bootRealtime) >>> 3] = 1_700_000_000_250.5;
    clock.now = 1_800_000_123;
    expect(main.call('clock_gettime', 1, DATA)).toBe(0);
    expect([main.k.user.readU64(DATA), main.k.user.readU64(DATA + 8)]).toEqual([1, 800_000_123]);
    expect(main.call('clock_gettime', 0, DATA)).toBe(0);
    expect([main.k.user.readU64(DATA), main.k.user.readU64(DATA + 8)]).toEqual([1_700_000_002, 50_500_123]);
    expect(main.call('gettimeofday', DATA, 0)).toBe(0);
    expect(main.k.user.readU64(DATA + 8)).toBe(50_500);
    expect(main.call('time', 0)).toBe(1_700_000_002);
  });

  it('thread and process times grow while they run', () => {
    const other = kernel.addThread();
    kernel.memory.f64[(other.task + Task.cpuTime) >>> 3] = 5e9;
    kernel.clock.now = 3e9;
    expect(other.call('clock_gettime', 3, DATA)).toBe(0);
    expect(main.k.user.readU64(DATA)).toBe(8);
    expect(main.call('clock_gettime', 2, DATA)).toBe(0);
    expect(main.k.user.readU64(DATA)).toBe(11);
    // The CPU clock of another thread, by its tid, as pthread_getcpuclockid makes it.
    expect(main.call('clock_gettime', (~other.tid << 3) | 6, DATA)).toBe(0);
    expect(main.k.user.readU64(DATA)).toBe(8);
    expect(main.call('clock_getres', 1, DATA)).toBe(0);
    expect(main.k.user.readU64(DATA + 8)).toBe(1);
  });
});
