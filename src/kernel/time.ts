import { CpuState } from '../cpu/state.js';
import { processTime, threadTime } from './cpu-time.js';
import { Errno } from './errno.js';
import { restartFutex } from './futex.js';
import type { KernelCpu } from './kernel-cpu.js';
import { Restart } from './signal/registers.js';
import type { SyscallTable } from './syscalls.js';
import { Task, WakeReason, withTask } from './task.js';
import {
  ClockId,
  fromNanoseconds,
  RestartKind,
  readTimeout,
  realtime,
  realtimeToMonotonic,
  restartWords,
  setRestart,
  TIMER_ABSTIME,
  type Timespec,
  toNanoseconds,
  writeTimespec,
} from './timespec.js';
import { sleep } from './wait.js';

/** System calls about time (kernel/time). All time comes from KernelCpu.clock. */

/** Ticks a second of times(2) and of the coarse clocks (USER_HZ, CONFIG_HZ_250). */
const USER_HZ = 100;
const COARSE_NS = 4e6;

/** Reads a clock; null if there is no such clock. */
function readClock(k: KernelCpu, id: number): Timespec | null {
  const { memory } = k;
  const now = k.now();
  switch (id) {
    case ClockId.REALTIME:
    case ClockId.REALTIME_ALARM:
    case ClockId.TAI:
      return realtime(memory, now);
    case ClockId.REALTIME_COARSE:
      return realtime(memory, now - (now % COARSE_NS));
    case ClockId.MONOTONIC:
    case ClockId.MONOTONIC_RAW:
    case ClockId.BOOTTIME:
    case ClockId.BOOTTIME_ALARM:
      return fromNanoseconds(now);
    case ClockId.MONOTONIC_COARSE:
      return fromNanoseconds(now - (now % COARSE_NS));
    case ClockId.PROCESS_CPUTIME:
      return fromNanoseconds(processTime(memory, k.process, now));
    case ClockId.THREAD_CPUTIME:
      return fromNanoseconds(threadTime(memory, k.task, now));
  }
  if (id >= 0) return null;
  // CPU clocks of a process or thread: ~pid in bits 31:3, bit 2 for a thread (posix-timers.h). 0 is the caller.
  const pid = ~(id >> 3);
  const ofThread = (id & 4) !== 0;
  if (ofThread) {
    if (pid === 0) return fromNanoseconds(threadTime(memory, k.task, now));
    const time = withTask(memory, pid, -1, (task) => threadTime(memory, task, now));
    return time < 0 ? null : fromNanoseconds(time);
  }
  return pid === 0 || pid === k.pid ? fromNanoseconds(processTime(memory, k.process, now)) : null;
}

function clockGettime(k: KernelCpu, id: number, result: number): number {
  const time = readClock(k, id);
  return time === null ? -Errno.EINVAL : writeTimespec(k, result, time);
}

function clockGetres(k: KernelCpu, id: number, result: number): number {
  if (readClock(k, id) === null) return -Errno.EINVAL;
  const coarse = id === ClockId.REALTIME_COARSE || id === ClockId.MONOTONIC_COARSE;
  return result === 0 ? 0 : writeTimespec(k, result, { seconds: 0, nanoseconds: coarse ? COARSE_NS : 1 });
}

/** Nobody may set the machine's clocks. */
function clockSettime(k: KernelCpu, id: number): number {
  return readClock(k, id) === null ? -Errno.EINVAL : -Errno.EPERM;
}

function gettimeofday(k: KernelCpu, result: number, zone: number): number {
  if (result !== 0) {
    const { seconds, nanoseconds } = realtime(k.memory, k.now());
    const error = writeTimespec(k, result, { seconds, nanoseconds: Math.floor(nanoseconds / 1000) });
    if (error !== 0) return error;
  }
  // struct timezone: two ints, UTC.
  if (zone === 0) return 0;
  const scratch = k.cpu.base + CpuState.scratch;
  k.memory.storeNumber(scratch, 0);
  return k.user.copyOut(zone, scratch, 8) ? 0 : -Errno.EFAULT;
}

function time(k: KernelCpu, result: number): number {
  const { seconds } = realtime(k.memory, k.now());
  if (result !== 0) {
    const scratch = k.cpu.base + CpuState.scratch;
    k.memory.storeNumber(scratch, seconds);
    if (!k.user.copyOut(result, scratch, 8)) return -Errno.EFAULT;
  }
  return seconds;
}

/**
 * Sleeps until a monotonic time.
 * @param remaining where to write what is left when a signal ends it; 0 for nowhere
 * @param absolute the call had TIMER_ABSTIME: interrupted, it starts again with the same arguments
 */
function sleepUntil(k: KernelCpu, deadline: number, remaining: number, absolute: boolean): number {
  if (k.wakeReason === WakeReason.none) return deadline <= k.now() ? 0 : sleep(k, deadline);
  const until = k.deadline;
  if (k.wakeReason === WakeReason.timeout) return 0;
  if (k.wakeReason !== WakeReason.signal) return sleep(k, until);
  if (absolute) return -Restart.ERESTARTNOHAND;
  if (remaining !== 0) {
    const error = writeTimespec(k, remaining, fromNanoseconds(Math.max(0, until - k.now())));
    if (error !== 0) return error;
  }
  return setRestart(k, RestartKind.nanosleep, [until, remaining]);
}

function nanosleep(k: KernelCpu, request: number, remaining: number): number {
  const wait = readTimeout(k, request);
  if (typeof wait === 'number') return wait;
  return sleepUntil(k, k.now() + toNanoseconds(wait), remaining, false);
}

function clockNanosleep(k: KernelCpu, id: number, flags: number, request: number, remaining: number): number {
  const realtimeClock = id === ClockId.REALTIME || id === ClockId.REALTIME_ALARM || id === ClockId.TAI;
  const monotonicClock = id === ClockId.MONOTONIC || id === ClockId.BOOTTIME || id === ClockId.BOOTTIME_ALARM;
  if (!realtimeClock && !monotonicClock) {
    return readClock(k, id) === null ? -Errno.EINVAL : -Errno.EOPNOTSUPP;
  }
  const wait = readTimeout(k, request);
  if (typeof wait === 'number') return wait;
  if (!(flags & TIMER_ABSTIME)) return sleepUntil(k, k.now() + toNanoseconds(wait), remaining, false);
  const deadline = realtimeClock ? realtimeToMonotonic(k.memory, wait) : toNanoseconds(wait);
  return sleepUntil(k, deadline, 0, true);
}

function restartSyscall(k: KernelCpu): number {
  const { kind, words } = restartWords(k);
  if (kind === RestartKind.nanosleep) return sleepUntil(k, words[0], words[1], false);
  if (kind === RestartKind.futex) return restartFutex(k, words);
  return -Errno.EINTR;
}

/** Clock ticks since boot; struct tms: user, system, and the same of children, all user time here. */
function times(k: KernelCpu, result: number): number {
  const ticks = (ns: number) => Math.floor(ns / (1e9 / USER_HZ));
  if (result !== 0) {
    const scratch = k.cpu.base + CpuState.scratch;
    k.memory.u8.fill(0, scratch, scratch + 32);
    k.memory.storeNumber(scratch, ticks(processTime(k.memory, k.process, k.now())));
    if (!k.user.copyOut(result, scratch, 32)) return -Errno.EFAULT;
  }
  return ticks(k.now());
}

const RUSAGE_BYTES = 144;
const RUSAGE_NVCSW = 128;
const RusageWho = { SELF: 0, CHILDREN: -1, THREAD: 1 } as const;

function getrusage(k: KernelCpu, who: number, result: number): number {
  const { memory } = k;
  let used = 0;
  let switches = 0;
  if (who === RusageWho.SELF) used = processTime(memory, k.process, k.now());
  else if (who === RusageWho.THREAD) used = threadTime(memory, k.task, k.now());
  else if (who !== RusageWho.CHILDREN) return -Errno.EINVAL;
  if (who !== RusageWho.CHILDREN) switches = memory.f64[(k.task + Task.switches) >>> 3];
  const scratch = k.cpu.base + CpuState.scratch;
  memory.u8.fill(0, scratch, scratch + RUSAGE_BYTES);
  const { seconds, nanoseconds } = fromNanoseconds(used);
  memory.storeNumber(scratch, seconds);
  memory.storeNumber(scratch + 8, Math.floor(nanoseconds / 1000));
  memory.storeNumber(scratch + RUSAGE_NVCSW, switches);
  return k.user.copyOut(result, scratch, RUSAGE_BYTES) ? 0 : -Errno.EFAULT;
}

export const timeSyscalls: SyscallTable = {
  35: { name: 'nanosleep', handler: nanosleep, args: 'pp' },
  96: { name: 'gettimeofday', handler: gettimeofday, args: 'pp' },
  98: { name: 'getrusage', handler: getrusage, args: 'dp' },
  100: { name: 'times', handler: times, args: 'p' },
  201: { name: 'time', handler: time, args: 'p' },
  219: { name: 'restart_syscall', handler: restartSyscall, args: '' },
  227: { name: 'clock_settime', handler: clockSettime, args: 'dp' },
  228: { name: 'clock_gettime', handler: clockGettime, args: 'dp' },
  229: { name: 'clock_getres', handler: clockGetres, args: 'dp' },
  230: { name: 'clock_nanosleep', handler: clockNanosleep, args: 'ddpp' },
};
