import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { isNotified } from '../signal/state.js';
import { BLOCKED, type SyscallTable } from '../syscalls.js';
import { Process, Task } from '../task.js';
import { dropFile, File, FileKind, fileFlags, position, setPosition } from './description.js';
import { MAX_RW_COUNT, Open } from './flags.js';
import { hostCall } from './host.js';
import { hostOf } from './host-system.js';
import { filesOf, readUser, writeUser } from './links.js';
import { writable, writeFile, writeFileAt } from './operations.js';
import { beforeRead } from './shared.js';
import { getFile } from './table.js';
import { bounce, UserBuffer } from './user-buffer.js';
import { withFile } from './with-file.js';

/**
 * Copying between descriptors inside the kernel: sendfile(2) and copy_file_range(2), in pieces of the transfer buffer. Less
 * than asked for may be copied, as the calls allow; a blocked output is tried again with nothing taken from the input yet.
 *
 * The input's position is not locked meanwhile, in Linux neither: the output may be the same file, or another thread's input.
 */
function copyPiece(
  k: KernelCpu,
  from: number,
  to: number,
  fromAt: number | null,
  toAt: number | null,
  length: number,
): number {
  const { memory } = k;
  const buffer = bounce(memory, length);
  const host = memory.load32(from + File.hostFd);
  const at = fromAt ?? position(memory, from);
  beforeRead(memory, host, at, buffer.length);
  const count = hostCall(() => hostOf(memory).read(host, buffer, at));
  if (count <= 0) return count;
  const source = UserBuffer.kernel(k, buffer.subarray(0, count));
  const written = toAt === null ? writeFile(k, to, () => source) : writeFileAt(k, to, () => source, toAt);
  if (written > 0 && fromAt === null) setPosition(memory, from, at + written);
  return written;
}

/** Whether the thread has something to see to before it goes on copying: a signal, or the end of its process. */
function hasSignal(k: KernelCpu): boolean {
  const exiting = (k.process + Process.exiting) >>> 2;
  return isNotified(k.memory, k.task + Task.signals) || Atomics.load(k.memory.i32, exiting) !== 0;
}

/** Reads an offset argument; null without one. */
function readOffset(k: KernelCpu, address: number): number | null {
  if (address === 0) return null;
  const bytes = new Uint8Array(8);
  if (readUser(k, address, bytes) < 8) return -Errno.EFAULT;
  const value = new DataView(bytes.buffer).getBigInt64(0, true);
  return value < 0n ? -Errno.EINVAL : Number(value);
}

function writeOffset(k: KernelCpu, address: number, value: number): number {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
  return writeUser(k, address, bytes) === 8 ? 0 : -Errno.EFAULT;
}

function copy(
  k: KernelCpu,
  fromFd: number,
  fromOffset: number,
  toFd: number,
  toOffset: number,
  length: number,
): number {
  const { memory } = k;
  const fromAt = readOffset(k, fromOffset);
  const toAt = readOffset(k, toOffset);
  if (fromAt !== null && fromAt < 0) return fromAt;
  if (toAt !== null && toAt < 0) return toAt;
  // The input is a regular file and never blocks; the output may, so that its reference is the one kept.
  return withFile(k, toFd, (to) => {
    const from = getFile(memory, filesOf(k), fromFd);
    if (from === 0) return -Errno.EBADF;
    try {
      if ((fileFlags(memory, from) & Open.ACCMODE) === Open.WRONLY) return -Errno.EBADF;
      if (memory.load32(from + File.kind) !== FileKind.regular) return -Errno.EINVAL;
      if (!writable(k, to)) return -Errno.EBADF;
      let done = 0;
      const most = Math.min(length, MAX_RW_COUNT);
      while (done < most && !(done > 0 && hasSignal(k))) {
        const piece = Math.min(most - done, 1 << 16);
        const [fromNow, toNow] = [fromAt, toAt].map((at) => (at === null ? null : at + done));
        const count = copyPiece(k, from, to, fromNow, toNow, piece);
        if (count === BLOCKED) return BLOCKED;
        if (count < 0 && done === 0) return count;
        if (count <= 0) break;
        done += count;
        // Once the output is a pipe, the next piece might block with this one already sent.
        if (memory.load32(to + File.kind) === FileKind.pipe) break;
      }
      const error =
        (fromAt === null ? 0 : writeOffset(k, fromOffset, fromAt + done)) ||
        (toAt === null ? 0 : writeOffset(k, toOffset, toAt + done));
      return error || done;
    } finally {
      dropFile(memory, from);
    }
  });
}

function copyFileRange(
  k: KernelCpu,
  fromFd: number,
  fromOffset: number,
  toFd: number,
  toOffset: number,
  length: number,
  flags: number,
): number {
  if (flags !== 0) return -Errno.EINVAL;
  const target = getFile(k.memory, filesOf(k), toFd);
  if (target === 0) return -Errno.EBADF;
  const kind = k.memory.load32(target + File.kind);
  const targetFlags = fileFlags(k.memory, target);
  dropFile(k.memory, target);
  if (kind !== FileKind.regular) return -Errno.EINVAL;
  if (targetFlags & Open.APPEND || (targetFlags & Open.ACCMODE) === Open.RDONLY) return -Errno.EBADF;
  return copy(k, fromFd, fromOffset, toFd, toOffset, length);
}

export const transferSyscalls: SyscallTable = {
  40: {
    name: 'sendfile',
    args: 'ddpz',
    handler: (k, toFd, fromFd, offset, length) => copy(k, fromFd, offset, toFd, 0, length),
  },
  326: { name: 'copy_file_range', args: 'dpdpzf', handler: copyFileRange },
};
