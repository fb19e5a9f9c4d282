import { MACHINE, Machine } from '../../memory/layout.js';
import type { Memory } from '../../memory/memory.js';
import { hasMutant, Mutant } from '../../memory/mutants.js';
import { hybrid } from './hybrid.js';
import type { PkeyAbi, PkeyCaller } from './interface.js';
import { linux } from './linux.js';
import { minimal } from './minimal.js';
import { mmBitmap } from './mm-bitmap.js';
import { ABI_NAMES, type AbiName } from './names.js';
import { taskBitmap } from './task-bitmap.js';
import { vdso } from './vdso.js';

export { hasPku, NO_KEY, type PkeyAbi, type PkeyCaller } from './interface.js';
export { ABI_NAMES, type AbiName, isAbiName } from './names.js';

const ABIS: Record<AbiName, PkeyAbi> = {
  minimal,
  linux,
  'mm-bitmap': mmBitmap,
  'task-bitmap': taskBitmap,
  hybrid,
  vdso,
};

/** The machine's ABI. */
export function abiOf(memory: Memory): PkeyAbi {
  return ABIS[ABI_NAMES[memory.load32(MACHINE + Machine.abi)]];
}

/** PKRU with which a signal handler of the caller starts. */
export function handlerPkru(caller: PkeyCaller): number {
  if (hasMutant(caller.memory, Mutant.handlerKeepsPkru)) return caller.cpu.pkru;
  return abiOf(caller.memory).handlerPkru(caller);
}

/** PKRU of a new program, and where rt_sigreturn finds no extended state. */
export function initialPkru(caller: { readonly memory: Memory }): number {
  return abiOf(caller.memory).initialPkru;
}
