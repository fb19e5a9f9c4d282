import { struct } from '../../memory/struct.js';

/**
 * Threaded code (Bell, 1973): a basic block as a list of decoded instructions, each naming the handler that executes it and the
 * operands that the handler takes from here. It lies in the machine's code store, a part for each CPU.
 */

/** Targets that are kept of a block that ends with an indirect jump: a power of two. */
export const TARGETS_NOTED = 8;

/** Virtual register operands that a handler can have. */
export const REGISTER_OPERANDS = 4;

/** One decoded instruction. */
export const ThreadedInsn = struct({
  /** Index in the handlers' table. */
  handler: 'u16',
  /** Bytes of the instruction: the next one begins at `ip + length`. */
  length: 'u8',
  /** Of the memory operand's index. */
  shift: 'u8',
  /** Offsets in CpuState of base and index; CpuState.zero where there is none. */
  base: 'u16',
  index: 'u16',
  ip: 'u64',
  /** Memory operand: base + (index << shift) + displacement. */
  disp: 'u64',
  /** Immediate operand, sign-extended; or the address that a branch leads to. */
  value: 'u64',
  /** Offsets in CpuState of the register operands, by virtual number. */
  registers: ['u16', REGISTER_OPERANDS],
});

/** A basic block: this header, then its instructions, of which the last always transfers control. */
export const ThreadedBlock = struct({
  /** Guest instructions in the block. */
  count: 'i32',
  /** Executions left until it should be translated to a region. */
  heat: 'i32',
  /** Address and length of the code that it was made of, and pointer of a copy of that. */
  ip: 'u64',
  length: 'i32',
  source: 'i32',
  /** Pointer of the NotedTargets if it ends with a jump, call or return whose target is a value; otherwise 0. */
  targets: 'i32',
});

/** Where an indirect jump has gone lately. */
export const NotedTargets = struct({
  /** How many there have been, modulo 2^32. */
  seen: 'i32',
  /** The latest, in a ring. */
  targets: ['u64', TARGETS_NOTED],
});

/** What a handler returns. */
export const Step = {
  /** Executed; on to the next of the block. */
  next: 0,
  /** Executed, and CpuState.rip has where to go on. */
  jump: 1,
  /** Not executed, or not to its end: CpuState.exit says why. RIP is to be at the instruction. */
  left: 2,
  /** Executed, and to be left with the reason in CpuState.exit; CpuState.rip is set. */
  status: 3,
} as const;
