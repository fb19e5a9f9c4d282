import { hasMutant, Mutant } from '../../memory/mutants.js';
import { Prot } from '../../mmu/pte.js';
import { Errno } from '../errno.js';
import { hasPku, type PkeyAbi, type PkeyCaller } from './interface.js';
import { clearTask, denyAccess, isKey } from './key-map.js';

/** Set aside for the kernel (M3, M5). */
const RESERVED_KEY = 14;
/** Plain PROT_EXEC (M2). */
const EXECUTE_ONLY_KEY = 15;
/** Bits of keys 14 and 15 in PKRU. */
const RESERVED_BITS = 0xf000_0000;

/** M3 and M4: which keys pkey_mprotect takes; asked before anything else, so that the probe's answer is the key's alone. */
export function refuseReserved(caller: PkeyCaller, key: number): number {
  if (!isKey(key)) return Errno.EINVAL;
  if (key === 0) return 0;
  if (!hasPku(caller.memory)) return Errno.EOPNOTSUPP;
  if (key === EXECUTE_ONLY_KEY && hasMutant(caller.memory, Mutant.executeOnlyKeyUsable)) return 0;
  return key === RESERVED_KEY || key === EXECUTE_ONLY_KEY ? Errno.EOPNOTSUPP : 0;
}

/** M2: key 15, closed for the caller. */
export function fixedExecuteOnlyKey(caller: PkeyCaller): number {
  if (!hasPku(caller.memory)) return 0;
  denyAccess(caller, EXECUTE_ONLY_KEY);
  return EXECUTE_ONLY_KEY;
}

/** PROT_EXEC over a page with a key of its own keeps the key; leaving execute-only resets to 0. */
export function keepingMprotectKey(
  caller: PkeyCaller,
  oldProt: number,
  oldKey: number,
  prot: number,
): number {
  if (prot === Prot.exec) {
    return oldKey === 0 || oldKey === EXECUTE_ONLY_KEY ? fixedExecuteOnlyKey(caller) : oldKey;
  }
  return oldKey === EXECUTE_ONLY_KEY && oldProt === Prot.exec ? 0 : oldKey;
}

/** Keys 0–13 open, the reserved ones as they were. */
export function openHandlerPkru(caller: PkeyCaller): number {
  return (caller.cpu.pkru & RESERVED_BITS) >>> 0;
}

/** The proposal of July 2016: one call, nothing to allocate (pkey-abis.md C). */
export const minimal: PkeyAbi = {
  name: 'minimal',
  initialPkru: 0,
  handlerPkru: openHandlerPkru,
  // M1: the numbers of alloc, free, get and set answer ENOSYS, although Linux later gave get's to statx.
  syscalls: { 332: { name: 'pkey_get', args: 'dx', handler: () => -Errno.ENOSYS } },
  refuseFirst: refuseReserved,
  refuse: () => 0,
  executeOnlyKey: fixedExecuteOnlyKey,
  mprotectKey: keepingMprotectKey,
  initMm: () => {},
  initTask: clearTask,
  cloneTask: (caller, task) => clearTask(caller.memory, task),
  forkMm: () => {},
  exitTask: () => {},
  vdso: null,
};
