import { cpuid } from '../cpu/cpuid.js';
import { PAGE_SIZE } from '../memory/memory.js';
import { type ElfHeaders, PHDR_BYTES, parseElf, TASK_SIZE } from './elf.js';
import { LoadError } from './load-error.js';
import { type LoadPlan, Prot, planLoad } from './plan.js';
import type { ProgramFile } from './program-file.js';
import { At, buildStack, type InitialStack } from './stack.js';

/** What the loader needs of an address space. Both calls answer 0, or −ENOMEM when the machine has no memory left. */
export interface LoadTarget {
  /** Makes a private mapping of fresh zero pages at a fixed place; it replaces what is there (MAP_FIXED). */
  map(mapping: LoadMapping): number;
  /** Writes to mapped pages, whatever their protection. */
  write(address: number, bytes: Uint8Array): number;
}

export interface LoadMapping {
  readonly start: number;
  readonly end: number;
  /** PROT_ bits. */
  readonly prot: number;
  /** 'file' mappings have contents of the program's file from `fileOffset` on (for /proc/self/maps). */
  readonly kind: 'file' | 'anonymous' | 'stack';
  readonly fileOffset: number;
}

/** How a program is to be started. */
export interface LoadOptions {
  readonly argv: readonly (string | Uint8Array)[];
  /** "NAME=value" strings. */
  readonly envp: readonly (string | Uint8Array)[];
  readonly uid: number;
  readonly euid: number;
  readonly gid: number;
  readonly egid: number;
  /** 16 random bytes for AT_RANDOM. */
  readonly random: Uint8Array;
  /** Whether CPUID offers protection keys. */
  readonly pku: boolean;
  readonly cpuCount: number;
  /** AT_MINSIGSTKSZ: bytes of the largest signal frame. */
  readonly minSigStack: number;
  /** AT_SYSINFO_EHDR: address of the vDSO, if the ABI has one. */
  readonly vdso?: number;
  /** RLIMIT_STACK in bytes; 8 MiB unless given. */
  readonly stackBytes?: number;
}

/** A program in memory, ready to run at `entry` with RSP = `stackPointer` and all other registers 0. */
export interface LoadedProgram {
  readonly path: string;
  readonly base: number;
  readonly entry: number;
  readonly stackPointer: number;
  /** Where the heap begins. */
  readonly brk: number;
  /** Bounds of the stack's mapping. */
  readonly stackStart: number;
  readonly stackEnd: number;
  /** Address of the program's first mapping; its last ends at `brk`. */
  readonly imageStart: number;
  /** Bounds of the code (first executable mapping) and of the strings on the stack, for /proc. */
  readonly codeStart: number;
  readonly codeEnd: number;
  readonly argStart: number;
  readonly argEnd: number;
  readonly envEnd: number;
  readonly auxv: Uint8Array;
}

/** RLIMIT_STACK's usual value. */
export const STACK_BYTES = 8 << 20;

/** Free addresses kept below the stack (stack_guard_gap), for those who place mappings. */
export const STACK_GUARD_BYTES = 1 << 20;

/** One string on the stack may have at most this many bytes, its null included (MAX_ARG_STRLEN). */
const MAX_ARG_BYTES = 32 * PAGE_SIZE;

/**
 * Checks a program and loads it.
 * @param file is left open; nothing refers to it afterwards
 * @throws LoadError if it is no program that can run here, or does not fit into the machine's memory
 */
export function loadProgram(target: LoadTarget, file: ProgramFile, options: LoadOptions): LoadedProgram {
  const elf = parseElf(file);
  const plan = planLoad(elf, file.size);
  const stack = prepareStack(file, elf, plan, options);
  const check = (result: number) => {
    if (result < 0)
      throw new LoadError(file.path, 'does not fit into the memory of the machine (raise --memory)');
  };

  const buffer = new Uint8Array(64 << 10);
  for (const { start, end, prot, fileOffset, fileBytes } of plan.mappings) {
    check(target.map({ start, end, prot, kind: fileBytes > 0 ? 'file' : 'anonymous', fileOffset }));
    for (let done = 0; done < fileBytes; ) {
      const count = file.readInto(
        fileOffset + done,
        buffer.subarray(0, Math.min(buffer.length, fileBytes - done)),
      );
      if (count === 0) throw new LoadError(file.path, 'the file became shorter while it was loaded');
      check(target.write(start + done, buffer.subarray(0, count)));
      done += count;
    }
  }
  const stackEnd = TASK_SIZE;
  const stackStart = stackEnd - (options.stackBytes ?? STACK_BYTES);
  const stackProt = Prot.READ | Prot.WRITE | (plan.executableStack ? Prot.EXEC : 0);
  check(target.map({ start: stackStart, end: stackEnd, prot: stackProt, kind: 'stack', fileOffset: 0 }));
  check(target.write(stack.stackPointer, stack.bytes));

  const code = plan.mappings.find((mapping) => mapping.prot & Prot.EXEC) ?? plan.mappings[0];
  return {
    path: file.path,
    base: plan.base,
    entry: plan.entry,
    stackPointer: stack.stackPointer,
    brk: plan.brk,
    stackStart,
    stackEnd,
    imageStart: plan.mappings[0].start,
    codeStart: code.start,
    codeEnd: code.end,
    argStart: stack.argStart,
    argEnd: stack.argEnd,
    envEnd: stack.envEnd,
    auxv: stack.auxv,
  };
}

function prepareStack(
  file: ProgramFile,
  elf: ElfHeaders,
  plan: LoadPlan,
  options: LoadOptions,
): InitialStack {
  const bytesOf = (s: string | Uint8Array) => {
    const bytes = typeof s === 'string' ? Buffer.from(s, 'utf8') : s;
    if (bytes.length >= MAX_ARG_BYTES)
      throw new LoadError(file.path, 'an argument or environment variable is too long');
    return bytes;
  };
  const context = { cpuId: 0, cpuCount: options.cpuCount, pku: options.pku };
  // ARCH_DLINFO, then the order of create_elf_tables.
  const auxv: [number, number][] = [];
  if (options.vdso) auxv.push([At.SYSINFO_EHDR, options.vdso]);
  auxv.push(
    [At.MINSIGSTKSZ, options.minSigStack],
    [At.HWCAP, cpuid(1, 0, context).edx >>> 0],
    [At.PAGESZ, PAGE_SIZE],
    [At.CLKTCK, 100],
    [At.PHDR, plan.phdr],
    [At.PHENT, PHDR_BYTES],
    [At.PHNUM, elf.phnum],
    [At.BASE, 0],
    [At.FLAGS, 0],
    [At.ENTRY, plan.entry],
    [At.UID, options.uid],
    [At.EUID, options.euid],
    [At.GID, options.gid],
    [At.EGID, options.egid],
    [At.SECURE, 0],
    [At.RANDOM, 0],
    // HWCAP2_FSGSBASE.
    [At.HWCAP2, (cpuid(7, 0, context).ebx & 1) << 1],
    [At.EXECFN, 0],
    [At.PLATFORM, 0],
  );
  const stack = buildStack({
    top: TASK_SIZE,
    argv: options.argv.map(bytesOf),
    envp: options.envp.map(bytesOf),
    execfn: bytesOf(file.path),
    random: options.random,
    auxv,
  });
  // Arguments and environment may take a quarter of the stack (bprm_stack_limits in fs/exec.c).
  if (stack.bytes.length > (options.stackBytes ?? STACK_BYTES) / 4) {
    throw new LoadError(file.path, 'argument list too long');
  }
  return stack;
}
