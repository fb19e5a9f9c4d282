import { CpuState, Gpr } from '../../cpu/state.js';
import type { Memory } from '../../memory/memory.js';

/** Results of system calls that are never seen by user code (include/linux/errno.h): what to do when a signal interrupted the call. */
export const Restart = {
  /** Again, unless a handler without SA_RESTART runs: then EINTR. */
  ERESTARTSYS: 512,
  /** Again, always. */
  ERESTARTNOINTR: 513,
  /** Again if no handler runs, else EINTR. */
  ERESTARTNOHAND: 514,
  /** By restart_syscall if no handler runs, else EINTR. */
  ERESTART_RESTARTBLOCK: 516,
} as const;

const EINTR = 4;
const NR_RT_SIGRETURN = 15;
const NR_RESTART_SYSCALL = 219;
/** Length of SYSCALL. */
const SYSCALL_BYTES = 2;

/** Whether a result asks for a decision about restarting before user code sees it. */
export function wantsRestart(result: number): boolean {
  return result <= -Restart.ERESTARTSYS && result >= -Restart.ERESTART_RESTARTBLOCK;
}

/**
 * Settles the result of an interrupted call when a handler runs next (handle_signal) or none does (arch_do_signal_or_restart).
 * @param number the call's number
 * @param handlerRestarts null without a handler, else whether it has SA_RESTART
 */
export function settleRestart(
  memory: Memory,
  base: number,
  number: number,
  handlerRestarts: boolean | null,
): void {
  // Its RAX is that of the interrupted code, whatever the value.
  if (number === NR_RT_SIGRETURN) return;
  const rax = base + CpuState.gpr + Gpr.rax * 8;
  const result = memory.load32(rax);
  if (!wantsRestart(result) || memory.load32(rax + 4) !== -1) return;
  let again: number;
  if (handlerRestarts === null) {
    again = result === -Restart.ERESTART_RESTARTBLOCK ? NR_RESTART_SYSCALL : number;
  } else if (result === -Restart.ERESTARTNOINTR || (result === -Restart.ERESTARTSYS && handlerRestarts)) {
    again = number;
  } else {
    memory.storeNumber(rax, -EINTR);
    return;
  }
  memory.storeNumber(rax, again);
  memory.storeNumber(base + CpuState.rip, memory.loadNumber(base + CpuState.rip) - SYSCALL_BYTES);
}
