import { expect, test } from 'vitest';
import { CpuState, Exit, Interrupt } from '../../src/cpu/state.js';
import { imagePkru } from '../../src/cpu/xsave.js';
import { Slice } from '../../src/kernel/cpu-loop.js';
import { CpuSlot, cpuSlot, interruptCpu, RunQueue, runQueue } from '../../src/kernel/run-queue.js';
import { BLOCKED, NO_RESULT } from '../../src/kernel/syscalls.js';
import { Task, TaskState, WakeReason } from '../../src/kernel/task.js';
import { interruptForSignal, loadWord, sleep, sleepNumberOf, wake, wakeNew } from '../../src/kernel/wait.js';
import { MACHINE, Machine } from '../../src/memory/layout.js';
import { Mutant } from '../../src/memory/mutants.js';
import { notifyWord, Workbench } from './bench.js';

const SLICE = 5_000_000;
/** Leaves guest code by a system call once, then by an interrupt that stops the slice's test. */
const once = (first: number) => {
  let calls = 0;
  return () => (calls++ === 0 ? first : Exit.exception);
};

/** A machine with one CPU whose task has called `sleep` and is Asleep. */
function sleeper(deadline = Infinity) {
  const w = new Workbench(1);
  const reasons: number[] = [];
  w.syscall = (k) => {
    reasons.push(k.wakeReason);
    return k.wakeReason === WakeReason.none ? sleep(k, deadline) : 0;
  };
  w.loops[0].online();
  const task = w.start(1);
  w.scheduler.step();
  w.cpus[0].script = once(Exit.syscall);
  expect(w.loops[0].runSlice()).toBe(Slice.idle);
  return { w, task, reasons };
}

test('a new task goes to a CPU that is online, with its registers', () => {
  const w = new Workbench(2);
  const task = w.start(42);
  w.scheduler.step();
  expect(w.state(task)).toBe(TaskState.Ready);
  w.loops[1].online();
  w.scheduler.step();
  expect(w.state(task)).toBe(TaskState.Handed);
  w.cpus[1].script = () => {
    expect(w.cpus[1].rbx).toBe(42);
    return Exit.exception;
  };
  w.loops[1].runSlice();
  expect(w.loops[0].runSlice()).toBe(Slice.idle);
  expect(w.memory.f64[(w.cpus[1].base + CpuState.contextSwitches) >>> 3]).toBe(1);
});

test('a wake-up between sleep and the return of BLOCKED is not lost', () => {
  const w = new Workbench(1);
  const reasons: number[] = [];
  w.syscall = (k) => {
    reasons.push(k.wakeReason);
    if (k.wakeReason !== WakeReason.none) return 7;
    const blocked = sleep(k, Infinity);
    expect(wake(w.memory, k.task)).toBe(true);
    return blocked;
  };
  w.loops[0].online();
  w.start(1);
  w.scheduler.step();
  w.cpus[0].script = once(Exit.syscall);
  w.loops[0].runSlice();
  expect(reasons).toEqual([WakeReason.none, WakeReason.woken]);
  expect(w.memory.load32(w.cpus[0].base + CpuState.gpr)).toBe(7);
});

test('a task that is woken where it sleeps goes on there without a switch or the scheduler', () => {
  const { w, task, reasons } = sleeper();
  expect(w.state(task)).toBe(TaskState.Asleep);
  const bell = (MACHINE + Machine.schedulerDoorbell) >>> 2;
  const rung = w.memory.i32[bell];
  expect(wake(w.memory, task)).toBe(true);
  w.loops[0].idle();
  w.loops[0].runSlice();
  expect(reasons).toEqual([WakeReason.none, WakeReason.woken]);
  expect(w.memory.i32[bell] - rung).toBe(1); // only when the script ends the task
  expect(w.memory.load32(MACHINE + Machine.contextSwitches)).toBe(1);
});

test('a wake-up while the registers are being saved for parking is not lost', () => {
  const { w, task, reasons } = sleeper();
  w.cpus[0].whileSaving = () => {
    expect(wake(w.memory, task)).toBe(true);
    w.cpus[0].whileSaving = () => undefined;
  };
  w.loops[0].idle();
  expect(w.state(task)).toBe(TaskState.Running);
  w.loops[0].runSlice();
  expect(reasons).toEqual([WakeReason.none, WakeReason.woken]);
});

test('only one of two wakers succeeds', () => {
  const { w, task } = sleeper();
  expect(wake(w.memory, task)).toBe(true);
  expect(wake(w.memory, task)).toBe(false);
});

test('a late waker of an earlier sleep does not end a later one', () => {
  const { w, task } = sleeper();
  const number = sleepNumberOf(loadWord(w.memory, task));
  w.syscall = (k) => sleep(k, Infinity);
  wake(w.memory, task);
  w.loops[0].runSlice();
  expect(w.state(task)).toBe(TaskState.Asleep);
  expect(wake(w.memory, task, WakeReason.timeout, number)).toBe(false);
  expect(w.state(task)).toBe(TaskState.Asleep);
});

test('a deadline wakes a loaded task by its own CPU', () => {
  const { w, reasons } = sleeper(2_000_000);
  w.clock.time = 2_000_000;
  w.loops[0].idle();
  w.loops[0].runSlice();
  expect(reasons).toEqual([WakeReason.none, WakeReason.timeout]);
});

/** A sleeper whose CPU was given to a second task; returns that too. */
function detached(deadline = Infinity) {
  const s = sleeper(deadline);
  const { w, task } = s;
  const second = w.task(2);
  // The scheduler looks while the first is not parked yet, and must not take it.
  w.memory.store32(second + Task.affinity, 1);
  parkOnly(w);
  expect(w.state(task)).toBe(TaskState.Parked);
  wakeNew(w.memory, second);
  w.scheduler.step();
  expect(w.state(task)).toBe(TaskState.Detached);
  return { ...s, second };
}

/** Makes CPU 0 park its sleeping task without waiting: it is woken as soon as it has rung. */
function parkOnly(w: Workbench): void {
  const loop = w.loops[0] as unknown as { park(): boolean };
  expect(loop.park()).toBe(true);
}

test("the scheduler gives a parked task's CPU to another, which runs with its own registers", () => {
  const { w, second } = detached();
  w.cpus[0].script = (task) => {
    expect(task).toBe(second);
    expect(w.cpus[0].rbx).toBe(2);
    return Exit.exception;
  };
  w.loops[0].runSlice();
  expect(w.memory.load32(MACHINE + Machine.contextSwitches)).toBe(2);
});

test('a task that is asleep but not parked is not taken off its CPU; it says so when it parks', () => {
  const { w, task } = sleeper();
  const second = w.start(2);
  w.scheduler.step();
  expect(w.state(task)).toBe(TaskState.Asleep);
  expect(w.state(second)).toBe(TaskState.Ready);
  const bell = (MACHINE + Machine.schedulerDoorbell) >>> 2;
  const before = w.memory.i32[bell];
  parkOnly(w);
  expect(w.memory.i32[bell]).toBe(before + 1);
  w.scheduler.step();
  expect(w.state(task)).toBe(TaskState.Detached);
  expect(w.state(second)).toBe(TaskState.Handed);
});

test('a parked task that is woken just before the scheduler takes its CPU keeps it', () => {
  const { w, task, reasons } = sleeper();
  parkOnly(w);
  const second = w.start(2);
  const offer = w.policy.offer.bind(w.policy);
  w.policy.offer = (place) => {
    // The scheduler has seen the task parked by now.
    expect(wake(w.memory, task)).toBe(true);
    offer(place);
  };
  w.scheduler.step();
  w.policy.offer = offer;
  expect(w.state(second)).toBe(TaskState.Ready);
  expect(w.state(task)).toBe(TaskState.Running);
  w.loops[0].runSlice();
  expect(reasons).toEqual([WakeReason.none, WakeReason.woken]);
  w.scheduler.step();
  expect(w.state(second)).toBe(TaskState.Handed);
});

test('a detached task that is woken comes back by the scheduler, with its reason', () => {
  const { w, task, reasons, second } = detached();
  expect(wake(w.memory, task)).toBe(true);
  expect(w.state(task)).toBe(TaskState.Ready);
  w.cpus[0].script = (running) => (running === second ? Exit.exception : Exit.exception);
  w.loops[0].runSlice(); // second ends
  expect(reasons).toEqual([WakeReason.none]);
  w.scheduler.step();
  w.cpus[0].script = () => {
    expect(w.cpus[0].rbx).toBe(1);
    return Exit.exception;
  };
  w.loops[0].runSlice();
  expect(reasons).toEqual([WakeReason.none, WakeReason.woken]);
});

test('the scheduler keeps the deadlines of detached tasks', () => {
  const { w, task } = detached(9_000_000);
  expect(w.scheduler.step()).toBeLessThanOrEqual(8);
  w.clock.time = 8_999_999;
  w.scheduler.step();
  expect(w.state(task)).toBe(TaskState.Detached);
  w.clock.time = 9_000_000;
  w.scheduler.step();
  expect(w.state(task)).toBe(TaskState.Ready);
});

test('a signal between the state Asleep and the look at notify is seen', () => {
  const w = new Workbench(1);
  const reasons: number[] = [];
  w.syscall = (k) => {
    reasons.push(k.wakeReason);
    if (k.wakeReason !== WakeReason.none) return 0;
    // The sender has made the signal pending, but finds the state still Running.
    Atomics.store(w.memory.i32, notifyWord(k.task), 1);
    return sleep(k, Infinity);
  };
  w.loops[0].online();
  w.start(1);
  w.scheduler.step();
  w.cpus[0].script = once(Exit.syscall);
  w.loops[0].runSlice();
  expect(reasons).toEqual([WakeReason.none, WakeReason.signal]);
});

test('a signal wakes a sleeping task and interrupts a running one', () => {
  const { w, task, reasons } = sleeper();
  interruptForSignal(w.memory, task);
  let ran = 0;
  w.cpus[0].script = () => {
    ran++;
    interruptForSignal(w.memory, task);
    expect(w.interrupts(0)).toBe(Interrupt.any | Interrupt.signal | 0);
    return ran === 1 ? Exit.interrupt : Exit.exception;
  };
  w.loops[0].runSlice();
  expect(ran).toBe(2);
  expect(reasons).toEqual([WakeReason.none, WakeReason.signal]);
});

test('a task whose slice is over makes room for one that waits, and goes to the end of the queue', () => {
  const w = new Workbench(1);
  w.loops[0].online();
  const first = w.start(1);
  w.scheduler.step();
  let second = 0;
  w.cpus[0].script = (task) => {
    if (task !== first) return Exit.exception;
    second = w.start(2);
    expect(w.scheduler.step()).toBe(5);
    expect(w.interrupts(0)).toBe(0);
    w.clock.time += SLICE;
    w.scheduler.step();
    expect(w.interrupts(0) & Interrupt.reschedule).toBe(Interrupt.reschedule);
    return Exit.interrupt;
  };
  expect(w.loops[0].runSlice()).toBe(Slice.idle);
  expect(w.state(first)).toBe(TaskState.Ready);
  w.scheduler.step();
  expect(w.state(second)).toBe(TaskState.Handed);
  expect(w.policy.length).toBe(1);
  w.loops[0].runSlice();
  w.scheduler.step();
  expect(w.state(first)).toBe(TaskState.Handed);
});

test('a task asked to leave while nobody waits any more stays', () => {
  const w = new Workbench(1);
  w.loops[0].online();
  const task = w.start(1);
  w.scheduler.step();
  interruptCpu(w.memory, 0, Interrupt.reschedule);
  w.cpus[0].script = once(Exit.interrupt);
  w.loops[0].runSlice();
  // It ran on until the script ended it.
  expect(w.ended).toEqual([task]);
  expect(w.memory.load32(MACHINE + Machine.contextSwitches)).toBe(1);
});

test('affinity: a task waits for its CPU although another is free, and leaves one it may no longer use', () => {
  const w = new Workbench(2);
  w.loops[0].online();
  const task = w.task(1);
  w.memory.store32(task + Task.affinity, 2);
  wakeNew(w.memory, task);
  w.scheduler.step();
  expect(w.state(task)).toBe(TaskState.Ready);
  w.loops[1].online();
  w.scheduler.step();
  expect(w.state(task)).toBe(TaskState.Handed);
  w.cpus[1].script = () => {
    w.memory.store32(task + Task.affinity, 1);
    interruptCpu(w.memory, 1, Interrupt.reschedule);
    return Exit.interrupt;
  };
  expect(w.loops[1].runSlice()).toBe(Slice.idle);
  w.scheduler.step();
  expect(w.memory.load32(task + Task.lastCpu)).toBe(0);
});

test('the debug clear takes key 14 out of the incoming image only, and counts', () => {
  const w = new Workbench(1, { debugFpu: true });
  w.loops[0].online();
  w.start(1, 0xffff_ffff);
  w.scheduler.step();
  let runs = 0;
  w.cpus[0].script = () => {
    if (runs++ > 0) {
      // Nobody waited: that was no switch, nothing was cleared.
      expect(w.cpus[0].pkru).toBe(0x3000_0000);
      return Exit.exception;
    }
    expect(w.cpus[0].pkru).toBe(0xcfff_ffff);
    w.cpus[0].pkru = 0x3000_0000;
    interruptCpu(w.memory, 0, Interrupt.reschedule);
    return Exit.interrupt;
  };
  w.loops[0].runSlice();
  expect(runs).toBe(2);
  expect(w.memory.load32(MACHINE + Machine.key14Cleared)).toBe(1);
});

test('without the debug option, and with its mutants, key 14 is treated as they say', () => {
  const pkruAfterSwitch = (options: { debugFpu?: boolean; mutants?: number }) => {
    const w = new Workbench(1, options);
    w.loops[0].online();
    const task = w.start(1, 0xffff_ffff);
    w.scheduler.step();
    return imagePkru(w.memory, task + Task.image);
  };
  expect(pkruAfterSwitch({})).toBe(0xffff_ffff);
  expect(pkruAfterSwitch({ debugFpu: true })).toBe(0xcfff_ffff);
  expect(pkruAfterSwitch({ debugFpu: true, mutants: Mutant.debugClearForgotten })).toBe(0xffff_ffff);
  expect(pkruAfterSwitch({ debugFpu: true, mutants: Mutant.debugClearWrongKey })).toBe(0xf3ff_ffff);
});

/** Two tasks with PKRUs of their own take turns on one CPU; returns what the first finds after the second ran. */
function pkruAfterTurns(mutants: number): number {
  const w = new Workbench(1, { mutants });
  w.loops[0].online();
  const first = w.start(1, 0x55);
  w.scheduler.step();
  let seen = -1;
  w.cpus[0].script = (task) => {
    if (task !== first) {
      w.cpus[0].pkru = 0x77;
      return Exit.exception;
    }
    if (seen === -1) {
      seen = 0;
      w.cpus[0].pkru = 0x66;
      w.start(2, 0x11);
      w.scheduler.step();
      interruptCpu(w.memory, 0, Interrupt.reschedule);
      return Exit.interrupt;
    }
    seen = w.cpus[0].pkru;
    return Exit.exception;
  };
  for (let i = 0; i < 3; i++) {
    w.loops[0].runSlice();
    w.scheduler.step();
  }
  return seen;
}

test('PKRU survives a switch, and does not with the mutants', () => {
  expect(pkruAfterTurns(0)).toBe(0x66);
  expect(pkruAfterTurns(Mutant.pkruNotSaved)).toBe(0x55);
  expect(pkruAfterTurns(Mutant.pkruNotRestored)).toBe(0x77);
});

test("an ended task is recycled once its CPU has let go of it, and its last sleep is not the new one's", () => {
  const { w, task } = sleeper();
  const number = sleepNumberOf(loadWord(w.memory, task));
  wake(w.memory, task);
  w.syscall = (k) => {
    w.end(k);
    return NO_RESULT;
  };
  w.loops[0].runSlice();
  expect(w.state(task)).toBe(TaskState.Dead);
  expect(w.task(3)).not.toBe(task);
  w.scheduler.step();
  expect(w.task(4)).toBe(task);
  wakeNew(w.memory, task);
  w.scheduler.step();
  w.syscall = (k) => (k.wakeReason === WakeReason.none ? sleep(k, Infinity) : 0);
  w.cpus[0].script = once(Exit.syscall);
  w.loops[0].runSlice();
  expect(wake(w.memory, task, WakeReason.timeout, number)).toBe(false);
});

test('every thread of an ending process leaves on its way to user code', () => {
  const { w, task } = sleeper();
  w.setExiting(task);
  wake(w.memory, task, WakeReason.signal);
  w.loops[0].runSlice();
  expect(w.ended).toEqual([task]);
  expect(Atomics.load(w.memory.i32, (cpuSlot(w.memory, 0) + CpuSlot.free) >>> 2)).toBe(1);
});

test('ready tasks are counted until they have a CPU', () => {
  const w = new Workbench(1);
  const ready = () => Atomics.load(w.memory.i32, (runQueue(w.memory) + RunQueue.ready) >>> 2);
  for (let i = 0; i < 5; i++) w.start(i);
  expect(ready()).toBe(5);
  w.loops[0].online();
  w.scheduler.step();
  expect(ready()).toBe(4);
  const order: number[] = [];
  w.cpus[0].script = () => {
    order.push(w.cpus[0].rbx);
    return Exit.exception;
  };
  for (let i = 0; i < 5; i++) {
    w.loops[0].runSlice();
    w.scheduler.step();
  }
  expect(order).toEqual([0, 1, 2, 3, 4]);
  expect(ready()).toBe(0);
});

test('BLOCKED and NO_RESULT are no error numbers', () => {
  expect(BLOCKED).toBeLessThan(-4095);
  expect(NO_RESULT).toBeLessThan(-4095);
});
