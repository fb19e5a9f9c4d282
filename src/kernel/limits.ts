import { Errno } from './errno.js';
import { Limit } from './files/initial-limits.js';
import { filesOf, readUser, writeUser } from './files/links.js';
import { FileTable, LIMITS } from './files/table-layout.js';
import { withTable } from './files/table.js';
import type { KernelCpu } from './kernel-cpu.js';
import { Mm } from './memory/mm-layout.js';
import type { SyscallTable } from './syscalls.js';

/**
 * Resource limits (getrlimit(2)). All are kept and reported; in force are those of descriptors, of the address space, the heap and
 * the stack, and of whoever asks `softLimit`.
 */
export function softLimit(k: KernelCpu, resource: number): number {
  return k.memory.f64[((filesOf(k) + FileTable.limits) >>> 3) + 2 * resource];
}

/** The limits that the memory's own calls look at, where they find them. */
const MEMORY_LIMITS: Readonly<Record<number, number>> = {
  [Limit.AS]: Mm.addressLimit,
  [Limit.DATA]: Mm.dataLimit,
  [Limit.STACK]: Mm.stackLimit,
};

/** struct rlimit: two 64-bit numbers, all ones for infinity. */
function putLimit(k: KernelCpu, address: number, soft: number, hard: number): number {
  const INFINITE = 0xffff_ffff_ffff_ffffn;
  const words = BigUint64Array.from([soft, hard], (limit) => (limit === Infinity ? INFINITE : BigInt(limit)));
  return writeUser(k, address, new Uint8Array(words.buffer)) === 16 ? 0 : -Errno.EFAULT;
}

function prlimit(k: KernelCpu, pid: number, resource: number, next: number, old: number): number {
  const { memory } = k;
  if (resource >= LIMITS) return -Errno.EINVAL;
  let wanted: [number, number] | null = null;
  if (next !== 0) {
    const words = new BigUint64Array(2);
    if (readUser(k, next, new Uint8Array(words.buffer)) < 16) return -Errno.EFAULT;
    const limit = (word: bigint) => (word >= 2n ** 63n ? Infinity : Number(word));
    wanted = [limit(words[0]), limit(words[1])];
  }
  if (pid !== 0 && pid !== k.pid) return -Errno.ESRCH;
  const table = filesOf(k);
  const at = ((table + FileTable.limits) >>> 3) + 2 * resource;
  let before: [number, number] = [0, 0];
  const error = withTable(memory, table, () => {
    before = [memory.f64[at], memory.f64[at + 1]];
    if (wanted === null) return 0;
    if (wanted[0] > wanted[1]) return -Errno.EINVAL;
    if (wanted[1] > before[1]) return -Errno.EPERM;
    [memory.f64[at], memory.f64[at + 1]] = wanted;
    if (resource === Limit.NOFILE) memory.store32(table + FileTable.limit, wanted[0]);
    const field = MEMORY_LIMITS[resource];
    if (field !== undefined) memory.f64[(k.mm + field) >>> 3] = wanted[0];
    return 0;
  });
  return error || (old === 0 ? 0 : putLimit(k, old, before[0], before[1]));
}

export const limitsSyscalls: SyscallTable = {
  97: {
    name: 'getrlimit',
    args: 'up',
    handler: (k, resource, to) => {
      if (resource >= LIMITS) return -Errno.EINVAL;
      const at = ((filesOf(k) + FileTable.limits) >>> 3) + 2 * resource;
      return putLimit(k, to, k.memory.f64[at], k.memory.f64[at + 1]);
    },
  },
  160: {
    name: 'setrlimit',
    args: 'up',
    // Without new limits there is nothing to read: EFAULT, as from address 0.
    handler: (k, resource, from) => (from === 0 ? -Errno.EFAULT : prlimit(k, 0, resource, from, 0)),
  },
  302: { name: 'prlimit64', args: 'dupp', handler: prlimit },
};
