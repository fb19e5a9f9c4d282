/** Auxiliary vector types (include/uapi/linux/auxvec.h, arch/x86/include/uapi/asm/auxvec.h). */
export const At = {
  NULL: 0,
  PHDR: 3,
  PHENT: 4,
  PHNUM: 5,
  PAGESZ: 6,
  BASE: 7,
  FLAGS: 8,
  ENTRY: 9,
  UID: 11,
  EUID: 12,
  GID: 13,
  EGID: 14,
  PLATFORM: 15,
  HWCAP: 16,
  CLKTCK: 17,
  SECURE: 23,
  RANDOM: 25,
  HWCAP2: 26,
  EXECFN: 31,
  SYSINFO_EHDR: 33,
  MINSIGSTKSZ: 51,
} as const;

/** What the initial stack is made of. */
export interface StackContents {
  /** Address above the stack's last byte. */
  readonly top: number;
  readonly argv: readonly Uint8Array[];
  readonly envp: readonly Uint8Array[];
  /** The path by which the program was started (AT_EXECFN). */
  readonly execfn: Uint8Array;
  /** 16 bytes for AT_RANDOM. */
  readonly random: Uint8Array;
  /** Entries in the order in which they are to appear; RANDOM, EXECFN and PLATFORM are placed by `buildStack`. */
  readonly auxv: readonly (readonly [type: number, value: number])[];
}

/** The bytes from `stackPointer` (RSP at the program's entry) to the top of the stack. */
export interface InitialStack {
  readonly stackPointer: number;
  readonly bytes: Uint8Array;
  /** Bounds of the argument and environment strings, for /proc/self/cmdline and environ. */
  readonly argStart: number;
  readonly argEnd: number;
  readonly envEnd: number;
  /** The auxiliary vector as placed, AT_NULL included, for /proc/self/auxv. */
  readonly auxv: Uint8Array;
}

const PLATFORM = 'x86_64\0';

/**
 * Lays out the initial stack as Linux does (fs/exec.c, create_elf_tables in fs/binfmt_elf.c): from the top, 8 zero bytes,
 * execfn, environment, arguments, then platform string and random bytes, then, 16-byte aligned, argc, argv, envp, auxv.
 */
export function buildStack(contents: StackContents): InitialStack {
  const { top, argv, envp } = contents;
  const stringBytes = (strings: readonly Uint8Array[]) => strings.reduce((sum, s) => sum + s.length + 1, 0);
  const execfn = top - 8 - (contents.execfn.length + 1);
  const envStart = execfn - stringBytes(envp);
  const argStart = envStart - stringBytes(argv);
  const platform = alignDown16(argStart) - PLATFORM.length;
  const random = platform - 16;
  const auxv = contents.auxv.map(([type, value]): [number, number] => {
    if (type === At.RANDOM) return [type, random];
    if (type === At.EXECFN) return [type, execfn];
    if (type === At.PLATFORM) return [type, platform];
    return [type, value];
  });
  auxv.push([At.NULL, 0]);
  const words = 1 + (argv.length + 1) + (envp.length + 1);
  const stackPointer = alignDown16(random - auxv.length * 16 - words * 8);

  const bytes = new Uint8Array(top - stackPointer);
  const view = new DataView(bytes.buffer);
  let at = 0;
  const word = (value: number) => {
    view.setBigUint64(at, BigInt(value), true);
    at += 8;
  };
  const put = (address: number, data: Uint8Array) => bytes.set(data, address - stackPointer);
  const strings = (list: readonly Uint8Array[], start: number) => {
    let address = start;
    for (const s of list) {
      word(address);
      put(address, s);
      address += s.length + 1;
    }
    word(0);
  };
  word(argv.length);
  strings(argv, argStart);
  strings(envp, envStart);
  const auxvStart = at;
  for (const [type, value] of auxv) {
    word(type);
    word(value);
  }
  put(execfn, contents.execfn);
  put(platform, Buffer.from(PLATFORM, 'latin1'));
  put(random, contents.random.subarray(0, 16));
  return {
    stackPointer,
    bytes,
    argStart,
    argEnd: envStart,
    envEnd: execfn,
    auxv: bytes.slice(auxvStart, at),
  };
}

function alignDown16(address: number): number {
  return address - (address % 16);
}
