/**
 * Guest memory as seeded mode sees it. There every access of emitted code is a call to one of these, where the schedule may
 * switch CPUs and the store buffer sits; in parallel mode there is none of it.
 *
 * All return 0 to leave the region with nothing of the instruction done and CpuState.exit saying why: an exception, `restart`
 * (see src/mmu/walk.ts) or `yielded`, after which the instruction runs again from its start. An instruction with several accesses then repeats
 * the first ones: whoever switches in the middle must answer those from what they read before.
 *
 * Emitted code sets CpuState.rip to the instruction and CpuState.accesses to 0 before the first access of each (of each element
 * of a repeated one), so that accesses can be told apart: the callee counts.
 *
 * `cpu` is the CPU block's pointer; `address` comes as a signed 64-bit integer.
 */
export interface SharedAccess {
  /** Pointer to `size` bytes at `address` as this CPU sees them. */
  load(cpu: number, address: bigint, size: number): number;
  /** Stores the first `size` bytes of CpuState.bounce; returns 1. */
  store(cpu: number, address: bigint, size: number): number;
  /** The bytes as this CPU sees them, copied to CpuState.bounce, for an instruction that will `store` them changed. */
  modify(cpu: number, address: bigint, size: number): number;
  /** Pointer to the memory itself, for an atomic operation: all earlier stores of the CPU are done, all checks for writing made. */
  modifyLocked(cpu: number, address: bigint, size: number): number;
  /** All earlier stores of the CPU are done; returns 1. */
  fence(cpu: number): number;
  /** A place other than an access where the schedule may switch; returns 1. */
  point(cpu: number, kind: number): number;
}

/** What a switch point is that is no access. */
export const SwitchPoint = {
  /** PAUSE: the thread waits for another. */
  pause: 0,
  /** WRPKRU; nothing of it has happened. */
  wrpkru: 1,
} as const;
