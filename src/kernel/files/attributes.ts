import { constants } from 'node:fs';
import { MACHINE, Machine } from '../../memory/layout.js';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { Process } from '../task.js';
import type { SyscallTable } from '../syscalls.js';
import { isTerminal, streamKind } from './console.js';
import { StreamKind } from '../console.js';
import { dropFile, File, FileKind, fileFlags, filePath } from './description.js';
import { Device, deviceNumber } from './devices.js';
import { AT_FDCWD, AtFlag, Open } from './flags.js';
import { hostCall, hostErrno, hostPath } from './host.js';
import { hostOf } from './host-system.js';
import { filesOf, writeUser } from './links.js';
import type { Node } from './nodes.js';
import { lookup, lookupAbsolute, type Place, readPath } from './paths.js';
import { PIPE_CAPACITY } from './pipe.js';
import { type Attributes, encodeStat, encodeStatx, FileType, makeDevice, STATX_RESERVED } from './stat.js';
import { getFile } from './table.js';

/** Attributes of files that are the kernel's own: owned by root, as old as the machine. */
function ownAttributes(k: KernelCpu, mode: number, ino: bigint, rdev = 0n): Attributes {
  const boot = BigInt(Math.floor(k.memory.f64[(MACHINE + Machine.bootRealtime) >>> 3])) * 1_000_000n;
  return {
    dev: makeDevice(0, 4),
    ino,
    nlink: 1n,
    mode,
    uid: 0,
    gid: 0,
    rdev,
    size: 0n,
    blksize: 4096n,
    blocks: 0n,
    atimeNs: boot,
    mtimeNs: boot,
    ctimeNs: boot,
    btimeNs: 0n,
  };
}

/** Inode number of a file in one of the kernel's trees: the same path has the same number (FNV-1a). */
export function inodeOf(path: string): bigint {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < path.length; i++) hash = Math.imul(hash ^ path.charCodeAt(i), 0x0100_0193);
  return BigInt(hash >>> 0) + 0x1_0000_0000n;
}

export function nodeAttributes(k: KernelCpu, path: string, node: Node): Attributes {
  const ino = inodeOf(path);
  switch (node.type) {
    case 'directory':
      return { ...ownAttributes(k, FileType.directory | 0o555, ino), nlink: 2n };
    case 'text':
      return ownAttributes(k, FileType.regular | (node.mode ?? 0o444), ino);
    case 'link':
      return { ...ownAttributes(k, FileType.link | 0o777, ino), size: BigInt(node.target(k).length) };
    case 'device':
      return ownAttributes(k, FileType.character | 0o666, ino, deviceNumber(node.device));
    case 'host':
      return hostOf(k.memory).attributes(hostPath(node.path), true);
  }
}

function streamAttributes(k: KernelCpu, file: number, stream: number): Attributes {
  const { memory } = k;
  const owner = { uid: memory.load32(k.process + Process.uid), gid: memory.load32(k.process + Process.gid) };
  switch (streamKind(k, stream)) {
    case StreamKind.terminal:
      return {
        ...ownAttributes(k, FileType.character | 0o620, 3n + BigInt(stream), makeDevice(136, 0)),
        ...owner,
        blksize: 1024n,
      };
    case StreamKind.null:
      return ownAttributes(k, FileType.character | 0o666, inodeOf('/dev/null'), deviceNumber(Device.null));
    case StreamKind.file:
      try {
        return hostOf(memory).attributes(stream, false);
      } catch {
        return ownAttributes(k, FileType.regular | 0o644, BigInt(file));
      }
    default:
      return { ...ownAttributes(k, FileType.fifo | 0o600, BigInt(file)), ...owner };
  }
}

/** Attributes of an open file, or −errno. */
export function fileAttributes(k: KernelCpu, file: number): Attributes | number {
  const { memory } = k;
  const variant = memory.load32(file + File.variant);
  try {
    switch (memory.load32(file + File.kind)) {
      case FileKind.console:
        return streamAttributes(k, file, variant);
      case FileKind.device:
        if (variant === Device.tty) {
          const stream = [0, 1, 2].find((s) => isTerminal(k, s));
          if (stream !== undefined) return { ...streamAttributes(k, file, stream), rdev: makeDevice(5, 0) };
        }
        return ownAttributes(
          k,
          FileType.character | 0o666,
          inodeOf(filePath(memory, file)),
          deviceNumber(variant),
        );
      case FileKind.pipe:
        return {
          ...ownAttributes(k, FileType.fifo | 0o600, BigInt(memory.loadU32(file + File.object))),
          dev: makeDevice(0, 13),
          uid: memory.load32(k.process + Process.uid),
          gid: memory.load32(k.process + Process.gid),
          blksize: BigInt(PIPE_CAPACITY / 16),
        };
      case FileKind.counter:
      case FileKind.timer:
      case FileKind.epoll:
        return ownAttributes(k, 0o600, BigInt(file));
    }
    const fd = memory.load32(file + File.hostFd);
    if (fd >= 0) return hostOf(memory).attributes(fd, false);
    const follow = (fileFlags(memory, file) & Open.NOFOLLOW) === 0;
    const place = lookupAbsolute(k, filePath(memory, file), follow);
    return typeof place === 'number' ? place : placeAttributes(k, place, follow);
  } catch (error) {
    return -hostErrno(error);
  }
}

export function descriptorAttributes(k: KernelCpu, fd: number): Attributes | number {
  const file = getFile(k.memory, filesOf(k), fd);
  if (file === 0) return -Errno.EBADF;
  const result = fileAttributes(k, file);
  dropFile(k.memory, file);
  return result;
}

/** Attributes of what a path leads to, or −errno. */
export function placeAttributes(k: KernelCpu, place: Place, follow: boolean): Attributes | number {
  if (place.at === 'descriptor') {
    const result = descriptorAttributes(k, place.fd);
    return result === -Errno.EBADF ? -Errno.ENOENT : result;
  }
  try {
    if (place.at === 'node') return nodeAttributes(k, place.path, place.node);
    return hostOf(k.memory).attributes(hostPath(place.path), follow);
  } catch (error) {
    return -hostErrno(error);
  }
}

const AT_STAT_FLAGS =
  AtFlag.SYMLINK_NOFOLLOW | AtFlag.NO_AUTOMOUNT | AtFlag.EMPTY_PATH | AtFlag.STATX_SYNC_TYPE;

/** The attributes that an *at call's arguments name, or −errno. */
function attributesAt(k: KernelCpu, dirfd: number, address: number, flags: number): Attributes | number {
  if (flags & ~AT_STAT_FLAGS) return -Errno.EINVAL;
  const path = readPath(k, address);
  if (typeof path === 'number') return path;
  const follow = (flags & AtFlag.SYMLINK_NOFOLLOW) === 0;
  if (path === '' && flags & AtFlag.EMPTY_PATH && dirfd !== AT_FDCWD) return descriptorAttributes(k, dirfd);
  const place = lookup(k, dirfd, path === '' && flags & AtFlag.EMPTY_PATH ? '.' : path, follow);
  return typeof place === 'number' ? place : placeAttributes(k, place, follow);
}

function statAt(k: KernelCpu, dirfd: number, path: number, to: number, flags: number): number {
  return deliver(k, attributesAt(k, dirfd, path, flags), to, encodeStat);
}

function statx(k: KernelCpu, dirfd: number, path: number, flags: number, mask: number, to: number): number {
  if (mask >= STATX_RESERVED) return -Errno.EINVAL;
  if ((flags & AtFlag.STATX_SYNC_TYPE) === AtFlag.STATX_SYNC_TYPE) return -Errno.EINVAL;
  return deliver(k, attributesAt(k, dirfd, path, flags), to, encodeStatx);
}

function deliver(
  k: KernelCpu,
  attributes: Attributes | number,
  to: number,
  encode: (a: Attributes) => Uint8Array,
): number {
  if (typeof attributes === 'number') return attributes;
  const bytes = encode(attributes);
  return writeUser(k, to, bytes) === bytes.length ? 0 : -Errno.EFAULT;
}

/** struct statfs (include/uapi/asm-generic/statfs.h): 15 longs of 8 bytes. */
function statfsOf(k: KernelCpu, path: string, to: number): number {
  const view = new DataView(new ArrayBuffer(120));
  const words = (values: (bigint | number)[]) =>
    values.forEach((value, i) => {
      view.setBigUint64(8 * i, BigInt.asUintN(64, BigInt(value)), true);
    });
  const place = lookupAbsolute(k, path, true);
  if (typeof place === 'number') return place;
  const PROC_MAGIC = 0x9fa0;
  const ST_VALID = 0x20;
  if (place.at === 'host') {
    const error = hostCall(() => {
      const volume = hostOf(k.memory).volume(hostPath(place.path));
      words([...volume, 0, 255, volume[1], ST_VALID]);
    });
    if (error < 0) return error;
  } else {
    words([PROC_MAGIC, 4096, 0, 0, 0, 0, 0, 0, 255, 4096, ST_VALID]);
  }
  return writeUser(k, to, new Uint8Array(view.buffer)) === 120 ? 0 : -Errno.EFAULT;
}

function statfs(k: KernelCpu, address: number, to: number): number {
  const path = readPath(k, address);
  if (typeof path === 'number') return path;
  const place = lookup(k, AT_FDCWD, path, true);
  return typeof place === 'number' ? place : statfsOf(k, place.path, to);
}

function fstatfs(k: KernelCpu, fd: number, to: number): number {
  const file = getFile(k.memory, filesOf(k), fd);
  if (file === 0) return -Errno.EBADF;
  const path = filePath(k.memory, file) || '/proc';
  dropFile(k.memory, file);
  return statfsOf(k, path, to);
}

const W_OK = 2;
const X_OK = 1;

/** access(2) by the host's answer; the guest's user ids are the host user's. */
function accessAt(k: KernelCpu, dirfd: number, address: number, mode: number, flags: number): number {
  if (mode & ~7) return -Errno.EINVAL;
  if (flags & ~(AtFlag.EACCESS | AtFlag.SYMLINK_NOFOLLOW | AtFlag.EMPTY_PATH)) return -Errno.EINVAL;
  const path = readPath(k, address);
  if (typeof path === 'number') return path;
  const empty = path === '' && flags & AtFlag.EMPTY_PATH && dirfd !== AT_FDCWD;
  if (empty) {
    const attributes = descriptorAttributes(k, dirfd);
    return typeof attributes === 'number' ? attributes : 0;
  }
  const follow = (flags & AtFlag.SYMLINK_NOFOLLOW) === 0;
  const place = lookup(k, dirfd, path, follow);
  if (typeof place === 'number') return place;
  if (place.at === 'host') {
    const bits = (mode & 4 ? constants.R_OK : 0) | (mode & W_OK ? constants.W_OK : 0) | (mode & X_OK);
    return hostCall(() => {
      const host = hostOf(k.memory);
      const path = hostPath(place.path);
      // Everybody may do everything with a symbolic link itself.
      if (!follow && (host.attributes(path, false).mode & FileType.mask) === FileType.link) return;
      host.access(path, bits || constants.F_OK);
    });
  }
  const attributes = placeAttributes(k, place, follow);
  if (typeof attributes === 'number') return attributes;
  const missing = mode & ~((attributes.mode >> 6) | attributes.mode | (mode & 4));
  return missing ? -Errno.EACCES : 0;
}

export const attributeSyscalls: SyscallTable = {
  4: { name: 'stat', args: 'sp', handler: (k, path, to) => statAt(k, AT_FDCWD, path, to, 0) },
  5: {
    name: 'fstat',
    args: 'dp',
    handler: (k, fd, to) => deliver(k, descriptorAttributes(k, fd), to, encodeStat),
  },
  6: {
    name: 'lstat',
    args: 'sp',
    handler: (k, path, to) => statAt(k, AT_FDCWD, path, to, AtFlag.SYMLINK_NOFOLLOW),
  },
  21: { name: 'access', args: 'so', handler: (k, path, mode) => accessAt(k, AT_FDCWD, path, mode, 0) },
  137: { name: 'statfs', args: 'sp', handler: statfs },
  138: { name: 'fstatfs', args: 'dp', handler: fstatfs },
  262: { name: 'newfstatat', args: 'dspf', handler: statAt },
  269: {
    name: 'faccessat',
    args: 'dso',
    handler: (k, dirfd, path, mode) => accessAt(k, dirfd, path, mode, 0),
  },
  332: { name: 'statx', args: 'dsffp', handler: statx },
  439: { name: 'faccessat2', args: 'dsof', handler: accessAt },
};
