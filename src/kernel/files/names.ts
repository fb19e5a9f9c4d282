import {
  chmodSync,
  chownSync,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
} from 'node:fs';
import { MACHINE, Machine } from '../../memory/layout.js';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import type { SyscallTable } from '../syscalls.js';
import { dropFile, File } from './description.js';
import { AT_FDCWD, AtFlag } from './flags.js';
import { hostCall, hostErrno, hostPath } from './host.js';
import { hostOf } from './host-system.js';
import { filesOf, readUser, writeUser } from './links.js';
import { directoryPath, lookup, lookupAbsolute, type Place, readPath } from './paths.js';
import { normalize } from './path-text.js';
import { type Attributes, FileType } from './stat.js';
import { cwd, getFile, setCwd } from './table.js';
import { FileTable } from './table-layout.js';

/** Calls that change names and attributes of the host's files. The kernel's own trees cannot be changed: EPERM. */

/** Looks the path argument up of a call that is to change something there; what is not the host's is an error. Returns the host's path, or −errno. */
function hostPlace(k: KernelCpu, dirfd: number, address: number, follow: boolean): Buffer | number {
  const path = readPath(k, address);
  if (typeof path === 'number') return path;
  const place = lookup(k, dirfd, path, follow);
  if (typeof place === 'number') return place;
  if (place.at !== 'host') return -Errno.EPERM;
  hostOf(k.memory).changes(hostPath(place.path));
  return hostPath(place.path);
}

function mkdirAt(k: KernelCpu, dirfd: number, address: number, mode: number): number {
  const path = hostPlace(k, dirfd, address, false);
  if (typeof path === 'number') return path === -Errno.EPERM ? -Errno.EEXIST : path;
  const wanted = mode & 0o1777 & ~k.memory.load32(filesOf(k) + FileTable.umask);
  return hostCall(() => {
    mkdirSync(path, wanted);
    if (wanted & process.umask()) chmodSync(path, wanted);
  });
}

function unlinkAt(k: KernelCpu, dirfd: number, address: number, flags: number): number {
  if (flags & ~AtFlag.REMOVEDIR) return -Errno.EINVAL;
  const path = hostPlace(k, dirfd, address, false);
  if (typeof path === 'number') return path;
  return hostCall(() => (flags ? rmdirSync(path) : unlinkSync(path)));
}

const RENAME_NOREPLACE = 1;

function renameAt(
  k: KernelCpu,
  fromFd: number,
  fromAddress: number,
  toFd: number,
  toAddress: number,
  flags: number,
): number {
  if (flags & ~RENAME_NOREPLACE) return -Errno.EINVAL;
  const from = hostPlace(k, fromFd, fromAddress, false);
  if (typeof from === 'number') return from;
  const to = hostPlace(k, toFd, toAddress, false);
  if (typeof to === 'number') return to;
  return hostCall(() => {
    // The host has no call for this through Node; another program may create the name in between.
    if (flags && lstatSync(to, { throwIfNoEntry: false })) return -Errno.EEXIST;
    renameSync(from, to);
    return 0;
  });
}

function linkAt(
  k: KernelCpu,
  fromFd: number,
  fromAddress: number,
  toFd: number,
  toAddress: number,
  flags: number,
): number {
  if (flags & ~AtFlag.SYMLINK_FOLLOW) return -Errno.EINVAL;
  const from = hostPlace(k, fromFd, fromAddress, (flags & AtFlag.SYMLINK_FOLLOW) !== 0);
  if (typeof from === 'number') return from;
  const to = hostPlace(k, toFd, toAddress, false);
  if (typeof to === 'number') return to;
  return hostCall(() => linkSync(flags ? hostOf(k.memory).realpath(from) : from, to));
}

function symlinkAt(k: KernelCpu, targetAddress: number, dirfd: number, address: number): number {
  const target = readPath(k, targetAddress);
  if (typeof target === 'number') return target;
  if (target === '') return -Errno.ENOENT;
  const path = hostPlace(k, dirfd, address, false);
  if (typeof path === 'number') return path;
  return hostCall(() => symlinkSync(hostPath(target), path));
}

function readlinkAt(k: KernelCpu, dirfd: number, address: number, to: number, size: number): number {
  if (size <= 0) return -Errno.EINVAL;
  const path = readPath(k, address);
  if (typeof path === 'number') return path;
  const place = lookup(k, dirfd, path, false);
  if (typeof place === 'number') return place;
  let target: Uint8Array;
  if (place.at === 'host') {
    try {
      target = hostOf(k.memory).readlink(hostPath(place.path));
    } catch (error) {
      return -hostErrno(error);
    }
  } else if (place.at === 'node' && place.node.type === 'link') {
    target = hostPath(place.node.target(k));
  } else {
    return -Errno.EINVAL;
  }
  const part = target.subarray(0, size);
  return writeUser(k, to, part) === part.length ? part.length : -Errno.EFAULT;
}

function getcwd(k: KernelCpu, to: number, size: number): number {
  const path = hostPath(`${cwd(k.memory, filesOf(k))}\0`);
  if (path.length > size) return -Errno.ERANGE;
  return writeUser(k, to, path) === path.length ? path.length : -Errno.EFAULT;
}

/** The path by which a directory becomes the working one: all links resolved, as getcwd reports it. */
function enter(k: KernelCpu, place: Place): number {
  if (place.at === 'descriptor') return -Errno.ENOTDIR;
  if (place.at === 'node') {
    return place.node.type === 'directory' ? setCwd(k.memory, filesOf(k), place.path) : -Errno.ENOTDIR;
  }
  return hostCall(() => {
    const host = hostOf(k.memory);
    const path = hostPath(place.path);
    if ((host.attributes(path, true).mode & FileType.mask) !== FileType.directory) return -Errno.ENOTDIR;
    // Searching needs permission too, and a look at "." inside asks for it.
    host.attributes(hostPath(`${place.path}/.`), true);
    return setCwd(k.memory, filesOf(k), host.realpath(path).toString('latin1'));
  });
}

function chdir(k: KernelCpu, address: number): number {
  const path = readPath(k, address);
  if (typeof path === 'number') return path;
  const place = lookup(k, AT_FDCWD, path, true);
  return typeof place === 'number' ? place : enter(k, place);
}

function fchdir(k: KernelCpu, fd: number): number {
  const path = fd < 0 ? -Errno.EBADF : directoryPath(k, fd);
  if (typeof path === 'number') return path;
  const place = lookupAbsolute(k, normalize(path), true);
  return typeof place === 'number' ? place : enter(k, place);
}

function chmodAt(k: KernelCpu, dirfd: number, address: number, mode: number): number {
  const path = hostPlace(k, dirfd, address, true);
  return typeof path === 'number' ? path : hostCall(() => chmodSync(path, mode & 0o7777));
}

/** −1 leaves an id as it is; Node wants that as 2^32 − 1. */
function chownAt(
  k: KernelCpu,
  dirfd: number,
  address: number,
  uid: number,
  gid: number,
  flags: number,
): number {
  if (flags & ~(AtFlag.SYMLINK_NOFOLLOW | AtFlag.EMPTY_PATH)) return -Errno.EINVAL;
  const follow = (flags & AtFlag.SYMLINK_NOFOLLOW) === 0;
  const path = hostPlace(k, dirfd, address, follow);
  if (typeof path === 'number') return path;
  return hostCall(() => (follow ? chownSync : lchownSync)(path, uid >>> 0, gid >>> 0));
}

/** Runs a call on the host descriptor behind a descriptor. */
function onHostFd(k: KernelCpu, fd: number, call: (host: number) => void): number {
  const file = getFile(k.memory, filesOf(k), fd);
  if (file === 0) return -Errno.EBADF;
  const host = k.memory.load32(file + File.hostFd);
  const result =
    host < 0
      ? -Errno.EPERM
      : hostCall(() => {
          hostOf(k.memory).changes(host);
          call(host);
        });
  dropFile(k.memory, file);
  return result;
}

const UTIME_NOW = 0x3fff_ffff;
const UTIME_OMIT = 0x3fff_fffe;

/** Two times as seconds with a fraction. Node passes them on as doubles: microseconds survive, the last nanoseconds do not. */
type Times = readonly [number | null, number | null];

/** Reads two pairs of 64-bit numbers: seconds and a fraction in units of 1/scale. Null stands for "leave it". */
function readTimes(k: KernelCpu, address: number, scale: number): Times | number {
  const now = (k.memory.f64[(MACHINE + Machine.bootRealtime) >>> 3] + k.now() / 1e6) / 1000;
  if (address === 0) return [now, now];
  const bytes = new Uint8Array(32);
  if (readUser(k, address, bytes) < 32) return -Errno.EFAULT;
  const view = new DataView(bytes.buffer);
  const times: (number | null)[] = [];
  for (const at of [0, 16]) {
    const fraction = Number(view.getBigInt64(at + 8, true));
    if (scale === 1e9 && fraction === UTIME_NOW) times.push(now);
    else if (scale === 1e9 && fraction === UTIME_OMIT) times.push(null);
    else if (fraction < 0 || fraction >= scale) return -Errno.EINVAL;
    else times.push(Number(view.getBigInt64(at, true)) + fraction / scale);
  }
  return [times[0], times[1]];
}

function setTimes(
  k: KernelCpu,
  dirfd: number,
  address: number,
  times: Times | number,
  flags: number,
): number {
  if (typeof times === 'number') return times;
  if (flags & ~(AtFlag.SYMLINK_NOFOLLOW | AtFlag.EMPTY_PATH)) return -Errno.EINVAL;
  const pick = ({ atimeNs, mtimeNs }: Attributes): [number, number] => [
    times[0] ?? Number(atimeNs) / 1e9,
    times[1] ?? Number(mtimeNs) / 1e9,
  ];
  const host = hostOf(k.memory);
  if (times[0] === null && times[1] === null) return 0;
  if (address === 0 && dirfd !== AT_FDCWD) {
    return onHostFd(k, dirfd, (fd) => futimesSync(fd, ...pick(host.attributes(fd, false))));
  }
  const follow = (flags & AtFlag.SYMLINK_NOFOLLOW) === 0;
  const path = hostPlace(k, dirfd, address, follow);
  if (typeof path === 'number') return path;
  return hostCall(() => (follow ? utimesSync : lutimesSync)(path, ...pick(host.attributes(path, follow))));
}

/** utime(2): whole seconds. */
function utime(k: KernelCpu, address: number, buffer: number): number {
  if (buffer === 0) return setTimes(k, AT_FDCWD, address, readTimes(k, 0, 1e6), 0);
  const bytes = new Uint8Array(16);
  if (readUser(k, buffer, bytes) < 16) return -Errno.EFAULT;
  const view = new DataView(bytes.buffer);
  const times: Times = [Number(view.getBigInt64(0, true)), Number(view.getBigInt64(8, true))];
  return setTimes(k, AT_FDCWD, address, times, 0);
}

/** Flags of the older calls, which follow symbolic links. */
const FOLLOW = 0;

export const nameSyscalls: SyscallTable = {
  79: { name: 'getcwd', args: 'pz', handler: getcwd },
  80: { name: 'chdir', args: 's', handler: chdir },
  81: { name: 'fchdir', args: 'd', handler: fchdir },
  82: {
    name: 'rename',
    args: 'ss',
    handler: (k, from, to) => renameAt(k, AT_FDCWD, from, AT_FDCWD, to, 0),
  },
  83: { name: 'mkdir', args: 'so', handler: (k, path, mode) => mkdirAt(k, AT_FDCWD, path, mode) },
  84: { name: 'rmdir', args: 's', handler: (k, path) => unlinkAt(k, AT_FDCWD, path, AtFlag.REMOVEDIR) },
  86: { name: 'link', args: 'ss', handler: (k, from, to) => linkAt(k, AT_FDCWD, from, AT_FDCWD, to, 0) },
  87: { name: 'unlink', args: 's', handler: (k, path) => unlinkAt(k, AT_FDCWD, path, 0) },
  88: { name: 'symlink', args: 'ss', handler: (k, target, path) => symlinkAt(k, target, AT_FDCWD, path) },
  89: {
    name: 'readlink',
    args: 'spd',
    handler: (k, path, to, size) => readlinkAt(k, AT_FDCWD, path, to, size),
  },
  90: { name: 'chmod', args: 'so', handler: (k, path, mode) => chmodAt(k, AT_FDCWD, path, mode) },
  91: {
    name: 'fchmod',
    args: 'do',
    handler: (k, fd, mode) => onHostFd(k, fd, (host) => fchmodSync(host, mode & 0o7777)),
  },
  92: {
    name: 'chown',
    args: 'sdd',
    handler: (k, path, uid, gid) => chownAt(k, AT_FDCWD, path, uid, gid, FOLLOW),
  },
  93: {
    name: 'fchown',
    args: 'ddd',
    handler: (k, fd, uid, gid) => onHostFd(k, fd, (host) => fchownSync(host, uid >>> 0, gid >>> 0)),
  },
  94: {
    name: 'lchown',
    args: 'sdd',
    handler: (k, path, uid, gid) => chownAt(k, AT_FDCWD, path, uid, gid, AtFlag.SYMLINK_NOFOLLOW),
  },
  95: {
    name: 'umask',
    args: 'o',
    handler: (k, mask) => Atomics.exchange(k.memory.i32, (filesOf(k) + FileTable.umask) >>> 2, mask & 0o777),
  },
  132: { name: 'utime', args: 'sp', handler: utime },
  133: { name: 'mknod', args: 'sox', handler: () => -Errno.EPERM },
  235: {
    name: 'utimes',
    args: 'sp',
    handler: (k, path, times) => setTimes(k, AT_FDCWD, path, readTimes(k, times, 1e6), FOLLOW),
  },
  258: { name: 'mkdirat', args: 'dso', handler: mkdirAt },
  259: { name: 'mknodat', args: 'dsox', handler: () => -Errno.EPERM },
  260: { name: 'fchownat', args: 'dsddf', handler: chownAt },
  261: {
    name: 'futimesat',
    args: 'dsp',
    handler: (k, dirfd, path, times) => setTimes(k, dirfd, path, readTimes(k, times, 1e6), FOLLOW),
  },
  263: { name: 'unlinkat', args: 'dsf', handler: unlinkAt },
  264: {
    name: 'renameat',
    args: 'dsds',
    handler: (k, fromFd, from, toFd, to) => renameAt(k, fromFd, from, toFd, to, 0),
  },
  265: { name: 'linkat', args: 'dsdsf', handler: linkAt },
  266: { name: 'symlinkat', args: 'sds', handler: symlinkAt },
  267: { name: 'readlinkat', args: 'dspd', handler: readlinkAt },
  268: { name: 'fchmodat', args: 'dso', handler: chmodAt },
  280: {
    name: 'utimensat',
    args: 'dspf',
    handler: (k, dirfd, path, times, flags) => setTimes(k, dirfd, path, readTimes(k, times, 1e9), flags),
  },
  316: { name: 'renameat2', args: 'dsdsf', handler: renameAt },
};
