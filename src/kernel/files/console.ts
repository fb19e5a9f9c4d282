import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { WakeReason } from '../task-layout.js';
import {
  Console,
  consolePointer,
  inputAvailable,
  sleepForInput,
  StreamKind,
  stopSleepingForInput,
  takeInput,
} from '../console.js';
import { Restart } from '../signal/registers.js';
import { BLOCKED } from '../syscalls.js';
import { fileFlags } from './description.js';
import { Open, Poll } from './flags.js';
import { raisePipeSignal } from './links.js';
import { bounce, type UserBuffer } from './user-buffer.js';

/** The standard streams (src/kernel/console.ts) as files. `stream` is 0, 1 or 2. */

export function streamKind(k: KernelCpu, stream: number): number {
  return k.memory.load32(consolePointer(k.memory) + Console.kinds + 4 * stream);
}

export function isTerminal(k: KernelCpu, stream: number): boolean {
  return streamKind(k, stream) === StreamKind.terminal;
}

/** Reading another stream than 0 works on a terminal, where all three are the same device. */
export function readConsole(k: KernelCpu, file: number, stream: number, to: UserBuffer): number {
  const { memory } = k;
  if (k.wakeReason !== WakeReason.none) stopSleepingForInput(k);
  if (to.remaining === 0 || streamKind(k, stream) === StreamKind.null) return 0;
  const buffer = bounce(k.memory, to.remaining);
  for (;;) {
    const count = takeInput(memory, buffer);
    if (count !== -Errno.EAGAIN)
      return count > 0 ? to.push(buffer.subarray(0, count)) || -Errno.EFAULT : count;
    if (fileFlags(memory, file) & Open.NONBLOCK) return -Errno.EAGAIN;
    if (k.wakeReason === WakeReason.signal) return -Restart.ERESTARTSYS;
    if (sleepForInput(k, Infinity)) return BLOCKED;
  }
}

export function writeConsole(k: KernelCpu, _file: number, stream: number, from: UserBuffer): number {
  if (streamKind(k, stream) === StreamKind.null) return from.remaining;
  let done = 0;
  while (from.remaining > 0) {
    const buffer = bounce(k.memory, from.remaining);
    const taken = from.pull(buffer);
    if (taken === 0) return done || -Errno.EFAULT;
    const count = k.output.write(stream === 0 ? 1 : stream, buffer.slice(0, taken));
    if (count === -Errno.EPIPE && done === 0) raisePipeSignal(k);
    if (count < 0) return done || count;
    done += count;
    if (count < taken) return done || -Restart.ERESTARTSYS;
    if (taken < buffer.length) break;
  }
  return done;
}

export function consolePoll(k: KernelCpu, stream: number): number {
  const out = Poll.OUT | Poll.WRNORM;
  if (stream !== 0 && !isTerminal(k, stream)) return out;
  if (streamKind(k, stream) === StreamKind.null) return out | Poll.IN | Poll.RDNORM;
  const input = inputAvailable(k.memory);
  const both = isTerminal(k, stream) ? out : 0;
  if (input > 0) return both | Poll.IN | Poll.RDNORM;
  // The end of a pipe is HUP; that of a terminal's input is something to read.
  if (input < 0) return isTerminal(k, stream) ? both | Poll.IN | Poll.RDNORM : both | Poll.HUP;
  return both;
}
