import { locked } from '../../memory/lock.js';
import type { Memory } from '../../memory/memory.js';
import { rootPointer, setRoot } from '../../memory/roots.js';
import { kmalloc } from '../../memory/slab.js';
import { struct } from '../../memory/struct.js';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { BLOCKED, type SyscallTable } from '../syscalls.js';
import { Task, WakeReason } from '../task.js';
import { readDeadline } from '../timespec.js';
import { createFile, dropFile, File, FileKind, lastReference, releaseObject } from './description.js';
import { Device } from './devices.js';
import { Open, Poll } from './flags.js';
import {
  allocate,
  beginTemporaryMask,
  endTemporaryMask,
  filesOf,
  readUser,
  release,
  writeUser,
} from './links.js';
import { install } from './open.js';
import { changesOf, KINDS, looksAgain, pollFile } from './operations.js';
import { endPollSleep, lookOrSleep, wakePollers } from './pollers.js';
import { getFile } from './table.js';
import { withFile } from './with-file.js';

/**
 * epoll(7). An epoll description has a list of watches, each of a file and the descriptor it was added by. Who waits looks at them
 * like poll does, and sleeps among the pollers (src/kernel/files/pollers.ts).
 *
 * Edge-triggered watches report a file that is ready when it has become so, or when more has happened to it, since they
 * last did; files count what happens to them for that (`changesOf`).
 *
 * A watch holds no reference to its file. Whoever drops the last one takes the watches away (`lastReference.forget`) before anything of the
 * file goes. The lock guards all lists of watches: a look holds it, so that the files it looks at stay. It comes after the lock
 * of the pollers and before those of pipes and counters; nothing is dropped under it.
 */
const Epolls = struct({ lock: 'i32', first: 'u32' });
const ROOT = 28;

const Epoll = struct({
  /** Links all epoll descriptions. */
  next: 'u32',
  first: 'u32',
  last: 'u32',
});

const Watch = struct({
  next: 'u32',
  file: 'u32',
  fd: 'i32',
  /** EPOLL* bits: the events asked for and the flags below; 0 events after EPOLLONESHOT has reported. */
  events: 'u32',
  data: 'u64',
  /** What an edge-triggered watch reported last: the events, and the file's changes by then. */
  reported: 'u32',
  changes: 'f64',
});

const Flag = {
  EXCLUSIVE: 1 << 28,
  WAKEUP: 1 << 29,
  ONESHOT: 1 << 30,
  ET: 1 << 31,
} as const;
const FLAGS = Flag.EXCLUSIVE | Flag.WAKEUP | Flag.ONESHOT | Flag.ET;
const EXCLUSIVE_OK = Poll.IN | Poll.OUT | Poll.ERR | Poll.HUP | Flag.WAKEUP | Flag.ET | Flag.EXCLUSIVE;

const Control = { ADD: 1, DEL: 2, MOD: 3 } as const;

/** struct epoll_event: events and data, packed. */
const EVENT_BYTES = 12;

/** An epoll description may be watched by another, this many deep (EP_MAX_NESTS). */
const MOST_NESTED = 4;

/** Called once at boot. */
export function createEpolls(memory: Memory): void {
  setRoot(memory, ROOT, kmalloc(memory, Epolls.size));
}

/** Runs `body` with the lock held; it gets the list. */
function withEpolls<T>(memory: Memory, body: (list: number) => T): T {
  const list = rootPointer(memory, ROOT);
  return locked(memory, list + Epolls.lock, () => body(list));
}

function create(k: KernelCpu, closeOnExec: boolean): number {
  const { memory } = k;
  const epoll = allocate(memory, Epoll.size);
  if (epoll === 0) return -Errno.ENOMEM;
  const file = createFile(memory, { kind: FileKind.epoll, flags: Open.RDWR, object: epoll });
  if (file === 0) {
    release(memory, epoll, Epoll.size);
    return -Errno.ENOMEM;
  }
  withEpolls(memory, (list) => {
    memory.store32(epoll + Epoll.next, memory.loadU32(list + Epolls.first));
    Atomics.store(memory.u32, (list + Epolls.first) >>> 2, epoll);
  });
  return install(k, file, closeOnExec);
}

releaseObject[FileKind.epoll] = (memory, file) => {
  const epoll = memory.loadU32(file + File.object);
  withEpolls(memory, (list) => {
    let link = list + Epolls.first;
    while (memory.loadU32(link) !== epoll) link = memory.loadU32(link) + Epoll.next;
    Atomics.store(memory.u32, link >>> 2, memory.loadU32(epoll + Epoll.next));
    while (memory.loadU32(epoll + Epoll.first) !== 0) unlink(memory, epoll, 0);
  });
  release(memory, epoll, Epoll.size);
};

/** Takes the watch after `previous` (0: the first) out of a list. */
function unlink(memory: Memory, epoll: number, previous: number): void {
  const link = previous === 0 ? epoll + Epoll.first : previous + Watch.next;
  const watch = memory.loadU32(link);
  memory.store32(link, memory.loadU32(watch + Watch.next));
  if (memory.loadU32(epoll + Epoll.last) === watch) memory.store32(epoll + Epoll.last, previous);
  release(memory, watch, Watch.size);
}

function append(memory: Memory, epoll: number, watch: number): void {
  const last = memory.loadU32(epoll + Epoll.last);
  memory.store32(watch + Watch.next, 0);
  memory.store32(last === 0 ? epoll + Epoll.first : last + Watch.next, watch);
  memory.store32(epoll + Epoll.last, watch);
}

/** Takes a file whose last reference is gone out of all epoll descriptions. */
lastReference.forget = (memory, file) => {
  const root = rootPointer(memory, ROOT);
  // Who adds a watch has a reference to the file, so none is added now.
  if (root === 0 || Atomics.load(memory.u32, (root + Epolls.first) >>> 2) === 0) return;
  withEpolls(memory, (list) => {
    let epoll = memory.loadU32(list + Epolls.first);
    for (; epoll !== 0; epoll = memory.loadU32(epoll + Epoll.next)) {
      let previous = 0;
      for (let at = memory.loadU32(epoll + Epoll.first); at !== 0; ) {
        const next = memory.loadU32(at + Watch.next);
        if (memory.loadU32(at + Watch.file) === file) unlink(memory, epoll, previous);
        else previous = at;
        at = next;
      }
    }
  });
};

/** The watch of a file and descriptor, and the one before it; both 0 if there is none. */
function find(memory: Memory, epoll: number, file: number, fd: number): { watch: number; previous: number } {
  let previous = 0;
  for (let watch = memory.loadU32(epoll + Epoll.first); watch !== 0; ) {
    if (memory.loadU32(watch + Watch.file) === file && memory.load32(watch + Watch.fd) === fd) {
      return { watch, previous };
    }
    previous = watch;
    watch = memory.loadU32(watch + Watch.next);
  }
  return { watch: 0, previous: 0 };
}

/** How many epoll descriptions below `file` watch each other; more than MOST_NESTED if `target` is among them. */
function depth(memory: Memory, file: number, target: number): number {
  if (memory.load32(file + File.kind) !== FileKind.epoll) return 0;
  if (file === target) return MOST_NESTED + 1;
  let deepest = 0;
  let watch = memory.loadU32(memory.loadU32(file + File.object) + Epoll.first);
  for (; watch !== 0 && deepest <= MOST_NESTED; watch = memory.loadU32(watch + Watch.next)) {
    deepest = Math.max(deepest, depth(memory, memory.loadU32(watch + Watch.file), target));
  }
  return deepest + 1;
}

const WATCHABLE: ReadonlySet<number> = new Set([
  FileKind.stream,
  FileKind.console,
  FileKind.pipe,
  FileKind.counter,
  FileKind.epoll,
  FileKind.timer,
]);

/** Files that are always ready have no way to say when (file_can_poll). */
function canBeWatched(memory: Memory, file: number): boolean {
  const kind = memory.load32(file + File.kind);
  const variant = memory.load32(file + File.variant);
  if (kind === FileKind.device) return variant === Device.tty || variant === Device.random;
  return WATCHABLE.has(kind);
}

function epollCtl(k: KernelCpu, epfd: number, operation: number, fd: number, address: number): number {
  const { memory } = k;
  const bytes = new Uint8Array(EVENT_BYTES);
  if (operation !== Control.DEL && readUser(k, address, bytes) < EVENT_BYTES) return -Errno.EFAULT;
  const view = new DataView(bytes.buffer);
  const owner = getFile(memory, filesOf(k), epfd);
  const file = owner === 0 ? 0 : getFile(memory, filesOf(k), fd);
  try {
    if (file === 0) return -Errno.EBADF;
    const kind = memory.load32(file + File.kind);
    if (!canBeWatched(memory, file)) return -Errno.EPERM;
    if (file === owner || memory.load32(owner + File.kind) !== FileKind.epoll) return -Errno.EINVAL;
    const events = view.getUint32(0, true) | 0;
    const epoll = memory.loadU32(owner + File.object);
    const result = withEpolls(memory, () => {
      if (operation !== Control.DEL && events & Flag.EXCLUSIVE) {
        const wrong = operation === Control.MOD || kind === FileKind.epoll || (events & ~EXCLUSIVE_OK) !== 0;
        if (wrong) return -Errno.EINVAL;
      }
      return change(memory, epoll, owner, operation, file, fd, events, view);
    });
    // What was added may be ready.
    if (result === 0) wakePollers(memory);
    return result;
  } finally {
    if (file !== 0) dropFile(memory, file);
    if (owner !== 0) dropFile(memory, owner);
  }
}

/** Adds, changes or removes a watch; the caller holds the lock. */
function change(
  memory: Memory,
  epoll: number,
  owner: number,
  operation: number,
  file: number,
  fd: number,
  events: number,
  event: DataView,
): number {
  let { watch, previous } = find(memory, epoll, file, fd);
  switch (operation) {
    case Control.DEL:
      if (watch === 0) return -Errno.ENOENT;
      unlink(memory, epoll, previous);
      return 0;
    case Control.MOD:
      if (watch === 0) return -Errno.ENOENT;
      if (memory.load32(watch + Watch.events) & Flag.EXCLUSIVE) return -Errno.EINVAL;
      break;
    case Control.ADD:
      if (watch !== 0) return -Errno.EEXIST;
      if (depth(memory, file, owner) > MOST_NESTED) return -Errno.ELOOP;
      watch = allocate(memory, Watch.size);
      if (watch === 0) return -Errno.ENOMEM;
      memory.store32(watch + Watch.file, file);
      memory.store32(watch + Watch.fd, fd);
      append(memory, epoll, watch);
      break;
    default:
      return -Errno.EINVAL;
  }
  memory.store32(watch + Watch.events, events | Poll.ERR | Poll.HUP);
  memory.u64[(watch + Watch.data) >>> 3] = event.getBigUint64(4, true);
  memory.store32(watch + Watch.reported, 0);
  return 0;
}

/** The events that a watch would report now; the caller holds the lock. */
function ready(k: KernelCpu, watch: number): number {
  const { memory } = k;
  const file = memory.loadU32(watch + Watch.file);
  const events = memory.load32(watch + Watch.events);
  if ((events & ~FLAGS) === 0) return 0;
  const nested = memory.load32(file + File.kind) === FileKind.epoll;
  const found = (nested ? pollLocked(k, file) : pollFile(k, file)) & events & ~FLAGS;
  if (!(events & Flag.ET)) return found;
  // What it is seen not to be ready for any more is news when it comes again.
  memory.store32(watch + Watch.reported, memory.load32(watch + Watch.reported) & found);
  if (found === 0) return 0;
  const news = (found & ~memory.load32(watch + Watch.reported)) !== 0;
  return news || memory.f64[(watch + Watch.changes) >>> 3] !== changesOf(memory, file, events) ? found : 0;
}

/** Whether a watch has something to report. */
function pollLocked(k: KernelCpu, file: number): number {
  const { memory } = k;
  let watch = memory.loadU32(memory.loadU32(file + File.object) + Epoll.first);
  for (; watch !== 0; watch = memory.loadU32(watch + Watch.next)) {
    if (ready(k, watch) !== 0) return Poll.IN | Poll.RDNORM;
  }
  return 0;
}

function pollEpoll(k: KernelCpu, file: number): number {
  return withEpolls(k.memory, () => pollLocked(k, file));
}

KINDS[FileKind.epoll] = {
  poll: pollEpoll,
  readyAt: (k, file) => withEpolls(k.memory, () => looksAgainLocked(k, file)),
};

/**
 * Takes up to `most` events. Those that have reported go to the end of the list, so that nobody starves.
 * @returns them as epoll_event structs
 */
function collect(k: KernelCpu, epoll: number, most: number): Uint8Array {
  const { memory } = k;
  return withEpolls(memory, () => {
    const found: number[] = [];
    let previous = 0;
    const moved: number[] = [];
    const bytes: number[] = [];
    for (let watch = memory.loadU32(epoll + Epoll.first); watch !== 0 && found.length < most; ) {
      const next = memory.loadU32(watch + Watch.next);
      const events = ready(k, watch);
      if (events === 0) previous = watch;
      else {
        found.push(watch);
        const event = new Uint8Array(EVENT_BYTES);
        const view = new DataView(event.buffer);
        view.setUint32(0, events, true);
        view.setBigUint64(4, memory.u64[(watch + Watch.data) >>> 3], true);
        bytes.push(...event);
        const asked = memory.load32(watch + Watch.events);
        memory.store32(watch + Watch.reported, events);
        memory.f64[(watch + Watch.changes) >>> 3] = changesOf(
          memory,
          memory.loadU32(watch + Watch.file),
          asked,
        );
        if (asked & Flag.ONESHOT) memory.store32(watch + Watch.events, asked & FLAGS);
        memory.store32(previous === 0 ? epoll + Epoll.first : previous + Watch.next, next);
        if (next === 0) memory.store32(epoll + Epoll.last, previous);
        moved.push(watch);
      }
      watch = next;
    }
    for (const watch of moved) append(memory, epoll, watch);
    return Uint8Array.from(bytes);
  });
}

/** `looksAgain` of all watched files; the caller holds the lock. */
function looksAgainLocked(k: KernelCpu, file: number): number {
  const { memory } = k;
  let soonest = Infinity;
  let watch = memory.loadU32(memory.loadU32(file + File.object) + Epoll.first);
  for (; watch !== 0; watch = memory.loadU32(watch + Watch.next)) {
    const watched = memory.loadU32(watch + Watch.file);
    const nested = memory.load32(watched + File.kind) === FileKind.epoll;
    soonest = Math.min(soonest, nested ? looksAgainLocked(k, watched) : looksAgain(k, watched));
  }
  return soonest;
}

const MOST_EVENTS = Math.floor(0x7fff_ffff / EVENT_BYTES);

/** @param deadline monotonic ns; after a wake-up the one kept in Task.scratch counts */
function wait(k: KernelCpu, epfd: number, address: number, most: number, deadline: number): number {
  const { memory } = k;
  if (most <= 0 || most > MOST_EVENTS) return -Errno.EINVAL;
  const kept = (k.task + Task.scratch) >>> 3;
  if (k.wakeReason === WakeReason.none) memory.f64[kept] = deadline;
  else {
    endPollSleep(k);
    deadline = memory.f64[kept];
  }
  return withFile(k, epfd, (file) => {
    if (memory.load32(file + File.kind) !== FileKind.epoll) return -Errno.EINVAL;
    const epoll = memory.loadU32(file + File.object);
    for (;;) {
      const events = collect(k, epoll, most);
      if (events.length > 0) {
        return writeUser(k, address, events) < events.length ? -Errno.EFAULT : events.length / EVENT_BYTES;
      }
      if (k.now() >= deadline) return 0;
      if (k.wakeReason === WakeReason.signal) return -Errno.EINTR;
      const until = () => Math.min(deadline, looksAgain(k, file));
      const result = lookOrSleep(k, () => (pollEpoll(k, file) !== 0 ? 1 : 0), until);
      // Something has become ready in between, or the deadline has come: look again.
      if (result === BLOCKED) return BLOCKED;
    }
  });
}

function epollWait(k: KernelCpu, epfd: number, address: number, most: number, timeout: number): number {
  return wait(k, epfd, address, most, timeout < 0 ? Infinity : k.now() + timeout * 1e6);
}

/** Runs `wait` under a temporary signal mask. */
function masked(
  k: KernelCpu,
  epfd: number,
  address: number,
  most: number,
  deadline: number,
  mask: number,
  size: number,
): number {
  if (k.wakeReason === WakeReason.none) {
    const error = beginTemporaryMask(k, mask, size);
    if (error < 0) return error;
  }
  const result = wait(k, epfd, address, most, deadline);
  if (result !== BLOCKED) endTemporaryMask(k, mask, result === -Errno.EINTR);
  return result;
}

function epollPwait(
  k: KernelCpu,
  epfd: number,
  address: number,
  most: number,
  timeout: number,
  mask: number,
  size: number,
): number {
  const deadline = timeout < 0 ? Infinity : k.now() + timeout * 1e6;
  return masked(k, epfd, address, most, deadline, mask, size);
}

function epollPwait2(
  k: KernelCpu,
  epfd: number,
  address: number,
  most: number,
  timeout: number,
  mask: number,
  size: number,
): number {
  const deadline = k.wakeReason === WakeReason.none ? readDeadline(k, timeout) : Infinity;
  if (deadline < 0) return deadline;
  return masked(k, epfd, address, most, deadline, mask, size);
}

export const epollSyscalls: SyscallTable = {
  213: {
    name: 'epoll_create',
    args: 'd',
    handler: (k, size) => (size <= 0 ? -Errno.EINVAL : create(k, false)),
  },
  232: { name: 'epoll_wait', args: 'dpdd', handler: epollWait },
  233: { name: 'epoll_ctl', args: 'dddp', handler: epollCtl },
  281: { name: 'epoll_pwait', args: 'dpddpz', handler: epollPwait },
  291: {
    name: 'epoll_create1',
    args: 'f',
    handler: (k, flags) => (flags & ~Open.CLOEXEC ? -Errno.EINVAL : create(k, flags !== 0)),
  },
  441: { name: 'epoll_pwait2', args: 'dpdppz', handler: epollPwait2 },
};
