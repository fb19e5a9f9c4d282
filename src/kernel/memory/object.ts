import { type Memory, PAGE_SIZE } from '../../memory/memory.js';
import { Root, rootPointer } from '../../memory/roots.js';
import { kfree, kmalloc, slabAlloc, slabFree } from '../../memory/slab.js';
import { holdFrame } from '../../mmu/frames.js';
import { Pte } from '../../mmu/pte.js';
import type { Mmu } from '../../mmu/mmu.js';
import { MemoryObject } from './object-layout.js';
import {
  dropSharedFile,
  fillPage,
  linkSharedFile,
  makeWritable,
  setEnd,
  withSharedFiles,
} from './shared-file.js';

export { MemoryObject };

/** What /proc/self/maps says of a file. */
export interface FileIdentity {
  readonly device: number;
  readonly inode: number;
  readonly path: string;
}

/** An object without pages and one reference; 0 if there is no room. */
export function createObject(mmu: Mmu, end: number, file?: FileIdentity): number {
  const { memory, ops } = mmu;
  const object = slabAlloc(memory, rootPointer(memory, Root.memoryObjectSlab));
  if (object === 0) return 0;
  const root = ops.allocateFrame();
  if (root === 0) {
    slabFree(memory, rootPointer(memory, Root.memoryObjectSlab), object);
    return 0;
  }
  memory.store32(object + MemoryObject.references, 1);
  memory.store32(object + MemoryObject.root, root);
  memory.f64[(object + MemoryObject.end) >>> 3] = end;
  if (file) identify(memory, object, file);
  return object;
}

/** An object that names private memory filled by somebody else: without pages, one reference; 0 if there is no room. */
export function createLabel(memory: Memory, file: FileIdentity): number {
  const object = slabAlloc(memory, rootPointer(memory, Root.memoryObjectSlab));
  if (object === 0) return 0;
  memory.store32(object + MemoryObject.references, 1);
  identify(memory, object, file);
  return object;
}

/** Whether an object (0: none) has pages of its own. */
export function hasPages(memory: Memory, object: number): boolean {
  return object !== 0 && memory.loadU32(object + MemoryObject.root) !== 0;
}

/** Names an object; without room for the path it stays without one. */
function identify(memory: Memory, object: number, { device, inode, path }: FileIdentity): void {
  memory.f64[(object + MemoryObject.device) >>> 3] = device;
  memory.f64[(object + MemoryObject.inode) >>> 3] = inode;
  const bytes = new TextEncoder().encode(path);
  const pointer = bytes.length === 0 ? 0 : kmalloc(memory, bytes.length);
  if (pointer === 0) return;
  memory.u8.set(bytes, pointer);
  memory.store32(object + MemoryObject.path, pointer);
  memory.store32(object + MemoryObject.pathBytes, bytes.length);
}

export function objectIdentity(memory: Memory, object: number): FileIdentity {
  const path = memory.loadU32(object + MemoryObject.path);
  const bytes = memory.load32(object + MemoryObject.pathBytes);
  return {
    device: memory.f64[(object + MemoryObject.device) >>> 3],
    inode: memory.f64[(object + MemoryObject.inode) >>> 3],
    path: new TextDecoder().decode(memory.u8.slice(path, path + bytes)),
  };
}

export function holdObject(memory: Memory, object: number): void {
  if (object !== 0) Atomics.add(memory.i32, (object + MemoryObject.references) >>> 2, 1);
}

export function dropObject(mmu: Mmu, object: number): void {
  const { memory } = mmu;
  if (object === 0) return;
  const last =
    memory.loadU32(object + MemoryObject.file) !== 0
      ? dropSharedFile(memory, object)
      : Atomics.sub(memory.i32, (object + MemoryObject.references) >>> 2, 1) === 1;
  if (!last) return;
  if (hasPages(memory, object)) mmu.ops.destroy(memory.loadU32(object + MemoryObject.root), 4);
  const path = memory.loadU32(object + MemoryObject.path);
  if (path !== 0) kfree(memory, path, memory.load32(object + MemoryObject.pathBytes));
  slabFree(memory, rootPointer(memory, Root.memoryObjectSlab), object);
}

/** `objectPage` found no frame. */
export const NO_FRAME = 0;
/** `objectPage`: beyond the end of the file. */
export const BEYOND_END = 1;

/** The frame of an object at a page-aligned offset, made if need be, with a reference for the caller; or one of the above. */
export function objectPage(mmu: Mmu, object: number, offset: number): number {
  const { memory, ops } = mmu;
  if (offset >= memory.f64[(object + MemoryObject.end) >>> 3]) return BEYOND_END;
  const root = memory.loadU32(object + MemoryObject.root);
  for (;;) {
    const pointer = ops.walk(root, offset, 0, 0, 1) >>> 0;
    if (pointer >= PAGE_SIZE) {
      holdFrame(memory, pointer);
      return pointer;
    }
    const frame = ops.allocateFrame() >>> 0;
    if (frame === 0) return NO_FRAME;
    if (memory.loadU32(object + MemoryObject.file) !== 0) fillPage(memory, object, offset, frame);
    const mapped = ops.map(root, offset, 0, 0, frame | Pte.present | Pte.user | Pte.accessed, 0);
    if (mapped !== 1) ops.releaseFrame(frame);
    if (mapped === 0) return NO_FRAME;
  }
}

/** Whether the object has a page at an offset already. */
export function hasPage(mmu: Mmu, object: number, offset: number): boolean {
  return mmu.ops.walk(mmu.memory.loadU32(object + MemoryObject.root), offset, 0, 0, 1) >>> 0 >= PAGE_SIZE;
}

/** What a file offers for mapping; src/kernel/files makes them from descriptors. */
export interface MappableFile extends FileIdentity {
  readonly readable: boolean;
  readonly writable: boolean;
  /** false for directories, terminals, pipes: ENODEV. */
  readonly mappable: boolean;
  readonly size: number;
  /** Pointer of the open file description, for shared mappings to hold on to. */
  readonly description: number;
  /** Fills `target` from a position of the file; returns the bytes read (fewer only at its end) or −errno. */
  read(position: number, target: Uint8Array): number;
}

/** The object that all shared mappings of a file show, with a reference for the caller; 0 if there is no room. */
export function sharedObject(mmu: Mmu, file: MappableFile): number {
  const { memory } = mmu;
  return withSharedFiles(memory, (list, find) => {
    let object = find(file.device, file.inode);
    if (object !== 0) holdObject(memory, object);
    else {
      object = createObject(mmu, 0, file);
      if (object === 0) return 0;
      linkSharedFile(memory, list, object, file.description);
    }
    if (file.writable) makeWritable(memory, object, file.description);
    setEnd(memory, object);
    return object;
  });
}

/** Bytes that are read from a file at once. */
const CHUNK_BYTES = 16 * PAGE_SIZE;

/**
 * Reads the bytes [offset, offset + length) of a file into an object that nobody else has yet; whole pages.
 * @returns 0, −errno of the file, or NO_ROOM
 */
export function loadFile(
  mmu: Mmu,
  object: number,
  file: MappableFile,
  offset: number,
  length: number,
): number {
  const { memory, ops } = mmu;
  const buffer = new Uint8Array(CHUNK_BYTES);
  const end = Math.min(offset + length, memory.f64[(object + MemoryObject.end) >>> 3]);
  for (let at = offset; at < end; ) {
    const count = file.read(at, buffer.subarray(0, Math.min(CHUNK_BYTES, end - at)));
    if (count < 0) return count;
    // Shorter than it was: what is missing reads as zero.
    const pages = Math.max(1, Math.ceil(count / PAGE_SIZE));
    for (let page = 0; page < pages; page++) {
      const frame = objectPage(mmu, object, at + page * PAGE_SIZE);
      if (frame < PAGE_SIZE) return NO_ROOM;
      const from = page * PAGE_SIZE;
      memory.u8.set(buffer.subarray(from, Math.min(from + PAGE_SIZE, count)), frame);
      ops.releaseFrame(frame);
    }
    at += pages * PAGE_SIZE;
  }
  return 0;
}

/** `loadFile`: the machine has no frames left. */
export const NO_ROOM = -12;
