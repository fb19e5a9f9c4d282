import { CpuState } from '../../cpu/state.js';
import type { Memory } from '../../memory/memory.js';
import { Root, rootPointer } from '../../memory/roots.js';
import { lockExclusive, unlockExclusive } from '../../memory/rwlock.js';
import { kfree, slabAlloc, slabFree } from '../../memory/slab.js';
import { AddressSpace } from '../../mmu/address-space.js';
import type { Mmu } from '../../mmu/mmu.js';
import { forkPkeys, initPkeys } from '../pkeys/lifetime.js';
import { MMAP_BASE, Mm, TASK_SIZE } from './mm-layout.js';
import { dropObject, holdObject } from './object.js';
import {
  allocateVma,
  freeVma,
  insertVma,
  reserveVmas,
  Vma,
  VmFlag,
  vmaAt,
  vmaCount,
  vmaEnd,
  vmaFlags,
  vmaObject,
  vmaStart,
} from './vma.js';

/**
 * The life of an address space. `Mm.users` counts processes; without any it is emptied. The CPUs that still have it loaded
 * (idle, with nothing else to load) keep the struct itself, as `Mm.references`.
 */

/** An empty address space with one user, for exec: no mappings, pkey state of a new program. 0 if there is no memory. */
export function createMm(mmu: Mmu): number {
  const { memory } = mmu;
  const mm = slabAlloc(memory, rootPointer(memory, Root.mmSlab));
  if (mm === 0) return 0;
  const root = mmu.ops.allocateFrame();
  if (root === 0) {
    slabFree(memory, rootPointer(memory, Root.mmSlab), mm);
    return 0;
  }
  memory.store32(mm + Mm.space + AddressSpace.root, root);
  memory.store32(mm + Mm.users, 1);
  memory.store32(mm + Mm.references, 1);
  const { f64 } = memory;
  f64[(mm + Mm.addressLimit) >>> 3] = Infinity;
  f64[(mm + Mm.dataLimit) >>> 3] = Infinity;
  f64[(mm + Mm.stackLimit) >>> 3] = 8 << 20;
  f64[(mm + Mm.freeAreaTop) >>> 3] = MMAP_BASE;
  initPkeys(memory, mm);
  return mm;
}

export function holdMm(memory: Memory, mm: number): void {
  Atomics.add(memory.i32, (mm + Mm.users) >>> 2, 1);
}

/**
 * Drops a process's use of an mm; the last one empties it. The CPU may still have it loaded, but must not run guest code with
 * it any more.
 */
export function dropMm(mmu: Mmu, mm: number): void {
  const { memory } = mmu;
  if (Atomics.sub(memory.i32, (mm + Mm.users) >>> 2, 1) !== 1) return;
  lockExclusive(memory, mm + Mm.lock);
  const root = memory.loadU32(mm + AddressSpace.root);
  // Nobody runs guest code here any more, but looks from outside may be under way, and CPUs keep what they cached.
  memory.store32(mm + AddressSpace.root, 0);
  mmu.shootdown.invalidate(mm, 0, TASK_SIZE, true);
  const count = vmaCount(memory, mm);
  for (let i = 0; i < count; i++) {
    const vma = vmaAt(memory, mm, i);
    dropObject(mmu, vmaObject(memory, vma));
    freeVma(memory, vma);
  }
  memory.store32(mm + Mm.vmaCount, 0);
  mmu.ops.destroy(root, 4);
  unlockExclusive(memory, mm + Mm.lock);
  forgetMm(memory, mm);
}

/** Drops a reference to the struct. */
function forgetMm(memory: Memory, mm: number): void {
  if (Atomics.sub(memory.i32, (mm + Mm.references) >>> 2, 1) !== 1) return;
  const vmas = memory.loadU32(mm + Mm.vmas);
  if (vmas !== 0) kfree(memory, vmas, memory.load32(mm + Mm.vmaCapacity) * 4);
  slabFree(memory, rootPointer(memory, Root.mmSlab), mm);
}

/** Makes an mm (0 for none) the CPU's: its TLB and translated code are empty afterwards. In kernel mode. */
export function loadMm(mmu: Mmu, mm: number): void {
  const { memory } = mmu;
  const old = memory.loadU32(mmu.cpu.base + CpuState.mm);
  if (mm !== 0) Atomics.add(memory.i32, (mm + Mm.references) >>> 2, 1);
  mmu.load(mm);
  if (old !== 0) forgetMm(memory, old);
}

/**
 * A copy of an address space (dup_mmap): private pages are shared until somebody writes to them. The pkey state is copied as
 * the ABI says. @returns 0 if there is not enough memory
 */
export function forkMm(mmu: Mmu, parent: number): number {
  const { memory } = mmu;
  const child = createMm(mmu);
  if (child === 0) return 0;
  lockExclusive(memory, parent + Mm.lock);
  const done = copyMappings(mmu, parent, child);
  if (done) {
    const { f64 } = memory;
    for (const field of [
      Mm.startBrk,
      Mm.brk,
      Mm.addressLimit,
      Mm.dataLimit,
      Mm.stackLimit,
      Mm.freeAreaTop,
      Mm.largestHole,
      Mm.vdso,
    ]) {
      f64[(child + field) >>> 3] = f64[(parent + field) >>> 3];
    }
    forkPkeys(memory, parent, child);
  }
  unlockExclusive(memory, parent + Mm.lock);
  if (done) return child;
  dropMm(mmu, child);
  return 0;
}

function copyMappings(mmu: Mmu, parent: number, child: number): boolean {
  const { memory, ops } = mmu;
  const count = vmaCount(memory, parent);
  if (!reserveVmas(memory, child, count)) return false;
  const from = memory.loadU32(parent + AddressSpace.root);
  const to = memory.loadU32(child + AddressSpace.root);
  memory.store32(parent + Mm.copyOnWrite, 1);
  memory.store32(child + Mm.copyOnWrite, 1);
  let writable = 0;
  let complete = true;
  for (let i = 0; i < count; i++) {
    const vma = vmaAt(memory, parent, i);
    const flags = vmaFlags(memory, vma);
    if (flags & VmFlag.dontFork) continue;
    const copy = allocateVma(memory);
    if (copy === 0) {
      complete = false;
      break;
    }
    memory.u8.copyWithin(copy, vma, vma + Vma.size);
    memory.store32(copy + Vma.flags, flags & ~VmFlag.locked);
    holdObject(memory, vmaObject(memory, vma));
    insertVma(memory, child, vmaCount(memory, child), copy);
    memory.f64[(child + Mm.mappedBytes) >>> 3] += vmaEnd(memory, vma) - vmaStart(memory, vma);
    // Pages of shared mappings are found again through their object; wiped ones are to be empty.
    if (flags & (VmFlag.shared | VmFlag.wipeOnFork)) continue;
    const shared = ops.share(from, vmaStart(memory, vma), vmaEnd(memory, vma), to, 1);
    writable |= shared;
    if (shared < 0) {
      complete = false;
      break;
    }
  }
  // Other threads of the parent must not go on writing to what is shared now.
  if (writable !== 0) mmu.shootdown.invalidate(parent, 0, TASK_SIZE, false);
  return complete;
}
