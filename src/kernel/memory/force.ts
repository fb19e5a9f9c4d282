import { Frame } from '../../memory/layout.js';
import { type Memory, PAGE_SIZE } from '../../memory/memory.js';
import { lockedExclusive } from '../../memory/rwlock.js';
import { frameTableEntry } from '../../mmu/frames.js';
import type { Mmu } from '../../mmu/mmu.js';
import { forcePage } from './fault.js';
import { Mm } from './mm-layout.js';
import { findVma, vmaEnd, vmaProt } from './vma.js';

/**
 * The kernel's access to an address space whatever its PKRU, and, unless the caller asks `permittedBytes`, whatever the pages'
 * protection: for the loader, /proc/pid/mem, process_vm_readv. Works on any mm, whether or not a CPU has it loaded.
 */

/** Reads as much as is mapped; returns the bytes read. */
export function forceRead(mmu: Mmu, mm: number, address: number, target: Uint8Array): number {
  return lockedExclusive(mmu.memory, mm + Mm.lock, () => readLocked(mmu, mm, address, target));
}

/** Writes as much as is mapped (copying private pages, but never through a write-protected shared mapping). */
export function forceWrite(mmu: Mmu, mm: number, address: number, source: Uint8Array): number {
  return lockedExclusive(mmu.memory, mm + Mm.lock, () => writeLocked(mmu, mm, address, source));
}

/** As `forceRead`, with the mm's lock held alone. */
export function readLocked(mmu: Mmu, mm: number, address: number, target: Uint8Array): number {
  return eachPage(mmu, mm, address, target.length, false, (frame, done, length) => {
    target.set(mmu.memory.u8.subarray(frame, frame + length), done);
  });
}

/** As `forceWrite`, with the mm's lock held alone. */
export function writeLocked(mmu: Mmu, mm: number, address: number, source: Uint8Array): number {
  return eachPage(mmu, mm, address, source.length, true, (frame, done, length) => {
    mmu.memory.u8.set(source.subarray(done, done + length), frame);
  });
}

/** How many of the first bytes of a range the mappings' protection allows, for an access that needs `prot`. The lock is held. */
export function permittedBytes(
  memory: Memory,
  mm: number,
  address: number,
  length: number,
  prot: number,
): number {
  const end = address + length;
  let at = address;
  while (at < end) {
    const vma = findVma(memory, mm, at);
    if (vma === 0 || !(vmaProt(memory, vma) & prot)) break;
    at = Math.min(end, vmaEnd(memory, vma));
  }
  return at - address;
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
