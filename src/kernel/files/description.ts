import { locked } from '../../memory/lock.js';
import type { Memory } from '../../memory/memory.js';
import { rootPointer, setRoot } from '../../memory/roots.js';
import { kmalloc } from '../../memory/slab.js';
import { struct } from '../../memory/struct.js';
import { hostCall } from './host.js';
import { hostOf } from './host-system.js';
import { allocate, release } from './links.js';

/**
 * Open file descriptions (what open(2) makes, dup(2) shares and Linux calls struct file). They live in shared memory, and
 * host descriptors belong to the whole host process, so a file opened on one CPU works on every other.
 */
export const File = struct({
  /** Atomic: descriptors that refer to it, calls in progress on it, and mappings of it. The last one closes it. */
  references: 'i32',
  /** A FileKind. */
  kind: 'i32',
  /** Access mode and status flags of open(2) (O_APPEND, O_NONBLOCK …). Atomic. */
  flags: 'i32',
  /** Descriptor of the host, or −1. */
  hostFd: 'i32',
  /**
   * Guards `position` over a whole read, write or seek (Linux's f_pos_lock), and a directory's listing. User memory is
   * touched under it, so it comes before an mm's lock in the order of src/kernel/locks.ts; no code that holds an mm's lock
   * takes it.
   */
  positionLock: 'i32',
  /** Which device, console stream or pipe end it is: see the kind. */
  variant: 'i32',
  /** Path it was opened by (pointer of a PathString), or 0. */
  path: 'u32',
  /** Pointer of what the kind needs besides: pipe, counter, directory listing; or 0. */
  object: 'u32',
  /** Bytes from the start of the file; for a directory, the index of the next entry. */
  position: 'f64',
  /** Links of the machine's list of files that have a host descriptor. */
  next: 'u32',
  previous: 'u32',
});

/** The files that have a host descriptor, so that none stays open when the machine ends however it ends. */
const HostFiles = struct({ lock: 'i32', first: 'u32' });
const ROOT = 27;

/** Called once at boot. */
export function createHostFileList(memory: Memory): void {
  setRoot(memory, ROOT, kmalloc(memory, HostFiles.size));
}

function linkHostFile(memory: Memory, file: number): void {
  const list = rootPointer(memory, ROOT);
  locked(memory, list + HostFiles.lock, () => {
    const first = memory.loadU32(list + HostFiles.first);
    memory.store32(file + File.next, first);
    if (first !== 0) memory.store32(first + File.previous, file);
    memory.store32(list + HostFiles.first, file);
  });
}

function unlinkHostFile(memory: Memory, file: number): void {
  const list = rootPointer(memory, ROOT);
  locked(memory, list + HostFiles.lock, () => {
    const next = memory.loadU32(file + File.next);
    const previous = memory.loadU32(file + File.previous);
    memory.store32(previous === 0 ? list + HostFiles.first : previous + File.next, next);
    if (next !== 0) memory.store32(next + File.previous, previous);
  });
}

/** Closes every host descriptor that the machine still has open. Called once, when its CPUs have stopped. */
export function closeHostFiles(memory: Memory): void {
  const list = rootPointer(memory, ROOT);
  for (
    let file = memory.loadU32(list + HostFiles.first);
    file !== 0;
    file = memory.loadU32(file + File.next)
  ) {
    closeHostDescriptor(memory, memory.load32(file + File.hostFd));
  }
  memory.store32(list + HostFiles.first, 0);
}

/** The standard descriptors belong to the host process, not to the machine. */
function closeHostDescriptor(memory: Memory, fd: number): void {
  // close(2) has closed the descriptor even if it fails.
  if (fd > 2) hostCall(() => hostOf(memory).close(fd));
}

export const FileKind = {
  /** A regular file or block device of the host: has positions. */
  regular: 1,
  /** A directory of the host or of the kernel's own trees; its entries are listed by path. */
  directory: 2,
  /** A FIFO or character device of the host, opened non-blocking. */
  stream: 3,
  /** A file of /proc or /sys, whose text is made when it is read. */
  text: 4,
  /** A device of /dev; `variant` is a Device. */
  device: 5,
  /** Standard input, output or error as the machine was given them; `variant` is 0, 1 or 2. */
  console: 6,
  /** A pipe's end; `object` is the Pipe. */
  pipe: 7,
  /** eventfd; `object` is the EventCounter. */
  counter: 8,
  /** Opened with O_PATH: only a name. */
  path: 9,
  /** epoll; `object` is the Epoll. */
  epoll: 10,
  /** timerfd; `object` is the FileTimer. */
  timer: 11,
} as const;

/** A byte string in shared memory: its length, then its bytes. */
export const PathString = struct({ length: 'u32' });

/** Copies a byte string (one character a byte) to shared memory. Returns its pointer, 0 if there is no room. */
export function storeString(memory: Memory, text: string): number {
  const pointer = allocate(memory, PathString.size + text.length);
  if (pointer === 0) return 0;
  memory.u32[(pointer + PathString.length) >>> 2] = text.length;
  for (let i = 0; i < text.length; i++) memory.u8[pointer + PathString.size + i] = text.charCodeAt(i);
  return pointer;
}

export function loadString(memory: Memory, pointer: number): string {
  const length = memory.loadU32(pointer + PathString.length);
  const start = pointer + PathString.size;
  let text = '';
  for (let i = 0; i < length; i++) text += String.fromCharCode(memory.u8[start + i]);
  return text;
}

export function freeString(memory: Memory, pointer: number): void {
  if (pointer !== 0) release(memory, pointer, PathString.size + memory.loadU32(pointer + PathString.length));
}

/** What a new description starts with; everything else is 0. */
export interface FileFields {
  kind: number;
  flags: number;
  hostFd?: number;
  variant?: number;
  object?: number;
  path?: string;
  position?: number;
}

/** Makes a description with one reference. Returns 0 if there is no room; the caller still owns `hostFd` then. */
export function createFile(memory: Memory, fields: FileFields): number {
  const file = allocate(memory, File.size);
  if (file === 0) return 0;
  const path = fields.path === undefined ? 0 : storeString(memory, fields.path);
  if (fields.path !== undefined && path === 0) {
    release(memory, file, File.size);
    return 0;
  }
  memory.u8.fill(0, file, file + File.size);
  memory.store32(file + File.references, 1);
  memory.store32(file + File.kind, fields.kind);
  memory.store32(file + File.flags, fields.flags);
  memory.store32(file + File.hostFd, fields.hostFd ?? -1);
  memory.store32(file + File.variant, fields.variant ?? 0);
  memory.store32(file + File.object, fields.object ?? 0);
  memory.store32(file + File.path, path);
  memory.f64[(file + File.position) >>> 3] = fields.position ?? 0;
  if (fields.hostFd !== undefined) linkHostFile(memory, file);
  return file;
}

/** Takes one more reference; the caller has one already, or the lock of a table that holds one. */
export function holdFile(memory: Memory, file: number): void {
  Atomics.add(memory.i32, (file + File.references) >>> 2, 1);
}

/** What to do with `File.object` when the last reference goes, by kind. Filled by the files that own the kinds. */
export const releaseObject: Record<number, (memory: Memory, file: number) => void> = {};

/** What is told first when the last reference goes: who refers to files without a reference. Set by epoll. */
export const lastReference: { forget(memory: Memory, file: number): void } = { forget: () => {} };

/** Drops a reference; the last one closes the file. */
export function dropFile(memory: Memory, file: number): void {
  if (Atomics.sub(memory.i32, (file + File.references) >>> 2, 1) !== 1) return;
  lastReference.forget(memory, file);
  releaseObject[memory.load32(file + File.kind)]?.(memory, file);
  const fd = memory.load32(file + File.hostFd);
  if (fd >= 0) {
    unlinkHostFile(memory, file);
    closeHostDescriptor(memory, fd);
  }
  freeString(memory, memory.loadU32(file + File.path));
  release(memory, file, File.size);
}

export function filePath(memory: Memory, file: number): string {
  const path = memory.loadU32(file + File.path);
  return path === 0 ? '' : loadString(memory, path);
}

export function fileFlags(memory: Memory, file: number): number {
  return Atomics.load(memory.i32, (file + File.flags) >>> 2);
}

/** Runs `body` with the file's position locked. */
export function withPosition<T>(memory: Memory, file: number, body: () => T): T {
  return locked(memory, file + File.positionLock, body);
}

export function position(memory: Memory, file: number): number {
  return memory.f64[(file + File.position) >>> 3];
}

export function setPosition(memory: Memory, file: number, value: number): void {
  memory.f64[(file + File.position) >>> 3] = value;
}
