import { PfError } from '../../cpu/state.js';
import { PAGE_SIZE } from '../../memory/memory.js';
import type { Mmu } from '../../mmu/mmu.js';
import { Prot } from '../../mmu/pte.js';
import { Fault, handleFault } from './fault.js';
import { findVma, VmFlag, vmaEnd, vmaFlags, vmaProt } from './vma.js';

/** No key denies anything: populating is not the program's access. */
const ALL_KEYS = 0;

/**
 * Makes the pages of a range as if each had been read, or written if that is what a private mapping allows
 * (__mm_populate): stops at the first that cannot be made. No lock is held.
 * @returns 0, or the Fault that stopped it
 */
export function populate(mmu: Mmu, mm: number, start: number, end: number): number {
  const { memory } = mmu;
  for (let page = start; page < end; page += PAGE_SIZE) {
    // Looked up without the lock: a wrong answer makes the fault fail, no more.
    const vma = findVma(memory, mm, page);
    if (vma === 0) return Fault.maperr;
    const prot = vmaProt(memory, vma);
    const write = (prot & Prot.write) !== 0 && !(vmaFlags(memory, vma) & VmFlag.shared);
    const fault = makePageFor(mmu, mm, page, write ? PfError.write : 0);
    if (fault !== Fault.handled) return fault;
    if (vmaEnd(memory, vma) <= page) return Fault.maperr;
  }
  return 0;
}

/** As a fault of the kernel; a page that is there already is fine. */
export function makePageFor(mmu: Mmu, mm: number, page: number, error: number): number {
  return handleFault(mmu, mm, page, error, ALL_KEYS);
}
