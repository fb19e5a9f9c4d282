import { Errno } from '../errno.js';

/**
 * Runs a call of the host's file system and answers its result (0 if that is no number), or −errno if it failed, in Linux's
 * numbers whatever the host.
 * Host calls must not throw through a syscall handler: what a guest asks for may always fail.
 */
export function hostCall(call: () => unknown): number {
  try {
    const result = call();
    return typeof result === 'number' ? result : 0;
  } catch (error) {
    return -hostErrno(error);
  }
}

/** The Linux errno of an error that a node:fs function threw. */
export function hostErrno(error: unknown): number {
  const code = (error as NodeJS.ErrnoException).code;
  if (code !== undefined) {
    const known = (Errno as Readonly<Record<string, number>>)[code];
    if (known !== undefined) return known;
    if (code === 'ENOTSUP') return Errno.EOPNOTSUPP;
    // Node refuses such arguments before it asks the system.
    if (code === 'ERR_INVALID_ARG_VALUE' || code === 'ERR_OUT_OF_RANGE') return Errno.EINVAL;
    if (code === 'ERR_FS_EISDIR') return Errno.EISDIR;
    if (code.startsWith('E') && !code.startsWith('ERR_')) return Errno.EIO;
  }
  throw error;
}

/** A path as the host takes it. Paths inside the kernel are byte strings: one character (0–255) a byte. */
export function hostPath(path: string): Buffer {
  return Buffer.from(path, 'latin1');
}
