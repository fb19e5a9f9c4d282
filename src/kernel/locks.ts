/**
 * The order of the kernel's locks. Whoever holds a lock may take those below it, never one above it or beside it:
 *
 *   1  an mm's lock                      VMAs, page tables, pkey state                     src/kernel/memory
 *   2  Tasks.lock                        tid table, process list                           src/kernel/task.ts
 *   3  futex buckets                     two at once by ascending address                  src/kernel/futex.ts
 *   4  file tables, files, the console                                                     src/kernel/files
 *   5  a wait queue's lock               WaitQueue.lock                                    src/kernel/wait.ts
 *   6  ProcessSignals.lock               signal state and the process's list of threads    src/kernel/signal
 *   7  allocators                        frames, slabs, tasks: take no other lock
 *
 * Waking a task (src/kernel/wait.ts) takes no lock at all, so it may be done under any of them.
 *
 * A CPU that waits for a lock is in kernel mode, where no shootdown waits for it; the initiator of a shootdown waits for
 * CPUs in user mode only and may hold an mm's lock meanwhile. So a lock must never be taken in user or uaccess mode,
 * and user memory must not be touched under any lock but an mm's: a page fault takes the mm's lock.
 *
 * A host call that may block (read of a terminal, say) must not be made under a lock.
 */
export const LOCK_ORDER = ['mm', 'tasks', 'futex', 'files', 'wait', 'signals', 'allocators'] as const;
