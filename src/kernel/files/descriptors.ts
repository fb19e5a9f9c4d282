import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import type { SyscallTable } from '../syscalls.js';
import { createCounter } from './counter.js';
import { createFile, dropFile, FileKind } from './description.js';
import { FD_CLOEXEC, NAME_MAX, Open } from './flags.js';
import { hostCall } from './host.js';
import { hostOf } from './host-system.js';
import { filesOf, writeUser } from './links.js';
import { install } from './open.js';
import { readPath } from './paths.js';
import { createPipe } from './pipe.js';
import {
  closeDescriptor,
  descriptorFlags,
  duplicateTo,
  getFile,
  installFile,
  openDescriptors,
  setDescriptorFlags,
} from './table.js';
import { FileTable } from './table-layout.js';

/** F_DUPFD and dup: the lowest descriptor from `from` on. */
export function duplicate(k: KernelCpu, fd: number, from: number, closeOnExec: boolean): number {
  const { memory } = k;
  const file = getFile(memory, filesOf(k), fd);
  if (file === 0) return -Errno.EBADF;
  const result =
    from < 0 || from >= memory.load32(filesOf(k) + FileTable.limit)
      ? -Errno.EINVAL
      : installFile(memory, filesOf(k), file, closeOnExec, from);
  if (result < 0) dropFile(memory, file);
  return result;
}

function dup2(k: KernelCpu, from: number, to: number): number {
  if (from === to) {
    const flags = descriptorFlags(k.memory, filesOf(k), from);
    return flags < 0 ? flags : to;
  }
  return duplicateTo(k.memory, filesOf(k), from, to, false);
}

function dup3(k: KernelCpu, from: number, to: number, flags: number): number {
  if (flags & ~Open.CLOEXEC || from === to) return -Errno.EINVAL;
  return duplicateTo(k.memory, filesOf(k), from, to, flags !== 0);
}

const CLOSE_RANGE_UNSHARE = 2;
const CLOSE_RANGE_CLOEXEC = 4;

function closeRange(k: KernelCpu, first: number, last: number, flags: number): number {
  if (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last) return -Errno.EINVAL;
  const { memory } = k;
  const table = filesOf(k);
  for (const fd of openDescriptors(memory, table)) {
    if (fd < first || fd > last) continue;
    if (flags & CLOSE_RANGE_CLOEXEC) setDescriptorFlags(memory, table, fd, FD_CLOEXEC);
    else closeDescriptor(memory, table, fd);
  }
  return 0;
}

function pipe2(k: KernelCpu, address: number, flags: number): number {
  if (flags & ~(Open.CLOEXEC | Open.NONBLOCK)) return -Errno.EINVAL;
  const { memory } = k;
  const ends = createPipe(memory, flags & Open.NONBLOCK);
  if (ends === null) return -Errno.ENFILE;
  const closeOnExec = (flags & Open.CLOEXEC) !== 0;
  const read = install(k, ends[0], closeOnExec);
  if (read < 0) {
    dropFile(memory, ends[1]);
    return read;
  }
  const write = install(k, ends[1], closeOnExec);
  const bytes = new Uint8Array(Int32Array.of(read, write).buffer);
  if (write >= 0 && writeUser(k, address, bytes) === bytes.length) return 0;
  closeDescriptor(memory, filesOf(k), read);
  if (write < 0) return write;
  closeDescriptor(memory, filesOf(k), write);
  return -Errno.EFAULT;
}

const EFD_SEMAPHORE = 1;

function eventfd2(k: KernelCpu, initial: number, flags: number): number {
  if (flags & ~(Open.CLOEXEC | Open.NONBLOCK | EFD_SEMAPHORE)) return -Errno.EINVAL;
  const file = createCounter(k.memory, initial, (flags & EFD_SEMAPHORE) !== 0, flags & Open.NONBLOCK);
  return file === 0 ? -Errno.ENOMEM : install(k, file, (flags & Open.CLOEXEC) !== 0);
}

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;

/** A file of the host without a name, as memfd_create's are; it can be read, written, resized and mapped like others. */
function memfdCreate(k: KernelCpu, address: number, flags: number): number {
  if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING)) return -Errno.EINVAL;
  const name = readPath(k, address);
  if (typeof name === 'number') return name === -Errno.ENAMETOOLONG ? -Errno.EINVAL : name;
  if (name.length > NAME_MAX - 'memfd:'.length) return -Errno.EINVAL;
  const host = hostOf(k.memory);
  const fd = hostCall(() => host.temporary());
  if (fd < 0) return fd;
  const file = createFile(k.memory, {
    kind: FileKind.regular,
    flags: Open.RDWR | Open.LARGEFILE,
    hostFd: fd,
    path: `/memfd:${name} (deleted)`,
  });
  if (file === 0) {
    host.close(fd);
    return -Errno.ENOMEM;
  }
  return install(k, file, (flags & MFD_CLOEXEC) !== 0);
}

export const descriptorSyscalls: SyscallTable = {
  3: { name: 'close', args: 'd', handler: (k, fd) => closeDescriptor(k.memory, filesOf(k), fd) },
  22: { name: 'pipe', args: 'p', handler: (k, address) => pipe2(k, address, 0) },
  32: { name: 'dup', args: 'd', handler: (k, fd) => duplicate(k, fd, 0, false) },
  33: { name: 'dup2', args: 'dd', handler: dup2 },
  284: { name: 'eventfd', args: 'u', handler: (k, initial) => eventfd2(k, initial, 0) },
  290: { name: 'eventfd2', args: 'uf', handler: eventfd2 },
  292: { name: 'dup3', args: 'ddf', handler: dup3 },
  293: { name: 'pipe2', args: 'pf', handler: pipe2 },
  319: { name: 'memfd_create', args: 'sf', handler: memfdCreate },
  436: { name: 'close_range', args: 'uuf', handler: closeRange },
};
