import { lockedExclusive } from '../../memory/rwlock.js';
import { Prot } from '../../mmu/pte.js';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { withProcess } from '../signal/links.js';
import { Process } from '../task-layout.js';
import { permittedBytes, readLocked, writeLocked } from './force.js';
import { dropMm, holdMm } from './mm.js';
import { Mm, TASK_SIZE } from './mm-layout.js';

/** process_vm_readv(2) and process_vm_writev(2) (mm/process_vm_access.c): under the pages' protection, but not under PKRU. */

/** UIO_MAXIOV. */
const MOST_RANGES = 1024;
/** Bytes that are copied at once. */
const PIECE_BYTES = 64 << 10;

interface Range {
  readonly start: number;
  readonly length: number;
}

/** An array of struct iovec, or −errno (iovec_from_user). */
function ranges(k: KernelCpu, address: number, count: number): Range[] | number {
  if (count > MOST_RANGES) return -Errno.EINVAL;
  const bytes = k.user.readBytes(address, count * 16);
  if (bytes === null) return -Errno.EFAULT;
  const view = new DataView(bytes.buffer);
  const number = (at: number) => view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
  const list: Range[] = [];
  for (let i = 0; i < count; i++) {
    const length = number(16 * i + 8);
    if (length >= 2 ** 63) return -Errno.EINVAL;
    list.push({ start: number(16 * i), length });
  }
  return list;
}

/**
 * Both calls; arguments as in the manual page.
 * @param write to the other process
 * @returns bytes copied, or −errno if there were none
 */
export function processVm(
  k: KernelCpu,
  pid: number,
  localVector: number,
  localCount: number,
  remoteVector: number,
  remoteCount: number,
  flags: number,
  write: boolean,
): number {
  if (flags !== 0) return -Errno.EINVAL;
  const local = ranges(k, localVector, localCount);
  if (typeof local === 'number') return local;
  if (local.some(({ start, length }) => start + length > TASK_SIZE)) return -Errno.EFAULT;
  if (local.every(({ length }) => length === 0)) return 0;
  const remote = ranges(k, remoteVector, remoteCount);
  if (typeof remote === 'number') return remote;
  if (remote.every(({ length }) => length === 0)) return 0;
  const { memory } = k;
  const mm = withProcess(memory, pid, 0, (process) => {
    const found = memory.loadU32(process + Process.mm);
    if (found !== 0) holdMm(memory, found);
    return found;
  });
  if (mm === 0) return -Errno.ESRCH;
  try {
    return copy(k, mm, local, remote, write);
  } finally {
    dropMm(k.user.mmu, mm);
  }
}

/** Works through both lists at once, until one ends or something is not accessible. */
function copy(k: KernelCpu, mm: number, local: Range[], remote: Range[], write: boolean): number {
  let total = 0;
  let [i, j, inLocal, inRemote] = [0, 0, 0, 0];
  while (i < local.length && j < remote.length) {
    const piece = Math.min(local[i].length - inLocal, remote[j].length - inRemote, PIECE_BYTES);
    if (piece > 0) {
      const copied = copyPiece(k, mm, local[i].start + inLocal, remote[j].start + inRemote, piece, write);
      total += copied;
      if (copied < piece) return total || -Errno.EFAULT;
      inLocal += piece;
      inRemote += piece;
    }
    if (inLocal === local[i].length) {
      i++;
      inLocal = 0;
    }
    if (inRemote === remote[j].length) {
      j++;
      inRemote = 0;
    }
  }
  return total;
}

/** The other mm's side is done under its lock, ours without any: our pages may have to be made. */
function copyPiece(
  k: KernelCpu,
  mm: number,
  local: number,
  remote: number,
  length: number,
  write: boolean,
): number {
  const { memory } = k;
  const { mmu } = k.user;
  const bytes = new Uint8Array(length);
  if (write) {
    const ready = bytes.subarray(0, k.user.readInto(bytes, local));
    return lockedExclusive(memory, mm + Mm.lock, () => {
      const allowed = permittedBytes(memory, mm, remote, ready.length, Prot.write);
      return writeLocked(mmu, mm, remote, ready.subarray(0, allowed));
    });
  }
  const read = lockedExclusive(memory, mm + Mm.lock, () => {
    const allowed = permittedBytes(memory, mm, remote, length, Prot.read);
    return readLocked(mmu, mm, remote, bytes.subarray(0, allowed));
  });
  return k.user.writeFrom(local, bytes.subarray(0, read));
}
