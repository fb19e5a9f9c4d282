import { locked } from '../../memory/lock.js';
import type { Memory } from '../../memory/memory.js';
import { struct } from '../../memory/struct.js';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { WakeReason } from '../task-layout.js';
import { Restart } from '../signal/registers.js';
import type { SyscallTable } from '../syscalls.js';
import {
  ClockId,
  forward,
  type Itimerspec,
  readItimerspec,
  realtimeToMonotonic,
  TIMER_ABSTIME,
  toNanoseconds,
  writeItimerspec,
} from '../timespec.js';
import { leaveQueue, sleepOn, WaitQueue, wakeQueueLocked } from '../wait.js';
import { createFile, File, FileKind, fileFlags, releaseObject } from './description.js';
import { Open, Poll } from './flags.js';
import { allocate, release } from './links.js';
import { install } from './open.js';
import { KINDS } from './operations.js';
import { wakePollers } from './pollers.js';
import type { UserBuffer } from './user-buffer.js';
import { withFile } from './with-file.js';

/**
 * timerfd(2), fs/timerfd.c. Nobody fires such a timer: who looks at it sees by the time whether it has expired, and who waits for
 * it sleeps no longer than until then. Who sets it wakes them all, to look again.
 */
const FileTimer = struct({
  /** Guards the timer and its queue. */
  lock: 'i32',
  clock: 'i32',
  /** How often somebody has seen that it has expired; `seen` once that has been counted for the time in `deadline`. */
  expirations: 'i32',
  seen: 'i32',
  /** Next expiration (monotonic ns), Infinity if there is none; and the period in ns, 0 for once. */
  deadline: 'f64',
  interval: 'f64',
  /** Expirations before `deadline` that have not been read. */
  ticks: 'f64',
  readQueue: { bytes: WaitQueue.size, align: 4 },
});

const CLOCKS: readonly number[] = [
  ClockId.REALTIME,
  ClockId.MONOTONIC,
  ClockId.BOOTTIME,
  ClockId.REALTIME_ALARM,
  ClockId.BOOTTIME_ALARM,
];
const REALTIME_CLOCKS: readonly number[] = [ClockId.REALTIME, ClockId.REALTIME_ALARM];

/** TFD_TIMER_CANCEL_ON_SET: nobody sets the wall clock here, so it never cancels. */
const CANCEL_ON_SET = 2;

function create(k: KernelCpu, clock: number, flags: number): number {
  const { memory } = k;
  if (flags & ~(Open.CLOEXEC | Open.NONBLOCK) || !CLOCKS.includes(clock)) return -Errno.EINVAL;
  const timer = allocate(memory, FileTimer.size);
  if (timer === 0) return -Errno.ENOMEM;
  memory.u8.fill(0, timer, timer + FileTimer.size);
  memory.store32(timer + FileTimer.clock, clock);
  memory.f64[(timer + FileTimer.deadline) >>> 3] = Infinity;
  const kind = FileKind.timer;
  const file = createFile(memory, { kind, flags: (flags & Open.NONBLOCK) | Open.RDWR, object: timer });
  if (file !== 0) return install(k, file, (flags & Open.CLOEXEC) !== 0);
  release(memory, timer, FileTimer.size);
  return -Errno.ENOMEM;
}

releaseObject[FileKind.timer] = (memory, file) => {
  release(memory, memory.loadU32(file + File.object), FileTimer.size);
};

/** Runs `body` with a file's timer locked. */
function lockedTimer<T>(memory: Memory, file: number, body: (timer: number) => T): T {
  const timer = memory.loadU32(file + File.object);
  return locked(memory, timer + FileTimer.lock, () => body(timer));
}

/** Expirations that have not been read; the caller holds the lock. */
function pending(k: KernelCpu, timer: number): number {
  const { memory } = k;
  const deadline = memory.f64[(timer + FileTimer.deadline) >>> 3];
  const interval = memory.f64[(timer + FileTimer.interval) >>> 3];
  const now = k.now();
  let passed = 0;
  if (deadline <= now) {
    passed = interval > 0 ? forward(deadline, interval, now).passed : 1;
    if (memory.load32(timer + FileTimer.seen) === 0) {
      memory.store32(timer + FileTimer.seen, 1);
      memory.store32(timer + FileTimer.expirations, memory.load32(timer + FileTimer.expirations) + 1);
    }
  }
  return memory.f64[(timer + FileTimer.ticks) >>> 3] + passed;
}

function arm(memory: Memory, timer: number, deadline: number, interval: number, ticks: number): void {
  memory.f64[(timer + FileTimer.deadline) >>> 3] = deadline;
  memory.f64[(timer + FileTimer.interval) >>> 3] = interval;
  memory.f64[(timer + FileTimer.ticks) >>> 3] = ticks;
  memory.store32(timer + FileTimer.seen, 0);
}

/** Lets a timer whose time has come go on: to its next period, or to none; the caller holds the lock. */
function goOn(k: KernelCpu, timer: number, ticks: number): void {
  const { memory } = k;
  const deadline = memory.f64[(timer + FileTimer.deadline) >>> 3];
  const interval = memory.f64[(timer + FileTimer.interval) >>> 3];
  const now = k.now();
  if (deadline > now) memory.f64[(timer + FileTimer.ticks) >>> 3] = ticks;
  else
    arm(memory, timer, interval > 0 ? forward(deadline, interval, now).deadline : Infinity, interval, ticks);
}

/** Time to the next expiration and the period, ns, as timerfd_gettime tells them: a periodic timer goes on. */
function timeLeft(k: KernelCpu, timer: number): [left: number, interval: number] {
  const { memory } = k;
  const interval = memory.f64[(timer + FileTimer.interval) >>> 3];
  if (interval > 0 && memory.f64[(timer + FileTimer.deadline) >>> 3] <= k.now())
    goOn(k, timer, pending(k, timer));
  const deadline = memory.f64[(timer + FileTimer.deadline) >>> 3];
  return [deadline === Infinity ? 0 : Math.max(0, deadline - k.now()), interval];
}

function read(k: KernelCpu, file: number, to: UserBuffer): number {
  const { memory } = k;
  if (to.remaining < 8) return -Errno.EINVAL;
  const ticks = lockedTimer(memory, file, (timer) => {
    const queue = timer + FileTimer.readQueue;
    if (k.wakeReason !== WakeReason.none) leaveQueue(memory, queue, k.task);
    const found = pending(k, timer);
    if (found > 0) {
      goOn(k, timer, 0);
      return found;
    }
    if (fileFlags(memory, file) & Open.NONBLOCK) return -Errno.EAGAIN;
    if (k.wakeReason === WakeReason.signal) return -Restart.ERESTARTSYS;
    return sleepOn(k, queue, memory.f64[(timer + FileTimer.deadline) >>> 3]);
  });
  if (ticks < 0) return ticks;
  const bytes = new Uint8Array(BigUint64Array.of(BigInt(ticks)).buffer);
  return to.push(bytes) === 8 ? 8 : -Errno.EFAULT;
}

function poll(k: KernelCpu, file: number): number {
  return lockedTimer(k.memory, file, (timer) => (pending(k, timer) > 0 ? Poll.IN : 0));
}

KINDS[FileKind.timer] = {
  read,
  poll,
  changes: (memory, file) =>
    lockedTimer(memory, file, (timer) => memory.load32(timer + FileTimer.expirations)),
  readyAt: (k, file) =>
    lockedTimer(k.memory, file, (timer) => k.memory.f64[(timer + FileTimer.deadline) >>> 3]),
};

/** Runs `body` with a descriptor's timer locked. */
function withTimer(k: KernelCpu, fd: number, body: (timer: number) => number): number {
  return withFile(k, fd, (file) => {
    if (k.memory.load32(file + File.kind) !== FileKind.timer) return -Errno.EINVAL;
    return lockedTimer(k.memory, file, body);
  });
}

function gettime(k: KernelCpu, fd: number, result: number): number {
  let [left, interval] = [0, 0];
  const error = withTimer(k, fd, (timer) => {
    [left, interval] = timeLeft(k, timer);
    return 0;
  });
  return error || writeItimerspec(k, result, interval, left);
}

function set(k: KernelCpu, timer: number, flags: number, { value, interval }: Itimerspec): void {
  const { memory } = k;
  const time = toNanoseconds(value);
  const wall = REALTIME_CLOCKS.includes(memory.load32(timer + FileTimer.clock));
  let deadline = Infinity;
  if (time > 0) {
    if (!(flags & TIMER_ABSTIME)) deadline = k.now() + time;
    else deadline = wall ? realtimeToMonotonic(memory, value) : time;
  }
  arm(memory, timer, deadline, toNanoseconds(interval), 0);
  wakeQueueLocked(memory, timer + FileTimer.readQueue);
}

function settime(k: KernelCpu, fd: number, flags: number, next: number, old: number): number {
  const setting = readItimerspec(k, next);
  if (typeof setting === 'number') return setting;
  if (flags & ~(TIMER_ABSTIME | CANCEL_ON_SET)) return -Errno.EINVAL;
  let [left, interval] = [0, 0];
  const error = withTimer(k, fd, (timer) => {
    [left, interval] = timeLeft(k, timer);
    set(k, timer, flags, setting);
    return 0;
  });
  if (error < 0) return error;
  wakePollers(k.memory);
  return old === 0 ? 0 : writeItimerspec(k, old, interval, left);
}

export const fileTimerSyscalls: SyscallTable = {
  283: { name: 'timerfd_create', args: 'df', handler: create },
  286: { name: 'timerfd_settime', args: 'dfpp', handler: settime },
  287: { name: 'timerfd_gettime', args: 'dp', handler: gettime },
};
