import { PAGE_SIZE } from '../memory/memory.js';
import type { SharedObject } from '../scheduler/seeded/shared-objects.js';
import { KERNEL, OUTPUT, pageAt, SIGNALS, TIME } from '../scheduler/seeded/shared-objects.js';

/** A system call that has been made. */
export interface MadeCall {
  readonly number: number;
  /** First, second and fourth argument. */
  readonly first: number;
  readonly second: number;
  readonly fourth: number;
  readonly result: number;
  /** Whether it has written to standard output or error. */
  readonly output: boolean;
  /** Addresses that it has written to. */
  readonly written: ReadonlySet<number>;
  /** The object that a futex at an address is. */
  futex(address: number): SharedObject;
}

/** Calls that are about the calling thread only: rt_sigprocmask, sched_yield, getpid, sigaltstack, arch_prctl, gettid, set_tid_address, set_robust_list. */
const OWN = new Set([14, 24, 39, 131, 158, 186, 218, 273]);
const WRITE = 1;
const MMAP = 9;
const EXIT = 60;
const FUTEX = 202;
/** mprotect, munmap, madvise, pkey_mprotect: address and length first. */
const RANGES = new Set([10, 11, 28, 329]);
/** brk, mremap, shmat and the like: changes of mappings that are not worth a closer look, as all signals are. */
const MAPPINGS = new Set([12, 25, 30, 31, 67, 216]);
const KILLS = new Set([37, 38, 62, 129, 200, 222, 223, 234, 297]);

/** FUTEX_WAIT, WAKE, WAIT_BITSET and WAKE_BITSET, by command. */
const SIMPLE_FUTEX = new Set([0, 1, 9, 10]);
const FUTEX_WAITS = new Set([0, 9]);
const FUTEX_COMMAND = 0x7f;

/** read and readv (of a timerfd), poll, select and epoll, sleeps, timers, gettimeofday, times, getrusage, time, clock_gettime, rt_sigtimedwait. */
const TIMED = new Set([
  0, 7, 19, 23, 35, 36, 37, 38, 96, 98, 100, 128, 201, 222, 223, 224, 225, 226, 228, 230, 232, 270, 271, 281,
  283, 286, 287, 441,
]);

/** Most pages that are told one by one. */
const MOST_PAGES = 64;

/** What a call may have changed that other threads depend on, besides user memory that it has copied. */
export function effectsOf(call: MadeCall): SharedObject[] {
  const { number, first, second } = call;
  const objects: SharedObject[] = looksAtTime(call) ? [TIME] : [];
  if (OWN.has(number)) return objects;
  if (number === WRITE && call.output) return [...objects, OUTPUT];
  if (number === FUTEX && SIMPLE_FUTEX.has(second & FUTEX_COMMAND)) return [...objects, call.futex(first)];
  // The word that the end of a thread clears is a futex, which is woken.
  if (number === EXIT) return [...objects, ...[...call.written].map((address) => call.futex(address))];
  objects.push(KERNEL);
  if (KILLS.has(number) || MAPPINGS.has(number)) objects.push(SIGNALS);
  if (RANGES.has(number)) objects.push(...pages(first, second));
  if (number === MMAP && call.result >= 0) objects.push(...pages(call.result, second));
  return objects;
}

/** Whether what a call does depends on the time. */
function looksAtTime({ number, second, fourth }: MadeCall): boolean {
  if (number === FUTEX) return FUTEX_WAITS.has(second & FUTEX_COMMAND) && fourth !== 0;
  return TIMED.has(number);
}

/** The pages of a range; if they are many, what all steps depend on. */
function pages(address: number, length: number): SharedObject[] {
  const count = Math.ceil(((address % PAGE_SIZE) + length) / PAGE_SIZE);
  if (!(count <= MOST_PAGES)) return [SIGNALS];
  return Array.from({ length: count }, (_, i) => pageAt(address + i * PAGE_SIZE));
}
