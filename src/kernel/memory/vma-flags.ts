import type { Mmu } from '../../mmu/mmu.js';
import { Errno } from '../errno.js';
import { mergeRegions } from './region.js';
import {
  findIndex,
  MAX_MAP_COUNT,
  splitVma,
  Vma,
  vmaAt,
  vmaCount,
  vmaEnd,
  vmaFlags,
  vmaStart,
} from './vma.js';

/**
 * Changes VmFlag bits of a range within one mapping, which is split for it and joined with its neighbours again. The mm's lock is
 * held alone. @returns 0 or −errno
 */
export function changeFlags(
  mmu: Mmu,
  mm: number,
  start: number,
  end: number,
  set: number,
  clear: number,
): number {
  const { memory } = mmu;
  let index = findIndex(memory, mm, start);
  const old = vmaFlags(memory, vmaAt(memory, mm, index));
  const wanted = (old & ~clear) | set;
  if (wanted === old) return 0;
  for (const edge of [start, end]) {
    const vma = vmaAt(memory, mm, index);
    if (edge <= vmaStart(memory, vma) || edge >= vmaEnd(memory, vma)) continue;
    if (vmaCount(memory, mm) >= MAX_MAP_COUNT || !splitVma(memory, mm, index, edge)) return -Errno.ENOMEM;
    if (edge === start) index++;
  }
  memory.store32(vmaAt(memory, mm, index) + Vma.flags, wanted);
  mergeRegions(mmu, mm, index, index);
  return 0;
}
