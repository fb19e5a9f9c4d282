import type { MmuCpu } from '../../mmu/mmu-cpu.js';
import { MACHINE, Machine, MachineFlag } from '../../memory/layout.js';
import type { Memory } from '../../memory/memory.js';
import type { UserMemory } from '../../mmu/user-memory.js';
import type { SyscallTable } from '../syscalls.js';
import type { AbiName } from './names.js';

/** Who asks: the current task on its CPU. KernelCpu is one. */
export interface PkeyCaller {
  readonly memory: Memory;
  readonly cpu: MmuCpu;
  readonly user: UserMemory;
  /** Pointers of the current task and its mm. */
  readonly task: number;
  readonly mm: number;
}

/** No key given: mprotect, or −1 in `linux`. */
export const NO_KEY = -1;

/**
 * A protection-key ABI: what is different between the designs of pkey-abis.md B, C and D. The rest of the kernel asks here and
 * knows no ABI by name. Methods that get a caller and say nothing else expect the mm's lock, held alone.
 */
export interface PkeyAbi {
  readonly name: AbiName;

  /** PKRU of a new program, and after rt_sigreturn from a frame without extended state. */
  readonly initialPkru: number;

  /** PKRU of a signal handler. Needs no lock. */
  handlerPkru(caller: PkeyCaller): number;

  /** The calls this ABI offers besides pkey_mprotect. They take the lock themselves. */
  readonly syscalls: SyscallTable;

  /** pkey_mprotect: errno of a key that is refused before any other argument is looked at; 0 if none. */
  refuseFirst(caller: PkeyCaller, key: number): number;

  /** pkey_mprotect: errno of a key where Linux looks at it, behind the protection; 0 if it may be assigned. */
  refuse(caller: PkeyCaller, key: number): number;

  /** The key of a new mapping with prot == PROT_EXEC, 0 if execute-only is not to be had. May change the caller's PKRU. */
  executeOnlyKey(caller: PkeyCaller): number;

  /** The key that mprotect without a key leaves on (part of) a mapping. May change the caller's PKRU. */
  mprotectKey(caller: PkeyCaller, oldProt: number, oldKey: number, prot: number): number;

  /** State of an empty mm, and of the first task of a program. No lock needed: nobody else knows them. */
  initMm(memory: Memory, mm: number): void;
  initTask(memory: Memory, task: number): void;

  /** State of a new task, `task`, that the caller clones or forks. No lock needed. */
  cloneTask(caller: PkeyCaller, task: number): void;

  /** State of the mm of a forked process. */
  forkMm(memory: Memory, parent: number, child: number): void;

  /** The caller's task ends, or gives up its mm for exec. Takes the lock itself if it needs it. */
  exitTask(caller: PkeyCaller): void;

  /** The vDSO that exec is to map, if the ABI has one. */
  readonly vdso: Uint8Array | null;
}

/** Whether the processor has protection keys and the kernel uses them (X86_FEATURE_OSPKE). */
export function hasPku(memory: Memory): boolean {
  return (memory.load32(MACHINE + Machine.flags) & MachineFlag.noPku) === 0;
}
