import type { Memory } from '../../memory/memory.js';
import { hasMutant, Mutant } from '../../memory/mutants.js';
import { lockedExclusive } from '../../memory/rwlock.js';
import { Prot } from '../../mmu/pte.js';
import { Errno } from '../errno.js';
import { Mm } from '../memory/mm-layout.js';
import { Task } from '../task-layout.js';
import { hasPku, NO_KEY, type PkeyCaller } from './interface.js';
import { PkeyMmState, PkeyTaskState } from './state.js';

/** What several ABIs have in common: rights in PKRU, and the allocation map of an mm with its execute-only key. */

export const KEYS = 16;
export const DISABLE_ACCESS = 1;

/** Keys 0–15 and nothing else. */
export const isKey = (key: number): boolean => key >= 0 && key < KEYS;

export const mmState = (mm: number): number => mm + Mm.pkeys;
export const taskState = (task: number): number => task + Task.pkeys;

/** The two bits of a key in the caller's PKRU: AD 1, WD 2. */
export function rightsOf(caller: PkeyCaller, key: number): number {
  return (caller.cpu.pkru >>> (2 * key)) & 3;
}

/** Sets the two bits of a key in the caller's PKRU, and no other (arch_set_user_pkey_access). */
export function setRights(caller: PkeyCaller, key: number, rights: number): void {
  caller.cpu.pkru = ((caller.cpu.pkru & ~(3 << (2 * key))) | (rights << (2 * key))) >>> 0;
}

export function allocationMap(memory: Memory, mm: number): number {
  return Atomics.load(memory.i32, (mmState(mm) + PkeyMmState.allocationMap) >>> 2);
}

export function setAllocationMap(memory: Memory, mm: number, map: number): void {
  Atomics.store(memory.i32, (mmState(mm) + PkeyMmState.allocationMap) >>> 2, map);
}

/** The mm's execute-only key, −1 if it has none. */
export function executeOnlyKeyOf(memory: Memory, mm: number): number {
  return memory.load32(mmState(mm) + PkeyMmState.executeOnlyKey);
}

/** The lowest key of `usable` that is not in `map`; −1 if there is none. */
export function lowestFree(map: number, usable = 0xffff): number {
  const free = usable & ~map;
  return free === 0 ? -1 : 31 - Math.clz32(free & -free);
}

/** Whether user space has allocated a key: the execute-only key is in the map, but not user space's (mm_pkey_is_allocated). */
export function isAllocated(memory: Memory, mm: number, key: number): boolean {
  if (!isKey(key)) return false;
  if (key === executeOnlyKeyOf(memory, mm) && !hasMutant(memory, Mutant.executeOnlyKeyUsable)) return false;
  return ((allocationMap(memory, mm) >>> key) & 1) !== 0;
}

/** State of a new mm with an allocation map: key 0 is allocated; without PKU not even that. */
export function initMap(memory: Memory, mm: number): void {
  setAllocationMap(memory, mm, hasPku(memory) ? 1 : 0);
  memory.store32(mmState(mm) + PkeyMmState.executeOnlyKey, -1);
}

/** fork: the child has the parent's map and execute-only key. */
export function forkMap(memory: Memory, parent: number, child: number): void {
  setAllocationMap(memory, child, allocationMap(memory, parent));
  memory.store32(mmState(child) + PkeyMmState.executeOnlyKey, executeOnlyKeyOf(memory, parent));
}

export function withMmLock<T>(caller: PkeyCaller, body: () => T): T {
  return lockedExclusive(caller.memory, caller.mm + Mm.lock, body);
}

/** Arguments of pkey_alloc: 0 or −EINVAL. */
export function checkAllocArguments(flags: number, rights: number): number {
  return flags !== 0 || rights > 3 ? -Errno.EINVAL : 0;
}

/** pkey_alloc on the mm's map: the key, or −ENOSPC. The lock is held. */
export function allocateKey(caller: PkeyCaller, rights: number): number {
  const { memory, mm } = caller;
  if (!hasPku(memory)) return -Errno.ENOSPC;
  const map = allocationMap(memory, mm);
  const key = lowestFree(map);
  if (key < 0) return -Errno.ENOSPC;
  setAllocationMap(memory, mm, map | (1 << key));
  setRights(caller, key, rights);
  return key;
}

/** pkey_free on the mm's map: 0 or −EINVAL. Pages and PKRU stay as they are. The lock is held. */
export function freeKey(caller: PkeyCaller, key: number): number {
  const { memory, mm } = caller;
  if (!isAllocated(memory, mm, key)) return -Errno.EINVAL;
  setAllocationMap(memory, mm, allocationMap(memory, mm) & ~(1 << key));
  return 0;
}

/** Denies the caller data access by a key, unless it is denied already (the end of execute_only_pkey). */
export function denyAccess(caller: PkeyCaller, key: number): void {
  if (!(rightsOf(caller, key) & DISABLE_ACCESS)) setRights(caller, key, DISABLE_ACCESS);
}

/** Linux's execute-only key: allocated at the first use, kept until exec; 0 if no key is free (execute_only_pkey). */
export function linuxExecuteOnlyKey(caller: PkeyCaller): number {
  const { memory, mm } = caller;
  if (!hasPku(memory)) return 0;
  let key = executeOnlyKeyOf(memory, mm);
  if (key < 0) {
    const map = allocationMap(memory, mm);
    key = lowestFree(map);
    if (key < 0) return 0;
    setAllocationMap(memory, mm, map | (1 << key));
    memory.store32(mmState(mm) + PkeyMmState.executeOnlyKey, key);
    setRights(caller, key, DISABLE_ACCESS);
  } else denyAccess(caller, key);
  return key;
}

/** Linux's choice of key for mprotect (__arch_override_mprotect_pkey). */
export function linuxMprotectKey(caller: PkeyCaller, oldProt: number, oldKey: number, prot: number): number {
  if (!hasPku(caller.memory)) return 0;
  if (prot === Prot.exec) {
    const key = linuxExecuteOnlyKey(caller);
    if (key > 0) return key;
  } else if (oldProt === Prot.exec && oldKey === executeOnlyKeyOf(caller.memory, caller.mm)) {
    return 0;
  }
  return oldKey;
}

/** pkey_mprotect's key under an allocation map in the mm: errno or 0. */
export function refuseUnallocated(caller: PkeyCaller, key: number): number {
  return key === NO_KEY || isAllocated(caller.memory, caller.mm, key) ? 0 : Errno.EINVAL;
}

/** pkey_get: rights of a key, once `allocated` has said that the caller may ask. */
export function getRights(
  caller: PkeyCaller,
  key: number,
  flags: number,
  allocated: (key: number) => boolean,
): number {
  if (flags !== 0 || !isKey(key)) return -Errno.EINVAL;
  return allocated(key) ? rightsOf(caller, key) : -Errno.EBADF;
}

/** pkey_set, likewise. */
export function changeRights(
  caller: PkeyCaller,
  key: number,
  rights: number,
  flags: number,
  allocated: (key: number) => boolean,
): number {
  if (flags !== 0 || rights > 3 || !isKey(key)) return -Errno.EINVAL;
  if (!allocated(key)) return -Errno.EBADF;
  setRights(caller, key, rights);
  return 0;
}

/** A task that starts without state of its own. */
export function clearTask(memory: Memory, task: number): void {
  const state = taskState(task);
  memory.u8.fill(0, state, state + PkeyTaskState.size);
}
