import { MACHINE, Machine } from './layout.js';
import type { Memory } from './memory.js';

/**
 * Deliberate defects, bits of Machine.mutants. `verify --mutants` boots machines with one of them each, to prove that its
 * checks can fail. Only cold paths ask for them; what is on a hot path asks once, at boot.
 */
export const Mutant = {
  /** Other CPUs are never told that page-table entries changed. */
  noShootdown: 1 << 0,
  /** They are told, but nobody waits until they have dropped the old ones. */
  shootdownWithoutWait: 1 << 1,
  /** Protection and key of an entry change one after the other. */
  entryInHalves: 1 << 2,
  /** A context switch leaves PKRU out of the saved image. */
  pkruNotSaved: 1 << 3,
  /** A context switch leaves PKRU as the CPU's last task had it. */
  pkruNotRestored: 1 << 4,
  /** CPUs 0 and 1 have one PKRU. */
  pkruShared: 1 << 5,
  /** A new thread starts with PKRU 0 instead of its creator's. */
  cloneWithoutInheritance: 1 << 6,
  /** --debug-fpu clears nothing. */
  debugClearForgotten: 1 << 7,
  /** --debug-fpu clears the bits of key 13. */
  debugClearWrongKey: 1 << 8,
  /** User space may assign and free the execute-only key. */
  executeOnlyKeyUsable: 1 << 9,
  /** System calls copy to and from user memory whatever PKRU says. */
  kernelCopiesIgnorePkru: 1 << 10,
  /** The PK bit is missing in error codes. */
  errorCodeWithoutPk: 1 << 11,
  /** A signal handler starts with the interrupted PKRU. */
  handlerKeepsPkru: 1 << 12,
} as const;

/** Whether the machine has a defect. */
export function hasMutant(memory: Memory, mutant: number): boolean {
  return (memory.load32(MACHINE + Machine.mutants) & mutant) !== 0;
}
