import { constants } from 'node:fs';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import type { SyscallTable } from '../syscalls.js';
import { File, FileKind, fileFlags, position, setPosition, withPosition } from './description.js';
import { Device } from './devices.js';
import { AT_FDCWD, Open, Seek } from './flags.js';
import { hostCall, hostPath } from './host.js';
import { hostOf } from './host-system.js';
import { operationsOf, readFile, readFileAt, writeFile, writeFileAt } from './operations.js';
import { lookup, readPath } from './paths.js';
import { hostSize } from './regular.js';
import { afterResize } from './shared.js';
import { UserBuffer } from './user-buffer.js';
import { withFile } from './with-file.js';

type Direction = typeof readFile;
type DirectionAt = typeof readFileAt;

const single = (transfer: Direction) => (k: KernelCpu, fd: number, address: number, length: number) =>
  withFile(k, fd, (file) => transfer(k, file, () => UserBuffer.single(k, address, length)));

const vector = (transfer: Direction) => (k: KernelCpu, fd: number, address: number, count: number) =>
  withFile(k, fd, (file) => {
    const buffer = UserBuffer.vector(k, address, count);
    return typeof buffer === 'number' ? buffer : transfer(k, file, () => buffer);
  });

const singleAt =
  (transfer: DirectionAt) => (k: KernelCpu, fd: number, address: number, length: number, at: number) =>
    at < 0
      ? -Errno.EINVAL
      : withFile(k, fd, (file) => transfer(k, file, () => UserBuffer.single(k, address, length), at));

function transferVectorAt(
  transfer: DirectionAt,
  k: KernelCpu,
  fd: number,
  address: number,
  count: number,
  at: number,
): number {
  if (at < 0) return -Errno.EINVAL;
  return withFile(k, fd, (file) => {
    if (operationsOf(k, file)?.readAt === undefined) return -Errno.ESPIPE;
    const buffer = UserBuffer.vector(k, address, count);
    return typeof buffer === 'number' ? buffer : transfer(k, file, () => buffer, at);
  });
}

/** RWF_HIPRI, DSYNC, SYNC, NOWAIT and APPEND: hints here, but APPEND, which is refused. */
const RWF_HINTS = 0xf;

/** preadv2 and pwritev2: position −1 means the file's own. The fifth argument, the position's high half, is unused on 64 bits. */
const vector2 =
  (transfer: Direction, transferAt: DirectionAt) =>
  (k: KernelCpu, fd: number, address: number, count: number, at: number, _high: number, flags: number) => {
    if (flags & ~RWF_HINTS) return -Errno.EOPNOTSUPP;
    return at === -1
      ? vector(transfer)(k, fd, address, count)
      : transferVectorAt(transferAt, k, fd, address, count, at);
  };

/** eventfd, timerfd and epoll: a seek changes nothing, and is no error (noop_llseek in fs/read_write.c). */
const STAY_AT_START: ReadonlySet<number> = new Set([FileKind.counter, FileKind.timer, FileKind.epoll]);

function lseek(k: KernelCpu, fd: number, offset: number, whence: number): number {
  const { memory } = k;
  return withFile(k, fd, (file) => {
    const operations = operationsOf(k, file);
    if (!operations) return -Errno.EBADF;
    const kind = memory.load32(file + File.kind);
    // null_lseek in drivers/char/mem.c
    if (kind === FileKind.device && memory.load32(file + File.variant) !== Device.tty) return 0;
    if (STAY_AT_START.has(kind)) return whence >= 0 && whence <= Seek.HOLE ? 0 : -Errno.EINVAL;
    if (!operations.size) return -Errno.ESPIPE;
    return withPosition(memory, file, () => {
      const target = seekTarget(k, file, offset, whence, () => operations.size!(k, file));
      if (target >= 0) setPosition(memory, file, target);
      return target;
    });
  });
}

/** The position that a seek leads to, or −errno. A file without holes ends in one (generic_file_llseek_size in fs/read_write.c). */
function seekTarget(k: KernelCpu, file: number, offset: number, whence: number, size: () => number): number {
  const from = (base: number) => (base < 0 ? base : base + offset < 0 ? -Errno.EINVAL : base + offset);
  switch (whence) {
    case Seek.SET:
      return from(0);
    case Seek.CUR:
      return from(position(k.memory, file));
    case Seek.END:
      return from(size());
    case Seek.DATA:
    case Seek.HOLE: {
      const end = size();
      if (end < 0) return end;
      if (offset < 0 || offset >= end) return -Errno.ENXIO;
      return whence === Seek.DATA ? offset : end;
    }
    default:
      return -Errno.EINVAL;
  }
}

/** Whether a description is a regular file open for writing; 0 or −errno as ftruncate and fallocate answer. */
function writableRegular(k: KernelCpu, file: number, otherKind: number): number {
  if (k.memory.load32(file + File.kind) !== FileKind.regular) return -otherKind;
  return (fileFlags(k.memory, file) & Open.ACCMODE) === Open.RDONLY ? -Errno.EINVAL : 0;
}

function resize(k: KernelCpu, file: number, length: number): number {
  const fd = k.memory.load32(file + File.hostFd);
  const host = hostOf(k.memory);
  const result = hostCall(() => host.resize(fd, length));
  afterResize(k.memory, () => host.attributes(fd, false));
  return result;
}

function ftruncate(k: KernelCpu, fd: number, length: number): number {
  if (length < 0) return -Errno.EINVAL;
  return withFile(k, fd, (file) => {
    const error = writableRegular(k, file, Errno.EINVAL);
    return error || resize(k, file, length);
  });
}

function truncate(k: KernelCpu, address: number, length: number): number {
  if (length < 0) return -Errno.EINVAL;
  const path = readPath(k, address);
  if (typeof path === 'number') return path;
  const place = lookup(k, AT_FDCWD, path, true);
  if (typeof place === 'number') return place;
  if (place.at !== 'host') return -Errno.EINVAL;
  const host = hostOf(k.memory);
  return hostCall(() => {
    const fd = host.open(hostPath(place.path), constants.O_WRONLY | constants.O_NONBLOCK, 0);
    try {
      host.resize(fd, length);
      afterResize(k.memory, () => host.attributes(fd, false));
    } finally {
      host.close(fd);
    }
  });
}

/** fallocate(2): only the plain mode, which here makes the file long enough but reserves nothing. */
function fallocate(k: KernelCpu, fd: number, mode: number, offset: number, length: number): number {
  if (offset < 0 || length <= 0) return -Errno.EINVAL;
  return withFile(k, fd, (file) => {
    if (mode & ~1) return -Errno.EOPNOTSUPP;
    const error = writableRegular(k, file, Errno.ENODEV);
    if (error === -Errno.EINVAL) return -Errno.EBADF;
    if (error < 0 || mode !== 0) return error;
    const size = hostSize(k.memory, file);
    if (size < 0 || size >= offset + length) return Math.min(size, 0);
    return resize(k, file, offset + length);
  });
}

const sync = (withAttributes: boolean) => (k: KernelCpu, fd: number) =>
  withFile(k, fd, (file) => {
    const kind = k.memory.load32(file + File.kind);
    const host = k.memory.load32(file + File.hostFd);
    if (kind === FileKind.regular || kind === FileKind.directory)
      return host < 0 ? 0 : hostCall(() => hostOf(k.memory).sync(host, withAttributes));
    return kind === FileKind.path ? -Errno.EBADF : -Errno.EINVAL;
  });

/** Advice that changes nothing here: the descriptor is checked, as posix_fadvise(2) does. */
function fadvise(k: KernelCpu, fd: number, _offset: number, length: number, advice: number): number {
  return withFile(k, fd, (file) => {
    if (k.memory.load32(file + File.kind) === FileKind.pipe) return -Errno.ESPIPE;
    return advice < 0 || advice > 5 || length < 0 ? -Errno.EINVAL : 0;
  });
}

export const readWriteSyscalls: SyscallTable = {
  0: { name: 'read', args: 'dpz', handler: single(readFile) },
  1: { name: 'write', args: 'dpz', handler: single(writeFile) },
  8: { name: 'lseek', args: 'dld', handler: lseek },
  17: { name: 'pread64', args: 'dpzl', handler: singleAt(readFileAt) },
  18: { name: 'pwrite64', args: 'dpzl', handler: singleAt(writeFileAt) },
  19: { name: 'readv', args: 'dpz', handler: vector(readFile) },
  20: { name: 'writev', args: 'dpz', handler: vector(writeFile) },
  74: { name: 'fsync', args: 'd', handler: sync(true) },
  75: { name: 'fdatasync', args: 'd', handler: sync(false) },
  76: { name: 'truncate', args: 'sl', handler: truncate },
  77: { name: 'ftruncate', args: 'dl', handler: ftruncate },
  162: { name: 'sync', args: '', handler: () => 0 },
  187: { name: 'readahead', args: 'dlz', handler: (k, fd) => withFile(k, fd, () => 0) },
  221: { name: 'fadvise64', args: 'dlld', handler: fadvise },
  277: { name: 'sync_file_range', args: 'dllf', handler: (k, fd) => sync(false)(k, fd) },
  285: { name: 'fallocate', args: 'ddll', handler: fallocate },
  295: {
    name: 'preadv',
    args: 'dpzl',
    handler: (k, fd, address, count, at) => transferVectorAt(readFileAt, k, fd, address, count, at),
  },
  296: {
    name: 'pwritev',
    args: 'dpzl',
    handler: (k, fd, address, count, at) => transferVectorAt(writeFileAt, k, fd, address, count, at),
  },
  306: { name: 'syncfs', args: 'd', handler: (k, fd) => withFile(k, fd, () => 0) },
  327: { name: 'preadv2', args: 'dpzllf', handler: vector2(readFile, readFileAt) },
  328: { name: 'pwritev2', args: 'dpzllf', handler: vector2(writeFile, writeFileAt) },
};
