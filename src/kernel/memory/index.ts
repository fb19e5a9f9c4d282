import { availableParallelism } from 'node:os';
import type { MmuCpu } from '../../mmu/mmu-cpu.js';
import { Mmu } from '../../mmu/mmu.js';
import { UserMemory } from '../../mmu/user-memory.js';
import { kernelFault } from './fault.js';

/**
 * Memory management as the rest of the kernel uses it.
 *
 * A CPU's worker calls `createUserMemory` once; KernelCpu.user.mmu is the MMU that the functions here take. The CPU's hooks are
 * `pageFaultHook`, `codeWrittenHook` and `codeMarkedHook`; its loop calls `loadMm` when the task's mm is another one,
 * `mmu.catchUp` in mode `user` before guest code runs, and `userFault` for a #PF that it is to raise.
 */

/** User memory, and with it the MMU, of a CPU. */
export function createUserMemory(cpu: MmuCpu, hostCores = availableParallelism()): UserMemory {
  const mmu = new Mmu(cpu, hostCores);
  return new UserMemory(mmu, (mm, address, access, pkru) => kernelFault(mmu, mm, address, access, pkru));
}

export { setHeap } from './brk.js';
export {
  codeMarkedHook,
  codeWrittenHook,
  type FaultSignal,
  pageFaultHook,
  reportOutOfMemory,
  userFault,
} from './fault.js';
export { forceRead, forceWrite } from './force.js';
export { loadTarget, mapVdso } from './load-target.js';
export { listMappings, type Mapping, residentBytes } from './mappings.js';
export { createMm, dropMm, forkMm, holdMm, loadMm } from './mm.js';
export { Mm, TASK_SIZE } from './mm-layout.js';
export type { FileIdentity, MappableFile } from './object.js';
export { syncAllFiles } from './shared-file.js';
export { memorySyscalls, type OpenMappable, pkeySyscalls } from './syscalls.js';
