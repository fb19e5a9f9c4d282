import type { Memory } from '../../memory/memory.js';
import { lockedShared } from '../../memory/rwlock.js';
import type { Mmu } from '../../mmu/mmu.js';
import { inHeap } from './brk.js';
import { Mm } from './mm-layout.js';
import { type FileIdentity, objectIdentity } from './object.js';
import {
  VmFlag,
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

/** One mapping, for /proc/pid/maps and smaps, and for reports. */
export interface Mapping {
  readonly start: number;
  readonly end: number;
  /** PROT_ bits. */
  readonly prot: number;
  readonly shared: boolean;
  /** Protection key. */
  readonly key: number;
  /** VmFlag bits. */
  readonly flags: number;
  /** Offset in the file, 0 for anonymous memory. */
  readonly offset: number;
  readonly file: FileIdentity | null;
  /** '[heap]', '[stack]', '[vdso]', or the file's path; empty for other anonymous memory. */
  readonly name: string;
}

/** The mappings of an mm in the order of their addresses. */
export function listMappings(memory: Memory, mm: number): Mapping[] {
  return lockedShared(memory, mm + Mm.lock, () => {
    const list: Mapping[] = [];
    for (let i = 0; i < vmaCount(memory, mm); i++) list.push(describe(memory, mm, vmaAt(memory, mm, i)));
    return list;
  });
}

function describe(memory: Memory, mm: number, vma: number): Mapping {
  const start = vmaStart(memory, vma);
  const end = vmaEnd(memory, vma);
  const flags = vmaFlags(memory, vma);
  const object = vmaObject(memory, vma);
  const identity = object === 0 ? null : objectIdentity(memory, object);
  const file = identity && identity.path !== '' ? identity : null;
  let name = file?.path ?? '';
  if (flags & VmFlag.stack) name = '[stack]';
  else if (flags & VmFlag.special) name = '[vdso]';
  else if (object === 0 && inHeap(memory, mm, start, end)) name = '[heap]';
  return {
    start,
    end,
    prot: vmaProt(memory, vma),
    shared: (flags & VmFlag.shared) !== 0,
    key: vmaKey(memory, vma),
    flags,
    offset: object === 0 ? 0 : vmaOffset(memory, vma),
    file,
    name,
  };
}

/** Bytes of a range that are in memory (Rss of smaps). */
export function residentBytes(mmu: Mmu, mm: number, start: number, end: number): number {
  const { memory } = mmu;
  const pages = lockedShared(memory, mm + Mm.lock, () =>
    memory.loadU32(mm) === 0 ? 0 : mmu.ops.count(memory.loadU32(mm), start, end),
  );
  return pages * 4096;
}
