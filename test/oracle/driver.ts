/**
 * The interface between the differential tests and whatever executes x86-64 machine code for them: the host's
 * processor (`native.ts`) or the emulator. A driver gets cases, each a few instructions with a complete initial
 * state, and returns the complete final state of each.
 *
 * The address space every driver must offer to a case, and nothing else near it:
 *
 * | address           | size     | protection | contents before the case                                   |
 * | ----------------- | -------- | ---------- | ---------------------------------------------------------- |
 * | `CODE`            | 1 page   | r-x        | the case's code at offset 0, INT3 (0xCC) everywhere after  |
 * | `RODATA`          | 1 page   | r--        | `patternByte(address)`                                     |
 * | `DATA`            | 2 pages  | rw-        | `patternByte(address)`, then the case's `memory` runs      |
 * | `DATA_END`        | 1 page   | unmapped   |                                                            |
 * | `STACK`           | 2 pages  | rw-        | `patternByte(address)`, then the case's `memory` runs      |
 *
 * RODATA lies directly before DATA. The pages before RODATA, around CODE and around STACK are unmapped, as is page 0.
 * Cases run in user mode as Linux sets it up: CS 0x33, SS 0x2B, DS ES FS GS 0, IF set (PUSHF shows it), IOPL 0.
 */

/** Page size in bytes. */
export const PAGE = 0x1000;
/** Address of the code page. */
export const CODE = 0x1000_0000;
/** Longest code of a case, in bytes. */
export const MAX_CODE = 64;
/** Address of the two writable data pages. */
export const DATA = 0x2000_0000;
/** First address after the data pages; the page there is unmapped. */
export const DATA_END = DATA + 2 * PAGE;
/** Address of the read-only page, directly before DATA. */
export const RODATA = DATA - PAGE;
/** Address of the two stack pages. */
export const STACK = 0x3000_0000;
/** First address after the stack pages. */
export const STACK_END = STACK + 2 * PAGE;

/** Bytes at an address. */
export interface MemoryRun {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** Registers that a case starts with. */
export interface InitialState {
  /** 16 values in encoding order: RAX RCX RDX RBX RSP RBP RSI RDI R8 … R15. */
  readonly gpr: BigUint64Array;
  /** Bits of `RFLAGS_LOADED` only; the others start as an operating system leaves them (IF set, the rest clear). */
  readonly rflags: number;
  /** XMM0 … XMM15, 16 bytes each, least significant byte first. */
  readonly xmm: Uint8Array;
  readonly mxcsr: number;
  /**
   * 512-byte FXSAVE64 image for the x87 part (bytes 0–23 and 32–159; MXCSR and XMM are taken from the fields above).
   * Without it: the state after FNINIT with all-zero registers (FCW 0x37F, all empty).
   */
  readonly fx?: Uint8Array;
}

export interface TestCase {
  /** At most `MAX_CODE` bytes, placed and entered at `CODE`. */
  readonly code: Uint8Array;
  readonly state: InitialState;
  /** Initial contents, within DATA or STACK, where they differ from the pattern; runs don't overlap. */
  readonly memory: readonly MemoryRun[];
}

/** Why a case ended, if not by reaching the INT3 directly after its code. */
export interface TestException {
  /** Vector as in SDM volume 3, table 6-1 (0 #DE, 1 #DB, 3 #BP, 6 #UD, 13 #GP, 14 #PF …), or `TIMEOUT`. */
  readonly vector: number;
  /** Error code the processor pushed; 0 for exceptions that have none. */
  readonly errorCode: number;
  /** CR2 of a page fault; 0 for others. */
  readonly address: bigint;
}

/** Pseudo vector of a case that didn't end. */
export const TIMEOUT = 0x100;

/** State after a case. */
export interface TestResult {
  /**
   * `null` if the INT3 directly after the code was reached. Any other INT3 is an exception with vector 3. The state
   * is then the one the processor pushes: before the instruction for faults, after it for traps.
   */
  readonly exception: TestException | null;
  readonly gpr: BigUint64Array;
  /** CODE + code length if `exception` is `null` (the address of the INT3); after a #BP the address behind the INT3. */
  readonly rip: bigint;
  /** Only the bits of `RFLAGS_COMPARED` count. */
  readonly rflags: number;
  readonly xmm: Uint8Array;
  readonly mxcsr: number;
  /** FXSAVE64 image; only FCW, FSW, FTW (bytes 0–4) and ST0–ST7 (bytes 32–159) count. */
  readonly fx: Uint8Array;
  /** Exactly the bytes of DATA and STACK whose value differs from that before the case, by address. */
  readonly memory: readonly MemoryRun[];
}

/** Runs cases. Cases with the same code come one after another, so that a translator can keep its work. */
export interface TestDriver {
  readonly name: string;
  /** Results in the order of the cases. Rejects only if the driver itself broke. */
  run(cases: readonly TestCase[]): TestResult[] | Promise<TestResult[]>;
  close?(): void | Promise<void>;
}

/** Flags a case may start with: CF PF AF ZF SF DF OF. */
export const RFLAGS_LOADED = 0xcd5;
/** Flags compared after a case: those, AC and ID. */
export const RFLAGS_COMPARED = 0x24_0cd5;

/** Initial value of a byte of RODATA, DATA and STACK. */
export function patternByte(address: number): number {
  return Math.imul(address, 0x9e37_79b1) >>> 24;
}

/** The pattern's bytes from `address` on. */
export function patternBytes(address: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => patternByte(address + i));
}

const VECTORS = [
  ...[
    '#DE',
    '#DB',
    'NMI',
    '#BP',
    '#OF',
    '#BR',
    '#UD',
    '#NM',
    '#DF',
    'vector 9',
    '#TS',
    '#NP',
    '#SS',
    '#GP',
    '#PF',
  ],
  ...['vector 15', '#MF', '#AC', '#MC', '#XM', '#VE', '#CP'],
];

/** Mnemonic of an exception vector. */
export function vectorName(vector: number): string {
  return vector === TIMEOUT ? 'timeout' : (VECTORS[vector] ?? `vector ${vector}`);
}

/** A case's state: zeros, MXCSR 0x1F80, RSP in the middle of the stack; then what `init` says. */
export function initialState(init: Partial<InitialState> = {}): InitialState {
  const gpr = new BigUint64Array(16);
  gpr[4] = BigInt(STACK + PAGE);
  return { gpr, rflags: 0, xmm: new Uint8Array(256), mxcsr: 0x1f80, ...init };
}
