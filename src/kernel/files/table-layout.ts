import { struct } from '../../memory/struct.js';

/** Descriptors a process may have (hard limit of RLIMIT_NOFILE). */
export const MAX_DESCRIPTORS = 4096;
/** Descriptors of one chunk of the table; chunks are made when needed. */
export const CHUNK = 64;

/** Number of resource limits (RLIM_NLIMITS). */
export const LIMITS = 16;

/** One descriptor of a chunk: its description (0: not open), and FD_CLOEXEC. */
export const Slot = struct({ file: 'u32', flags: 'i32' });

/** What CLONE_FILES and CLONE_FS share: descriptors, working directory and umask of a process, and its program. */
export const FileTable = struct({
  /** Atomic: processes that share it. */
  references: 'i32',
  /** Guards everything below. Taken before nothing but the slab's lock. */
  lock: 'i32',
  /** Soft limit: descriptors are below it. */
  limit: 'i32',
  umask: 'i32',
  /** Working directory: a byte string without trailing slash, except for "/". */
  cwd: 'u32',
  /** What is known of the program: a Program (program.ts), or 0. */
  program: 'u32',
  /** Resource limits, soft and hard, by number (src/kernel/limits.ts); Infinity for none. That of descriptors counts. */
  limits: ['f64', 2 * LIMITS],
  chunks: ['u32', MAX_DESCRIPTORS / CHUNK],
});
