import type { KernelCpu } from './kernel-cpu.js';

/**
 * A system call. Arguments come converted as the call's `args` declare them, missing ones as 0.
 * @returns a result ≥ 0, −errno, a restart code (src/kernel/signal/registers.ts), BLOCKED or NO_RESULT
 */
export type Handler = (
  k: KernelCpu,
  a0: number,
  a1: number,
  a2: number,
  a3: number,
  a4: number,
  a5: number,
) => number;

export interface Syscall {
  readonly name: string;
  readonly handler: Handler;
  /**
   * One letter for each argument, which says how it is converted and how --strace shows it:
   *   d  int: the register's low 32 bits, signed        u  unsigned int, decimal
   *   o  unsigned int, octal (modes)                    f  unsigned int, hexadecimal (flags)
   *   l  long, off_t: signed 64 bits                    z  size_t: unsigned 64 bits, decimal
   *   x  unsigned long, hexadecimal                     p  address, unsigned 64 bits
   *   s  address of a path or other string
   * 64-bit values are exact below 2^53 and rounded above (unsigned ones then are beyond every user address).
   */
  readonly args: string;
}

/** Calls by number (arch/x86/entry/syscalls/syscall_64.tbl). */
export type SyscallTable = Readonly<Record<number, Syscall>>;

/** The task was put to sleep (src/kernel/wait.ts); the handler is called again with the same arguments when it is woken. */
export const BLOCKED = -1_000_000;

/** The handler has set the registers itself (rt_sigreturn, execve), or the task has ended: RAX is left alone. */
export const NO_RESULT = -1_000_001;
