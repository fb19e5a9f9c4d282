import type { Memory } from '../../memory/memory.js';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { File, fileFlags } from './description.js';
import { Open } from './flags.js';
import { hostCall } from './host.js';
import { hostOf } from './host-system.js';
import { afterWrite, beforeRead } from './shared.js';
import { bounce, type UserBuffer } from './user-buffer.js';

/**
 * Reads a regular file of the host at a position.
 * @returns bytes that reached the user, or −errno if there were none
 */
export function readRegular(memory: Memory, file: number, to: UserBuffer, at: number): number {
  const fd = memory.load32(file + File.hostFd);
  beforeRead(memory, fd, at, to.remaining);
  let done = 0;
  while (to.remaining > 0) {
    const buffer = bounce(memory, to.remaining);
    const count = hostCall(() => hostOf(memory).read(fd, buffer, at + done));
    if (count <= 0) return done || count;
    const copied = to.push(buffer.subarray(0, count));
    done += copied;
    if (copied < count) return done || -Errno.EFAULT;
    if (count < buffer.length) break;
  }
  return done;
}

/**
 * Writes a regular file of the host at a position. A file opened with O_APPEND has it on the host too, where it decides.
 * @returns bytes written, or −errno if there were none
 */
export function writeRegular(k: KernelCpu, file: number, from: UserBuffer, at: number): number {
  const { memory } = k;
  const fd = memory.load32(file + File.hostFd);
  let done = 0;
  while (from.remaining > 0) {
    const buffer = bounce(memory, from.remaining);
    const taken = from.pull(buffer);
    if (taken === 0) return done || -Errno.EFAULT;
    const count = hostCall(() => hostOf(memory).write(fd, buffer.subarray(0, taken), at + done));
    if (count < 0) return done || count;
    afterWrite(k, fd, at + done, buffer.subarray(0, count));
    done += count;
    if (count < taken || taken < buffer.length) break;
  }
  return done;
}

/** Size of an open host file, or −errno. */
export function hostSize(memory: Memory, file: number): number {
  return hostCall(() => Number(hostOf(memory).attributes(memory.load32(file + File.hostFd), false).size));
}

/** Where the next write goes: the end if the file is in append mode (which fcntl may have set later), else `position`. */
export function writePosition(memory: Memory, file: number, position: number): number {
  return fileFlags(memory, file) & Open.APPEND ? hostSize(memory, file) : position;
}
