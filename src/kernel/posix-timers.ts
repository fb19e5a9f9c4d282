import { CpuState } from '../cpu/state.js';
import { locked } from '../memory/lock.js';
import type { Memory } from '../memory/memory.js';
import { kfree, kmalloc } from '../memory/slab.js';
import { struct } from '../memory/struct.js';
import { processTimeLocked, threadTime } from './cpu-time.js';
import { Errno } from './errno.js';
import type { KernelCpu } from './kernel-cpu.js';
import { ringScheduler } from './run-queue.js';
import { SigInfo } from './signal/frame-layout.js';
import { processSignalsOf, taskSignalsOf } from './signal/links.js';
import { NSIG, Signal, SiCode } from './signal/numbers.js';
import { sendLocked, writeInfo } from './signal/send.js';
import { Pending, ProcessSignals, SigQueue, TaskSignals } from './signal/state.js';
import type { SyscallTable } from './syscalls.js';
import { forEachThread, Task } from './task.js';
import {
  ClockId,
  forward,
  readItimerspec,
  realtimeToMonotonic,
  type TimeLeft,
  TIMER_ABSTIME,
  timespecValid,
  toNanoseconds,
  writeItimerspec,
} from './timespec.js';

/**
 * POSIX timers (kernel/time/posix-timers.c; timer_create(2)).
 *
 * A timer has one signal pending at most. While it has, a periodic one rests; when the signal is taken, the periods that have passed
 * meanwhile become its overrun and the timer goes on (`timerSignalTaken`). So a period of a nanosecond costs no more than
 * the signals that the program can take.
 *
 * ProcessSignals.lock guards the timers. The scheduler thread fires them; who arms one rings it after it has released the lock.
 */
const Timer = struct({
  next: 'u32',
  id: 'i32',
  clock: 'i32',
  /** A Notify, the signal, and (with THREAD_ID) the thread it goes to. */
  notify: 'i32',
  signo: 'i32',
  tid: 'i32',
  state: 'i32',
  /** Of the signal that was taken last (timer_getoverrun). */
  overrun: 'i32',
  /** Next expiration, or while `pending` the one whose signal is, in ns of its clock; and the period in ns, 0 for once. */
  deadline: 'f64',
  interval: 'f64',
  /** sigev_value. */
  value: 'u64',
});

const State = { off: 0, armed: 1, pending: 2 } as const;

/** sigev_notify. */
const Notify = { SIGNAL: 0, NONE: 1, THREAD: 2, THREAD_ID: 4 } as const;

/** Most timers of a process: RLIMIT_SIGPENDING counts them on Linux. */
const MAX_TIMERS = 4096;

/** A periodic timer whose signal is ignored goes on no sooner than this, ns (a jiffy of CONFIG_HZ_250). */
const IGNORED_PAUSE = 4e6;

const REALTIME_CLOCKS: readonly number[] = [ClockId.REALTIME, ClockId.REALTIME_ALARM, ClockId.TAI];
const MONOTONIC_CLOCKS: readonly number[] = [ClockId.MONOTONIC, ClockId.BOOTTIME, ClockId.BOOTTIME_ALARM];
const CLOCKS_WITHOUT_TIMERS: readonly number[] = [
  ClockId.MONOTONIC_RAW,
  ClockId.REALTIME_COARSE,
  ClockId.MONOTONIC_COARSE,
];

/** CPU clocks of a process or thread: ~pid in bits 31:3, bit 2 for a thread; pid 0 is the caller (posix-timers.h). */
const CPU_CLOCK_SCHED = 2;
const CPU_CLOCK_THREAD = 4;
const cpuClock = (tid: number) => (~tid << 3) | CPU_CLOCK_SCHED | CPU_CLOCK_THREAD;

function findThread(memory: Memory, process: number, tid: number): number {
  let found = 0;
  forEachThread(memory, process, (task) => {
    if (memory.load32(task + Task.tid) === tid) found = task;
    return found === 0;
  });
  return found;
}

/** The clock as a timer keeps it: threads by their tid; −errno if a timer cannot use it. The caller holds the lock. */
function checkClock(k: KernelCpu, id: number): number {
  if (REALTIME_CLOCKS.includes(id) || MONOTONIC_CLOCKS.includes(id)) return id;
  if (id === ClockId.PROCESS_CPUTIME) return id;
  if (id === ClockId.THREAD_CPUTIME) return cpuClock(k.tid);
  if (CLOCKS_WITHOUT_TIMERS.includes(id)) return -Errno.EOPNOTSUPP;
  if (id >= 0 || (id & 3) === 3) return -Errno.EINVAL;
  const pid = ~(id >> 3);
  if (!(id & CPU_CLOCK_THREAD)) return pid === 0 || pid === k.pid ? ClockId.PROCESS_CPUTIME : -Errno.EINVAL;
  return pid === 0 || findThread(k.memory, k.process, pid) !== 0 ? cpuClock(pid || k.tid) : -Errno.EINVAL;
}

const runsInCpuTime = (clock: number) => clock < 0 || clock === ClockId.PROCESS_CPUTIME;

/** What a clock shows, ns: all that are no CPU clocks count as monotonic. A thread that has ended uses no more time. */
function timeOf(memory: Memory, process: number, clock: number, now: number): number {
  if (!runsInCpuTime(clock)) return now;
  if (clock === ClockId.PROCESS_CPUTIME) return processTimeLocked(memory, process, now);
  const task = findThread(memory, process, ~(clock >> 3));
  return task === 0 ? 0 : threadTime(memory, task, now);
}

/** The timer of an id, 0 if there is none; the caller holds the lock. */
function findTimer(memory: Memory, shared: number, id: number): number {
  let timer = memory.loadU32(shared + ProcessSignals.timers);
  while (timer !== 0 && memory.load32(timer + Timer.id) !== id) timer = memory.loadU32(timer + Timer.next);
  return timer;
}

function withTimer(k: KernelCpu, id: number, use: (timer: number) => number): number {
  const shared = processSignalsOf(k.process);
  return locked(k.memory, shared + ProcessSignals.lock, () => {
    const timer = findTimer(k.memory, shared, id);
    return timer === 0 ? -Errno.EINVAL : use(timer);
  });
}

/** struct sigevent: value, signal, kind of notification, thread. */
const SIGEVENT_BYTES = 64;

function timerCreate(k: KernelCpu, clockId: number, event: number, result: number): number {
  const { memory } = k;
  const shared = processSignalsOf(k.process);
  const scratch = k.cpu.base + CpuState.scratch;
  const given = event !== 0;
  if (given && !k.user.copyIn(scratch, event, SIGEVENT_BYTES)) return -Errno.EFAULT;
  const signo = given ? memory.load32(scratch + 8) : Signal.ALRM;
  const notify = given ? memory.load32(scratch + 12) : Notify.SIGNAL;
  const tid = given ? memory.load32(scratch + 16) : 0;
  const value = given ? memory.u64[scratch >>> 3] : 0n;

  const id = locked(memory, shared + ProcessSignals.lock, () => {
    const timer = makeTimer(k, shared, clockId, notify, signo, tid);
    if (timer < 0) return timer;
    const made = memory.load32(timer + Timer.id);
    memory.u64[(timer + Timer.value) >>> 3] = given ? value : BigInt(made);
    return made;
  });
  if (id < 0) return id;
  memory.store32(scratch, id);
  if (k.user.copyOut(result, scratch, 4)) return 0;
  timerDelete(k, id);
  return -Errno.EFAULT;
}

/** Checks and links a new timer; the caller holds the lock. @returns its pointer, or −errno */
function makeTimer(
  k: KernelCpu,
  shared: number,
  clockId: number,
  notify: number,
  signo: number,
  tid: number,
): number {
  const { memory } = k;
  const clock = checkClock(k, clockId);
  if (clock === -Errno.EINVAL || clock === -Errno.EOPNOTSUPP) return clock;
  if (memory.load32(shared + ProcessSignals.timerCount) >= MAX_TIMERS) return -Errno.EAGAIN;
  const known = [Notify.SIGNAL, Notify.NONE, Notify.THREAD, Notify.THREAD_ID].some((kind) => kind === notify);
  if (!known) return -Errno.EINVAL;
  if (notify !== Notify.NONE && (signo < 1 || signo > NSIG)) return -Errno.EINVAL;
  if (notify === Notify.THREAD_ID && findThread(memory, k.process, tid) === 0) return -Errno.EINVAL;
  const timer = kmalloc(memory, Timer.size);
  if (timer === 0) return -Errno.EAGAIN;
  const id = memory.load32(shared + ProcessSignals.nextTimer);
  memory.store32(shared + ProcessSignals.nextTimer, (id + 1) & 0x7fff_ffff);
  memory.store32(timer + Timer.id, id);
  memory.store32(timer + Timer.clock, clock);
  memory.store32(timer + Timer.notify, notify);
  memory.store32(timer + Timer.signo, signo);
  memory.store32(timer + Timer.tid, tid);
  memory.store32(timer + Timer.next, memory.loadU32(shared + ProcessSignals.timers));
  memory.store32(shared + ProcessSignals.timers, timer);
  memory.store32(shared + ProcessSignals.timerCount, memory.load32(shared + ProcessSignals.timerCount) + 1);
  return timer;
}

/** A signal that is pending stays so. */
function timerDelete(k: KernelCpu, id: number): number {
  const { memory } = k;
  const shared = processSignalsOf(k.process);
  return withTimer(k, id, (timer) => {
    let link = shared + ProcessSignals.timers;
    while (memory.loadU32(link) !== timer) link = memory.loadU32(link) + Timer.next;
    memory.store32(link, memory.loadU32(timer + Timer.next));
    memory.store32(shared + ProcessSignals.timerCount, memory.load32(shared + ProcessSignals.timerCount) - 1);
    kfree(memory, timer, Timer.size);
    return 0;
  });
}

/** Time to the next expiration, ns; 0 if there is none. The caller holds the lock. */
function timeLeft(k: KernelCpu, timer: number): number {
  const { memory } = k;
  if (memory.load32(timer + Timer.state) === State.off) return 0;
  const deadline = memory.f64[(timer + Timer.deadline) >>> 3];
  const interval = memory.f64[(timer + Timer.interval) >>> 3];
  const time = timeOf(memory, k.process, memory.load32(timer + Timer.clock), k.now());
  if (deadline > time) return deadline - time;
  if (interval > 0) return forward(deadline, interval, time).deadline - time;
  // Due, but not fired yet; with SIGEV_NONE it is over.
  return memory.load32(timer + Timer.notify) === Notify.NONE ? 0 : 1;
}

function timerGettime(k: KernelCpu, id: number, result: number): number {
  let left = 0;
  let interval = 0;
  const error = withTimer(k, id, (timer) => {
    left = timeLeft(k, timer);
    interval = k.memory.f64[(timer + Timer.interval) >>> 3];
    return 0;
  });
  return error || writeItimerspec(k, result, interval, left);
}

function timerSettime(k: KernelCpu, id: number, flags: number, next: number, old: number): number {
  const { memory } = k;
  if (next === 0) return -Errno.EINVAL;
  const setting = readItimerspec(k, next);
  if (typeof setting === 'number') return setting;
  let [left, interval] = [0, 0];
  const error = withTimer(k, id, (timer) => {
    left = timeLeft(k, timer);
    interval = memory.f64[(timer + Timer.interval) >>> 3];
    const { value } = setting;
    const on = timespecValid(value) && (value.seconds > 0 || value.nanoseconds > 0);
    const clock = memory.load32(timer + Timer.clock);
    const begin = flags & TIMER_ABSTIME ? 0 : timeOf(memory, k.process, clock, k.now());
    const wall = (flags & TIMER_ABSTIME) !== 0 && REALTIME_CLOCKS.includes(clock);
    memory.store32(timer + Timer.state, on ? State.armed : State.off);
    memory.f64[(timer + Timer.interval) >>> 3] = on ? toNanoseconds(setting.interval) : 0;
    memory.f64[(timer + Timer.deadline) >>> 3] = wall
      ? realtimeToMonotonic(memory, value)
      : begin + toNanoseconds(value);
    return 0;
  });
  if (error < 0) return error;
  ringScheduler(memory);
  return old === 0 ? 0 : writeItimerspec(k, old, interval, left);
}

function timerGetoverrun(k: KernelCpu, id: number): number {
  return withTimer(k, id, (timer) => k.memory.load32(timer + Timer.overrun));
}

/** The entry of a timer's pending signal in a queue, or 0. */
function findPending(memory: Memory, pending: number, id: number): number {
  let entry = memory.loadU32(pending + Pending.first);
  for (; entry !== 0; entry = memory.loadU32(entry + SigQueue.next)) {
    const info = entry + SigQueue.info;
    if (memory.load32(info + SigInfo.code) !== SiCode.TIMER) continue;
    if (memory.load32(info + SigInfo.pid) === id) break;
  }
  return entry;
}

/** One expiration: the signal is sent, or counted by the one that is pending. The caller holds the lock. */
function fire(memory: Memory, process: number, timer: number, time: number): void {
  const shared = processSignalsOf(process);
  const id = memory.load32(timer + Timer.id);
  const signo = memory.load32(timer + Timer.signo);
  const toThread = memory.load32(timer + Timer.notify) === Notify.THREAD_ID;
  const target = toThread ? findThread(memory, process, memory.load32(timer + Timer.tid)) : 0;
  const pending =
    target === 0 ? shared + ProcessSignals.pending : taskSignalsOf(target) + TaskSignals.pending;
  // One that the timer sent before it was set anew.
  let entry = findPending(memory, pending, id);
  if (entry !== 0) {
    const count = entry + SigQueue.info + SigInfo.uid;
    memory.store32(count, memory.load32(count) + 1);
  } else if (!toThread || target !== 0) {
    const info = shared + ProcessSignals.outsideInfo;
    writeInfo(memory, info, { signo, code: SiCode.TIMER, pid: id });
    memory.u64[(info + SigInfo.value) >>> 3] = memory.u64[(timer + Timer.value) >>> 3];
    sendLocked(memory, process, target, signo, info);
    entry = findPending(memory, pending, id);
  }
  const interval = memory.f64[(timer + Timer.interval) >>> 3];
  if (entry !== 0) memory.store32(timer + Timer.state, State.pending);
  else if (interval === 0) memory.store32(timer + Timer.state, State.off);
  else {
    // Nobody will take it: its signal is ignored, its thread has ended, or there are too many signals.
    const deadline = (timer + Timer.deadline) >>> 3;
    memory.f64[deadline] = forward(memory.f64[deadline], interval, time + IGNORED_PAUSE).deadline;
  }
}

/**
 * Fires the timers of a process that are due. Called by the scheduler thread under Tasks.lock and ProcessSignals.lock.
 * @param now monotonic ns
 * @param left set to what is left until the next one
 */
export function expirePosixTimers(memory: Memory, process: number, now: number, left: TimeLeft): void {
  let timer = memory.loadU32(processSignalsOf(process) + ProcessSignals.timers);
  for (; timer !== 0; timer = memory.loadU32(timer + Timer.next)) {
    const armed = memory.load32(timer + Timer.state) === State.armed;
    if (!armed || memory.load32(timer + Timer.notify) === Notify.NONE) continue;
    const clock = memory.load32(timer + Timer.clock);
    const time = timeOf(memory, process, clock, now);
    const deadline = (timer + Timer.deadline) >>> 3;
    if (memory.f64[deadline] <= time) fire(memory, process, timer, time);
    if (memory.load32(timer + Timer.state) !== State.armed) continue;
    const rest = memory.f64[deadline] - time;
    if (runsInCpuTime(clock)) left.cpu = Math.min(left.cpu, rest);
    else left.elapsed = Math.min(left.elapsed, rest);
  }
}

/** Whether a process has timers; needs no lock: who arms one rings the scheduler afterwards. */
export function hasPosixTimers(memory: Memory, shared: number): boolean {
  return memory.loadU32(shared + ProcessSignals.timers) !== 0;
}

/**
 * A signal has been taken to be delivered (dequeue_signal): if a timer sent it, the siginfo gets its overrun and the timer goes on.
 * The caller holds ProcessSignals.lock.
 * @param info pointer to its siginfo
 */
export function timerSignalTaken(k: KernelCpu, info: number): void {
  const { memory } = k;
  if (memory.load32(info + SigInfo.code) !== SiCode.TIMER) return;
  const timer = findTimer(memory, processSignalsOf(k.process), memory.load32(info + SigInfo.pid));
  if (timer === 0) return;
  let overrun = memory.load32(info + SigInfo.uid);
  if (memory.load32(timer + Timer.state) === State.pending) {
    const interval = memory.f64[(timer + Timer.interval) >>> 3];
    memory.store32(timer + Timer.state, interval > 0 ? State.armed : State.off);
    if (interval > 0) {
      const deadline = (timer + Timer.deadline) >>> 3;
      const time = timeOf(memory, k.process, memory.load32(timer + Timer.clock), k.now());
      const next = forward(memory.f64[deadline], interval, time);
      memory.f64[deadline] = next.deadline;
      // The first of the periods passed is the expiration that sent the signal.
      overrun += Math.max(0, next.passed - 1);
      ringScheduler(memory);
    }
  }
  overrun = Math.min(overrun, 0x7fff_ffff);
  memory.store32(timer + Timer.overrun, overrun);
  memory.store32(info + SigInfo.uid, overrun);
}

export const posixTimerSyscalls: SyscallTable = {
  222: { name: 'timer_create', handler: timerCreate, args: 'dpp' },
  223: { name: 'timer_settime', handler: timerSettime, args: 'dfpp' },
  224: { name: 'timer_gettime', handler: timerGettime, args: 'dp' },
  225: { name: 'timer_getoverrun', handler: timerGetoverrun, args: 'd' },
  226: { name: 'timer_delete', handler: timerDelete, args: 'd' },
};
