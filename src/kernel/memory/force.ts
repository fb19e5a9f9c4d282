import { Frame } from '../../memory/layout.js';
import { PAGE_SIZE } from '../../memory/memory.js';
import { lockExclusive, unlockExclusive } from '../../memory/rwlock.js';
import { frameTableEntry } from '../../mmu/frames.js';
import type { Mmu } from '../../mmu/mmu.js';
import { Prot } from '../../mmu/pte.js';
import { forcePage } from './fault.js';
import { Mm } from './mm-layout.js';
import { findVma, vmaProt } from './vma.js';

/**
 * The kernel's access to an address space that is not under the owner's PKRU, nor (the `force` ones) under the pages'
 * protection: the loader, /proc/pid/mem, process_vm_readv. Works on any mm, whether or not a CPU has it loaded.
 */

/** Reads as much as is mapped; returns the bytes read. */
export function forceRead(mmu: Mmu, mm: number, address: number, target: Uint8Array): number {
  lockExclusive(mmu.memory, mm + Mm.lock);
  try {
    return eachPage(mmu, mm, address, target.length, false, (frame, done, length) => {
      target.set(mmu.memory.u8.subarray(frame, frame + length), done);
    });
  } finally {
    unlockExclusive(mmu.memory, mm + Mm.lock);
  }
}

/** Writes as much as is mapped (copying private pages, but never through a write-protected shared mapping). */
export function forceWrite(mmu: Mmu, mm: number, address: number, source: Uint8Array): number {
  lockExclusive(mmu.memory, mm + Mm.lock);
  try {
    return eachPage(mmu, mm, address, source.length, true, (frame, done, length) => {
      mmu.memory.u8.set(source.subarray(done, done + length), frame);
    });
  } finally {
    unlockExclusive(mmu.memory, mm + Mm.lock);
  }
}

/** Writes to pages that the program itself may write, whatever their keys; the lock is held alone. False if it cannot all be written. */
export function writeLocked(mmu: Mmu, mm: number, address: number, source: Uint8Array): boolean {
  const end = address + source.length;
  for (let page = address - (address % PAGE_SIZE); page < end; page += PAGE_SIZE) {
    const vma = findVma(mmu.memory, mm, page);
    if (vma === 0 || !(vmaProt(mmu.memory, vma) & Prot.write)) return false;
  }
  const written = eachPage(mmu, mm, address, source.length, true, (frame, done, length) => {
    mmu.memory.u8.set(source.subarray(done, done + length), frame);
  });
  return written === source.length;
}

/** Calls `use` with the pointer of each page's part of a range. Returns the bytes before the first page that is not there. */
function eachPage(
  mmu: Mmu,
  mm: number,
  address: number,
  length: number,
  write: boolean,
  use: (pointer: number, done: number, length: number) => void,
): number {
  for (let done = 0; done < length; ) {
    const at = address + done;
    const offset = at % PAGE_SIZE;
    const piece = Math.min(length - done, PAGE_SIZE - offset);
    const frame = forcePage(mmu, mm, at - offset, write);
    if (frame === 0) return done;
    use(frame + offset, done, piece);
    const mask = (frameTableEntry(mmu.memory, frame) + Frame.codeMask) >>> 2;
    if (write && Atomics.load(mmu.memory.i32, mask) !== 0) mmu.code.dropFrame(frame);
    done += piece;
  }
  return length;
}
