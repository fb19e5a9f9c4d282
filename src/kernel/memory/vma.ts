import type { Memory } from '../../memory/memory.js';
import { Root, rootPointer } from '../../memory/roots.js';
import { kfree, kmalloc, slabAlloc, slabFree } from '../../memory/slab.js';
import { struct } from '../../memory/struct.js';
import { moveBytes } from '../../mmu/move.js';
import { holdObject } from './object.js';
import { Mm } from './mm-layout.js';

/**
 * The mappings of an mm: an array of pointers to Vma, sorted by address, without overlaps (struct vm_area_struct).
 * All functions expect the mm's lock: alone for those that change anything, shared for the others.
 */
export const Vma = struct({
  /** Bounds, page-aligned; `end` is exclusive. */
  start: 'f64',
  end: 'f64',
  /** Byte offset of `start` in the object; `start` itself where there is none, so that neighbours continue each other. */
  offset: 'f64',
  /** PROT_ bits. */
  prot: 'i32',
  /** VmFlag bits. */
  flags: 'i32',
  /** Protection key. */
  key: 'i32',
  /** MemoryObject whose pages it shows, with a reference; 0 for private anonymous memory. */
  object: 'u32',
});

/** Properties of a mapping other than protection and key (VM_*). Mappings that differ in any are never merged. */
export const VmFlag = {
  /** MAP_SHARED: writes reach the object. */
  shared: 1,
  growsDown: 2,
  noReserve: 4,
  locked: 8,
  /** Protection that mprotect may give: VM_MAYREAD, VM_MAYWRITE, VM_MAYEXEC. */
  mayRead: 0x10,
  mayWrite: 0x20,
  mayExec: 0x40,
  /** madvise. */
  dontFork: 0x80,
  wipeOnFork: 0x100,
  dontDump: 0x200,
  randomRead: 0x400,
  sequentialRead: 0x800,
  hugePage: 0x1000,
  noHugePage: 0x2000,
  mergeable: 0x4000,
  /** The main stack, and the vDSO: names for /proc, and the latter may not grow (VM_DONTEXPAND). */
  stack: 0x8000,
  special: 0x1_0000,
} as const;

/** sysctl vm.max_map_count. */
export const MAX_MAP_COUNT = 65530;

export const vmaStart = (memory: Memory, vma: number): number => memory.f64[(vma + Vma.start) >>> 3];
export const vmaEnd = (memory: Memory, vma: number): number => memory.f64[(vma + Vma.end) >>> 3];
export const vmaOffset = (memory: Memory, vma: number): number => memory.f64[(vma + Vma.offset) >>> 3];
export const vmaProt = (memory: Memory, vma: number): number => memory.i32[(vma + Vma.prot) >>> 2];
export const vmaFlags = (memory: Memory, vma: number): number => memory.i32[(vma + Vma.flags) >>> 2];
export const vmaKey = (memory: Memory, vma: number): number => memory.i32[(vma + Vma.key) >>> 2];
export const vmaObject = (memory: Memory, vma: number): number => memory.u32[(vma + Vma.object) >>> 2];

export function vmaCount(memory: Memory, mm: number): number {
  return memory.i32[(mm + Mm.vmaCount) >>> 2];
}

/** Pointer of the mapping with an index. */
export function vmaAt(memory: Memory, mm: number, index: number): number {
  return memory.u32[(memory.u32[(mm + Mm.vmas) >>> 2] >>> 2) + index];
}

/** Index of the first mapping that ends above an address (find_vma); the count if there is none. */
export function findIndex(memory: Memory, mm: number, address: number): number {
  const { u32, f64 } = memory;
  const array = u32[(mm + Mm.vmas) >>> 2] >>> 2;
  let low = 0;
  let high = memory.i32[(mm + Mm.vmaCount) >>> 2];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (f64[(u32[array + middle] + Vma.end) >>> 3] > address) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The mapping that contains an address (vma_lookup), or 0. */
export function findVma(memory: Memory, mm: number, address: number): number {
  const index = findIndex(memory, mm, address);
  if (index === vmaCount(memory, mm)) return 0;
  const vma = vmaAt(memory, mm, index);
  return vmaStart(memory, vma) <= address ? vma : 0;
}

/** Whether any mapping has an address of the range. */
export function intersects(memory: Memory, mm: number, start: number, end: number): boolean {
  const index = findIndex(memory, mm, start);
  return index < vmaCount(memory, mm) && vmaStart(memory, vmaAt(memory, mm, index)) < end;
}

/** What a new mapping is to be; `object` with a reference that it takes over. */
export interface VmaFields {
  start: number;
  end: number;
  offset: number;
  prot: number;
  flags: number;
  key: number;
  object: number;
}

export function allocateVma(memory: Memory): number {
  return slabAlloc(memory, rootPointer(memory, Root.vmaSlab));
}

export function freeVma(memory: Memory, vma: number): void {
  slabFree(memory, rootPointer(memory, Root.vmaSlab), vma);
}

export function setVma(memory: Memory, vma: number, fields: VmaFields): void {
  const { f64, i32 } = memory;
  f64[(vma + Vma.start) >>> 3] = fields.start;
  f64[(vma + Vma.end) >>> 3] = fields.end;
  f64[(vma + Vma.offset) >>> 3] = fields.offset;
  i32[(vma + Vma.prot) >>> 2] = fields.prot;
  i32[(vma + Vma.flags) >>> 2] = fields.flags;
  i32[(vma + Vma.key) >>> 2] = fields.key;
  i32[(vma + Vma.object) >>> 2] = fields.object;
}

/** Makes room for `more` further mappings in the array; false if there is none. */
export function reserveVmas(memory: Memory, mm: number, more: number): boolean {
  const count = vmaCount(memory, mm);
  const capacity = memory.load32(mm + Mm.vmaCapacity);
  if (count + more <= capacity) return true;
  let bigger = Math.max(16, capacity);
  while (bigger < count + more) bigger *= 2;
  const array = kmalloc(memory, bigger * 4);
  if (array === 0) return false;
  const old = memory.loadU32(mm + Mm.vmas);
  if (old !== 0) {
    memory.u8.copyWithin(array, old, old + count * 4);
    kfree(memory, old, capacity * 4);
  }
  memory.store32(mm + Mm.vmas, array);
  memory.store32(mm + Mm.vmaCapacity, bigger);
  return true;
}

/** Puts a mapping at an index; room has been reserved. */
export function insertVma(memory: Memory, mm: number, index: number, vma: number): void {
  const array = memory.loadU32(mm + Mm.vmas) >>> 2;
  const count = vmaCount(memory, mm);
  moveBytes(memory, (array + index + 1) * 4, (array + index) * 4, (count - index) * 4);
  memory.u32[array + index] = vma;
  memory.store32(mm + Mm.vmaCount, count + 1);
}

/** Takes the mappings [from, to) out of the array; they are not freed. */
export function removeVmas(memory: Memory, mm: number, from: number, to: number): void {
  const array = memory.loadU32(mm + Mm.vmas) >>> 2;
  const count = vmaCount(memory, mm);
  moveBytes(memory, (array + from) * 4, (array + to) * 4, (count - to) * 4);
  memory.store32(mm + Mm.vmaCount, count - (to - from));
}

/** Splits a mapping: the part from `address` on gets the next index. False if there is no room for it. */
export function splitVma(memory: Memory, mm: number, index: number, address: number): boolean {
  if (!reserveVmas(memory, mm, 1)) return false;
  const upper = allocateVma(memory);
  if (upper === 0) return false;
  const lower = vmaAt(memory, mm, index);
  memory.u8.copyWithin(upper, lower, lower + Vma.size);
  const { f64 } = memory;
  f64[(upper + Vma.start) >>> 3] = address;
  f64[(upper + Vma.offset) >>> 3] += address - vmaStart(memory, lower);
  f64[(lower + Vma.end) >>> 3] = address;
  holdObject(memory, vmaObject(memory, upper));
  insertVma(memory, mm, index + 1, upper);
  return true;
}

/** Whether two mappings in this order can be one (can_vma_merge_after). */
export function canMerge(memory: Memory, lower: number, upper: number): boolean {
  const { i32 } = memory;
  const length = vmaEnd(memory, lower) - vmaStart(memory, lower);
  return (
    vmaEnd(memory, lower) === vmaStart(memory, upper) &&
    i32[(lower + Vma.prot) >>> 2] === i32[(upper + Vma.prot) >>> 2] &&
    i32[(lower + Vma.flags) >>> 2] === i32[(upper + Vma.flags) >>> 2] &&
    i32[(lower + Vma.key) >>> 2] === i32[(upper + Vma.key) >>> 2] &&
    i32[(lower + Vma.object) >>> 2] === i32[(upper + Vma.object) >>> 2] &&
    vmaOffset(memory, lower) + length === vmaOffset(memory, upper)
  );
}
