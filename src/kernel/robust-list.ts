import { CpuState } from '../cpu/state.js';
import { Errno } from './errno.js';
import { ANY, futexWake } from './futex.js';
import { compareExchangeWord, loadWordNoFault, OWNER_DIED, TID_MASK, WAITERS } from './futex-table.js';
import type { KernelCpu } from './kernel-cpu.js';
import type { SyscallTable } from './syscalls.js';
import { Task, withTask } from './task.js';

/** Robust mutexes: the list, in user memory, of those that a thread holds; when it ends, they are given up for it (get_robust_list(2)). */

const ROBUST_HEAD_BYTES = 24;
/** A list longer than this, or circular, is not followed further (ROBUST_LIST_LIMIT). */
const ROBUST_LIMIT = 2048;

function setRobustList(k: KernelCpu, head: number, length: number): number {
  if (length !== ROBUST_HEAD_BYTES) return -Errno.EINVAL;
  k.memory.storeNumber(k.task + Task.robustList, head);
  return 0;
}

function getRobustList(k: KernelCpu, tid: number, headPointer: number, lengthPointer: number): number {
  const { memory } = k;
  const read = (task: number) => memory.loadNumber(task + Task.robustList);
  const head = tid === 0 ? read(k.task) : withTask(memory, tid, -1, read);
  if (head < 0) return -Errno.ESRCH;
  const scratch = k.cpu.base + CpuState.scratch;
  memory.storeNumber(scratch, ROBUST_HEAD_BYTES);
  memory.storeNumber(scratch + 8, head);
  if (!k.user.copyOut(lengthPointer, scratch, 8)) return -Errno.EFAULT;
  return k.user.copyOut(headPointer, scratch + 8, 8) ? 0 : -Errno.EFAULT;
}

/**
 * Marks the robust mutexes that the ending thread holds as ownerless and wakes one waiter of each (exit_robust_list).
 * Called by the thread itself, before its memory goes. The list is the user's and may be anything: what cannot be read
 * ends the walk.
 */
export function exitRobustList(k: KernelCpu): void {
  const { memory } = k;
  const head = memory.loadNumber(k.task + Task.robustList);
  if (head === 0) return;
  memory.storeNumber(k.task + Task.robustList, 0);
  const scratch = k.cpu.base + CpuState.scratch;
  if (!k.user.copyIn(scratch, head, ROBUST_HEAD_BYTES)) return;
  // Links: bit 0 marks a mutex with priority inheritance. The mutex's word is at a fixed, signed distance.
  let entry = memory.loadNumber(scratch);
  const distance = memory.loadU32(scratch + 8) + memory.load32(scratch + 12) * 0x1_0000_0000;
  const pending = memory.loadNumber(scratch + 16);
  const strip = (link: number) => link - (link % 2);
  for (let i = 0; i < ROBUST_LIMIT && strip(entry) !== head; i++) {
    // The link is read first: once the mutex is marked, its memory may be somebody else's.
    const readable = k.user.copyIn(scratch, strip(entry), 8);
    const next = memory.loadNumber(scratch);
    const isPending = strip(entry) === strip(pending);
    if (!isPending && !ownerDied(k, strip(entry) + distance, false, entry % 2 === 1)) return;
    if (!readable) return;
    entry = next;
  }
  if (strip(pending) !== 0) ownerDied(k, strip(pending) + distance, true, pending % 2 === 1);
}

/** handle_futex_death: false if the word cannot be accessed. */
function ownerDied(k: KernelCpu, address: number, pending: boolean, pi: boolean): boolean {
  if (address % 4 !== 0) return false;
  for (;;) {
    const word = loadWordNoFault(k, address);
    if (word === null) {
      if (!k.user.prepare(address, true)) return false;
      continue;
    }
    // The thread may have died between releasing the mutex (word 0) and waking the next.
    if (pending && !pi && word === 0) {
      futexWake(k, address, true, 1, ANY);
      return true;
    }
    if ((word & TID_MASK) !== k.tid) return true;
    const found = compareExchangeWord(k, address, word, (word & WAITERS) | OWNER_DIED);
    if (found === null && !k.user.prepare(address, true)) return false;
    if (found !== word) continue;
    if (!pi && word & WAITERS) futexWake(k, address, true, 1, ANY);
    return true;
  }
}

export const robustListSyscalls: SyscallTable = {
  273: { name: 'set_robust_list', handler: setRobustList, args: 'pz' },
  274: { name: 'get_robust_list', handler: getRobustList, args: 'dpp' },
};
