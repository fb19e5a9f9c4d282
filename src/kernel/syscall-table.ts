import type { Memory } from '../memory/memory.js';
import { cloneSyscalls } from './clone.js';
import { Errno } from './errno.js';
import { exitSyscalls } from './exit.js';
import { fileSyscalls, mappableFile } from './files/index.js';
import { robustListSyscalls } from './robust-list.js';
import { futexSyscalls } from './futex-pi.js';
import { intervalTimerSyscalls } from './interval-timers.js';
import { limitsSyscalls } from './limits.js';
import { memorySyscalls, pkeySyscalls } from './memory/index.js';
import { posixTimerSyscalls } from './posix-timers.js';
import { schedSyscalls } from './sched.js';
import { signalSyscalls } from './signal/syscalls.js';
import type { Handler, SyscallTable } from './syscalls.js';
import { systemSyscalls } from './system.js';
import { timeSyscalls } from './time.js';

const MMAP = 9;

/** All system calls of a machine; its protection-key ABI has some of its own. */
export function syscallTable(memory: Memory): SyscallTable {
  return {
    ...cloneSyscalls,
    ...exitSyscalls,
    ...fileSyscalls,
    ...futexSyscalls,
    ...robustListSyscalls,
    ...intervalTimerSyscalls,
    ...limitsSyscalls,
    ...posixTimerSyscalls,
    ...schedSyscalls,
    ...signalSyscalls,
    ...systemSyscalls,
    ...timeSyscalls,
    ...memoryCalls(),
    ...pkeySyscalls(memory),
  };
}

/** The calls about memory; mmap holds on to its file for as long as it takes. */
function memoryCalls(): SyscallTable {
  let held: { release(): void } | null = null;
  const calls = memorySyscalls((k, descriptor) => {
    const file = mappableFile(k, descriptor);
    held = file;
    return file ?? -Errno.EBADF;
  });
  const mmap: Handler = (...call) => {
    try {
      return calls[MMAP].handler(...call);
    } finally {
      held?.release();
      held = null;
    }
  };
  return { ...calls, [MMAP]: { ...calls[MMAP], handler: mmap } };
}
