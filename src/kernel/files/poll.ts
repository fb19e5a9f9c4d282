import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { Restart } from '../signal/registers.js';
import { BLOCKED, type SyscallTable } from '../syscalls.js';
import { Task, WakeReason } from '../task.js';
import { readDeadline, readTimespec } from '../timespec.js';
import { dropFile } from './description.js';
import { Poll } from './flags.js';
import { beginTemporaryMask, endTemporaryMask, filesOf, readUser, writeUser } from './links.js';
import { looksAgain, pollFile } from './operations.js';
import { endPollSleep, lookOrSleep } from './pollers.js';
import { getFile } from './table.js';
import { FileTable } from './table-layout.js';

/** One descriptor of a poll or select: the events asked for, and those found. */
interface Watch {
  readonly fd: number;
  readonly events: number;
  found: number;
  /** Its description, while `wait` holds a reference to it; 0 if it is not open. */
  file: number;
}

/** Looks at the files; counts those with events. */
function look(k: KernelCpu, watches: readonly Watch[]): number {
  let ready = 0;
  for (const watch of watches) {
    if (watch.fd < 0) watch.found = 0;
    else if (watch.file === 0) watch.found = Poll.NVAL;
    else watch.found = pollFile(k, watch.file) & (watch.events | Poll.ERR | Poll.HUP);
    if (watch.found) ready++;
  }
  return ready;
}

/**
 * The common part of poll and select.
 *
 * The files are held from before the look until the pollers' lock is free again: to drop the last reference to a pipe takes that
 * lock. They are not held while the task sleeps; who closes a file makes it ready, so its sleepers look again.
 * @param deadline monotonic ns; after a wake-up the one kept in Task.scratch counts
 * @returns how many files are ready (0 after the deadline), BLOCKED, or −EINTR for the caller to turn into its restart code
 */
function wait(k: KernelCpu, watches: readonly Watch[], deadline: number): number {
  const { memory } = k;
  const kept = (k.task + Task.scratch) >>> 3;
  if (k.wakeReason === WakeReason.none) memory.f64[kept] = deadline;
  else {
    endPollSleep(k);
    deadline = memory.f64[kept];
  }
  for (const watch of watches) watch.file = getFile(memory, filesOf(k), watch.fd);
  try {
    const ready = look(k, watches);
    if (ready > 0) return ready;
    if (k.wakeReason === WakeReason.signal) return -Errno.EINTR;
    if (k.now() >= deadline) return 0;
    const until = () =>
      watches.reduce(
        (soonest, { file }) => (file === 0 ? soonest : Math.min(soonest, looksAgain(k, file))),
        deadline,
      );
    for (;;) {
      const result = lookOrSleep(k, () => look(k, watches), until);
      // A file's time has come meanwhile, if it is not the deadline: look again.
      if (result !== 0 || k.now() >= deadline) return result;
    }
  } finally {
    for (const { file } of watches) if (file !== 0) dropFile(memory, file);
  }
}

const POLLFD_BYTES = 8;

function pollWatches(k: KernelCpu, address: number, count: number): Watch[] | number {
  if (count > k.memory.load32(filesOf(k) + FileTable.limit)) return -Errno.EINVAL;
  const bytes = new Uint8Array(count * POLLFD_BYTES);
  if (readUser(k, address, bytes) < bytes.length) return -Errno.EFAULT;
  const view = new DataView(bytes.buffer);
  return Array.from({ length: count }, (_, i) => ({
    fd: view.getInt32(8 * i, true),
    events: view.getUint16(8 * i + 4, true),
    found: 0,
    file: 0,
  }));
}

function pollUntil(k: KernelCpu, address: number, count: number, deadline: number): number {
  const watches = pollWatches(k, address, count);
  if (typeof watches === 'number') return watches;
  const ready = wait(k, watches, deadline);
  if (ready < 0) return ready;
  for (let i = 0; i < count; i++) {
    const found = new Uint8Array(Uint16Array.of(watches[i].found).buffer);
    if (writeUser(k, address + i * POLLFD_BYTES + 6, found) < 2) return -Errno.EFAULT;
  }
  return ready;
}

function poll(k: KernelCpu, address: number, count: number, timeout: number): number {
  const deadline = timeout < 0 ? Infinity : k.now() + timeout * 1e6;
  const result = pollUntil(k, address, count, deadline);
  // Without a handler the call goes on; its timeout then begins anew, where Linux would go on with the rest of it.
  return result === -Errno.EINTR ? -Restart.ERESTARTNOHAND : result;
}

/** As `readDeadline`, of a struct timeval. More than a second of microseconds is allowed (select in fs/select.c). */
function readTimevalDeadline(k: KernelCpu, address: number): number {
  if (address === 0) return Infinity;
  const time = readTimespec(k, address);
  if (typeof time === 'number') return time;
  const { seconds, nanoseconds: microseconds } = time;
  if (seconds < 0 || microseconds < 0) return -Errno.EINVAL;
  return k.now() + seconds * 1e9 + microseconds * 1000;
}

/** Writes the time left back, as Linux does for ppoll and pselect and for select; a failure to write is no error. */
function writeTimeLeft(k: KernelCpu, address: number, unit: number): void {
  if (address === 0) return;
  const left = Math.max(0, k.memory.f64[(k.task + Task.scratch) >>> 3] - k.now());
  const view = new DataView(new ArrayBuffer(16));
  view.setBigInt64(0, BigInt(Math.floor(left / 1e9)), true);
  view.setBigInt64(8, BigInt(Math.floor((left % 1e9) / unit)), true);
  writeUser(k, address, new Uint8Array(view.buffer));
}

/**
 * Runs a call with a timeout and a signal mask that counts while it sleeps.
 * @param unit length of the timeout's fraction in ns: 1 for a timespec, 1000 for a timeval
 */
function timed(
  k: KernelCpu,
  timeAddress: number,
  unit: number,
  mask: readonly [address: number, size: number] | null,
  body: (deadline: number) => number,
): number {
  const again = k.wakeReason !== WakeReason.none;
  const read = unit === 1 ? readDeadline : readTimevalDeadline;
  const deadline = again ? Infinity : read(k, timeAddress);
  if (deadline < 0) return deadline;
  // A call that fails before it waits writes the time left, too.
  if (!again) k.memory.f64[(k.task + Task.scratch) >>> 3] = deadline;
  if (mask && !again) {
    const error = beginTemporaryMask(k, mask[0], mask[1]);
    if (error < 0) return error;
  }
  const result = body(deadline);
  if (result === BLOCKED) return BLOCKED;
  writeTimeLeft(k, timeAddress, unit);
  if (mask) endTemporaryMask(k, mask[0], result === -Errno.EINTR);
  return result === -Errno.EINTR ? -Restart.ERESTARTNOHAND : result;
}

function ppoll(
  k: KernelCpu,
  address: number,
  count: number,
  time: number,
  mask: number,
  size: number,
): number {
  return timed(k, time, 1, [mask, size], (deadline) => pollUntil(k, address, count, deadline));
}

const SELECT_EVENTS = [
  {
    events: Poll.IN | Poll.RDNORM | Poll.RDBAND,
    found: Poll.IN | Poll.RDNORM | Poll.RDBAND | Poll.HUP | Poll.ERR,
  },
  { events: Poll.OUT | Poll.WRNORM | Poll.WRBAND, found: Poll.OUT | Poll.WRNORM | Poll.WRBAND | Poll.ERR },
  { events: Poll.PRI, found: Poll.PRI },
] as const;

const MOST_SELECTED = 1024;

function selectUntil(k: KernelCpu, count: number, sets: readonly number[], deadline: number): number {
  if (count < 0) return -Errno.EINVAL;
  const bits = Math.min(count, MOST_SELECTED);
  const bytes = Math.ceil(bits / 64) * 8;
  const asked: Uint8Array[] = [];
  for (const address of sets) {
    const set = new Uint8Array(bytes);
    if (address !== 0 && readUser(k, address, set) < bytes) return -Errno.EFAULT;
    asked.push(set);
  }
  const watches: Watch[] = [];
  for (let fd = 0; fd < bits; fd++) {
    let events = 0;
    asked.forEach((set, i) => {
      if (set[fd >> 3] & (1 << (fd & 7))) events |= SELECT_EVENTS[i].events;
    });
    if (events === 0) continue;
    const file = getFile(k.memory, filesOf(k), fd);
    if (file === 0) return -Errno.EBADF;
    dropFile(k.memory, file);
    watches.push({ fd, events, found: 0, file: 0 });
  }
  const ready = wait(k, watches, deadline);
  if (ready < 0) return ready;
  const results = sets.map(() => new Uint8Array(bytes));
  let count3 = 0;
  for (const { fd, events, found } of watches) {
    SELECT_EVENTS.forEach((kind, i) => {
      if (!(events & kind.events) || !(found & kind.found)) return;
      if (!(asked[i][fd >> 3] & (1 << (fd & 7)))) return;
      results[i][fd >> 3] |= 1 << (fd & 7);
      count3++;
    });
  }
  for (let i = 0; i < sets.length; i++) {
    if (sets[i] !== 0 && writeUser(k, sets[i], results[i]) < bytes) return -Errno.EFAULT;
  }
  return count3;
}

function select(
  k: KernelCpu,
  count: number,
  read: number,
  write: number,
  except: number,
  time: number,
): number {
  return timed(k, time, 1000, null, (deadline) => selectUntil(k, count, [read, write, except], deadline));
}

function pselect6(
  k: KernelCpu,
  count: number,
  read: number,
  write: number,
  except: number,
  time: number,
  maskArgument: number,
): number {
  const pair = new Uint8Array(16);
  if (maskArgument !== 0 && readUser(k, maskArgument, pair) < 16) return -Errno.EFAULT;
  const view = new DataView(pair.buffer);
  const mask = [Number(view.getBigUint64(0, true)), Number(view.getBigUint64(8, true))] as const;
  return timed(k, time, 1, mask, (deadline) => selectUntil(k, count, [read, write, except], deadline));
}

export const pollSyscalls: SyscallTable = {
  7: { name: 'poll', args: 'pud', handler: poll },
  23: { name: 'select', args: 'dpppp', handler: select },
  270: { name: 'pselect6', args: 'dppppp', handler: pselect6 },
  271: { name: 'ppoll', args: 'puppz', handler: ppoll },
};
