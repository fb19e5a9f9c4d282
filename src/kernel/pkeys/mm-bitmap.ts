import type { SyscallTable } from '../syscalls.js';
import { Errno } from '../errno.js';
import type { PkeyAbi, PkeyCaller } from './interface.js';
import {
  allocateKey,
  changeRights,
  checkAllocArguments,
  clearTask,
  forkMap,
  freeKey,
  getRights,
  initMap,
  isAllocated,
  isKey,
  linuxExecuteOnlyKey,
  linuxMprotectKey,
  refuseUnallocated,
  withMmLock,
} from './key-map.js';

/** The range is checked before everything; −1 is out of it. */
export const refuseOutOfRange = (_caller: PkeyCaller, key: number): number => (isKey(key) ? 0 : Errno.EINVAL);

/** pkey_free that keeps key 0. The lock is held. */
export const freeNonzeroKey = (caller: PkeyCaller, key: number): number =>
  key === 0 ? -Errno.EINVAL : freeKey(caller, key);

/** pkey_get and pkey_set: the map is looked at without the lock, so a key may be freed before the call returns. */
export const getMmRights = (caller: PkeyCaller, key: number, flags: number): number =>
  getRights(caller, key, flags, (k) => isAllocated(caller.memory, caller.mm, k));

export const setMmRights = (caller: PkeyCaller, key: number, rights: number, flags: number): number =>
  changeRights(caller, key, rights, flags, (k) => isAllocated(caller.memory, caller.mm, k));

const syscalls: SyscallTable = {
  330: {
    name: 'pkey_alloc',
    args: 'xx',
    handler: (k, flags, rights) =>
      checkAllocArguments(flags, rights) || withMmLock(k, () => allocateKey(k, rights)),
  },
  331: { name: 'pkey_free', args: 'd', handler: (k, key) => withMmLock(k, () => freeNonzeroKey(k, key)) },
  332: { name: 'pkey_get', args: 'dx', handler: (k, key, flags) => getMmRights(k, key, flags) },
  333: {
    name: 'pkey_set',
    args: 'dxx',
    handler: (k, key, rights, flags) => setMmRights(k, key, rights, flags),
  },
};

/** Hansen's four calls with the map in the mm (pkey-abis.md D). */
export const mmBitmap: PkeyAbi = {
  name: 'mm-bitmap',
  initialPkru: 0,
  handlerPkru: () => 0,
  syscalls,
  refuseFirst: refuseOutOfRange,
  refuse: refuseUnallocated,
  executeOnlyKey: linuxExecuteOnlyKey,
  mprotectKey: linuxMprotectKey,
  initMm: initMap,
  initTask: clearTask,
  cloneTask: (caller, task) => clearTask(caller.memory, task),
  forkMm: forkMap,
  exitTask: () => {},
  vdso: null,
};
