import { PAGE_SIZE } from '../../memory/memory.js';
import { frameReferences } from '../../mmu/frames.js';
import type { Mmu } from '../../mmu/mmu.js';
import { Prot } from '../../mmu/pte.js';
import { Errno } from '../errno.js';
import { Mm } from './mm-layout.js';
import { dropObject } from './object.js';
import { holeMade } from './place.js';
import {
  allocateVma,
  canMerge,
  findIndex,
  freeVma,
  insertVma,
  MAX_MAP_COUNT,
  removeVmas,
  reserveVmas,
  setVma,
  splitVma,
  Vma,
  type VmaFields,
  vmaAt,
  vmaCount,
  vmaEnd,
  vmaObject,
  vmaProt,
  vmaStart,
} from './vma.js';

/**
 * Adding and removing mappings, with the page tables. All expect the mm's lock, held alone.
 */

/** Adds a mapping to a free range, and joins it with its neighbours: 0 or −ENOMEM. Takes over the reference in `fields.object`. */
export function addRegion(mmu: Mmu, mm: number, fields: VmaFields): number {
  const { memory } = mmu;
  const vma = reserveVmas(memory, mm, 1) ? allocateVma(memory) : 0;
  if (vma === 0) {
    dropObject(mmu, fields.object);
    return -Errno.ENOMEM;
  }
  setVma(memory, vma, fields);
  const index = findIndex(memory, mm, fields.start);
  insertVma(memory, mm, index, vma);
  memory.f64[(mm + Mm.mappedBytes) >>> 3] += fields.end - fields.start;
  mergeRegions(mmu, mm, index, index);
  return 0;
}

/** Joins the mappings [first − 1, last + 1] where they continue each other. */
export function mergeRegions(mmu: Mmu, mm: number, first: number, last: number): void {
  const { memory } = mmu;
  for (let index = Math.min(last + 1, vmaCount(memory, mm) - 1); index >= Math.max(first, 1); index--) {
    const lower = vmaAt(memory, mm, index - 1);
    const upper = vmaAt(memory, mm, index);
    if (!canMerge(memory, lower, upper)) continue;
    memory.f64[(lower + Vma.end) >>> 3] = vmaEnd(memory, upper);
    removeVmas(memory, mm, index, index + 1);
    dropObject(mmu, vmaObject(memory, upper));
    freeVma(memory, upper);
  }
}

/**
 * Unmaps a page-aligned range (do_munmap): 0, or −ENOMEM if a mapping cannot be split. Frames are free for reuse when it returns:
 * no CPU has a translation any more.
 */
export function removeRegion(mmu: Mmu, mm: number, start: number, end: number): number {
  const { memory } = mmu;
  let first = findIndex(memory, mm, start);
  if (first === vmaCount(memory, mm)) return 0;
  let vma = vmaAt(memory, mm, first);
  if (vmaStart(memory, vma) >= end) return 0;
  if (vmaStart(memory, vma) < start) {
    // Only a hole in the middle of a mapping makes one more of them.
    if (vmaEnd(memory, vma) > end && vmaCount(memory, mm) >= MAX_MAP_COUNT) return -Errno.ENOMEM;
    if (!splitVma(memory, mm, first, start)) return -Errno.ENOMEM;
    first++;
  }
  let last = first;
  let code = false;
  let bytes = 0;
  for (; last < vmaCount(memory, mm); last++) {
    vma = vmaAt(memory, mm, last);
    if (vmaStart(memory, vma) >= end) break;
    if (vmaEnd(memory, vma) > end && !splitVma(memory, mm, last, end)) return -Errno.ENOMEM;
    if (vmaProt(memory, vma) & Prot.exec) code = true;
    bytes += vmaEnd(memory, vma) - vmaStart(memory, vma);
  }
  const gone: number[] = [];
  for (let index = first; index < last; index++) gone.push(vmaAt(memory, mm, index));
  removeVmas(memory, mm, first, last);
  memory.f64[(mm + Mm.mappedBytes) >>> 3] -= bytes;
  dropPages(mmu, mm, start, end, code);
  for (const old of gone) {
    dropObject(mmu, vmaObject(memory, old));
    freeVma(memory, old);
  }
  holeMade(memory, mm, end);
  return 0;
}

/** Empties the page-table entries of a range and releases the frames, when no CPU has translations of them any more. */
export function dropPages(mmu: Mmu, mm: number, start: number, end: number, code: boolean): void {
  const root = mmu.memory.loadU32(mm);
  // Translated code may outlive the TLB entry it was fetched by, and pages that were executed count as accessed.
  if (mmu.ops.zap(root, start, end) !== 0) mmu.shootdown.invalidate(mm, start, end, code);
  mmu.ops.release(root, start, end);
}

/** Whether an entry's frame belongs to one mapping only, so that writing to it is nobody else's business. */
export function ownedAlone(mmu: Mmu, frame: number): boolean {
  return frameReferences(mmu.memory, frame) === 1;
}

/** Rounded up to whole pages (PAGE_ALIGN), for lengths below 2^63. */
export function pageAlign(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
}
