import { CpuState, Gpr } from '../cpu/state.js';
import { MachineFlag } from '../memory/layout.js';
import { Errno } from './errno.js';
import type { KernelCpu } from './kernel-cpu.js';
import { interruption, nonBlocking, writeAll } from './host-write.js';
import { SyscallLog } from './strace.js';
import type { Syscall, SyscallTable } from './syscalls.js';

/** Registers of the six arguments (System V psABI, A.2.1). */
const ARGUMENTS = [Gpr.rdi, Gpr.rsi, Gpr.rdx, Gpr.r10, Gpr.r8, Gpr.r9].map((r) => CpuState.gpr + r * 8);

/** Converts an argument as its letter says; see Syscall.args. */
function convert(k: KernelCpu, letter: number, offset: number): number {
  const { memory } = k;
  const pointer = k.cpu.base + offset;
  switch (letter) {
    case 0x64: // d
      return memory.load32(pointer);
    case 0x75: // u
    case 0x6f: // o
    case 0x66: // f
      return memory.loadU32(pointer);
    case 0x6c: // l
      return memory.loadU32(pointer) + memory.load32(pointer + 4) * 0x1_0000_0000;
    default:
      return memory.loadNumber(pointer);
  }
}

/** Finds a call's handler, converts its arguments and calls it. */
export class SyscallDispatcher {
  private readonly calls: (Syscall | undefined)[] = [];
  private readonly log: SyscallLog | null;

  constructor(
    private readonly k: KernelCpu,
    table: SyscallTable,
    log?: (line: string) => void,
  ) {
    for (const [number, call] of Object.entries(table)) this.calls[Number(number)] = call;
    const vain = interruption(k.memory, k.cpu.id);
    const write = log ?? ((line: string) => void writeAll(nonBlocking(2), Buffer.from(line), vain));
    this.log = k.flag(MachineFlag.strace) ? new SyscallLog(write) : null;
  }

  /** @returns what the handler returns; −ENOSYS for calls that don't exist */
  call(number: number): number {
    const { k } = this;
    const call = this.calls[number];
    if (call === undefined) {
      this.log?.unknownCall(k, number);
      return -Errno.ENOSYS;
    }
    const { args, handler } = call;
    const count = args.length;
    const a0 = count > 0 ? convert(k, args.charCodeAt(0), ARGUMENTS[0]) : 0;
    const a1 = count > 1 ? convert(k, args.charCodeAt(1), ARGUMENTS[1]) : 0;
    const a2 = count > 2 ? convert(k, args.charCodeAt(2), ARGUMENTS[2]) : 0;
    const a3 = count > 3 ? convert(k, args.charCodeAt(3), ARGUMENTS[3]) : 0;
    const a4 = count > 4 ? convert(k, args.charCodeAt(4), ARGUMENTS[4]) : 0;
    const a5 = count > 5 ? convert(k, args.charCodeAt(5), ARGUMENTS[5]) : 0;
    if (this.log === null) return handler(k, a0, a1, a2, a3, a4, a5);
    return this.logged(call, [a0, a1, a2, a3, a4, a5]);
  }

  private logged(call: Syscall, args: [number, number, number, number, number, number]): number {
    const { memory, cpu } = this.k;
    // What was rounded for the handler is shown as the program gave it. (rt_sigreturn loads other registers.)
    const shown = args.map((value, i) =>
      Number.isSafeInteger(value)
        ? value
        : (value < 0 ? memory.i64 : memory.u64)[(cpu.base + ARGUMENTS[i]) >>> 3],
    );
    const result = call.handler(this.k, ...args);
    this.log!.call(this.k, call, shown, result);
    return result;
  }
}
