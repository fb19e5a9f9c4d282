import { cloneSyscalls } from './clone.js';
import { exitSyscalls } from './exit.js';
import { fileSyscalls } from './files/index.js';
import { futexSyscalls } from './futex.js';
import { limitsSyscalls } from './limits.js';
import { memorySyscalls } from './memory/syscalls.js';
import { pkeySyscalls } from './pkeys/syscalls.js';
import { schedSyscalls } from './sched.js';
import { signalSyscalls } from './signal/syscalls.js';
import type { SyscallTable } from './syscalls.js';
import { systemSyscalls } from './system.js';
import { timeSyscalls } from './time.js';

/** All system calls. */
export const SYSCALLS: SyscallTable = {
  ...cloneSyscalls,
  ...exitSyscalls,
  ...fileSyscalls,
  ...futexSyscalls,
  ...limitsSyscalls,
  ...memorySyscalls,
  ...pkeySyscalls,
  ...schedSyscalls,
  ...signalSyscalls,
  ...systemSyscalls,
  ...timeSyscalls,
};
