import type { Memory } from '../../memory/memory.js';
import { hasMutant, Mutant } from '../../memory/mutants.js';
import { Prot } from '../../mmu/pte.js';
import { Errno } from '../errno.js';
import { hasPku, type PkeyAbi, type PkeyCaller } from './interface.js';
import {
  changeRights,
  checkAllocArguments,
  clearTask,
  denyAccess,
  getRights,
  isKey,
  lowestFree,
  setRights,
  taskState,
} from './key-map.js';
import { refuseOutOfRange } from './mm-bitmap.js';
import { PkeyTaskState } from './state.js';

/** Execute-only for the whole mm; no task can have it. */
const EXECUTE_ONLY_KEY = 15;
const USABLE = 0xffff & ~(1 << EXECUTE_ONLY_KEY);

const mapWord = (task: number): number => taskState(task) + PkeyTaskState.allocationMap;

/** Whether the caller's own map has a key. */
function owns({ memory, task }: PkeyCaller, key: number): boolean {
  if (!isKey(key)) return false;
  if (key === EXECUTE_ONLY_KEY) return hasMutant(memory, Mutant.executeOnlyKeyUsable);
  return ((memory.load32(mapWord(task)) >>> key) & 1) !== 0;
}

function allocate(caller: PkeyCaller, flags: number, rights: number): number {
  const { memory, task } = caller;
  const refused = checkAllocArguments(flags, rights);
  if (refused) return refused;
  if (!hasPku(memory)) return -Errno.ENOSPC;
  const map = memory.load32(mapWord(task));
  const key = lowestFree(map, USABLE);
  if (key < 0) return -Errno.ENOSPC;
  memory.store32(mapWord(task), map | (1 << key));
  setRights(caller, key, rights);
  return key;
}

function free(caller: PkeyCaller, key: number): number {
  if (key === 0 || !owns(caller, key)) return -Errno.EINVAL;
  const { memory, task } = caller;
  memory.store32(mapWord(task), memory.load32(mapWord(task)) & ~(1 << key));
  return 0;
}

function executeOnlyKey(caller: PkeyCaller): number {
  if (!hasPku(caller.memory)) return 0;
  denyAccess(caller, EXECUTE_ONLY_KEY);
  return EXECUTE_ONLY_KEY;
}

function initTask(memory: Memory, task: number): void {
  clearTask(memory, task);
  memory.store32(mapWord(task), hasPku(memory) ? 1 : 0);
}

/** The map in the task: no lock, and no agreement between threads (pkey-abis.md D). */
export const taskBitmap: PkeyAbi = {
  name: 'task-bitmap',
  initialPkru: 0,
  handlerPkru: () => 0,
  syscalls: {
    330: { name: 'pkey_alloc', args: 'xx', handler: (k, flags, rights) => allocate(k, flags, rights) },
    331: { name: 'pkey_free', args: 'd', handler: (k, key) => free(k, key) },
    332: {
      name: 'pkey_get',
      args: 'dx',
      handler: (k, key, flags) => getRights(k, key, flags, (wanted) => owns(k, wanted)),
    },
    333: {
      name: 'pkey_set',
      args: 'dxx',
      handler: (k, key, rights, flags) => changeRights(k, key, rights, flags, (wanted) => owns(k, wanted)),
    },
  },
  refuseFirst: refuseOutOfRange,
  refuse: (caller, key) => (owns(caller, key) ? 0 : Errno.EINVAL),
  executeOnlyKey,
  mprotectKey(caller, oldProt, oldKey, prot) {
    if (prot === Prot.exec) return executeOnlyKey(caller) || oldKey;
    return oldProt === Prot.exec && oldKey === EXECUTE_ONLY_KEY ? 0 : oldKey;
  },
  initMm: () => {},
  initTask,
  cloneTask({ memory, task: parent }, task) {
    clearTask(memory, task);
    memory.store32(mapWord(task), memory.load32(mapWord(parent)));
  },
  forkMm: () => {},
  exitTask: () => {},
  vdso: null,
};
