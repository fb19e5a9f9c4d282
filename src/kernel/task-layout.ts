import { CpuState } from '../cpu/state.js';
import { XSAVE_BYTES } from '../cpu/xsave.js';
import { struct } from '../memory/struct.js';
import { PkeyTaskState } from './pkeys/state.js';
import { ProcessSignals, TaskSignals } from './signal/state.js';

/**
 * A thread. Made by `createTask`, recycled by the scheduler after its end.
 *
 * While it is loaded on a CPU (states Running, Asleep, Parked) its registers are that CPU's; in the other states, and in
 * Parked too, they are in `registers` and `image`.
 */
export const Task = struct({
  /** Atomic: TaskState, wake reason, CPU and number of the sleep in one word; see src/kernel/wait.ts. */
  word: 'i32',
  tid: 'i32',
  process: 'u32',
  /** Pointer of the mm (0 for none); equal to the process's. */
  mm: 'u32',
  /** Link in the scheduler's inbox and queues. */
  queueNext: 'u32',
  /** Links of the process's list of threads; under ProcessSignals.lock. */
  threadNext: 'u32',
  threadPrevious: 'u32',
  /** The CPU it ran on last, −1 if none; written by the scheduler. */
  lastCpu: 'i32',
  /** A BlockedIn: what the CPU goes on with when the task is woken. Own thread's. */
  blockedIn: 'i32',
  /** 1 from the beginning of its exit on. Atomic. */
  exiting: 'i32',
  /** When the sleep ends by itself: monotonic ns (Clock), Infinity for never. Stays until the next sleep. Own thread's. */
  deadline: 'f64',
  /** What the handler that blocked wants to find again when it is called after the wake-up. Own thread's. */
  scratch: ['f64', 4],
  /** Links and key of the wait queue that the task is in; laid out by whoever keeps the queue, under its lock. */
  wait: { bytes: 64, align: 8 },
  /** CPUs it may run on, bit i of word i / 32 for CPU i; see sched_setaffinity. */
  affinity: ['u32', 2],
  /** SCHED_OTHER …, static priority and nice value, as sched_setscheduler and setpriority left them. */
  policy: 'i32',
  priority: 'i32',
  nice: 'i32',
  unused: 'i32',
  /** Time on CPUs in ns up to the last switch; while it is loaded add Clock.monotonic() − CpuSlot.since. */
  cpuTime: 'f64',
  /** Context switches to it. */
  switches: 'f64',
  /** set_tid_address / CLONE_CHILD_CLEARTID: where 0 is written and a futex is woken at the end; 0 for nowhere. */
  clearChildTid: 'u64',
  /** set_robust_list's head; 0 for none. */
  robustList: 'u64',
  pkeys: { bytes: PkeyTaskState.size, align: 8 },
  /** Name, NUL-padded (PR_SET_NAME). */
  comm: ['u8', 16],
  signals: { bytes: TaskSignals.size, align: 8 },
  /** General registers, RIP, FS and GS base, selectors, RFLAGS as the architecture has it. */
  registers: { bytes: CpuState.ccDst - CpuState.gpr, align: 8 },
  rflags: 'u32',
  /** XSAVE image in standard format (src/cpu/xsave.ts). */
  image: { bytes: XSAVE_BYTES, align: 64 },
});

/** What threads share. */
export const Process = struct({
  /** Thread-group id: the pid. */
  pid: 'i32',
  parent: 'u32',
  /** Link of the list of processes; under Tasks.lock. */
  next: 'u32',
  /** Threads linked by Task.threadNext, and how many; under ProcessSignals.lock. `leader` is the first one. */
  firstThread: 'u32',
  threads: 'i32',
  leader: 'u32',
  /** Pointer of the mm. */
  mm: 'u32',
  /** Pointer of what CLONE_FILES and CLONE_FS share: descriptors, working directory, umask (src/kernel/files). */
  files: 'u32',
  /** Atomic: 1 once it ends as a whole (exit_group, fatal signal); the first to set it decides exitCode and exitSignal. */
  exiting: 'i32',
  exitCode: 'i32',
  exitSignal: 'i32',
  uid: 'i32',
  gid: 'i32',
  euid: 'i32',
  egid: 'i32',
  unused: 'i32',
  /** Time on CPUs in ns of threads that have ended. */
  cpuTime: 'f64',
  signals: { bytes: ProcessSignals.size, align: 8 },
});

/** States of a task; transitions are in src/kernel/wait.ts. */
export const TaskState = {
  /** Being made; nobody else knows it. */
  New: 0,
  /** Loaded on a CPU and running there, or about to. */
  Running: 1,
  /** Asleep, loaded; its registers are only in the CPU. */
  Asleep: 2,
  /** Asleep, still loaded but saved as well: the scheduler may take the CPU away from it. */
  Parked: 3,
  /** Asleep, not loaded. */
  Detached: 4,
  /** Saved, not loaded, wants a CPU. */
  Ready: 5,
  /** Ended. */
  Dead: 6,
  /** In the mailbox of the CPU that the word names. */
  Handed: 7,
} as const;

/** Why a handler is called (KernelCpu.wakeReason). */
export const WakeReason = {
  /** First call. */
  none: 0,
  /** `wake` was called for the task. */
  woken: 1,
  /** Its deadline is over. */
  timeout: 2,
  /** There may be a signal for it: give up with EINTR or a restart code. */
  signal: 3,
} as const;

/** Task.blockedIn. */
export const BlockedIn = { nothing: 0, syscall: 1, stop: 2 } as const;
