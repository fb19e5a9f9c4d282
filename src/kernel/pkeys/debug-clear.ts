import { MACHINE, Machine } from '../../memory/layout.js';
import type { Memory } from '../../memory/memory.js';
import { Mm } from '../memory/mm-layout.js';
import { ABI_NAMES } from './names.js';
import { PkeyMmState } from './state.js';

/**
 * Whether --debug-fpu clears key 14 in the images of an mm's tasks (M5): `minimal` always, `hybrid` until the mm is managed
 * (from then on 14 is a key like any other, whose rights a switch must not open). The other ABIs reserve no key.
 */
export function debugClearApplies(memory: Memory, mm: number): boolean {
  const abi = ABI_NAMES[memory.load32(MACHINE + Machine.abi)];
  if (abi === 'minimal') return true;
  if (abi !== 'hybrid') return false;
  return mm === 0 || Atomics.load(memory.i32, (mm + Mm.pkeys + PkeyMmState.managed) >>> 2) === 0;
}
