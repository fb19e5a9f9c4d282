import type { Memory } from '../../memory/memory.js';
import { struct } from '../../memory/struct.js';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import type { SyscallTable } from '../syscalls.js';
import { inodeOf } from './attributes.js';
import {
  File,
  FileKind,
  filePath,
  position,
  releaseObject,
  setPosition,
  withPosition,
} from './description.js';
import { hostErrno, hostPath } from './host.js';
import { hostOf } from './host-system.js';
import { allocate, release, writeUser } from './links.js';
import type { DirectoryNode } from './nodes.js';
import { lookupAbsolute } from './paths.js';
import { FileType } from './stat.js';
import { withFile } from './with-file.js';

/**
 * A directory's entries, read when the directory is read from its start and kept in shared memory until it is closed: so a
 * listing is of one moment and goes on on any CPU, even if entries are deleted meanwhile. Each entry is a
 * struct linux_dirent64, whose d_off is the index of the next.
 */
const Listing = struct({ bytes: 'u32', used: 'u32' });

/** d_type (include/linux/fs_types.h) is the type part of st_mode. */
const dtype = (mode: number): number => (mode & FileType.mask) >> 12;

const DIRENT_NAME = 19;

interface Entry {
  readonly name: Buffer;
  readonly ino: bigint;
  readonly type: number;
}

function hostEntries(k: KernelCpu, path: string): Entry[] {
  return hostOf(k.memory)
    .list(path)
    .map(({ name, ino, mode }) => ({ name: hostPath(name), ino, type: dtype(mode) }));
}

function nodeEntries(k: KernelCpu, path: string, node: DirectoryNode): Entry[] {
  const types = {
    directory: FileType.directory,
    text: FileType.regular,
    link: FileType.link,
    device: FileType.character,
  };
  const typeOf = (name: string) => {
    const found = node.find(k, name);
    return found === null || found.type === 'host' ? FileType.directory : types[found.type];
  };
  return [
    { name: Buffer.from('.'), ino: inodeOf(path), type: dtype(FileType.directory) },
    {
      name: Buffer.from('..'),
      ino: inodeOf(path.slice(0, path.lastIndexOf('/'))),
      type: dtype(FileType.directory),
    },
    ...node.names(k).map((name) => ({
      name: hostPath(name),
      ino: inodeOf(`${path}/${name}`),
      type: dtype(typeOf(name)),
    })),
  ];
}

/** The entries as getdents64 delivers them. */
function encode(entries: readonly Entry[]): Uint8Array {
  const size = (entry: Entry) => (DIRENT_NAME + entry.name.length + 1 + 7) & ~7;
  const bytes = new Uint8Array(entries.reduce((sum, entry) => sum + size(entry), 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  entries.forEach((entry, i) => {
    view.setBigUint64(at, entry.ino, true);
    view.setBigUint64(at + 8, BigInt(i + 1), true);
    view.setUint16(at + 16, size(entry), true);
    bytes[at + 18] = entry.type;
    bytes.set(entry.name, at + DIRENT_NAME);
    at += size(entry);
  });
  return bytes;
}

/** Reads the directory and keeps the result at the file. Returns 0 or −errno. */
function list(k: KernelCpu, file: number): number {
  const { memory } = k;
  const place = lookupAbsolute(k, filePath(memory, file), true);
  if (typeof place === 'number') return place;
  let bytes: Uint8Array;
  try {
    if (place.at === 'host') bytes = encode(hostEntries(k, place.path));
    else if (place.at === 'node' && place.node.type === 'directory') {
      bytes = encode(nodeEntries(k, place.path, place.node));
    } else return -Errno.ENOENT;
  } catch (error) {
    return -hostErrno(error);
  }
  const listing = allocate(memory, Listing.size + bytes.length);
  if (listing === 0) return -Errno.ENOMEM;
  memory.store32(listing + Listing.bytes, Listing.size + bytes.length);
  memory.u8.set(bytes, listing + Listing.size);
  forget(memory, file);
  memory.store32(file + File.object, listing);
  return 0;
}

function forget(memory: Memory, file: number): void {
  const listing = memory.loadU32(file + File.object);
  if (listing !== 0) release(memory, listing, memory.loadU32(listing + Listing.bytes));
}

releaseObject[FileKind.directory] = forget;

function getdents64(k: KernelCpu, fd: number, to: number, size: number): number {
  const { memory } = k;
  return withFile(k, fd, (file) => {
    const kind = memory.load32(file + File.kind);
    if (kind === FileKind.path) return -Errno.EBADF;
    if (kind !== FileKind.directory) return -Errno.ENOTDIR;
    return withPosition(memory, file, () => {
      const index = position(memory, file);
      if (index === 0 || memory.loadU32(file + File.object) === 0) {
        const error = list(k, file);
        if (error < 0) return error;
      }
      return deliver(k, file, index, to, size);
    });
  });
}

/** Copies whole entries from number `index` on while they fit. */
function deliver(k: KernelCpu, file: number, index: number, to: number, size: number): number {
  const { memory } = k;
  const listing = memory.loadU32(file + File.object);
  const end = listing + memory.loadU32(listing + Listing.bytes);
  const lengthAt = (at: number) => memory.u8[at + 16] | (memory.u8[at + 17] << 8);
  let at = listing + Listing.size;
  for (let i = 0; i < index && at < end; i++) at += lengthAt(at);
  const start = at;
  let count = 0;
  while (at < end && at + lengthAt(at) - start <= size) {
    at += lengthAt(at);
    count++;
  }
  if (count === 0) return start < end ? -Errno.EINVAL : 0;
  if (writeUser(k, to, memory.u8.subarray(start, at)) < at - start) return -Errno.EFAULT;
  setPosition(memory, file, index + count);
  return at - start;
}

export const directorySyscalls: SyscallTable = {
  217: { name: 'getdents64', args: 'dpu', handler: getdents64 },
};
