import type { Memory } from '../../memory/memory.js';
import { altStackState, onAltStack } from './frame.js';
import { MINSIGSTKSZ, Ss } from './numbers.js';
import { TaskSignals } from './state.js';

/** A stack_t; addresses and sizes as numbers, flags unsigned. */
export interface AltStack {
  pointer: number;
  flags: number;
  size: number;
}

const EPERM = 1;
const ENOMEM = 12;
const EINVAL = 22;

/** What sigaltstack reports as the old stack. */
export function getAltStack(memory: Memory, signals: number, sp: number): AltStack {
  const flags = memory.loadU32(signals + TaskSignals.stackFlags);
  return {
    pointer: memory.loadNumber(signals + TaskSignals.stackPointer),
    flags: (altStackState(memory, signals, sp) | (flags >= Ss.AUTODISARM ? Ss.AUTODISARM : 0)) >>> 0,
    size: memory.loadNumber(signals + TaskSignals.stackSize),
  };
}

/**
 * do_sigaltstack for the own task.
 * @param sp its RSP
 * @returns 0 or −errno
 */
export function setAltStack(memory: Memory, signals: number, stack: AltStack, sp: number): number {
  if (onAltStack(memory, signals, sp)) return -EPERM;
  const mode = (stack.flags & ~Ss.AUTODISARM) >>> 0;
  if (mode !== Ss.DISABLE && mode !== Ss.ONSTACK && mode !== 0) return -EINVAL;
  const disable = mode === Ss.DISABLE;
  if (!disable && stack.size < MINSIGSTKSZ) return -ENOMEM;
  memory.storeNumber(signals + TaskSignals.stackPointer, disable ? 0 : stack.pointer);
  memory.storeNumber(signals + TaskSignals.stackSize, disable ? 0 : stack.size);
  memory.store32(signals + TaskSignals.stackFlags, stack.flags);
  return 0;
}
