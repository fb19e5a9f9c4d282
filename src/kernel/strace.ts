import { errnoName } from './errno.js';
import type { KernelCpu } from './kernel-cpu.js';
import { BLOCKED, NO_RESULT, type Syscall } from './syscalls.js';

/** Longest part of a string argument that is shown. */
const SHOWN = 64;
const RESTART_FIRST = -516;
const RESTART_LAST = -512;

/** The log of system calls that --strace writes to standard error, in the style of strace(1). */
export class SyscallLog {
  private readonly unknown = new Set<number>();

  constructor(private readonly write: (line: string) => void) {}

  /** A call that has returned (a call that blocked, when it is over). */
  call(k: KernelCpu, call: Syscall, args: readonly (number | bigint)[], result: number): void {
    if (result === BLOCKED) return;
    const shown = [...call.args].map((letter, i) => argument(k, letter, args[i]));
    this.write(`[${k.tid}] ${call.name}(${shown.join(', ')})${outcome(result)}\n`);
  }

  /** A call that there is no handler for: said once for each number. */
  unknownCall(k: KernelCpu, number: number): void {
    if (this.unknown.has(number)) return;
    this.unknown.add(number);
    this.write(`[${k.tid}] system call ${number} is not implemented: ENOSYS (said once)\n`);
  }
}

function outcome(result: number): string {
  if (result === NO_RESULT) return ' = ?';
  if (result >= 0) return ` = ${result > 0xffff ? hex(result) : result}`;
  if (result >= RESTART_FIRST && result <= RESTART_LAST) return ' = ? (interrupted by a signal)';
  return ` = -1 ${errnoName(-result)}`;
}

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

function argument(k: KernelCpu, letter: string, value: number | bigint): string {
  switch (letter) {
    case 's':
      return value === 0 ? 'NULL' : quote(k, value);
    case 'p':
      return value === 0 ? 'NULL' : hex(value);
    case 'x':
    case 'f':
      return hex(value);
    case 'o':
      return `0${value.toString(8)}`;
    default:
      return String(value);
  }
}

function quote(k: KernelCpu, address: number | bigint): string {
  const text = k.user.readCString(Number(address), 4096);
  if (!text) return hex(address);
  const shown = JSON.stringify(Buffer.from(text.subarray(0, SHOWN)).toString('utf8'));
  return shown + (text.length > SHOWN ? '...' : '');
}
