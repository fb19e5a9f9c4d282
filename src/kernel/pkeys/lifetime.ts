import type { Memory } from '../../memory/memory.js';
import { abiOf, type PkeyCaller } from './abi.js';

/** What clone, fork, exec and exit do to protection keys; the ABI decides. */

/** A new mm, for exec. */
export function initPkeys(memory: Memory, mm: number): void {
  abiOf(memory).initMm(memory, mm);
}

/** The first task of a program. @returns the PKRU to start with */
export function initTaskPkeys(memory: Memory, task: number): number {
  const abi = abiOf(memory);
  abi.initTask(memory, task);
  return abi.initialPkru;
}

/** A new task made by the caller with clone or fork. Its PKRU, in its image, is the caller's: not set here. */
export function childPkeys(caller: PkeyCaller, task: number): void {
  abiOf(caller.memory).cloneTask(caller, task);
}

/** A forked process's mm; the parent's lock is held. */
export function forkPkeys(memory: Memory, parent: number, child: number): void {
  abiOf(memory).forkMm(memory, parent, child);
}

/** The caller's task ends: nothing of it may be referred to any more. No locks held. */
export function exitPkeys(caller: PkeyCaller): void {
  abiOf(caller.memory).exitTask(caller);
}

/** exec: leaves the old mm; after it the task is like a program's first. `mm` of the caller is still the old one. */
export function execPkeys(caller: PkeyCaller): void {
  exitPkeys(caller);
  caller.cpu.pkru = initTaskPkeys(caller.memory, caller.task);
}
