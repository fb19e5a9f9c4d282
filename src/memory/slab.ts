import { MACHINE, Machine } from './layout.js';
import { lock, unlock } from './lock.js';
import { type Memory, PAGE_SIZE } from './memory.js';
import { Root, rootPointer, setRoot } from './roots.js';
import { alignUp, struct } from './struct.js';

/**
 * Allocators for kernel structures, on the kernel heap of the machine. All workers share them.
 *
 * The heap itself only grows (a bump pointer); slabs and size classes keep what is freed for their own reuse.
 * Memory handed out is zeroed. A result of 0 means that the heap is used up: callers answer ENOMEM.
 * Their locks are innermost: nothing is locked while one is held.
 */
const Slab = struct({
  lock: 'i32',
  /** First free object; each links to the next in its first word. */
  free: 'u32',
  /** Distance between objects, bytes. */
  stride: 'u32',
  /** Objects that a new chunk has. */
  perChunk: 'u32',
  /** Objects in use. */
  used: 'i32',
});

/** Objects of at least this many bytes start at multiples of it (a cache line; an XSAVE image needs that). */
const LINE = 64;

const CHUNK_BYTES = 4 * PAGE_SIZE;

/** Takes zeroed bytes from the heap, for good. `align` is a power of two. */
export function heapAllocate(memory: Memory, bytes: number, align = LINE): number {
  const index = (MACHINE + Machine.heapNext) >>> 2;
  const end = memory.loadU32(MACHINE + Machine.heapEnd);
  for (;;) {
    const next = Atomics.load(memory.u32, index);
    const start = alignUp(next || memory.loadU32(MACHINE + Machine.heapBase), align);
    if (start + bytes > end) return 0;
    if (Atomics.compareExchange(memory.u32, index, next, start + bytes) === next) return start;
  }
}

/**
 * Makes a slab and puts its pointer into a root slot. Called once at boot, before other workers use the slot.
 * @param rootSlot one of `Root`
 * @returns pointer of the slab, for slabAlloc and slabFree; later `rootPointer(memory, rootSlot)` gives it too
 */
export function createSlab(memory: Memory, rootSlot: number, objectSize: number): number {
  const slab = makeSlab(memory, objectSize);
  setRoot(memory, rootSlot, slab);
  return slab;
}

function makeSlab(memory: Memory, objectSize: number): number {
  const slab = heapAllocate(memory, alignUp(Slab.size, LINE));
  if (slab === 0) throw new Error('the kernel heap has no room for a slab');
  initSlab(memory, slab, objectSize);
  return slab;
}

function initSlab(memory: Memory, slab: number, objectSize: number): void {
  const stride = alignUp(objectSize, objectSize >= LINE ? LINE : 16);
  memory.store32(slab + Slab.stride, stride);
  memory.store32(slab + Slab.perChunk, Math.max(1, Math.floor(CHUNK_BYTES / stride)));
}

/** A zeroed object, or 0 if the heap is used up. */
export function slabAlloc(memory: Memory, slab: number): number {
  lock(memory, slab + Slab.lock);
  let object = memory.loadU32(slab + Slab.free);
  if (object === 0) object = addChunk(memory, slab);
  if (object !== 0) {
    memory.store32(slab + Slab.free, memory.loadU32(object));
    memory.store32(slab + Slab.used, memory.load32(slab + Slab.used) + 1);
  }
  unlock(memory, slab + Slab.lock);
  if (object !== 0) memory.i32.fill(0, object >>> 2, (object + memory.loadU32(slab + Slab.stride)) >>> 2);
  return object;
}

/** Gives an object back to the slab it came from. */
export function slabFree(memory: Memory, slab: number, object: number): void {
  lock(memory, slab + Slab.lock);
  memory.store32(object, memory.loadU32(slab + Slab.free));
  memory.store32(slab + Slab.free, object);
  memory.store32(slab + Slab.used, memory.load32(slab + Slab.used) - 1);
  unlock(memory, slab + Slab.lock);
}

/** Objects in use, for tests and statistics. */
export function slabUsed(memory: Memory, slab: number): number {
  return Atomics.load(memory.i32, (slab + Slab.used) >>> 2);
}

/** Links the objects of a new chunk into the free list; returns the first, or 0. The lock is held. */
function addChunk(memory: Memory, slab: number): number {
  const stride = memory.loadU32(slab + Slab.stride);
  let count = memory.loadU32(slab + Slab.perChunk);
  let chunk = heapAllocate(memory, count * stride);
  // Near the end of the heap a single object may still fit.
  if (chunk === 0) chunk = heapAllocate(memory, stride * (count = 1));
  if (chunk === 0) return 0;
  for (let i = count - 1, next = 0; i >= 0; i--) {
    memory.store32(chunk + i * stride, next);
    next = chunk + i * stride;
  }
  memory.store32(slab + Slab.free, chunk);
  return chunk;
}

const SMALLEST_LOG2 = 4;
const LARGEST_LOG2 = 22;

/** Sets up `kmalloc`. Called once at boot, before anything else uses it. */
export function createHeapClasses(memory: Memory): void {
  const bytes = alignUp(Slab.size, LINE);
  const classes = heapAllocate(memory, (LARGEST_LOG2 - SMALLEST_LOG2 + 1) * bytes);
  if (classes === 0) throw new Error('the kernel heap has no room for its size classes');
  for (let log2 = SMALLEST_LOG2; log2 <= LARGEST_LOG2; log2++) {
    initSlab(memory, classes + (log2 - SMALLEST_LOG2) * bytes, 2 ** log2);
  }
  setRoot(memory, Root.heapClasses, classes);
}

function heapClass(memory: Memory, bytes: number): number {
  const log2 = bytes <= 16 ? SMALLEST_LOG2 : 32 - Math.clz32(bytes - 1);
  if (log2 > LARGEST_LOG2) return 0;
  return rootPointer(memory, Root.heapClasses) + (log2 - SMALLEST_LOG2) * alignUp(Slab.size, LINE);
}

/** Zeroed memory of any size up to 4 MiB (rounded up to a power of two), or 0. */
export function kmalloc(memory: Memory, bytes: number): number {
  const slab = heapClass(memory, bytes);
  return slab === 0 ? 0 : slabAlloc(memory, slab);
}

/** Frees what `kmalloc` gave for the same number of bytes. */
export function kfree(memory: Memory, pointer: number, bytes: number): void {
  slabFree(memory, heapClass(memory, bytes), pointer);
}
