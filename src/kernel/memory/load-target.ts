import type { LoadMapping, LoadTarget } from '../../loader/index.js';
import { lockedExclusive } from '../../memory/rwlock.js';
import type { Mmu } from '../../mmu/mmu.js';
import { Prot } from '../../mmu/pte.js';
import { Errno } from '../errno.js';
import { abiOf } from '../pkeys/abi.js';
import { forceWrite } from './force.js';
import { Mm } from './mm-layout.js';
import { createLabel, dropObject, type FileIdentity } from './object.js';
import { findPlace } from './place.js';
import { addRegion, pageAlign, removeRegion } from './region.js';
import { VmFlag } from './vma.js';

const MAY_ALL = VmFlag.mayRead | VmFlag.mayWrite | VmFlag.mayExec;

/**
 * An address space as the program loader fills it.
 * @param file names the program's mappings in /proc
 */
export function loadTarget(mmu: Mmu, mm: number, file?: FileIdentity): LoadTarget {
  const { memory } = mmu;
  return {
    map({ start, end, prot, kind, fileOffset }: LoadMapping): number {
      // What is loaded is private from the start; without room for a label it has no name.
      const label = kind === 'file' && file ? createLabel(memory, file) : 0;
      return addMapping(mmu, mm, {
        start,
        end,
        prot,
        flags: kind === 'stack' ? VmFlag.stack | VmFlag.growsDown : 0,
        object: label,
        offset: label === 0 ? start : fileOffset,
      });
    },
    write(address: number, bytes: Uint8Array): number {
      return forceWrite(mmu, mm, address, bytes) === bytes.length ? 0 : -Errno.ENOMEM;
    },
  };
}

interface NewMapping {
  start: number;
  end: number;
  prot: number;
  flags: number;
  object: number;
  offset: number;
}

/** Replaces what is in the range by a private mapping, which takes over the reference of the object. */
function addMapping(mmu: Mmu, mm: number, { flags, ...mapping }: NewMapping): number {
  const { memory } = mmu;
  return lockedExclusive(memory, mm + Mm.lock, () => {
    const removed = removeRegion(mmu, mm, mapping.start, mapping.end);
    if (removed) dropObject(mmu, mapping.object);
    return removed || addRegion(mmu, mm, { ...mapping, flags: flags | MAY_ALL, key: 0 });
  });
}

/**
 * Maps the ABI's vDSO, if it has one.
 * @returns its address for AT_SYSINFO_EHDR; 0 if there is none, or no memory for it
 */
export function mapVdso(mmu: Mmu, mm: number): number {
  const { memory } = mmu;
  const image = abiOf(memory).vdso;
  if (image === null) return 0;
  const length = pageAlign(image.length);
  const start = findPlace(memory, mm, 0, length);
  if (start === 0) return 0;
  const result = addMapping(mmu, mm, {
    start,
    end: start + length,
    prot: Prot.read | Prot.exec,
    flags: VmFlag.special,
    object: 0,
    offset: start,
  });
  if (result < 0 || forceWrite(mmu, mm, start, image) < image.length) return 0;
  memory.f64[(mm + Mm.vdso) >>> 3] = start;
  return start;
}
