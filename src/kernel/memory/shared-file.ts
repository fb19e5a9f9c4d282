import type { Memory } from '../../memory/memory.js';
import { PAGE_SIZE } from '../../memory/memory.js';
import { locked } from '../../memory/lock.js';
import { Root, rootPointer, setRoot } from '../../memory/roots.js';
import { kmalloc } from '../../memory/slab.js';
import { struct } from '../../memory/struct.js';
import { Pte } from '../../mmu/pte.js';
import { MemoryObject } from './object-layout.js';

/**
 * Files that are mapped with MAP_SHARED: one object a file, whose pages all its shared mappings show, so that they are the file's
 * contents for as long as a mapping lasts. They are filled from the host's file when first touched. What is written to them reaches
 * the host's file before anybody here reads it by other means, at msync, with the last mapping, and when the machine ends; what
 * is written to the file by other means (`fileWritten`, `fileResized`) reaches the pages at once. What other processes of the
 * host do to the file meanwhile is not seen.
 *
 * The list's lock guards the objects' list and their references from and to 0. It comes after an mm's and a file's locks and
 * before the allocators'; the host's files are regular ones, which never block.
 */
const SharedFiles = struct({ lock: 'i32', first: 'u32' });

/** What the files' side does for an object, which keeps an open file description: positions and counts in bytes. */
export interface BackingFiles {
  /** Bytes read (fewer only at the end) or −errno. */
  read(memory: Memory, file: number, position: number, target: Uint8Array): number;
  write(memory: Memory, file: number, position: number, source: Uint8Array): number;
  size(memory: Memory, file: number): number;
  hold(memory: Memory, file: number): void;
  drop(memory: Memory, file: number): void;
}

let files: BackingFiles | null = null;

/** Called when the files' modules are loaded. */
export function setBackingFiles(backing: BackingFiles): void {
  files = backing;
}

export function createSharedFileList(memory: Memory): void {
  setRoot(memory, Root.sharedFiles, kmalloc(memory, SharedFiles.size));
}

/** Runs `body` with the list locked; it gets a finder of the object of a file (0: none). */
export function withSharedFiles<T>(
  memory: Memory,
  body: (list: number, find: (device: number, inode: number) => number) => T,
): T {
  const list = rootPointer(memory, Root.sharedFiles);
  return locked(memory, list + SharedFiles.lock, () =>
    body(list, (device, inode) => {
      let object = memory.loadU32(list + SharedFiles.first);
      while (object !== 0 && !isOf(memory, object, device, inode)) {
        object = memory.loadU32(object + MemoryObject.next);
      }
      return object;
    }),
  );
}

function isOf(memory: Memory, object: number, device: number, inode: number): boolean {
  const { f64 } = memory;
  return (
    f64[(object + MemoryObject.device) >>> 3] === device && f64[(object + MemoryObject.inode) >>> 3] === inode
  );
}

/** Whether any file is mapped shared: asked without the lock by calls that come after the mmap they must see. */
export function anySharedFile(memory: Memory): boolean {
  const list = rootPointer(memory, Root.sharedFiles);
  return list !== 0 && Atomics.load(memory.u32, (list + SharedFiles.first) >>> 2) !== 0;
}

/** Gives an object its file and puts it into the list; the caller holds the lock. */
export function linkSharedFile(memory: Memory, list: number, object: number, file: number): void {
  files!.hold(memory, file);
  memory.store32(object + MemoryObject.file, file);
  memory.store32(object + MemoryObject.next, memory.loadU32(list + SharedFiles.first));
  Atomics.store(memory.u32, (list + SharedFiles.first) >>> 2, object);
}

/** A mapping of a file that is open for writing: from now on the object writes back, by that description. Under the lock. */
export function makeWritable(memory: Memory, object: number, file: number): void {
  if (memory.load32(object + MemoryObject.writable) !== 0) return;
  files!.hold(memory, file);
  files!.drop(memory, memory.loadU32(object + MemoryObject.file));
  memory.store32(object + MemoryObject.file, file);
  memory.store32(object + MemoryObject.writable, 1);
}

/** Drops a reference to an object that has a file. @returns whether it was the last: its pages have been written back then */
export function dropSharedFile(memory: Memory, object: number): boolean {
  const last = withSharedFiles(memory, (list) => {
    if (Atomics.sub(memory.i32, (object + MemoryObject.references) >>> 2, 1) !== 1) return false;
    writeBack(memory, object, 0, Infinity);
    let link = list + SharedFiles.first;
    while (memory.loadU32(link) !== object) link = memory.loadU32(link) + MemoryObject.next;
    Atomics.store(memory.u32, link >>> 2, memory.loadU32(object + MemoryObject.next));
    return true;
  });
  if (last) files!.drop(memory, memory.loadU32(object + MemoryObject.file));
  return last;
}

/** Fills a new page of an object from its file; what is missing there stays zero. */
export function fillPage(memory: Memory, object: number, offset: number, frame: number): void {
  const page = new Uint8Array(PAGE_SIZE);
  const count = files!.read(memory, memory.loadU32(object + MemoryObject.file), offset, page);
  if (count > 0) memory.u8.set(page.subarray(0, count), frame);
}

/** Calls `visit` with offset and frame of an object's pages, in order. */
function forEachPage(memory: Memory, object: number, visit: (offset: number, frame: number) => void): void {
  const walk = (table: number, level: number, base: number) => {
    for (let i = 0; i < 512; i++) {
      const low = memory.load32(table + 8 * i);
      if (!(low & Pte.present)) continue;
      const next = (low & -PAGE_SIZE) >>> 0;
      const at = base + i * 512 ** (level - 1) * PAGE_SIZE;
      if (level === 1) visit(at, next);
      else walk(next, level - 1, at);
    }
  };
  walk(memory.loadU32(object + MemoryObject.root), 4, 0);
}

/** Writes the pages of [from, to) to the file, but never beyond its end; the caller holds the lock. */
function writeBack(memory: Memory, object: number, from: number, to: number): void {
  if (memory.load32(object + MemoryObject.writable) === 0) return;
  const file = memory.loadU32(object + MemoryObject.file);
  const end = Math.min(to, files!.size(memory, file));
  forEachPage(memory, object, (offset, frame) => {
    if (offset + PAGE_SIZE <= from || offset >= end) return;
    const length = Math.min(PAGE_SIZE, files!.size(memory, file) - offset);
    files!.write(memory, file, offset, memory.u8.slice(frame, frame + length));
  });
}

/** Before the bytes [from, to) of a file are read by other means than a mapping: what mappings have written is in it. */
export function syncFile(
  memory: Memory,
  device: number,
  inode: number,
  from: number,
  to: number = Infinity,
): void {
  withSharedFiles(memory, (_list, find) => {
    const object = find(device, inode);
    if (object !== 0) writeBack(memory, object, from, to);
  });
}

/** msync of pages of an object. */
export function syncObject(memory: Memory, object: number, from: number, to: number): void {
  withSharedFiles(memory, () => writeBack(memory, object, from, to));
}

/** When the machine ends. */
export function syncAllFiles(memory: Memory): void {
  if (!anySharedFile(memory)) return;
  withSharedFiles(memory, (list) => {
    let object = memory.loadU32(list + SharedFiles.first);
    for (; object !== 0; object = memory.loadU32(object + MemoryObject.next)) {
      writeBack(memory, object, 0, Infinity);
    }
  });
}

/**
 * After bytes were written to a file by other means than a mapping.
 * @param changed called with each frame that now has other contents
 */
export function fileWritten(
  memory: Memory,
  device: number,
  inode: number,
  position: number,
  bytes: Uint8Array,
  changed: (frame: number) => void,
): void {
  withSharedFiles(memory, (_list, find) => {
    const object = find(device, inode);
    if (object === 0) return;
    const stop = position + bytes.length;
    setEnd(memory, object);
    forEachPage(memory, object, (offset, frame) => {
      const from = Math.max(position, offset);
      const to = Math.min(stop, offset + PAGE_SIZE);
      if (from >= to) return;
      memory.u8.set(bytes.subarray(from - position, to - position), frame + from - offset);
      changed(frame);
    });
  });
}

/** After the size of a file has changed. Pages beyond the end that are mapped already stay accessible, and read as zero. */
export function fileResized(memory: Memory, device: number, inode: number): void {
  withSharedFiles(memory, (_list, find) => {
    const object = find(device, inode);
    if (object === 0) return;
    const size = setEnd(memory, object);
    forEachPage(memory, object, (offset, frame) => {
      const from = Math.max(0, size - offset);
      if (from < PAGE_SIZE) memory.u8.fill(0, frame + from, frame + PAGE_SIZE);
    });
  });
}

/** Takes over the file's size; under the lock. @returns it */
export function setEnd(memory: Memory, object: number): number {
  const size = files!.size(memory, memory.loadU32(object + MemoryObject.file));
  memory.f64[(object + MemoryObject.end) >>> 3] = Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
  return size;
}
