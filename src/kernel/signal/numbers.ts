/** Signal numbers, flags and codes of Linux x86-64 (include/uapi/asm-generic/signal.h, siginfo.h; arch/x86). */

export const Signal = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  TRAP: 5,
  ABRT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  STKFLT: 16,
  CHLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  URG: 23,
  XCPU: 24,
  XFSZ: 25,
  VTALRM: 26,
  PROF: 27,
  WINCH: 28,
  IO: 29,
  PWR: 30,
  SYS: 31,
} as const;

/** Signals are 1 to NSIG; from SIGRTMIN on each instance is queued. */
export const NSIG = 64;
export const SIGRTMIN = 32;

/** Values of a handler that are no address. */
export const SIG_DFL = 0;
export const SIG_IGN = 1;

/** sa_flags. */
export const Sa = {
  NOCLDSTOP: 1,
  NOCLDWAIT: 2,
  SIGINFO: 4,
  RESTORER: 0x0400_0000,
  ONSTACK: 0x0800_0000,
  RESTART: 0x1000_0000,
  NODEFER: 0x4000_0000,
  RESETHAND: 0x8000_0000,
} as const;

/** ss_flags of sigaltstack. */
export const Ss = { ONSTACK: 1, DISABLE: 2, AUTODISARM: 0x8000_0000 } as const;

/** Smallest alternate stack (include/uapi/asm-generic/signal.h). */
export const MINSIGSTKSZ = 2048;

/** `how` of rt_sigprocmask. */
export const How = { BLOCK: 0, UNBLOCK: 1, SETMASK: 2 } as const;

/** si_code. Negative ones come from users, SI_USER is 0, positive ones from the kernel. */
export const SiCode = {
  USER: 0,
  KERNEL: 0x80,
  QUEUE: -1,
  TIMER: -2,
  TKILL: -6,
  ILL_ILLOPN: 2,
  FPE_INTDIV: 1,
  FPE_FLTDIV: 3,
  FPE_FLTOVF: 4,
  FPE_FLTUND: 5,
  FPE_FLTRES: 6,
  FPE_FLTINV: 7,
  SEGV_MAPERR: 1,
  SEGV_ACCERR: 2,
  SEGV_PKUERR: 4,
  BUS_ADRALN: 1,
  BUS_ADRERR: 2,
  TRAP_BRKPT: 1,
  TRAP_TRACE: 2,
} as const;

const NAMES = Object.fromEntries(Object.entries(Signal).map(([name, number]) => [number, `SIG${name}`]));

/** "SIGSEGV"; real-time signals as bash lists them ("SIGRTMIN+2", with libc's SIGRTMIN of 34). */
export function signalName(signal: number): string {
  if (NAMES[signal]) return NAMES[signal];
  return signal < 34 ? `signal ${signal}` : signal === 34 ? 'SIGRTMIN' : `SIGRTMIN+${signal - 34}`;
}

/** What strsignal(3) says of the signals that end a process, as a shell prints it. */
export const DESCRIPTIONS: Readonly<Record<number, string>> = {
  [Signal.HUP]: 'Hangup',
  [Signal.INT]: 'Interrupt',
  [Signal.QUIT]: 'Quit',
  [Signal.ILL]: 'Illegal instruction',
  [Signal.TRAP]: 'Trace/breakpoint trap',
  [Signal.ABRT]: 'Aborted',
  [Signal.BUS]: 'Bus error',
  [Signal.FPE]: 'Floating point exception',
  [Signal.KILL]: 'Killed',
  [Signal.USR1]: 'User defined signal 1',
  [Signal.SEGV]: 'Segmentation fault',
  [Signal.USR2]: 'User defined signal 2',
  [Signal.PIPE]: 'Broken pipe',
  [Signal.ALRM]: 'Alarm clock',
  [Signal.TERM]: 'Terminated',
  [Signal.STKFLT]: 'Stack fault',
  [Signal.XCPU]: 'CPU time limit exceeded',
  [Signal.XFSZ]: 'File size limit exceeded',
  [Signal.VTALRM]: 'Virtual timer expired',
  [Signal.PROF]: 'Profiling timer expired',
  [Signal.IO]: 'I/O possible',
  [Signal.PWR]: 'Power failure',
  [Signal.SYS]: 'Bad system call',
};

/** What a signal does that has no handler (signal(7)). */
export type DefaultAction = 'ignore' | 'stop' | 'terminate' | 'core';

const IGNORED = new Set<number>([Signal.CHLD, Signal.CONT, Signal.URG, Signal.WINCH]);
const STOPPING = new Set<number>([Signal.STOP, Signal.TSTP, Signal.TTIN, Signal.TTOU]);
const CORE = new Set<number>([
  Signal.QUIT,
  Signal.ILL,
  Signal.TRAP,
  Signal.ABRT,
  Signal.BUS,
  Signal.FPE,
  Signal.SEGV,
  Signal.XCPU,
  Signal.XFSZ,
  Signal.SYS,
]);

export function defaultAction(signal: number): DefaultAction {
  if (IGNORED.has(signal)) return 'ignore';
  if (STOPPING.has(signal)) return 'stop';
  return CORE.has(signal) ? 'core' : 'terminate';
}

/**
 * A set of signals is a 64-bit word in memory, signal n at bit n−1, and outside memory a pair of 32-bit halves.
 * These are the bits of a signal in its half; `highHalf` says in which.
 */
export function signalBit(signal: number): number {
  return 1 << ((signal - 1) & 31);
}

export function highHalf(signal: number): boolean {
  return signal > 32;
}

/** SIGKILL and SIGSTOP, which cannot be blocked, caught or ignored; both are in the low half. */
export const UNBLOCKABLE = signalBit(Signal.KILL) | signalBit(Signal.STOP);

/** Signals that an instruction of the thread itself raises, served before others (kernel/signal.c SYNCHRONOUS_MASK); low half. */
export const SYNCHRONOUS =
  signalBit(Signal.SEGV) |
  signalBit(Signal.BUS) |
  signalBit(Signal.ILL) |
  signalBit(Signal.TRAP) |
  signalBit(Signal.FPE) |
  signalBit(Signal.SYS);

/** Signals that stop or continue a process; pending ones of either kind cancel the other; low half. */
export const STOP_SIGNALS =
  signalBit(Signal.STOP) | signalBit(Signal.TSTP) | signalBit(Signal.TTIN) | signalBit(Signal.TTOU);
