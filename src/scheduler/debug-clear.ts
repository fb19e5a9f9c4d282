import { imagePkru, setImagePkru } from '../cpu/xsave.js';
import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import { hasMutant, Mutant } from '../memory/mutants.js';

/** The reserved key whose bits the debug option clears. */
const KEY = 14;

/**
 * Requirement M5 of the proposal (CONFIG_X86_DEBUG_FPU): both bits of key 14 become 0 in the XSAVE image of the task that a
 * context switch brings in. Counts in Machine.key14Cleared how often there was something to clear.
 * @param image the incoming task's image, which is in nobody's registers
 */
export function debugClear(memory: Memory, image: number): void {
  if (hasMutant(memory, Mutant.debugClearForgotten)) return;
  const key = hasMutant(memory, Mutant.debugClearWrongKey) ? KEY - 1 : KEY;
  const bits = 3 << (2 * key);
  const pkru = imagePkru(memory, image);
  if ((pkru & bits) === 0) return;
  setImagePkru(memory, image, pkru & ~bits);
  Atomics.add(memory.i32, (MACHINE + Machine.key14Cleared) >>> 2, 1);
}
