import type { BigIntStats } from 'node:fs';
import { struct } from '../../memory/struct.js';

/** struct stat of x86-64 (arch/x86/include/uapi/asm/stat.h). */
export const Stat = struct({
  dev: 'u64',
  ino: 'u64',
  nlink: 'u64',
  mode: 'u32',
  uid: 'u32',
  gid: 'u32',
  pad: 'u32',
  rdev: 'u64',
  fileSize: 'u64',
  blksize: 'u64',
  blocks: 'u64',
  atime: 'u64',
  atimeNsec: 'u64',
  mtime: 'u64',
  mtimeNsec: 'u64',
  ctime: 'u64',
  ctimeNsec: 'u64',
  unused: ['u64', 3],
});

/** struct statx_timestamp and struct statx (include/uapi/linux/stat.h). */
export const Statx = struct({
  mask: 'u32',
  blksize: 'u32',
  attributes: 'u64',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  mode: 'u16',
  ino: 'u64',
  fileSize: 'u64',
  blocks: 'u64',
  attributesMask: 'u64',
  /** tv_sec, tv_nsec, pad: 16 bytes each. */
  atime: 'u64',
  atimeNsec: 'u64',
  btime: 'u64',
  btimeNsec: 'u64',
  ctime: 'u64',
  ctimeNsec: 'u64',
  mtime: 'u64',
  mtimeNsec: 'u64',
  rdevMajor: 'u32',
  rdevMinor: 'u32',
  devMajor: 'u32',
  devMinor: 'u32',
  mntId: 'u64',
  spare: ['u64', 13],
});

export const STATX_BASIC_STATS = 0x7ff;
export const STATX_BTIME = 0x800;
/** Reserved for the future: statx answers EINVAL to it. */
export const STATX_RESERVED = 0x8000_0000;

/** File types, in st_mode. */
export const FileType = {
  mask: 0o170000,
  socket: 0o140000,
  link: 0o120000,
  regular: 0o100000,
  block: 0o060000,
  directory: 0o040000,
  character: 0o020000,
  fifo: 0o010000,
} as const;

/** The attributes of a file, of the host's or of the kernel's own. Times are nanoseconds since 1970. */
export interface Attributes {
  dev: bigint;
  ino: bigint;
  nlink: bigint;
  mode: number;
  uid: number;
  gid: number;
  rdev: bigint;
  size: bigint;
  blksize: bigint;
  blocks: bigint;
  atimeNs: bigint;
  mtimeNs: bigint;
  ctimeNs: bigint;
  /** Birth time; 0 when unknown. */
  btimeNs: bigint;
}

export function hostAttributes(stats: BigIntStats): Attributes {
  return {
    dev: stats.dev,
    ino: stats.ino,
    nlink: stats.nlink,
    mode: Number(stats.mode),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    rdev: stats.rdev,
    size: stats.size,
    blksize: stats.blksize,
    blocks: stats.blocks,
    atimeNs: stats.atimeNs,
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    btimeNs: stats.birthtimeNs,
  };
}

/** struct stat as bytes. */
export function encodeStat(a: Attributes): Uint8Array {
  const bytes = new Uint8Array(Stat.size);
  const view = new DataView(bytes.buffer);
  const u64 = (offset: number, value: bigint) => view.setBigUint64(offset, BigInt.asUintN(64, value), true);
  u64(Stat.dev, a.dev);
  u64(Stat.ino, a.ino);
  u64(Stat.nlink, a.nlink);
  view.setUint32(Stat.mode, a.mode, true);
  view.setUint32(Stat.uid, a.uid, true);
  view.setUint32(Stat.gid, a.gid, true);
  u64(Stat.rdev, a.rdev);
  u64(Stat.fileSize, a.size);
  u64(Stat.blksize, a.blksize);
  u64(Stat.blocks, a.blocks);
  for (const [offset, ns] of [
    [Stat.atime, a.atimeNs],
    [Stat.mtime, a.mtimeNs],
    [Stat.ctime, a.ctimeNs],
  ] as const) {
    const [seconds, rest] = splitTime(ns);
    u64(offset, seconds);
    u64(offset + 8, rest);
  }
  return bytes;
}

/** struct statx as bytes; the kernel answers all it has, whatever was asked for. */
export function encodeStatx(a: Attributes): Uint8Array {
  const bytes = new Uint8Array(Statx.size);
  const view = new DataView(bytes.buffer);
  const u32 = (offset: number, value: number) => view.setUint32(offset, value, true);
  const u64 = (offset: number, value: bigint) => view.setBigUint64(offset, BigInt.asUintN(64, value), true);
  u32(Statx.mask, STATX_BASIC_STATS | (a.btimeNs > 0n ? STATX_BTIME : 0));
  u32(Statx.blksize, Number(a.blksize));
  u32(Statx.nlink, Number(a.nlink));
  u32(Statx.uid, a.uid);
  u32(Statx.gid, a.gid);
  view.setUint16(Statx.mode, a.mode, true);
  u64(Statx.ino, a.ino);
  u64(Statx.fileSize, a.size);
  u64(Statx.blocks, a.blocks);
  for (const [offset, ns] of [
    [Statx.atime, a.atimeNs],
    [Statx.btime, a.btimeNs],
    [Statx.ctime, a.ctimeNs],
    [Statx.mtime, a.mtimeNs],
  ] as const) {
    const [seconds, rest] = splitTime(ns);
    u64(offset, seconds);
    u32(offset + 8, Number(rest));
  }
  u32(Statx.rdevMajor, major(a.rdev));
  u32(Statx.rdevMinor, minor(a.rdev));
  u32(Statx.devMajor, major(a.dev));
  u32(Statx.devMinor, minor(a.dev));
  return bytes;
}

/** Seconds (rounded down, so that the rest is never negative) and nanoseconds. */
function splitTime(ns: bigint): [bigint, bigint] {
  const rest = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return [(ns - rest) / 1_000_000_000n, rest];
}

/** Device numbers in stat's 64-bit encoding (gnu_dev_major and friends; new_encode_dev for small ones). */
export function makeDevice(majorNumber: number, minorNumber: number): bigint {
  return BigInt((minorNumber & 0xff) | (majorNumber << 8)) | (BigInt(minorNumber >>> 8) << 20n);
}

function major(device: bigint): number {
  return Number((device >> 8n) & 0xfffn);
}

function minor(device: bigint): number {
  return Number((device & 0xffn) | ((device >> 12n) & 0xfff00n));
}
