import { struct } from '../../memory/struct.js';

/**
 * Protection-key state of a task; embedded in Task, zero in a new one.
 * Only the task itself writes it, except where a comment says otherwise.
 */
export const PkeyTaskState = struct({
  /** Bit k: key k belongs to this task (`task-bitmap`). */
  allocationMap: 'i32',
  /** User address of the registered area (`vdso`), 0 if there is none. */
  area: 'u64',
  /** PkeyTaskState of the next task of the mm with an area, 0 at the end. Under the mm's lock. */
  nextArea: 'u32',
});

/** Protection-key state of an address space; embedded in Mm, under its lock. */
export const PkeyMmState = struct({
  /** Bit k: key k is allocated (mm->context.pkey_allocation_map). Atomic, so that it may be looked at without the lock. */
  allocationMap: 'i32',
  /** The key of execute-only mappings, −1 if there is none yet (mm->context.execute_only_pkey). */
  executeOnlyKey: 'i32',
  /** `hybrid`: 0 as `minimal`, 1 once managed. Atomic, as above. */
  managed: 'i32',
  /** PkeyTaskState of the first task with an area (`vdso`). */
  firstArea: 'u32',
});
