import { MACHINE, Machine } from '../../memory/layout.js';
import type { Memory } from '../../memory/memory.js';
import { kfree, kmalloc } from '../../memory/slab.js';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { Signal, SiCode } from '../signal/numbers.js';
import { sendSignal, setBlocked, writeInfo } from '../signal/send.js';
import { TaskSignals } from '../signal/state.js';
import { Process, Task } from '../task.js';

/** Where the file code meets the rest of the kernel: the heap, user memory, processes and signals. */

/** Memory for `bytes`, zeroed; 0 if there is no room. */
export function allocate(memory: Memory, bytes: number): number {
  return kmalloc(memory, bytes);
}

/** Gives back what `allocate` gave for the same number of bytes. */
export function release(memory: Memory, pointer: number, bytes: number): void {
  kfree(memory, pointer, bytes);
}

/** Copies user memory under its protection and the caller's PKRU; returns the bytes copied, fewer at the first refusal. */
export function readUser(k: KernelCpu, address: number, into: Uint8Array): number {
  if (into.buffer !== k.memory.buffer) return k.user.readInto(into, address);
  return k.user.copyInSome(into.byteOffset, address, into.length);
}

/** Copies to user memory, as `readUser` copies from it. */
export function writeUser(k: KernelCpu, address: number, from: Uint8Array): number {
  if (from.buffer !== k.memory.buffer) return k.user.writeFrom(address, from);
  return k.user.copyOutSome(address, from.byteOffset, from.length);
}

/** The current process's FileTable. */
export function filesOf(k: KernelCpu): number {
  return k.memory.loadU32(k.process + Process.files);
}

export function cpuCountOf(k: KernelCpu): number {
  return k.memory.load32(MACHINE + Machine.cpuCount);
}

/** SIGPIPE for the current thread, as a write to a pipe without readers raises it. */
export function raisePipeSignal(k: KernelCpu): void {
  const info = k.task + Task.signals + TaskSignals.info;
  writeInfo(k.memory, info, { signo: Signal.PIPE, code: SiCode.USER, pid: k.pid });
  sendSignal(k.memory, k.process, k.task, Signal.PIPE, info);
}

const SIGSET_BYTES = 8;

/** The signal mask that ppoll and pselect set for as long as they last; `address` 0 for none. Answers 0 or −errno. */
export function beginTemporaryMask(k: KernelCpu, address: number, size: number): number {
  if (address === 0) return 0;
  if (size !== SIGSET_BYTES) return -Errno.EINVAL;
  const set = new Uint32Array(2);
  if (readUser(k, address, new Uint8Array(set.buffer)) < SIGSET_BYTES) return -Errno.EFAULT;
  const { memory } = k;
  const signals = k.task + Task.signals;
  memory.store32(signals + TaskSignals.saved, memory.load32(signals + TaskSignals.blocked));
  memory.store32(signals + TaskSignals.saved + 4, memory.load32(signals + TaskSignals.blocked + 4));
  memory.store32(signals + TaskSignals.restoreSaved, 1);
  setBlocked(memory, k.task, set[0] | 0, set[1] | 0);
  return 0;
}

/** Ends it. After an interruption the mask stays until the signal that came has been delivered. */
export function endTemporaryMask(k: KernelCpu, address: number, interrupted: boolean): void {
  if (address === 0 || interrupted) return;
  const { memory } = k;
  const signals = k.task + Task.signals;
  memory.store32(signals + TaskSignals.restoreSaved, 0);
  const saved = signals + TaskSignals.saved;
  setBlocked(memory, k.task, memory.load32(saved), memory.load32(saved + 4));
}
