import { Prot } from '../../mmu/pte.js';
import { vmaAt, vmaCount, vmaKey, vmaProt } from '../memory/vma.js';
import { hasPku, type PkeyAbi, type PkeyCaller } from './interface.js';
import {
  allocateKey,
  checkAllocArguments,
  clearTask,
  forkMap,
  initMap,
  linuxExecuteOnlyKey,
  linuxMprotectKey,
  mmState,
  refuseUnallocated,
  setAllocationMap,
  withMmLock,
} from './key-map.js';
import { fixedExecuteOnlyKey, keepingMprotectKey, openHandlerPkru, refuseReserved } from './minimal.js';
import { freeNonzeroKey, getMmRights, refuseOutOfRange, setMmRights } from './mm-bitmap.js';
import { PkeyMmState } from './state.js';

const managedWord = (mm: number): number => (mmState(mm) + PkeyMmState.managed) >>> 2;

function isManaged({ memory, mm }: PkeyCaller): boolean {
  return Atomics.load(memory.i32, managedWord(mm)) !== 0;
}

/**
 * From now on the mm is managed: keys on its mappings count as allocated, the one of execute-only mappings stays theirs. Once,
 * for good. The lock is held, so nobody sees the mm half switched.
 */
function manage(caller: PkeyCaller): void {
  if (isManaged(caller)) return;
  const { memory, mm } = caller;
  if (hasPku(memory)) {
    let map = 1;
    for (let i = vmaCount(memory, mm) - 1; i >= 0; i--) {
      const vma = vmaAt(memory, mm, i);
      const key = vmaKey(memory, vma);
      map |= 1 << key;
      if (key === 15 && vmaProt(memory, vma) === Prot.exec) {
        memory.store32(mmState(mm) + PkeyMmState.executeOnlyKey, key);
      }
    }
    setAllocationMap(memory, mm, map);
  }
  Atomics.store(memory.i32, managedWord(mm), 1);
}

/** Runs one of the four calls, each of which makes the mm managed even if it fails. */
function managed(caller: PkeyCaller, call: () => number): number {
  return withMmLock(caller, () => {
    manage(caller);
    return call();
  });
}

/** `minimal` until somebody allocates, `mm-bitmap` from then on (pkey-abis.md D). */
export const hybrid: PkeyAbi = {
  name: 'hybrid',
  initialPkru: 0,
  handlerPkru: (caller) => (isManaged(caller) ? 0 : openHandlerPkru(caller)),
  syscalls: {
    330: {
      name: 'pkey_alloc',
      args: 'xx',
      handler: (k, flags, rights) =>
        managed(k, () => checkAllocArguments(flags, rights) || allocateKey(k, rights)),
    },
    331: { name: 'pkey_free', args: 'd', handler: (k, key) => managed(k, () => freeNonzeroKey(k, key)) },
    332: {
      name: 'pkey_get',
      args: 'dx',
      handler: (k, key, flags) => managed(k, () => getMmRights(k, key, flags)),
    },
    333: {
      name: 'pkey_set',
      args: 'dxx',
      handler: (k, key, rights, flags) => managed(k, () => setMmRights(k, key, rights, flags)),
    },
  },
  refuseFirst: (caller, key) =>
    isManaged(caller) ? refuseOutOfRange(caller, key) : refuseReserved(caller, key),
  refuse: (caller, key) => (isManaged(caller) ? refuseUnallocated(caller, key) : 0),
  executeOnlyKey: (caller) => (isManaged(caller) ? linuxExecuteOnlyKey(caller) : fixedExecuteOnlyKey(caller)),
  mprotectKey: (caller, oldProt, oldKey, prot) =>
    (isManaged(caller) ? linuxMprotectKey : keepingMprotectKey)(caller, oldProt, oldKey, prot),
  initMm(memory, mm) {
    initMap(memory, mm);
    Atomics.store(memory.i32, managedWord(mm), 0);
  },
  initTask: clearTask,
  cloneTask: (caller, task) => clearTask(caller.memory, task),
  forkMm(memory, parent, child) {
    forkMap(memory, parent, child);
    Atomics.store(memory.i32, managedWord(child), Atomics.load(memory.i32, managedWord(parent)));
  },
  exitTask: () => {},
  vdso: null,
};
