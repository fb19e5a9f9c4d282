import type { PkeyAbi } from './interface.js';
import {
  allocateKey,
  checkAllocArguments,
  clearTask,
  forkMap,
  freeKey,
  initMap,
  linuxExecuteOnlyKey,
  linuxMprotectKey,
  refuseUnallocated,
  withMmLock,
} from './key-map.js';

/** Every key but 0 closed (init_pkru). */
const INIT_PKRU = 0x5555_5554;

/** As merged: an allocation map in the mm, no calls for rights, PKRU closed from the start (pkey-abis.md B). */
export const linux: PkeyAbi = {
  name: 'linux',
  initialPkru: INIT_PKRU,
  handlerPkru: () => INIT_PKRU,
  syscalls: {
    330: {
      name: 'pkey_alloc',
      args: 'xx',
      handler: (k, flags, rights) =>
        checkAllocArguments(flags, rights) || withMmLock(k, () => allocateKey(k, rights)),
    },
    331: { name: 'pkey_free', args: 'd', handler: (k, key) => withMmLock(k, () => freeKey(k, key)) },
  },
  refuseFirst: () => 0,
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
