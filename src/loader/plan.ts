import { PAGE_SIZE } from '../memory/memory.js';
import { alignUp } from '../memory/struct.js';
import { type ElfHeaders, Pf, type ProgramHeader, Pt } from './elf.js';

/** Where a static-PIE program goes without address-space randomisation (ELF_ET_DYN_BASE, two thirds of user memory). */
export const PIE_BASE = 0x5555_5555_4000;

/** PROT_ bits of mmap(2). */
export const Prot = { READ: 1, WRITE: 2, EXEC: 4 } as const;

/** One mapping to make; all bounds are page-aligned guest addresses, `end` exclusive. */
export interface PlannedMapping {
  readonly start: number;
  readonly end: number;
  readonly prot: number;
  /** File bytes [fileOffset, fileOffset + fileBytes) go to `start`; what follows in the mapping is zero. */
  readonly fileOffset: number;
  /** 0: an anonymous mapping (bss). */
  readonly fileBytes: number;
}

/** How a program is laid out in user memory; addresses are final (the base is added). */
export interface LoadPlan {
  readonly base: number;
  readonly entry: number;
  /** Address of the program headers, for AT_PHDR; 0 if they are in no segment. */
  readonly phdr: number;
  readonly mappings: readonly PlannedMapping[];
  /** Page-aligned end of the program's data, where the heap begins (mm->start_brk). */
  readonly brk: number;
  readonly executableStack: boolean;
}

/**
 * Decides what is mapped where, as load_elf_binary and elf_map do (fs/binfmt_elf.c).
 *
 * A segment's first and last page are whole pages of the file: they show the neighbouring bytes of the file, except that
 * the rest of the last page is zero when the segment has a bss (p_memsz > p_filesz).
 *
 * @param fileSize bytes of the file, at which the last page's contents end
 */
export function planLoad(elf: ElfHeaders, fileSize: number): LoadPlan {
  const base = elf.relocatable ? pieBase(elf.loads) : 0;
  const mappings: PlannedMapping[] = [];
  let brk = 0;
  let mappedEnd = 0;
  for (const load of elf.loads) {
    const prot = protOf(load.flags);
    const start = base + pageDown(load.vaddr);
    const end = alignUp(base + load.vaddr + load.memsz, PAGE_SIZE);
    const fileEnd = load.filesz === 0 ? start : alignUp(base + load.vaddr + load.filesz, PAGE_SIZE);
    const hasBss = load.memsz > load.filesz;
    if (fileEnd > start) {
      const fileOffset = pageDown(load.offset);
      const last = hasBss ? load.offset + load.filesz : Math.min(fileOffset + (fileEnd - start), fileSize);
      mappings.push({ start, end: fileEnd, prot, fileOffset, fileBytes: last - fileOffset });
    }
    // A bss may begin in a page that the segment before it has mapped: it shares that page.
    const bssStart = Math.max(fileEnd, mappedEnd);
    if (end > bssStart) mappings.push({ start: bssStart, end, prot, fileOffset: 0, fileBytes: 0 });
    mappedEnd = end;
    brk = Math.max(brk, end);
  }
  return {
    base,
    entry: base + elf.entry,
    phdr: phdrAddress(elf, base),
    mappings,
    brk,
    executableStack: elf.executableStack,
  };
}

/** The base rounded down to the largest alignment that a segment asks for (maximum_alignment in fs/binfmt_elf.c). */
function pieBase(loads: readonly ProgramHeader[]): number {
  let align = PAGE_SIZE;
  for (const load of loads) {
    const isPowerOfTwo = Number.isInteger(Math.log2(load.align));
    if (load.align > align && isPowerOfTwo && load.align <= 1 << 30) align = load.align;
  }
  return PIE_BASE - (PIE_BASE % align) - pageDown(loads[0].vaddr);
}

/** As Linux since 5.18: PT_PHDR if there is one, else the segment whose file bytes hold the table. */
function phdrAddress(elf: ElfHeaders, base: number): number {
  const phdr = elf.headers.find((header) => header.type === Pt.PHDR);
  if (phdr) return base + phdr.vaddr;
  const load = elf.loads.find((l) => l.offset <= elf.phoff && elf.phoff < l.offset + l.filesz);
  return load ? base + load.vaddr + (elf.phoff - load.offset) : 0;
}

function protOf(flags: number): number {
  return (flags & Pf.R ? Prot.READ : 0) | (flags & Pf.W ? Prot.WRITE : 0) | (flags & Pf.X ? Prot.EXEC : 0);
}

function pageDown(address: number): number {
  return address - (address % PAGE_SIZE);
}
