import type { Memory } from '../../memory/memory.js';
import { PAGE_SIZE } from '../../memory/memory.js';
import { lockShared, unlockShared } from '../../memory/rwlock.js';
import { AddressSpace } from '../../mmu/address-space.js';
import { Pte } from '../../mmu/pte.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { Mm } from '../memory/mm-layout.js';
import { objectIdentity } from '../memory/object.js';
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
} from '../memory/vma.js';
import { filesOf } from './links.js';
import type { Sizes } from './proc-task.js';
import { type MapsLine, mapsLine, smapsLines } from './proc-text.js';
import { programNumber, programPath } from './program.js';

/** Calls `visit` for the mappings of the current process, ascending, under the mm's lock. */
function forEachMapping(k: KernelCpu, visit: (vma: number) => void): void {
  const { memory, mm } = k;
  lockShared(memory, mm + Mm.lock);
  try {
    const count = vmaCount(memory, mm);
    for (let i = 0; i < count; i++) visit(vmaAt(memory, mm, i));
  } finally {
    unlockShared(memory, mm + Mm.lock);
  }
}

function line(k: KernelCpu, vma: number): MapsLine {
  const { memory } = k;
  const flags = vmaFlags(memory, vma);
  const object = vmaObject(memory, vma);
  const file = object === 0 ? null : objectIdentity(memory, object);
  const start = vmaStart(memory, vma);
  const end = vmaEnd(memory, vma);
  return {
    start,
    end,
    prot: vmaProt(memory, vma),
    shared: (flags & VmFlag.shared) !== 0,
    offset: object === 0 ? 0 : vmaOffset(memory, vma),
    device: file && file.inode !== 0 ? deviceText(file.device) : '00:00',
    inode: file?.inode ?? 0,
    name: file?.path || nameOf(k, start, end, flags),
  };
}

/** "major:minor" in hexadecimal, from st_dev. */
function deviceText(device: number): string {
  const major = Math.floor(device / 256) & 0xfff;
  const minor = (device & 0xff) | (Math.floor(device / 0x10_0000) << 8);
  const hex = (value: number) => value.toString(16).padStart(2, '0');
  return `${hex(major)}:${hex(minor)}`;
}

/** The program's own mappings are copies of its file, made when it was loaded. */
function nameOf(k: KernelCpu, start: number, end: number, flags: number): string {
  const { memory, mm } = k;
  if (flags & VmFlag.special) return '[vdso]';
  if (flags & VmFlag.stack) return '[stack]';
  const table = filesOf(k);
  const imageEnd = programNumber(memory, table, 'brk');
  if (start >= programNumber(memory, table, 'imageStart') && end <= imageEnd) {
    return Buffer.from(programPath(memory, table), 'latin1').toString('utf8');
  }
  const heapEnd = memory.f64[(mm + Mm.brk) >>> 3];
  return start < heapEnd && end > memory.f64[(mm + Mm.startBrk) >>> 3] ? '[heap]' : '';
}

/** /proc/self/maps. */
export function mapsText(k: KernelCpu): string {
  let text = '';
  forEachMapping(k, (vma) => {
    text += mapsLine(line(k, vma));
  });
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** /proc/self/smaps. */
export function smapsText(k: KernelCpu): string {
  const { memory } = k;
  let text = '';
  forEachMapping(k, (vma) => {
    const m = line(k, vma);
    const pages = countPages(memory, memory.loadU32(k.mm + AddressSpace.root), m.start, m.end);
    text +=
      mapsLine(m) +
      smapsLines({
        size: m.end - m.start,
        resident: pages.present * PAGE_SIZE,
        dirty: pages.dirty * PAGE_SIZE,
        anonymous: vmaObject(memory, vma) === 0,
        shared: m.shared,
        protectionKey: vmaKey(memory, vma),
        pku: k.cpu.hasPku,
        vmFlags: flagLetters(vmaProt(memory, vma), vmaFlags(memory, vma)),
      });
  });
  return Buffer.from(text, 'utf8').toString('latin1');
}

const FLAG_LETTERS: readonly [number, string][] = [
  [VmFlag.shared, 'sh'],
  [VmFlag.mayRead, 'mr'],
  [VmFlag.mayWrite, 'mw'],
  [VmFlag.mayExec, 'me'],
  [VmFlag.growsDown, 'gd'],
  [VmFlag.locked, 'lo'],
  [VmFlag.sequentialRead, 'sr'],
  [VmFlag.randomRead, 'rr'],
  [VmFlag.dontFork, 'dc'],
  [VmFlag.noReserve, 'nr'],
  [VmFlag.wipeOnFork, 'wf'],
  [VmFlag.dontDump, 'dd'],
  [VmFlag.hugePage, 'hg'],
  [VmFlag.noHugePage, 'nh'],
  [VmFlag.mergeable, 'mg'],
];

/** The two-letter codes of show_smap_vma_flags, each followed by a blank. */
function flagLetters(prot: number, flags: number): string {
  const letters = ['rd', 'wr', 'ex'].filter((_, bit) => prot & (1 << bit));
  for (const [flag, letter] of FLAG_LETTERS) if (flags & flag) letters.push(letter);
  return letters.map((letter) => `${letter} `).join('');
}

/** Pages of [start, end) that have a frame, and those of them that were written. */
export function countPages(
  memory: Memory,
  root: number,
  start: number,
  end: number,
): { present: number; dirty: number } {
  let present = 0;
  let dirty = 0;
  for (let address = start; address < end; ) {
    let table = root;
    let missing = 0;
    for (const shift of [39, 30, 21]) {
      const entry = Atomics.load(memory.u32, (table >>> 2) + 2 * index(address, shift));
      if ((entry & Pte.present) === 0) {
        missing = 2 ** shift;
        break;
      }
      table = (entry & -PAGE_SIZE) >>> 0;
    }
    if (missing > 0) {
      address += missing - (address % missing);
      continue;
    }
    const last = Math.min(end, address + 0x20_0000 - (address % 0x20_0000));
    for (; address < last; address += PAGE_SIZE) {
      const entry = Atomics.load(memory.u32, (table >>> 2) + 2 * index(address, 12));
      if (entry & Pte.present) present++;
      if (entry & Pte.present && entry & Pte.dirty) dirty++;
    }
  }
  return { present, dirty };
}

function index(address: number, shift: number): number {
  return Math.floor(address / 2 ** shift) % 512;
}

/** What /proc/self/status and statm add up. */
export function sizesOf(k: KernelCpu): Sizes {
  const { memory } = k;
  const code = programNumber(memory, filesOf(k), 'codeStart');
  const sizes = { virtual: 0, resident: 0, data: 0, stack: 0, code: 0 };
  forEachMapping(k, (vma) => {
    const start = vmaStart(memory, vma);
    const bytes = vmaEnd(memory, vma) - start;
    const flags = vmaFlags(memory, vma);
    sizes.virtual += bytes;
    sizes.resident +=
      PAGE_SIZE * countPages(memory, memory.loadU32(k.mm + AddressSpace.root), start, start + bytes).present;
    if (flags & VmFlag.stack) sizes.stack += bytes;
    else if (start === code) sizes.code += bytes;
    else if (vmaProt(memory, vma) & 2 && !(flags & VmFlag.shared)) sizes.data += bytes;
  });
  return sizes;
}
