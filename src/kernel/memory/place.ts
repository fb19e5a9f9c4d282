import { type Memory, PAGE_SIZE } from '../../memory/memory.js';
import { MMAP_BASE, MMAP_BOTTOM_UP_BASE, MMAP_MIN_ADDRESS, Mm, STACK_GUARD, TASK_SIZE } from './mm-layout.js';
import { findIndex, VmFlag, vmaAt, vmaCount, vmaEnd, vmaFlags, vmaStart } from './vma.js';

/** The lowest address that a mapping makes unusable for others: its start, or its guard gap's (vm_start_gap). */
export function startWithGap(memory: Memory, vma: number): number {
  const start = vmaStart(memory, vma);
  return vmaFlags(memory, vma) & VmFlag.growsDown ? Math.max(0, start - STACK_GUARD) : start;
}

/**
 * Chooses the place of a mapping that has none of its own (arch_get_unmapped_area_topdown): the hint if it is free, else the
 * highest hole below MMAP_BASE, else the lowest above MMAP_BOTTOM_UP_BASE.
 * @param hint page-aligned, 0 for none
 * @returns the address, or 0 if there is no room
 */
export function findPlace(memory: Memory, mm: number, hint: number, length: number): number {
  if (length > TASK_SIZE) return 0;
  if (hint !== 0 && hint <= TASK_SIZE - length) {
    const index = findIndex(memory, mm, hint);
    if (index === vmaCount(memory, mm) || hint + length <= startWithGap(memory, vmaAt(memory, mm, index))) {
      return hint;
    }
  }
  return topDown(memory, mm, length) || bottomUp(memory, mm, length);
}

/** The hint as do_mmap takes it (round_hint_to_min): page-aligned, and above what root alone may map. */
export function roundHint(address: number): number {
  const hint = address - (address % PAGE_SIZE);
  return address !== 0 && hint < MMAP_MIN_ADDRESS ? MMAP_MIN_ADDRESS : hint;
}

/**
 * The search begins at Mm.freeAreaTop: all holes above it have at most Mm.largestHole bytes. Unmapping moves it up again
 * (`holeMade`). So a program that maps and maps doesn't make us look at all its mappings each time.
 */
function topDown(memory: Memory, mm: number, length: number): number {
  const { f64 } = memory;
  const topWord = (mm + Mm.freeAreaTop) >>> 3;
  const largestWord = (mm + Mm.largestHole) >>> 3;
  let top = f64[topWord];
  let largest = f64[largestWord];
  if (length <= largest) {
    top = MMAP_BASE;
    largest = 0;
  }
  let index = findIndex(memory, mm, top);
  let ceiling = top;
  if (index < vmaCount(memory, mm)) ceiling = Math.min(top, startWithGap(memory, vmaAt(memory, mm, index)));
  for (index--; ; index--) {
    const floor = index < 0 ? PAGE_SIZE : vmaEnd(memory, vmaAt(memory, mm, index));
    const hole = ceiling - floor;
    if (hole >= length) {
      f64[topWord] = ceiling;
      f64[largestWord] = largest;
      return ceiling - length;
    }
    if (hole > largest) largest = hole;
    if (index < 0) return 0;
    ceiling = startWithGap(memory, vmaAt(memory, mm, index));
  }
}

function bottomUp(memory: Memory, mm: number, length: number): number {
  let floor = MMAP_BOTTOM_UP_BASE;
  const count = vmaCount(memory, mm);
  for (let index = findIndex(memory, mm, floor); index < count; index++) {
    const vma = vmaAt(memory, mm, index);
    if (floor + length <= startWithGap(memory, vma)) return floor;
    floor = Math.max(floor, vmaEnd(memory, vma));
  }
  return floor + length <= TASK_SIZE ? floor : 0;
}

/** Something ending at `end` was unmapped: the hole may be the highest one now. */
export function holeMade(memory: Memory, mm: number, end: number): void {
  const word = (mm + Mm.freeAreaTop) >>> 3;
  if (end <= memory.f64[word]) return;
  const index = findIndex(memory, mm, end);
  const above = index < vmaCount(memory, mm) ? vmaStart(memory, vmaAt(memory, mm, index)) : MMAP_BASE;
  memory.f64[word] = Math.min(MMAP_BASE, above);
}
