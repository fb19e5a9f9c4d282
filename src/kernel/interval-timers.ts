import { CpuState } from '../cpu/state.js';
import { locked } from '../memory/lock.js';
import type { Memory } from '../memory/memory.js';
import { processTimeLocked } from './cpu-time.js';
import { Errno } from './errno.js';
import type { KernelCpu } from './kernel-cpu.js';
import { ringScheduler } from './run-queue.js';
import { processSignalsOf } from './signal/links.js';
import { Signal, SiCode } from './signal/numbers.js';
import { sendLocked, writeInfo } from './signal/send.js';
import { ProcessSignals } from './signal/state.js';
import type { SyscallTable } from './syscalls.js';
import { forward, fromNanoseconds, readTimespec, type TimeLeft } from './timespec.js';

/**
 * Interval timers (setitimer(2), alarm(2)). ITIMER_REAL runs in monotonic time, the other two in the process's CPU time: all of that
 * is user time here. The scheduler thread fires them: `expireIntervalTimers`.
 */
const Which = { REAL: 0, VIRTUAL: 1, PROF: 2 } as const;
const SIGNALS = [Signal.ALRM, Signal.VTALRM, Signal.PROF] as const;
const ITIMERVAL_BYTES = 32;

/** Index of a timer's deadline in Memory.f64; its period follows. */
const slotOf = (shared: number, which: number) =>
  ((shared + ProcessSignals.intervalTimers) >>> 3) + 2 * which;

/** The time that a timer runs in; the caller holds ProcessSignals.lock. */
const timeOf = (memory: Memory, process: number, which: number, now: number) =>
  which === Which.REAL ? now : processTimeLocked(memory, process, now);

interface Setting {
  value: number;
  interval: number;
}

/** Reads a timer and, given `next` (ns from now, 0 for off), sets it. */
function exchangeTimer(k: KernelCpu, which: number, next: Setting | null): Setting {
  const { memory } = k;
  const { f64 } = memory;
  const shared = processSignalsOf(k.process);
  const slot = slotOf(shared, which);
  const old = locked(memory, shared + ProcessSignals.lock, () => {
    const now = timeOf(memory, k.process, which, k.now());
    // An armed timer never shows 0, which would mean that it is off.
    const before = { value: f64[slot] === 0 ? 0 : Math.max(1000, f64[slot] - now), interval: f64[slot + 1] };
    if (next !== null) {
      f64[slot] = next.value === 0 ? 0 : now + next.value;
      f64[slot + 1] = next.interval;
    }
    return before;
  });
  if (next !== null && next.value !== 0) ringScheduler(memory);
  return old;
}

function alarm(k: KernelCpu, seconds: number): number {
  const { value } = exchangeTimer(k, Which.REAL, { value: seconds * 1e9, interval: 0 });
  if (value === 0) return 0;
  // Rounded to the nearest second, but never to 0.
  return Math.max(1, Math.round(value / 1e9));
}

function writeItimer(k: KernelCpu, address: number, timer: Setting): number {
  const scratch = k.cpu.base + CpuState.scratch;
  [timer.interval, timer.value].forEach((ns, i) => {
    const { seconds, nanoseconds } = fromNanoseconds(ns);
    k.memory.storeNumber(scratch + 16 * i, seconds);
    k.memory.storeNumber(scratch + 16 * i + 8, Math.floor(nanoseconds / 1000));
  });
  return k.user.copyOut(address, scratch, ITIMERVAL_BYTES) ? 0 : -Errno.EFAULT;
}

function setitimer(k: KernelCpu, which: number, value: number, old: number): number {
  const times: number[] = [];
  for (const offset of [0, 16]) {
    const time = value === 0 ? { seconds: 0, nanoseconds: 0 } : readTimespec(k, value + offset);
    if (typeof time === 'number') return time;
    if (time.seconds < 0 || time.nanoseconds < 0 || time.nanoseconds >= 1e6) return -Errno.EINVAL;
    times.push(time.seconds * 1e9 + time.nanoseconds * 1000);
  }
  if (which < Which.REAL || which > Which.PROF) return -Errno.EINVAL;
  const before = exchangeTimer(k, which, { value: times[1], interval: times[0] });
  return old === 0 ? 0 : writeItimer(k, old, before);
}

function getitimer(k: KernelCpu, which: number, result: number): number {
  if (which < Which.REAL || which > Which.PROF) return -Errno.EINVAL;
  return writeItimer(k, result, exchangeTimer(k, which, null));
}

/**
 * Sends the signals of a process's timers that have run out. Called by the scheduler thread under Tasks.lock and ProcessSignals.lock.
 * @param now monotonic ns
 * @param left set to what is left until the next one
 */
export function expireIntervalTimers(memory: Memory, process: number, now: number, left: TimeLeft): void {
  const { f64 } = memory;
  const shared = processSignalsOf(process);
  for (let which: number = Which.REAL; which <= Which.PROF; which++) {
    const slot = slotOf(shared, which);
    if (f64[slot] === 0) continue;
    const time = timeOf(memory, process, which, now);
    if (f64[slot] <= time) {
      // Periods that passed unseen are skipped.
      f64[slot] = f64[slot + 1] > 0 ? forward(f64[slot], f64[slot + 1], time).deadline : 0;
      const info = shared + ProcessSignals.outsideInfo;
      writeInfo(memory, info, { signo: SIGNALS[which], code: SiCode.KERNEL });
      sendLocked(memory, process, 0, SIGNALS[which], info);
    }
    if (f64[slot] === 0) continue;
    const rest = f64[slot] - time;
    if (which === Which.REAL) left.elapsed = Math.min(left.elapsed, rest);
    else left.cpu = Math.min(left.cpu, rest);
  }
}

/** Whether a process has a timer set; needs no lock: who sets one rings the scheduler afterwards. */
export function hasIntervalTimers(memory: Memory, shared: number): boolean {
  const slot = slotOf(shared, 0);
  return memory.f64[slot] !== 0 || memory.f64[slot + 2] !== 0 || memory.f64[slot + 4] !== 0;
}

export const intervalTimerSyscalls: SyscallTable = {
  36: { name: 'getitimer', handler: getitimer, args: 'dp' },
  37: { name: 'alarm', handler: alarm, args: 'u' },
  38: { name: 'setitimer', handler: setitimer, args: 'dpp' },
};
