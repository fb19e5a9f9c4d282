import { LoadError } from './load-error.js';

/** ELF-64 as the System V gABI (chapters 4 and 5) and the x86-64 psABI define it, as far as a kernel's loader reads it. */

export const EHDR_BYTES = 64;
export const PHDR_BYTES = 56;
export const SHDR_BYTES = 64;

/** e_type. */
const ElfType = { REL: 1, EXEC: 2, DYN: 3, CORE: 4 } as const;

/** p_type. */
export const Pt = { LOAD: 1, DYNAMIC: 2, INTERP: 3, PHDR: 6, TLS: 7, GNU_STACK: 0x6474_e551 } as const;

/** p_flags. */
export const Pf = { X: 1, W: 2, R: 4 } as const;

const EM_X86_64 = 62;

/** Names of the e_machine values that people most likely meet. */
const MACHINES: Readonly<Record<number, string>> = {
  2: 'SPARC',
  3: 'i386',
  8: 'MIPS',
  20: 'PowerPC',
  21: 'PowerPC64',
  22: 'S/390',
  40: 'Arm',
  43: 'SPARC V9',
  62: 'x86-64',
  183: 'AArch64',
  243: 'RISC-V',
  247: 'BPF',
  258: 'LoongArch',
};

/** The end of user addresses (TASK_SIZE_MAX of a kernel with four page-table levels). */
export const TASK_SIZE = 0x7fff_ffff_f000;

/** A program header; all numbers are bytes, addresses are as linked. */
export interface ProgramHeader {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly vaddr: number;
  readonly filesz: number;
  readonly memsz: number;
  readonly align: number;
}

/** What the headers of a program that Europa can run say. */
export interface ElfHeaders {
  /** true: ET_DYN, to be placed at a base of the loader's choice (static-PIE). */
  readonly relocatable: boolean;
  /** As linked, before the base is added. */
  readonly entry: number;
  readonly phoff: number;
  readonly phnum: number;
  readonly shoff: number;
  readonly shnum: number;
  readonly headers: readonly ProgramHeader[];
  /** The PT_LOAD headers with anything in them, in ascending order. */
  readonly loads: readonly ProgramHeader[];
  /** PT_GNU_STACK asks for an executable stack (absent: not executable, as for all 64-bit programs). */
  readonly executableStack: boolean;
}

/** Random access to a file's bytes; `read` returns fewer bytes only at the end of the file. */
export interface ByteSource {
  readonly path: string;
  readonly size: number;
  read(offset: number, bytes: number): Uint8Array;
}

/**
 * Reads and checks the headers of a static x86-64 program.
 * @throws LoadError for everything that is not one, or whose headers contradict each other or the file's size
 */
export function parseElf(file: ByteSource): ElfHeaders {
  const fail = (reason: string): never => {
    throw new LoadError(file.path, reason);
  };
  const ehdr = file.read(0, EHDR_BYTES);
  if (ehdr.length === 0) fail('the file is empty');
  if (ehdr[0] === 0x23 && ehdr[1] === 0x21)
    fail('a script, not an ELF program (run its interpreter instead)');
  if (ehdr.length < 4 || ehdr[0] !== 0x7f || ehdr[1] !== 0x45 || ehdr[2] !== 0x4c || ehdr[3] !== 0x46) {
    fail('not an ELF program');
  }
  if (ehdr.length < 20) fail('truncated ELF file: the header is incomplete');
  const view = viewOf(ehdr);
  const littleEndian = ehdr[5] === 1;
  if (ehdr[4] !== 1 && ehdr[4] !== 2) fail('not a valid ELF file: unknown class');
  if (!littleEndian && ehdr[5] !== 2) fail('not a valid ELF file: unknown byte order');
  const machine = view.getUint16(18, littleEndian);
  const machineName = MACHINES[machine] ?? `machine ${machine}`;
  if (machine !== EM_X86_64) fail(`an ELF program for ${machineName}; Europa runs x86-64 programs`);
  if (ehdr[4] === 1) fail('a 32-bit (x32) ELF program; Europa runs 64-bit x86-64 programs');
  if (!littleEndian) fail('not a valid ELF file: x86-64 with the wrong byte order');
  if (ehdr.length < EHDR_BYTES) fail('truncated ELF file: the header is incomplete');
  if (ehdr[6] !== 1 || view.getUint32(20, true) !== 1) fail('not a valid ELF file: unknown version');

  const type = view.getUint16(16, true);
  if (type === ElfType.REL) fail('an object file, not a program: link it first');
  if (type === ElfType.CORE) fail('a core dump, not a program');
  if (type !== ElfType.EXEC && type !== ElfType.DYN) fail(`not an executable ELF file (type ${type})`);

  const phoff = number64(view, 32);
  const phnum = view.getUint16(56, true);
  if (phnum === 0) fail('not a valid ELF program: it has no program headers');
  if (view.getUint16(54, true) !== PHDR_BYTES)
    fail('not a valid ELF program: program headers of unknown size');
  const table = file.read(phoff, phnum * PHDR_BYTES);
  if (table.length < phnum * PHDR_BYTES) {
    fail(
      `truncated ELF file: program headers end at byte ${phoff + phnum * PHDR_BYTES}, the file at ${file.size}`,
    );
  }
  const headers: ProgramHeader[] = [];
  for (let i = 0; i < phnum; i++) headers.push(programHeader(viewOf(table), i * PHDR_BYTES));

  const interpreter = headers.find((header) => header.type === Pt.INTERP);
  if (interpreter) {
    const name = Buffer.from(file.read(interpreter.offset, Math.min(interpreter.filesz, 4096))).toString(
      'latin1',
    );
    const shown = name.split('\0')[0].replace(/[^\x20-\x7e]/g, '?');
    fail(
      `dynamically linked (interpreter ${shown || 'unnamed'}); Europa runs static programs: link with -static`,
    );
  }
  const entry = number64(view, 24);
  if (type === ElfType.DYN && entry === 0) fail('a shared library, not a program');
  const loads = headers.filter((header) => header.type === Pt.LOAD && header.memsz > 0);
  checkLoads(loads, file, fail);
  const stack = headers.find((header) => header.type === Pt.GNU_STACK);
  return {
    relocatable: type === ElfType.DYN,
    entry,
    phoff,
    phnum,
    shoff: number64(view, 40),
    shnum: view.getUint16(60, true),
    headers,
    loads,
    executableStack: stack !== undefined && (stack.flags & Pf.X) !== 0,
  };
}

function checkLoads(
  loads: readonly ProgramHeader[],
  file: ByteSource,
  fail: (reason: string) => never,
): void {
  if (loads.length === 0) fail('not a valid ELF program: nothing to load');
  let end = 0;
  loads.forEach((load, i) => {
    const where = `segment ${i + 1} of ${loads.length}`;
    if (load.filesz > load.memsz)
      fail(`not a valid ELF program: ${where} is larger in the file than in memory`);
    if (load.vaddr < end) fail(`not a valid ELF program: ${where} overlaps the one before it`);
    if ((load.vaddr - load.offset) % 4096 !== 0)
      fail(`not a valid ELF program: ${where} is not page-aligned`);
    end = load.vaddr + load.memsz;
    if (end > TASK_SIZE) fail(`not a valid ELF program: ${where} lies outside of user memory`);
    if (load.offset + load.filesz > file.size) {
      fail(
        `truncated ELF file: ${where} ends at byte ${load.offset + load.filesz}, the file at ${file.size}`,
      );
    }
  });
}

function programHeader(view: DataView, at: number): ProgramHeader {
  return {
    type: view.getUint32(at, true),
    flags: view.getUint32(at + 4, true),
    offset: number64(view, at + 8),
    vaddr: number64(view, at + 16),
    filesz: number64(view, at + 32),
    memsz: number64(view, at + 40),
    align: number64(view, at + 48),
  };
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** 64 bits as a number: exact below 2^53, rounded above (and then beyond every valid size and address). */
export function number64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
}
