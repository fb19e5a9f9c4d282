import type { GuestCpu } from '../cpu/guest-cpu.js';
import { CpuMode, CpuState, cpuPointer, Interrupt } from '../cpu/state.js';
import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import { enterKernel, enterUser, waitForCpu } from '../mmu/shootdown.js';
import type { Mmu } from '../mmu/mmu.js';
import { interruptCpu } from './run-queue.js';

/**
 * Locked accesses that no wasm atomic can do: one CPU runs its instruction while all others are outside of guest code.
 *
 * Machine.splitLockOwner names the CPU (number + 1; 0 for none). It stores its number, raises Interrupt.standStill for the
 * others, and then waits for those in mode `user`. A CPU stores mode `user`, and then looks at its interrupts (in its loop) or at
 * the owner (after a hook, in the middle of an instruction); if there is an owner it goes back to kernel mode and waits. So
 * either the owner sees the mode, and the CPU leaves guest code at its next safe point, or the CPU sees the owner.
 */
const OWNER = (MACHINE + Machine.splitLockOwner) >>> 2;
const STOPPING = (MACHINE + Machine.stopping) >>> 2;

/** Looks at another CPU's mode before waiting for it in earnest. */
const SPINS = 1000;

/** CpuHooks.exclusive: called in mode `user`, returns in mode `user`. */
export function runExclusive(mmu: Mmu, cpu: GuestCpu, step: () => number): number {
  const { memory } = mmu;
  const { i32 } = memory;
  const self = cpu.id + 1;
  enterKernel(memory, cpu.base);
  for (;;) {
    const owner = Atomics.compareExchange(i32, OWNER, 0, self);
    if (owner === 0) break;
    // Woken by the owner's release; the wait ends at once if that has happened.
    Atomics.wait(i32, OWNER, owner);
  }
  const cpus = memory.load32(MACHINE + Machine.cpuCount);
  for (let id = 0; id < cpus; id++) if (id !== cpu.id) interruptCpu(memory, id, Interrupt.standStill);
  for (let id = 0; id < cpus; id++) {
    if (id === cpu.id) continue;
    const mode = (cpuPointer(id) + CpuState.mode) >>> 2;
    waitForCpu(memory, cpuPointer(id), SPINS, () => Atomics.load(i32, mode) !== CpuMode.user);
  }
  enterUser(memory, cpu.base);
  mmu.catchUp();
  memory.store32(cpu.base + CpuState.exclusive, 1);
  try {
    return step();
  } finally {
    memory.store32(cpu.base + CpuState.exclusive, 0);
    Atomics.store(i32, OWNER, 0);
    Atomics.notify(i32, OWNER);
  }
}

/** In kernel mode: waits until no other CPU runs alone. The owner's release wakes us; it has changed the word before. */
export function standStill(memory: Memory, id: number): void {
  const { i32 } = memory;
  for (;;) {
    const owner = Atomics.load(i32, OWNER);
    if (owner === 0 || owner === id + 1 || Atomics.load(i32, STOPPING) !== 0) return;
    Atomics.wait(i32, OWNER, owner);
  }
}

/**
 * For hooks that have been in kernel mode and are back in `user`, in the middle of an instruction.
 * @returns whether the CPU had to stand still
 */
export function standStillInside(mmu: Mmu, cpu: GuestCpu): boolean {
  const { memory } = mmu;
  let stood = false;
  for (;;) {
    const owner = Atomics.load(memory.i32, OWNER);
    if (owner === 0 || owner === cpu.id + 1 || Atomics.load(memory.i32, STOPPING) !== 0) return stood;
    stood = true;
    enterKernel(memory, cpu.base);
    standStill(memory, cpu.id);
    enterUser(memory, cpu.base);
    mmu.catchUp();
  }
}
