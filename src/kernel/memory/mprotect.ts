import { PAGE_SIZE } from '../../memory/memory.js';
import { hasMutant, Mutant } from '../../memory/mutants.js';
import { lockExclusive, unlockExclusive } from '../../memory/rwlock.js';
import type { Mmu } from '../../mmu/mmu.js';
import { LEAF_MASK_HIGH, leafHigh, leafLow, PROT_MASK_LOW, Prot } from '../../mmu/pte.js';
import { Errno } from '../errno.js';
import { abiOf, NO_KEY, type PkeyAbi, type PkeyCaller } from '../pkeys/abi.js';
import { Mm } from './mm-layout.js';
import { mergeRegions, pageAlign } from './region.js';
import {
  findIndex,
  MAX_MAP_COUNT,
  splitVma,
  VmFlag,
  Vma,
  vmaAt,
  vmaCount,
  vmaEnd,
  vmaFlags,
  vmaKey,
  vmaObject,
  vmaProt,
  vmaStart,
} from './vma.js';

/** mprotect and pkey_mprotect (mm/mprotect.c, do_mprotect_pkey). */

const PROT_SEM = 8;
const GROWSDOWN = 0x100_0000;
const GROWSUP = 0x200_0000;
const ACCESS = Prot.read | Prot.write | Prot.exec;

export function mprotect(caller: PkeyCaller, start: number, length: number, prot: number): number {
  return change(caller, start, length, prot, null);
}

export function pkeyMprotect(
  caller: PkeyCaller,
  start: number,
  length: number,
  prot: number,
  key: number,
): number {
  return change(caller, start, length, prot, key);
}

/** @param key null for mprotect */
function change(caller: PkeyCaller, start: number, length: number, prot: number, key: number | null): number {
  const { memory, mm } = caller;
  // By hand rather than by `lockedExclusive`: nearly a million calls a second have no closure to make.
  lockExclusive(memory, mm + Mm.lock);
  try {
    return changeLocked(caller, abiOf(memory), start, length, prot, key);
  } finally {
    unlockExclusive(memory, mm + Mm.lock);
  }
}

function changeLocked(
  caller: PkeyCaller,
  abi: PkeyAbi,
  address: number,
  bytes: number,
  wanted: number,
  key: number | null,
): number {
  const { memory, mm } = caller;
  if (key !== null) {
    const refused = abi.refuseFirst(caller, key);
    if (refused) return -refused;
  }
  const grows = wanted & (GROWSDOWN | GROWSUP);
  // Subtracted, not masked: the argument has 64 bits, and unknown ones must be seen.
  const prot = wanted - grows;
  if (grows === (GROWSDOWN | GROWSUP)) return -Errno.EINVAL;
  if (address % PAGE_SIZE !== 0) return -Errno.EINVAL;
  if (bytes === 0) return 0;
  const length = pageAlign(bytes);
  const end = address + length;
  // Wrapped, or rounded up to 0.
  if (length >= 2 ** 64 || end >= 2 ** 64) return -Errno.ENOMEM;
  if (prot > (ACCESS | PROT_SEM)) return -Errno.EINVAL;
  if (key !== null) {
    const refused = abi.refuse(caller, key);
    if (refused) return -refused;
  }
  let start = address;
  const index = findIndex(memory, mm, start);
  if (index === vmaCount(memory, mm)) return -Errno.ENOMEM;
  const vma = vmaAt(memory, mm, index);
  if (grows === GROWSDOWN) {
    if (vmaStart(memory, vma) >= end) return -Errno.ENOMEM;
    start = vmaStart(memory, vma);
    if (!(vmaFlags(memory, vma) & VmFlag.growsDown)) return -Errno.EINVAL;
  } else {
    if (vmaStart(memory, vma) > start) return -Errno.ENOMEM;
    // No mapping grows upwards on x86.
    if (grows === GROWSUP) return -Errno.EINVAL;
  }
  return changeMappings(caller, abi, index, start, end, prot & ACCESS, key ?? NO_KEY);
}

/**
 * Gives the mappings of [start, end) protection and key, one after the other, and changes the entries of neighbours that get the
 * same in one walk. What an error leaves undone is only what follows; the TLBs are told once, at the end.
 */
function changeMappings(
  caller: PkeyCaller,
  abi: PkeyAbi,
  first: number,
  start: number,
  end: number,
  prot: number,
  key: number,
): number {
  const { memory, mm, user } = caller;
  const walk = new EntryChange(user.mmu, mm);
  let index = first;
  let result = 0;
  for (let at = start; ; index++) {
    let vma = vmaAt(memory, mm, index);
    const oldProt = vmaProt(memory, vma);
    const newKey = key === NO_KEY ? abi.mprotectKey(caller, oldProt, vmaKey(memory, vma), prot) : key;
    // VM_MAYREAD, VM_MAYWRITE and VM_MAYEXEC are in the order of PROT_READ, PROT_WRITE and PROT_EXEC.
    if (prot & ~(vmaFlags(memory, vma) >>> 4)) {
      result = -Errno.EACCES;
      break;
    }
    const stop = Math.min(vmaEnd(memory, vma), end);
    if (prot !== oldProt || newKey !== vmaKey(memory, vma)) {
      if (vmaStart(memory, vma) < at) {
        if (!split(caller, index, at)) {
          result = -Errno.ENOMEM;
          break;
        }
        index++;
        vma = vmaAt(memory, mm, index);
      }
      if (stop < vmaEnd(memory, vma) && !split(caller, index, stop)) {
        result = -Errno.ENOMEM;
        break;
      }
      memory.store32(vma + Vma.prot, prot);
      memory.store32(vma + Vma.key, newKey);
      const shared = (vmaFlags(memory, vma) & VmFlag.shared) !== 0;
      const mayBeShared =
        !shared && (vmaObject(memory, vma) !== 0 || memory.load32(mm + Mm.copyOnWrite) !== 0);
      walk.add(at, stop, prot, newKey, mayBeShared, (oldProt & ~prot & Prot.exec) !== 0);
    }
    at = stop;
    if (at >= end) break;
    if (index + 1 >= vmaCount(memory, mm) || vmaStart(memory, vmaAt(memory, mm, index + 1)) !== at) {
      result = -Errno.ENOMEM;
      break;
    }
  }
  walk.finish();
  mergeRegions(user.mmu, mm, first, Math.min(index, vmaCount(memory, mm) - 1));
  return result;
}

function split({ memory, mm }: PkeyCaller, index: number, address: number): boolean {
  return vmaCount(memory, mm) < MAX_MAP_COUNT && splitVma(memory, mm, index, address);
}

/** Changes page-table entries range by range, joining ranges that get the same, and invalidates TLBs once. */
class EntryChange {
  private start = 0;
  private end = 0;
  private prot = 0;
  private key = 0;
  private copyOnWrite = false;
  /** What has to be invalidated. */
  private flushStart = Infinity;
  private flushEnd = 0;
  private code = false;

  constructor(
    private readonly mmu: Mmu,
    private readonly mm: number,
  ) {}

  add(start: number, end: number, prot: number, key: number, copyOnWrite: boolean, code: boolean): void {
    this.code ||= code;
    if (start === this.end && prot === this.prot && key === this.key && copyOnWrite === this.copyOnWrite) {
      this.end = end;
      return;
    }
    this.walk();
    this.start = start;
    this.end = end;
    this.prot = prot;
    this.key = key;
    this.copyOnWrite = copyOnWrite;
  }

  finish(): void {
    this.walk();
    if (this.flushEnd > 0) this.mmu.shootdown.invalidate(this.mm, this.flushStart, this.flushEnd, this.code);
  }

  private walk(): void {
    const { start, end, prot, key, mmu } = this;
    if (start === end) return;
    let changed: number;
    if (hasMutant(mmu.memory, Mutant.entryInHalves)) {
      // Protection first; the key when everybody has seen that.
      changed = this.protect(PROT_MASK_LOW, leafLow(prot), 0, 0);
      if (changed > 0) mmu.shootdown.invalidate(this.mm, start, end, false);
      changed += this.protect(0, 0, LEAF_MASK_HIGH, leafHigh(prot, key));
    } else {
      changed = this.protect(PROT_MASK_LOW, leafLow(prot), LEAF_MASK_HIGH, leafHigh(prot, key));
    }
    if (changed === 0) return;
    this.flushStart = Math.min(this.flushStart, start);
    this.flushEnd = end;
  }

  /** Replaces the bits of two masks. */
  private protect(maskLow: number, low: number, maskHigh: number, high: number): number {
    const { mmu, mm, start, end } = this;
    const copyOnWrite = this.copyOnWrite ? 1 : 0;
    return mmu.ops.protect(mmu.memory.loadU32(mm), start, end, ~maskLow, low, ~maskHigh, high, copyOnWrite);
  }
}
