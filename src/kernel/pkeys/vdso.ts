import type { Memory } from '../../memory/memory.js';
import { struct } from '../../memory/struct.js';
import { Errno } from '../errno.js';
import { Prot } from '../../mmu/pte.js';
import { permittedBytes, writeLocked } from '../memory/force.js';
import type { SyscallTable } from '../syscalls.js';
import type { PkeyAbi, PkeyCaller } from './interface.js';
import {
  allocateKey,
  allocationMap,
  checkAllocArguments,
  clearTask,
  executeOnlyKeyOf,
  forkMap,
  initMap,
  isKey,
  KEYS,
  mmState,
  rightsOf,
  taskState,
  withMmLock,
} from './key-map.js';
import { freeNonzeroKey, getMmRights, mmBitmap, setMmRights } from './mm-bitmap.js';
import { PkeyMmState, PkeyTaskState } from './state.js';
import { vdsoImage } from './vdso-image.js';

/** struct pkey_area of src/guests/include/europa/vdso.h. */
const PkeyArea = struct({
  magic: 'u32',
  bytes: 'u32',
  /** Bit k: key k is allocated (the execute-only key is not user space's and is left out). */
  allocationMap: 'u32',
  reserved: 'u32',
  /** AD | WD of each key: a copy for debuggers. */
  rights: ['u8', KEYS],
});

/** "PKEY" */
const MAGIC = 0x59454b50;
const AREA_ALIGN = 32;

const areaOf = (memory: Memory, state: number): number => memory.loadNumber(state + PkeyTaskState.area);

/** The map as user space may see it. */
function publicMap({ memory, mm }: PkeyCaller): number {
  const key = executeOnlyKeyOf(memory, mm);
  return allocationMap(memory, mm) & ~(key < 0 ? 0 : 1 << key);
}

/**
 * Writes the map to every area of the mm; the lock is held, so that areas never go back to an older map. The areas are other
 * threads' memory: keys don't count. One that cannot be written any more is left as it is, at its owner's risk.
 */
function publish(caller: PkeyCaller): void {
  const { memory, mm } = caller;
  const bytes = new Uint8Array(new Uint32Array([publicMap(caller)]).buffer);
  let state = memory.loadU32(mmState(mm) + PkeyMmState.firstArea);
  while (state !== 0) {
    writeArea(caller, areaOf(memory, state) + PkeyArea.allocationMap, bytes);
    state = memory.loadU32(state + PkeyTaskState.nextArea);
  }
}

/** Writes to memory that its owner may write, whatever its key; false if that is not possible. The lock is held. */
function writeArea({ memory, mm, user }: PkeyCaller, address: number, bytes: Uint8Array): boolean {
  const { length } = bytes;
  if (permittedBytes(memory, mm, address, length, Prot.write) < length) return false;
  return writeLocked(user.mmu, mm, address, bytes) === length;
}

/** Copies the caller's rights of a key to its area. */
function noteRights(caller: PkeyCaller, key: number): void {
  const area = areaOf(caller.memory, taskState(caller.task));
  if (area !== 0 && isKey(key)) caller.user.writeU8(area + PkeyArea.rights + key, rightsOf(caller, key));
}

/** Runs a call that changes the map, and publishes the result before it returns. */
function changing(caller: PkeyCaller, call: () => number): number {
  return withMmLock(caller, () => {
    const result = call();
    if (result >= 0) publish(caller);
    return result;
  });
}

function allocate(caller: PkeyCaller, flags: number, rights: number): number {
  const refused = checkAllocArguments(flags, rights);
  if (refused) return refused;
  const key = changing(caller, () => allocateKey(caller, rights));
  if (key >= 0) noteRights(caller, key);
  return key;
}

function get(caller: PkeyCaller, key: number, flags: number): number {
  const result = getMmRights(caller, key, flags);
  if (result >= 0) noteRights(caller, key);
  return result;
}

function set(caller: PkeyCaller, key: number, rights: number, flags: number): number {
  const result = setMmRights(caller, key, rights, flags);
  if (result >= 0) noteRights(caller, key);
  return result;
}

/** pkey_area(area, bytes, flags): registers the calling thread's area and fills it in. */
function register(caller: PkeyCaller, area: number, bytes: number, flags: number): number {
  if (flags !== 0 || bytes !== PkeyArea.size || area % AREA_ALIGN !== 0) return -Errno.EINVAL;
  const { memory, mm, task, user } = caller;
  if (!user.prepare(area, true)) return -Errno.EFAULT;
  return withMmLock(caller, () => {
    const state = taskState(task);
    if (areaOf(memory, state) !== 0) return -Errno.EBUSY;
    const content = new Uint8Array(PkeyArea.size);
    const view = new DataView(content.buffer);
    view.setUint32(PkeyArea.magic, MAGIC, true);
    view.setUint32(PkeyArea.bytes, PkeyArea.size, true);
    view.setUint32(PkeyArea.allocationMap, publicMap(caller), true);
    for (let key = 0; key < KEYS; key++) content[PkeyArea.rights + key] = rightsOf(caller, key);
    // It may have been unmapped since it was looked at.
    if (!writeArea(caller, area, content)) return -Errno.EFAULT;
    const first = mmState(mm) + PkeyMmState.firstArea;
    memory.storeNumber(state + PkeyTaskState.area, area);
    memory.store32(state + PkeyTaskState.nextArea, memory.load32(first));
    memory.store32(first, state);
    return 0;
  });
}

/** Takes the task's area out of the mm's list. */
function unregister(caller: PkeyCaller): void {
  const { memory, mm, task } = caller;
  const state = taskState(task);
  if (mm === 0 || areaOf(memory, state) === 0) return;
  withMmLock(caller, () => {
    let link = mmState(mm) + PkeyMmState.firstArea;
    for (let at = memory.loadU32(link); at !== 0; at = memory.loadU32(link)) {
      if (at === state) {
        memory.store32(link, memory.load32(state + PkeyTaskState.nextArea));
        break;
      }
      link = at + PkeyTaskState.nextArea;
    }
  });
  memory.storeNumber(state + PkeyTaskState.area, 0);
  memory.store32(state + PkeyTaskState.nextArea, 0);
}

const syscalls: SyscallTable = {
  330: { name: 'pkey_alloc', args: 'xx', handler: (k, flags, rights) => allocate(k, flags, rights) },
  331: {
    name: 'pkey_free',
    args: 'd',
    handler: (k, key) => changing(k, () => freeNonzeroKey(k, key)),
  },
  332: { name: 'pkey_get', args: 'dx', handler: (k, key, flags) => get(k, key, flags) },
  333: { name: 'pkey_set', args: 'dxx', handler: (k, key, rights, flags) => set(k, key, rights, flags) },
  600: {
    name: 'pkey_area',
    args: 'pzx',
    handler: (k, area, bytes, flags) => register(k, area, bytes, flags),
  },
};

/** `mm-bitmap` whose map and rights user space reads in an area of its own, without a call (pkey-abis.md D). */
export const vdso: PkeyAbi = {
  ...mmBitmap,
  name: 'vdso',
  syscalls,
  initMm: initMap,
  cloneTask: (caller, task) => clearTask(caller.memory, task),
  forkMm: forkMap,
  exitTask: unregister,
  get vdso() {
    return vdsoImage();
  },
};
