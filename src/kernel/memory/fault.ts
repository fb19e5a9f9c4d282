import { CpuState, Exit, PfError } from '../../cpu/state.js';
import { MACHINE, Machine } from '../../memory/layout.js';
import { PAGE_SIZE } from '../../memory/memory.js';
import { hasMutant, Mutant } from '../../memory/mutants.js';
import { Root } from '../../memory/roots.js';
import { lockExclusive, lockShared, unlockExclusive, unlockShared } from '../../memory/rwlock.js';
import type { Mmu } from '../../mmu/mmu.js';
import { leafHigh, leafLow, Prot, Pte } from '../../mmu/pte.js';
import { enterKernel, enterUser } from '../../mmu/shootdown.js';
import { Access } from '../../mmu/walk.js';
import { say } from '../host-write.js';
import { Mm, STACK_GUARD, TASK_SIZE } from './mm-layout.js';
import { BEYOND_END, hasPages, NO_FRAME, objectPage } from './object.js';
import { ownedAlone } from './region.js';
import {
  findIndex,
  VmFlag,
  Vma,
  vmaAt,
  vmaCount,
  vmaEnd,
  vmaFlags,
  vmaKey,
  vmaObject,
  vmaOffset,
  vmaProt,
  vmaStart,
} from './vma.js';

/**
 * Page faults (arch/x86/mm/fault.c, mm/memory.c). What a fault comes to; of a `pkuerr`, the key is in the bits from 8 on.
 */
export const Fault = {
  /** The page is there now, or the reason has gone: try again. */
  handled: 0,
  /** Nothing is mapped there. */
  maperr: 1,
  /** The mapping doesn't allow it. */
  accerr: 2,
  /** A protection key denies it. */
  pkuerr: 3,
  /** Beyond the end of a mapped file. */
  bus: 4,
  /** The machine has no frames left. */
  outOfMemory: 5,
} as const;

/** `tryFault` needs the lock alone. Never leaves this file. */
const NEEDS_LOCK = -1;

/** The signal a fault means: numbers as in siginfo_t. */
export interface FaultSignal {
  signal: number;
  code: number;
  /** Key of the mapping when the fault was handled (si_pkey), with SEGV_PKUERR. */
  pkey: number;
}

const SIGBUS = 7;
const SIGKILL = 9;
const SIGSEGV = 11;
const SEGV_MAPERR = 1;
const SEGV_ACCERR = 2;
const SEGV_PKUERR = 4;
const BUS_ADRERR = 2;

/** The signal for a fault that is not `handled`. */
export function faultSignal(fault: number): FaultSignal {
  switch (fault & 0xff) {
    case Fault.accerr:
      return { signal: SIGSEGV, code: SEGV_ACCERR, pkey: 0 };
    case Fault.pkuerr:
      return { signal: SIGSEGV, code: SEGV_PKUERR, pkey: fault >> 8 };
    case Fault.bus:
      return { signal: SIGBUS, code: BUS_ADRERR, pkey: 0 };
    case Fault.outOfMemory:
      return { signal: SIGKILL, code: 0, pkey: 0 };
    default:
      return { signal: SIGSEGV, code: SEGV_MAPERR, pkey: 0 };
  }
}

/**
 * Handles a page fault at a user address, in kernel mode and without locks (do_user_addr_fault).
 * @param error page-fault error code; for the kernel's own accesses without the user bit
 * @param pkru rights of the access
 * @returns a Fault
 */
export function handleFault(mmu: Mmu, mm: number, address: number, error: number, pkru: number): number {
  if (mm === 0 || address >= TASK_SIZE) return Fault.maperr;
  const { memory } = mmu;
  // By hand rather than by `lockedShared`: every page of a program passes here.
  lockShared(memory, mm + Mm.lock);
  const result = tryFault(mmu, mm, address, error, pkru, false);
  unlockShared(memory, mm + Mm.lock);
  if (result !== NEEDS_LOCK) return result;
  lockExclusive(memory, mm + Mm.lock);
  const second = tryFault(mmu, mm, address, error, pkru, true);
  unlockExclusive(memory, mm + Mm.lock);
  return second;
}

/** As `handleFault`, for callers that hold the mm's lock alone. */
export function handleFaultLocked(
  mmu: Mmu,
  mm: number,
  address: number,
  error: number,
  pkru: number,
): number {
  return address >= TASK_SIZE ? Fault.maperr : tryFault(mmu, mm, address, error, pkru, true);
}

function tryFault(
  mmu: Mmu,
  mm: number,
  address: number,
  error: number,
  pkru: number,
  alone: boolean,
): number {
  const { memory } = mmu;
  const index = findIndex(memory, mm, address);
  if (index === vmaCount(memory, mm)) return Fault.maperr;
  const vma = vmaAt(memory, mm, index);
  if (vmaStart(memory, vma) > address) {
    if (!(vmaFlags(memory, vma) & VmFlag.growsDown)) return Fault.maperr;
    if (!alone) return NEEDS_LOCK;
    if (!expandStack(mmu, mm, index, address - (address % PAGE_SIZE))) return Fault.maperr;
  }
  // access_error: what the error code says comes first, then the mapping, so that no page is made for a denied access.
  const fetch = (error & PfError.fetch) !== 0;
  const write = (error & PfError.write) !== 0;
  const prot = vmaProt(memory, vma);
  const key = vmaKey(memory, vma);
  const denied = fetch ? 0 : (pkru >>> (2 * key)) & (write ? 3 : 1);
  if (error & PfError.pk || denied) return Fault.pkuerr | (key << 8);
  if (write ? !(prot & Prot.write) : error & PfError.present || prot === 0) return Fault.accerr;
  return makePage(mmu, mm, vma, address - (address % PAGE_SIZE), write, alone);
}

/** expand_stack: makes a mapping that grows down begin at `start`. */
function expandStack(mmu: Mmu, mm: number, index: number, start: number): boolean {
  const { memory } = mmu;
  const { f64 } = memory;
  const vma = vmaAt(memory, mm, index);
  if (vmaEnd(memory, vma) - start > f64[(mm + Mm.stackLimit) >>> 3]) return false;
  const more = vmaStart(memory, vma) - start;
  if (f64[(mm + Mm.mappedBytes) >>> 3] + more > f64[(mm + Mm.addressLimit) >>> 3]) return false;
  if (index > 0) {
    const below = vmaAt(memory, mm, index - 1);
    const guarded = !(vmaFlags(memory, below) & VmFlag.growsDown) && vmaProt(memory, below) !== 0;
    if (start < vmaEnd(memory, below) + (guarded ? STACK_GUARD : 0)) return false;
  } else if (start < PAGE_SIZE) return false;
  f64[(vma + Vma.start) >>> 3] = start;
  f64[(vma + Vma.offset) >>> 3] -= more;
  f64[(mm + Mm.mappedBytes) >>> 3] += more;
  return true;
}

/** handle_mm_fault for an access that the mapping allows: finds or makes the page, and enters it. */
function makePage(mmu: Mmu, mm: number, vma: number, page: number, write: boolean, alone: boolean): number {
  const { memory, ops } = mmu;
  const root = memory.loadU32(mm);
  const prot = vmaProt(memory, vma);
  const high = leafHigh(prot, vmaKey(memory, vma));
  const low = leafLow(prot) | Pte.accessed | (write ? Pte.dirty : 0);
  const object = vmaObject(memory, vma);
  const shared = (vmaFlags(memory, vma) & VmFlag.shared) !== 0;
  for (;;) {
    const entry = readEntry(mmu, root, page);
    if (entry !== 0) {
      const stale = !(entry & Pte.present) || (write && !(entry & Pte.writable));
      // Somebody else was faster, or the TLB was behind.
      if (!stale) return Fault.handled;
      return writeFault(mmu, mm, vma, page, alone);
    }
    let frame: number;
    let flags = low;
    if (!hasPages(memory, object)) frame = ops.allocateFrame() >>> 0;
    else {
      frame = objectPage(mmu, object, page - vmaStart(memory, vma) + vmaOffset(memory, vma));
      if (frame === BEYOND_END) return Fault.bus;
      if (!shared && frame !== NO_FRAME) {
        // The file's page, write-protected; a write gets a copy at once.
        if (write) frame = copyOf(mmu, frame, true);
        else flags &= ~Pte.writable;
      }
    }
    if (frame === NO_FRAME) return Fault.outOfMemory;
    const mapped = ops.map(root, page, 0, 0, frame | flags, high);
    if (mapped === 1) return Fault.handled;
    ops.releaseFrame(frame);
    if (mapped === 0) return Fault.outOfMemory;
  }
}

/** A write, which the mapping allows, to a page whose entry is write-protected: copy on write. */
function writeFault(mmu: Mmu, mm: number, vma: number, page: number, alone: boolean): number {
  if (!alone) return NEEDS_LOCK;
  const { memory, ops } = mmu;
  const root = memory.loadU32(mm);
  const prot = vmaProt(memory, vma);
  const high = leafHigh(prot, vmaKey(memory, vma));
  const flags = leafLow(prot) | Pte.accessed | Pte.dirty;
  for (;;) {
    const low = readEntry(mmu, root, page);
    const oldHigh = memory.load32(entryWord(mmu) + 4);
    const frame = (low & -PAGE_SIZE) >>> 0;
    if (vmaFlags(memory, vma) & VmFlag.shared || ownedAlone(mmu, frame)) {
      if (ops.map(root, page, low, oldHigh, frame | flags, high) === 1) return Fault.handled;
      continue;
    }
    const copy = copyOf(mmu, frame, false);
    if (copy === NO_FRAME) return Fault.outOfMemory;
    if (ops.map(root, page, low, oldHigh, copy | flags, high) !== 1) {
      ops.releaseFrame(copy);
      continue;
    }
    // Others may still read the old frame through their TLBs.
    mmu.shootdown.invalidate(mm, page, page + PAGE_SIZE, (prot & Prot.exec) !== 0);
    ops.releaseFrame(frame);
    return Fault.handled;
  }
}

/** A new frame with the contents of another, whose reference is dropped if `release`. */
function copyOf(mmu: Mmu, frame: number, release: boolean): number {
  const { memory, ops } = mmu;
  const copy = ops.allocateFrame() >>> 0;
  if (copy !== 0) memory.u8.copyWithin(copy, frame, frame + PAGE_SIZE);
  if (release) ops.releaseFrame(frame);
  return copy;
}

/** Scratch of the CPU's own for reading an entry. */
const entryWord = (mmu: Mmu): number => mmu.scratch;

/** Low half of an entry, signed; 0 if there is none. The high half is at the scratch word + 4 afterwards. */
function readEntry(mmu: Mmu, root: number, page: number): number {
  return mmu.ops.entry(root, page, mmu.scratch) === 0 ? 0 : mmu.memory.load32(mmu.scratch);
}

/**
 * The frame of a page whatever its protection and key say: for debuggers, /proc/pid/mem and the loader (FOLL_FORCE). The caller
 * holds the lock alone, and uses the frame while it does.
 * @returns pointer of the frame; 0 if nothing is mapped there, or there is no frame left
 */
export function forcePage(mmu: Mmu, mm: number, page: number, write: boolean): number {
  const { memory, ops } = mmu;
  if (page >= TASK_SIZE) return 0;
  const index = findIndex(memory, mm, page);
  if (index === vmaCount(memory, mm)) return 0;
  const vma = vmaAt(memory, mm, index);
  if (vmaStart(memory, vma) > page) return 0;
  const root = memory.loadU32(mm);
  const prot = vmaProt(memory, vma);
  const shared = (vmaFlags(memory, vma) & VmFlag.shared) !== 0;
  if (write && shared && !(prot & Prot.write)) return 0;
  let low = readEntry(mmu, root, page);
  if (low === 0) {
    if (makePage(mmu, mm, vma, page, false, true) !== Fault.handled) return 0;
    low = readEntry(mmu, root, page);
  }
  let frame = (low & -PAGE_SIZE) >>> 0;
  if (write && !shared && !ownedAlone(mmu, frame)) {
    const copy = copyOf(mmu, frame, false);
    if (copy === 0) return 0;
    for (;;) {
      const high = memory.load32(entryWord(mmu) + 4);
      if (ops.map(root, page, low, high, copy | (low & (PAGE_SIZE - 1)), high) === 1) break;
      low = readEntry(mmu, root, page);
    }
    mmu.shootdown.invalidate(mm, page, page + PAGE_SIZE, (prot & Prot.exec) !== 0);
    ops.releaseFrame(frame);
    frame = copy;
  }
  return frame;
}

/** What UserMemory does about a refused access. */
export function kernelFault(mmu: Mmu, mm: number, address: number, access: number, pkru: number): boolean {
  const error = access === Access.write ? PfError.write : 0;
  // Without the present bit: the page may have come, or changed, since the access was refused; then it is tried again.
  const fault = handleFault(mmu, mm, address, error, pkru);
  if (fault === Fault.outOfMemory) reportOutOfMemory(mmu);
  return fault === Fault.handled;
}

/**
 * CpuHooks.pageFault: the walk of an access of guest code has failed, with CpuState.faultAddress and errorCode.
 * @returns whether to walk again. False leaves the region; CpuState.exit is `restart` then if there is nothing to raise.
 */
export function pageFaultHook(mmu: Mmu): boolean {
  const { memory, cpu } = mmu;
  const { base } = cpu;
  memory.count(base + CpuState.pageFaults);
  const address = memory.loadNumber(base + CpuState.faultAddress);
  const error = memory.load32(base + CpuState.errorCode);
  // Locks may be waited for in kernel mode only.
  enterKernel(memory, base);
  const fault = handleFault(mmu, memory.loadU32(base + CpuState.mm), address, error, cpu.pkru);
  enterUser(memory, base);
  const before = memory.load32(base + CpuState.tlbGeneration);
  mmu.catchUp();
  if (fault !== Fault.handled) return false;
  // An access that crosses a page may have translated its first half before: if anything was invalidated meanwhile, that
  // may be what was dropped. (A fetch copies the bytes before it goes on.)
  if (memory.load32(base + CpuState.tlbGeneration) === before || error & PfError.fetch) return true;
  memory.store32(base + CpuState.exit, Exit.restart);
  return false;
}

/**
 * What the #PF described in CpuState means, in kernel mode: null if it has been handled after all and the instruction can be
 * run again. Also settles the error code that the program gets to see.
 */
export function userFault(mmu: Mmu): FaultSignal | null {
  const { memory, cpu } = mmu;
  const { base } = cpu;
  const address = memory.loadNumber(base + CpuState.faultAddress);
  const error = memory.load32(base + CpuState.errorCode);
  const fault = handleFault(mmu, memory.loadU32(base + CpuState.mm), address, error, cpu.pkru);
  if (fault === Fault.handled) return null;
  if ((fault & 0xff) === Fault.pkuerr) memory.count(base + CpuState.pkeyFaults);
  if (fault === Fault.outOfMemory) reportOutOfMemory(mmu);
  if (error & PfError.pk && hasMutant(memory, Mutant.errorCodeWithoutPk)) {
    memory.store32(base + CpuState.errorCode, error & ~PfError.pk);
  }
  return faultSignal(fault);
}

/** One line, once a machine, that says why programs die. */
export function reportOutOfMemory(mmu: Mmu): void {
  const { memory } = mmu;
  const word = (MACHINE + Machine.roots + 4 * Root.outOfMemoryReported) >>> 2;
  if (Atomics.exchange(memory.i32, word, 1) !== 0) return;
  const megabytes = Math.floor((memory.load32(MACHINE + Machine.frameCount) * PAGE_SIZE) / 2 ** 20);
  say(`europa: the guest has used up the machine's ${megabytes} MiB of memory (raise --memory)\n`);
}

/** CpuHooks.codeWritten: guest code in a frame is about to be written to. Called from within a region. */
export function codeWrittenHook(mmu: Mmu, frame: number): void {
  inKernel(mmu, () => mmu.code.dropFrame(frame));
}

/** CpuHooks.codeMarked: a frame has translated code for the first time, so stores to it must be noticed. */
export function codeMarkedHook(mmu: Mmu, frame: number): void {
  inKernel(mmu, () => {
    if (!cannotBeWritten(mmu, frame)) mmu.code.dropWriteEntries(frame);
  });
}

/** Runs `step` in kernel mode, where it may wait for locks and for CPUs that wait for this one. */
function inKernel(mmu: Mmu, step: () => void): void {
  const { memory, cpu } = mmu;
  enterKernel(memory, cpu.base);
  step();
  enterUser(memory, cpu.base);
  mmu.catchUp();
}

/**
 * Whether no page-table entry lets anybody write to a frame that is being translated: so if this mm's mapping, by which it was
 * fetched, is the only one, and no executable mapping here is writable. (Who took the right to write away has flushed the TLBs.)
 */
function cannotBeWritten(mmu: Mmu, frame: number): boolean {
  const { memory, cpu } = mmu;
  const mm = memory.loadU32(cpu.base + CpuState.mm);
  if (mm === 0 || !ownedAlone(mmu, frame)) return false;
  lockShared(memory, mm + Mm.lock);
  let writable = false;
  for (let i = vmaCount(memory, mm) - 1; i >= 0 && !writable; i--) {
    const prot = vmaProt(memory, vmaAt(memory, mm, i));
    writable = (prot & (Prot.write | Prot.exec)) === (Prot.write | Prot.exec);
  }
  unlockShared(memory, mm + Mm.lock);
  return !writable;
}
