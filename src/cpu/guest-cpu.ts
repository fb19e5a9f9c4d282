import type { Memory } from '../memory/memory.js';

/**
 * One emulated CPU as the kernel sees it. Implemented by src/cpu/cpu.ts on top of the translator.
 *
 * Registers are in the CpuState block at `base` (src/cpu/state.ts) whenever `run` is not active and whenever the kernel
 * is called from within it.
 */
export interface GuestCpu {
  readonly memory: Memory;
  /** Pointer of the CPU block. */
  readonly base: number;
  readonly id: number;

  /** PKRU, an unsigned 32-bit number; kept in a WebAssembly.Global that only this CPU's worker can reach. */
  pkru: number;

  /** RFLAGS as the architecture has them: reading computes the lazy flags, writing sets them (and DF, NT, AC, ID). */
  rflags: number;

  /**
   * Runs guest code from the state's RIP. Returns an `Exit` other than `next`.
   * The caller has set CpuState.mode to `user` and refilled `budget`.
   */
  run(): number;

  /** Empties both TLBs. */
  flushTlb(): void;

  /** Drops the TLB entries of the pages [start, end) (byte addresses, page-aligned). */
  flushTlbRange(start: number, end: number): void;

  /** Drops translated code of the pages [start, end) (byte addresses); of all pages when called without arguments. */
  dropCode(start?: number, end?: number): void;

  /** Drops translated code whose bytes are in a frame. */
  dropFrame(framePointer: number): void;

  /** Whether the processor offers protection keys (CPUID.7.0:ECX.PKU and OSPKE). */
  readonly hasPku: boolean;

  /** The time-stamp counter: ticks of TSC_HZ (src/cpu/cpuid.ts) since the machine's boot. */
  timestamp(): number;

  /**
   * Pointer of a guest byte after all of the CPU's checks for an `Access` (src/mmu/walk.ts) and demand paging;
   * 0 with the exception in CpuState.
   */
  translate(address: number, access: number): number;

  /** Disassembles the instruction at a guest address for messages; null if it cannot be fetched. */
  describeInstruction(address: number): { bytes: Uint8Array; text: string } | null;
}

/** What the CPU asks of the kernel while it is inside a region. */
export interface CpuHooks {
  /**
   * A page walk failed. CpuState.faultAddress and errorCode describe the #PF.
   * Returns true if the mapping is now in place and the walk should be tried again (demand-zero, spurious fault);
   * false if the exception is to be raised.
   */
  pageFault(cpu: GuestCpu): boolean;

  /** Guest code was written to: drop the translations of the frame's code on every CPU; returns when all have. */
  codeWritten(cpu: GuestCpu, framePointer: number): void;

  /**
   * A frame holds translated code for the first time. Returns when no CPU has a write entry for it in its TLB, so that
   * every later store to it takes the slow path and is noticed. (Nothing to do if no mapping of it is writable.)
   */
  codeMarked(cpu: GuestCpu, framePointer: number): void;

  /**
   * Runs `step` while every other CPU of the machine stands still outside of guest code: for locked accesses that no
   * wasm atomic can do (misaligned, or 16 bytes). Sets CpuState.exclusive around it. Returns what `step` returns.
   */
  exclusive(cpu: GuestCpu, step: () => number): number;

  /** Nanoseconds since the machine's boot, by the machine's clock. */
  now(cpu: GuestCpu): number;
}
