/** What uname says: the Linux whose behaviour the kernel follows. */
export const RELEASE = '6.1.0-europa';
export const VERSION = '#1 SMP PREEMPT_DYNAMIC Europa';
export const NODENAME = 'europa';
