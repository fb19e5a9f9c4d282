import { constants } from 'node:fs';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import type { SyscallTable } from '../syscalls.js';
import { isTerminal } from './console.js';
import { createFile, dropFile, FileKind, type FileFields } from './description.js';
import { Device } from './devices.js';
import { AT_FDCWD, Open } from './flags.js';
import { hostCall, hostPath } from './host.js';
import { hostOf } from './host-system.js';
import { filesOf } from './links.js';
import { lookup, type Place, readPath } from './paths.js';
import { FileType } from './stat.js';
import { getFile, installFile } from './table.js';
import { FileTable } from './table-layout.js';
import { afterResize } from './shared.js';

/** What F_GETFL doesn't show: flags that only open itself looks at. */
const OPEN_ONLY = Open.CREAT | Open.EXCL | Open.NOCTTY | Open.TRUNC | Open.CLOEXEC;

/** Open flags that the host gets, by their names there. O_DIRECT asks for alignments that only the host's memory has. */
const HOST_FLAGS: readonly [number, number | undefined][] = [
  [Open.CREAT, constants.O_CREAT],
  [Open.EXCL, constants.O_EXCL],
  [Open.TRUNC, constants.O_TRUNC],
  [Open.APPEND, constants.O_APPEND],
  [Open.DSYNC, constants.O_DSYNC],
  [Open.SYNC, constants.O_SYNC],
  [Open.DIRECTORY, constants.O_DIRECTORY],
  [Open.NOFOLLOW, constants.O_NOFOLLOW],
  [Open.NOATIME, constants.O_NOATIME],
];

function hostFlags(flags: number): number {
  let result = [constants.O_RDONLY, constants.O_WRONLY, constants.O_RDWR, constants.O_RDWR][
    flags & Open.ACCMODE
  ];
  for (const [bits, host] of HOST_FLAGS) if ((flags & bits) === bits) result |= host ?? 0;
  // Opening a FIFO must not hold up the worker; and no terminal of the host becomes its controlling one.
  return result | constants.O_NONBLOCK | constants.O_NOCTTY;
}

/** Opens a file by path. Returns a description with one reference, or −errno. */
export function openPath(k: KernelCpu, dirfd: number, path: string, flags: number, mode: number): number {
  if ((flags & Open.TMPFILE) === Open.TMPFILE) return -Errno.EOPNOTSUPP;
  // O_PATH ignores all flags but these (build_open_flags in fs/open.c).
  if (flags & Open.PATH) flags &= Open.PATH | Open.DIRECTORY | Open.NOFOLLOW | Open.CLOEXEC;
  const exclusive = (flags & (Open.CREAT | Open.EXCL)) === (Open.CREAT | Open.EXCL);
  const place = lookup(k, dirfd, path, (flags & Open.NOFOLLOW) === 0 && !exclusive);
  if (typeof place === 'number') return place;
  const kept = (flags & ~OPEN_ONLY) | Open.LARGEFILE;
  if (flags & Open.PATH) return openName(k, place, flags);
  if (place.at === 'descriptor') return reopen(k, place.fd);
  if (place.at === 'host') return openHost(k, place.path, flags, mode, kept);
  const { node } = place;
  const writes = (flags & Open.ACCMODE) !== Open.RDONLY;
  if (exclusive) return -Errno.EEXIST;
  if (node.type === 'link') return -Errno.ELOOP;
  if (flags & Open.DIRECTORY && node.type !== 'directory') return -Errno.ENOTDIR;
  switch (node.type) {
    case 'directory':
      if (writes || flags & Open.CREAT) return -Errno.EISDIR;
      return create(k, { kind: FileKind.directory, flags: kept, path: place.path });
    case 'text':
      if (writes && !node.write) return -Errno.EACCES;
      return create(k, { kind: FileKind.text, flags: kept, path: place.path });
    case 'device':
      if (node.device === Device.tty && ![0, 1, 2].some((stream) => isTerminal(k, stream)))
        return -Errno.ENXIO;
      return create(k, { kind: FileKind.device, flags: kept, variant: node.device, path: place.path });
    case 'host':
      return openHost(k, node.path, flags, mode, kept);
  }
}

function create(k: KernelCpu, fields: FileFields): number {
  return createFile(k.memory, fields) || -Errno.ENOMEM;
}

function openName(k: KernelCpu, place: Place, flags: number): number {
  if (place.at === 'host') {
    const path = hostPath(place.path);
    const error = hostCall(() => {
      const { mode } = hostOf(k.memory).attributes(path, (flags & Open.NOFOLLOW) === 0);
      return flags & Open.DIRECTORY && (mode & FileType.mask) !== FileType.directory ? -Errno.ENOTDIR : 0;
    });
    if (error < 0) return error;
  } else if (flags & Open.DIRECTORY && (place.at === 'descriptor' || place.node.type !== 'directory')) {
    return -Errno.ENOTDIR;
  }
  return create(k, { kind: FileKind.path, flags: flags & ~OPEN_ONLY, path: place.path });
}

/** /proc/self/fd/N and /dev/stdin: the same description again, position included. */
function reopen(k: KernelCpu, fd: number): number {
  return getFile(k.memory, filesOf(k), fd) || -Errno.ENOENT;
}

function openHost(k: KernelCpu, path: string, flags: number, mode: number, kept: number): number {
  const { memory } = k;
  const host = hostOf(memory);
  const permissions = mode & 0o7777 & ~memory.load32(filesOf(k) + FileTable.umask);
  let fd = -1;
  let kind = 0;
  const error = hostCall(() => {
    fd = host.open(hostPath(path), hostFlags(flags), permissions);
    const attributes = host.attributes(fd, false);
    const type = attributes.mode & FileType.mask;
    if (type === FileType.regular || type === FileType.block) kind = FileKind.regular;
    else kind = type === FileType.directory ? FileKind.directory : FileKind.stream;
    if (flags & Open.TRUNC) afterResize(memory, () => attributes);
  });
  if (error < 0) {
    if (fd >= 0) host.close(fd);
    return error;
  }
  const file = createFile(memory, { kind, flags: kept, hostFd: fd, path });
  if (file === 0) {
    host.close(fd);
    return -Errno.ENOMEM;
  }
  return file;
}

function openAt(k: KernelCpu, dirfd: number, address: number, flags: number, mode: number): number {
  const path = readPath(k, address);
  if (typeof path === 'number') return path;
  const file = openPath(k, dirfd, path, flags, mode);
  return file < 0 ? file : install(k, file, (flags & Open.CLOEXEC) !== 0);
}

/** Gives a new description a descriptor; drops it if there is none. */
export function install(k: KernelCpu, file: number, closeOnExec: boolean): number {
  const fd = installFile(k.memory, filesOf(k), file, closeOnExec);
  if (fd < 0) dropFile(k.memory, file);
  return fd;
}

export const openSyscalls: SyscallTable = {
  2: { name: 'open', args: 'sfo', handler: (k, path, flags, mode) => openAt(k, AT_FDCWD, path, flags, mode) },
  85: {
    name: 'creat',
    args: 'so',
    handler: (k, path, mode) => openAt(k, AT_FDCWD, path, Open.CREAT | Open.WRONLY | Open.TRUNC, mode),
  },
  257: { name: 'openat', args: 'dsfo', handler: openAt },
};
