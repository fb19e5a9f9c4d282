import { PAGE_SIZE } from '../../memory/memory.js';
import { lockedExclusive } from '../../memory/rwlock.js';
import { Prot } from '../../mmu/pte.js';
import type { PkeyCaller } from '../pkeys/abi.js';
import { enoughMemory } from './mmap.js';
import { Mm, STACK_GUARD, TASK_SIZE } from './mm-layout.js';
import { populate } from './populate.js';
import { addRegion, pageAlign, removeRegion } from './region.js';
import { intersects, VmFlag } from './vma.js';

/** Where the heap of a new program begins and ends: the end of its data, page-aligned. */
export function setHeap(memory: PkeyCaller['memory'], mm: number, start: number): void {
  memory.f64[(mm + Mm.startBrk) >>> 3] = start;
  memory.f64[(mm + Mm.brk) >>> 3] = start;
}

/** brk(2) (mm/mmap.c): the new break, or the old one if it cannot be moved there. */
export function brk(caller: PkeyCaller, wanted: number): number {
  const { memory, mm, user } = caller;
  const newEnd = pageAlign(wanted);
  let unmade = 0;
  const result = lockedExclusive(memory, mm + Mm.lock, () => {
    const { f64 } = memory;
    const word = (mm + Mm.brk) >>> 3;
    const start = f64[(mm + Mm.startBrk) >>> 3];
    const old = f64[word];
    if (wanted < start || wanted > TASK_SIZE || wanted - start > f64[(mm + Mm.dataLimit) >>> 3]) return old;
    const oldEnd = pageAlign(old);
    if (newEnd < oldEnd) {
      if (removeRegion(user.mmu, mm, newEnd, oldEnd) < 0) return old;
    } else if (newEnd > oldEnd) {
      const more = newEnd - oldEnd;
      if (intersects(memory, mm, oldEnd, newEnd + STACK_GUARD)) return old;
      if (f64[(mm + Mm.mappedBytes) >>> 3] + more > f64[(mm + Mm.addressLimit) >>> 3]) return old;
      if (!enoughMemory(memory, more)) return old;
      const locked = memory.load32(mm + Mm.lockFuture) !== 0;
      const added = addRegion(user.mmu, mm, {
        start: oldEnd,
        end: newEnd,
        offset: oldEnd,
        prot: Prot.read | Prot.write,
        flags: VmFlag.mayRead | VmFlag.mayWrite | VmFlag.mayExec | (locked ? VmFlag.locked : 0),
        key: 0,
        object: 0,
      });
      if (added < 0) return old;
      if (locked) unmade = more;
    }
    f64[word] = wanted;
    return wanted;
  });
  if (unmade > 0) populate(user.mmu, mm, newEnd - unmade, newEnd);
  return result;
}

/** Whether an address is in the heap, for /proc. */
export function inHeap(memory: PkeyCaller['memory'], mm: number, start: number, end: number): boolean {
  const { f64 } = memory;
  const heapStart = f64[(mm + Mm.startBrk) >>> 3];
  return start < Math.ceil(f64[(mm + Mm.brk) >>> 3] / PAGE_SIZE) * PAGE_SIZE && end > heapStart;
}
