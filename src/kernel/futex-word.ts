import type { KernelCpu } from './kernel-cpu.js';

/** Futex words in user memory, checked with the task's PKRU like every access of the kernel's for a task. */

/** The aligned 32-bit word at an address; null if its page is not there (no page fault is served). */
export function loadWordNoFault(k: KernelCpu, address: number): number | null {
  return k.user.loadWord(address);
}

/**
 * Compare-exchange of such a word.
 * @returns what was found there (equal to `expected` if it was replaced); null if its page is not there for writing
 */
export function compareExchangeWord(
  k: KernelCpu,
  address: number,
  expected: number,
  value: number,
): number | null {
  return k.user.exchangeWord(address, expected, value);
}

/** Serves the page fault that an access would raise; false if there is nothing to access. May take the mm's lock. */
export function makeAccessible(k: KernelCpu, address: number, write: boolean): boolean {
  return k.user.touch(address, write);
}

/**
 * Where a word is, whatever address it is mapped at: the pointer of its frame's byte; 0 if it is not accessible.
 * Looked up for writing, if it may be written, so that a frame that would be replaced by the first write is replaced before.
 */
export function sharedWordPlace(k: KernelCpu, address: number): number {
  return k.user.locate(address, true) || k.user.locate(address, false);
}
