import { CpuState } from '../cpu/state.js';
import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import { Errno } from './errno.js';
import type { KernelCpu } from './kernel-cpu.js';
import { Restart } from './signal/registers.js';
import { TaskSignals } from './signal/state.js';
import { Task } from './task-layout.js';

/** Times as the system calls have them, and the continuation of calls that a signal interrupted. */

/** struct timespec (and timeval, with microseconds in the second field). */
export interface Timespec {
  seconds: number;
  nanoseconds: number;
}

/** clockid_t (include/uapi/linux/time.h). */
export const ClockId = {
  REALTIME: 0,
  MONOTONIC: 1,
  PROCESS_CPUTIME: 2,
  THREAD_CPUTIME: 3,
  MONOTONIC_RAW: 4,
  REALTIME_COARSE: 5,
  MONOTONIC_COARSE: 6,
  BOOTTIME: 7,
  REALTIME_ALARM: 8,
  BOOTTIME_ALARM: 9,
  TAI: 11,
} as const;

/** Flag of clock_nanosleep, timer_settime and timerfd_settime: the time is a point in time, not a duration. */
export const TIMER_ABSTIME = 1;

const TIMESPEC_BYTES = 16;

function load64(memory: Memory, pointer: number): number {
  return memory.loadU32(pointer) + memory.load32(pointer + 4) * 0x1_0000_0000;
}

/** Reads a timespec from user memory; −EFAULT if it is not readable. */
export function readTimespec(k: KernelCpu, address: number): Timespec | number {
  const scratch = k.cpu.base + CpuState.scratch;
  if (!k.user.copyIn(scratch, address, TIMESPEC_BYTES)) return -Errno.EFAULT;
  return { seconds: load64(k.memory, scratch), nanoseconds: load64(k.memory, scratch + 8) };
}

/** Reads a timespec that is to be a timeout: a duration, or a point in time; −EFAULT or −EINVAL. */
export function readTimeout(k: KernelCpu, address: number): Timespec | number {
  const time = readTimespec(k, address);
  return typeof time === 'number' || timespecValid(time) ? time : -Errno.EINVAL;
}

/** The deadline (monotonic ns) that a duration of user memory leads to from now: Infinity for a null pointer; −EFAULT or −EINVAL. */
export function readDeadline(k: KernelCpu, address: number): number {
  if (address === 0) return Infinity;
  const time = readTimeout(k, address);
  return typeof time === 'number' ? time : k.now() + toNanoseconds(time);
}

/** Writes two 64-bit words; 0 or −EFAULT. */
export function writeTimespec(k: KernelCpu, address: number, time: Timespec): number {
  const scratch = k.cpu.base + CpuState.scratch;
  k.memory.storeNumber(scratch, time.seconds);
  k.memory.storeNumber(scratch + 8, time.nanoseconds);
  return k.user.copyOut(address, scratch, TIMESPEC_BYTES) ? 0 : -Errno.EFAULT;
}

/** struct itimerspec: period and time to the first expiration. */
export interface Itimerspec {
  interval: Timespec;
  value: Timespec;
}

/** Reads an itimerspec, or −EFAULT or (times that are none) −EINVAL. */
export function readItimerspec(k: KernelCpu, address: number): Itimerspec | number {
  const interval = readTimespec(k, address);
  const value = readTimespec(k, address + TIMESPEC_BYTES);
  if (typeof interval === 'number' || typeof value === 'number') return -Errno.EFAULT;
  return timespecValid(interval) && timespecValid(value) ? { interval, value } : -Errno.EINVAL;
}

/** Writes period and time left, both in ns; 0 or −EFAULT. */
export function writeItimerspec(k: KernelCpu, address: number, interval: number, left: number): number {
  return (
    writeTimespec(k, address, fromNanoseconds(interval)) ||
    writeTimespec(k, address + TIMESPEC_BYTES, fromNanoseconds(left))
  );
}

/** Time until the next of several timers, ns; Infinity if there is none. */
export interface TimeLeft {
  /** Of those that run in monotonic time. */
  elapsed: number;
  /** Of those that run in CPU time of a process or thread. */
  cpu: number;
}

/**
 * A timer with a period whose time has come goes on to the first multiple after `now` (hrtimer_forward).
 * @returns the new deadline, and how many were passed
 */
export function forward(
  deadline: number,
  interval: number,
  now: number,
): { deadline: number; passed: number } {
  const passed = Math.max(0, Math.floor((now - deadline) / interval) + 1);
  return { deadline: deadline + passed * interval, passed };
}

/** Whether it may be a timeout (timespec64_valid). */
export function timespecValid(time: Timespec): boolean {
  return time.seconds >= 0 && time.nanoseconds >= 0 && time.nanoseconds < 1e9;
}

/** Whole nanoseconds; very long times are rounded, which nobody lives to see. */
export function toNanoseconds(time: Timespec): number {
  return time.seconds * 1e9 + time.nanoseconds;
}

export function fromNanoseconds(nanoseconds: number): Timespec {
  const seconds = Math.floor(nanoseconds / 1e9);
  return { seconds, nanoseconds: nanoseconds - seconds * 1e9 };
}

/** The wall clock at a monotonic time. Nanoseconds since 1970 don't fit a number, so seconds stay apart. */
export function realtime(memory: Memory, monotonic: number): Timespec {
  const boot = memory.f64[(MACHINE + Machine.bootRealtime) >>> 3];
  const bootSeconds = Math.floor(boot / 1000);
  const rest = fromNanoseconds(monotonic + Math.floor((boot - bootSeconds * 1000) * 1e6));
  return { seconds: bootSeconds + rest.seconds, nanoseconds: rest.nanoseconds };
}

/** The monotonic time at which the wall clock shows this; below 0 if that was before the machine's boot. */
export function realtimeToMonotonic(memory: Memory, time: Timespec): number {
  const boot = memory.f64[(MACHINE + Machine.bootRealtime) >>> 3];
  const bootSeconds = Math.floor(boot / 1000);
  return (
    (time.seconds - bootSeconds) * 1e9 + time.nanoseconds - Math.floor((boot - bootSeconds * 1000) * 1e6)
  );
}

/** TaskSignals.restartKind: what restart_syscall goes on with. */
export const RestartKind = { none: 0, nanosleep: 1, futex: 2 } as const;

/**
 * Leaves an interrupted call to be continued by restart_syscall, if no handler runs.
 * @param words at most 5 numbers, which the continuation gets
 * @returns −ERESTART_RESTARTBLOCK, for the handler to return
 */
export function setRestart(k: KernelCpu, kind: number, words: readonly number[]): number {
  const { memory } = k;
  const signals = k.task + Task.signals;
  memory.store32(signals + TaskSignals.restartKind, kind);
  words.forEach((word, i) => {
    memory.f64[((signals + TaskSignals.restartArguments) >>> 3) + i] = word;
  });
  return -Restart.ERESTART_RESTARTBLOCK;
}

/** What `setRestart` left. */
export function restartWords(k: KernelCpu): { kind: number; words: number[] } {
  const { memory } = k;
  const signals = k.task + Task.signals;
  const from = (signals + TaskSignals.restartArguments) >>> 3;
  return {
    kind: memory.load32(signals + TaskSignals.restartKind),
    words: [...memory.f64.subarray(from, from + 5)],
  };
}
