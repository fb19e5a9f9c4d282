import type { Memory } from '../../memory/memory.js';
import { PAGE_SIZE } from '../../memory/memory.js';
import { lockedShared } from '../../memory/rwlock.js';
import { AddressSpace } from '../../mmu/address-space.js';
import { Pte } from '../../mmu/pte.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { listMappings, type Mapping, Mm } from '../memory/index.js';
import { VmFlag } from '../memory/vma.js';
import { filesOf } from './links.js';
import type { Sizes } from './proc-task.js';
import { mapsLine, smapsLines } from './proc-text.js';
import { programNumber } from './program.js';

function line({ start, end, prot, shared, offset, file, name }: Mapping): string {
  const device = file && file.inode !== 0 ? deviceText(file.device) : '00:00';
  return mapsLine({ start, end, prot, shared, offset, device, inode: file?.inode ?? 0, name });
}

/** "major:minor" in hexadecimal, from st_dev. */
function deviceText(device: number): string {
  const major = Math.floor(device / 256) & 0xfff;
  const minor = (device & 0xff) | (Math.floor(device / 0x10_0000) << 8);
  const hex = (value: number) => value.toString(16).padStart(2, '0');
  return `${hex(major)}:${hex(minor)}`;
}

/** /proc/self/maps. */
export function mapsText(k: KernelCpu): string {
  const text = listMappings(k.memory, k.mm).map(line).join('');
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** /proc/self/smaps. */
export function smapsText(k: KernelCpu): string {
  let text = '';
  for (const mapping of listMappings(k.memory, k.mm)) {
    const pages = countPages(k, mapping.start, mapping.end);
    text +=
      line(mapping) +
      smapsLines({
        size: mapping.end - mapping.start,
        resident: pages.present * PAGE_SIZE,
        dirty: pages.dirty * PAGE_SIZE,
        anonymous: mapping.file === null && !mapping.shared,
        shared: mapping.shared,
        protectionKey: mapping.key,
        pku: k.cpu.hasPku,
        vmFlags: flagLetters(mapping.prot, mapping.flags),
      });
  }
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
function countPages(k: KernelCpu, start: number, end: number): { present: number; dirty: number } {
  const { memory, mm } = k;
  return lockedShared(memory, mm + Mm.lock, () =>
    countEntries(memory, memory.loadU32(mm + AddressSpace.root), start, end),
  );
}

function countEntries(
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
  const code = programNumber(k.memory, filesOf(k), 'codeStart');
  const sizes = { virtual: 0, resident: 0, data: 0, stack: 0, code: 0 };
  for (const { start, end, prot, flags, shared } of listMappings(k.memory, k.mm)) {
    const bytes = end - start;
    sizes.virtual += bytes;
    sizes.resident += PAGE_SIZE * countPages(k, start, end).present;
    if (flags & VmFlag.stack) sizes.stack += bytes;
    else if (start === code) sizes.code += bytes;
    else if (prot & 2 && !shared) sizes.data += bytes;
  }
  return sizes;
}
