import type { Code, Mnemonic } from './iced/enums.js';
import type { GuestCpu } from '../cpu/guest-cpu.js';
import { CpuState } from '../cpu/state.js';
import type { Emitter } from './emitter.js';
import type { Insn } from './insn.js';

/** Where control can go at the end of a basic block; implemented by the region builder. */
export interface Flow {
  /** Goes on at a known address: inside the region if it is there. */
  jump(target: number): void;
  /** Pops a condition (i32): goes to `taken` if it is not zero, otherwise to `otherwise`. */
  branch(taken: number, otherwise: number): void;
  /** Pops an address (i64) and goes there. */
  indirect(): void;
  /** Leaves the region with an `Exit` status and RIP at `target`. */
  status(exit: number, target: number): void;
}

/** Everything about an instruction in one place: the translator, the CPUID check and the fuzzer read it here. */
export interface Row {
  /** What it is called; may be absent where `codes` say it. */
  readonly mnemonic?: Mnemonic;
  /** Only these encodings, where a mnemonic names several instructions (MOVSD) or some forms belong to another row. */
  readonly codes?: readonly Code[];
  /** Emits the instruction. */
  readonly lower?: (e: Emitter, insn: Insn) => void;
  /** Emits an instruction that ends its basic block. */
  readonly end?: (e: Emitter, insn: Insn, flow: Flow) => void;
  /**
   * Runs the instruction in TypeScript on the CPU block's state, with no register cached; RIP is advanced by the caller.
   * Returns true if it was executed; false with an exception in CpuState if not. For rare, state-heavy instructions.
   */
  readonly execute?: (cpu: GuestCpu, insn: Insn) => boolean;
  /** Whether `execute` sets RIP itself. */
  readonly jumps?: boolean;
  /** Whether it always writes all six arithmetic flags: those before it are dead if nothing in between can look. */
  readonly killsFlags?: boolean;
  /** Whether it can raise an exception without having a memory operand, or accesses memory implicitly. */
  readonly mayRaise?: boolean;
  /** Why the host's processor cannot be the reference: it has a feature that CPUID does not offer here. */
  readonly hostDiffers?: string;
  /** For the fuzzer: arithmetic flags that the host leaves in a state of its own, beyond those iced calls undefined. */
  readonly ignoreFlags?: number;
}

/** For `execute`: notes an exception at the current instruction; returns false. */
export function raiseException(cpu: GuestCpu, vector: number, errorCode = 0): false {
  const { memory, base } = cpu;
  memory.store32(base + CpuState.vector, vector);
  memory.store32(base + CpuState.errorCode, errorCode);
  memory.storeNumber(base + CpuState.faultAddress, 0);
  return false;
}
