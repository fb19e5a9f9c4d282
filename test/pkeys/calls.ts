import type { KernelCpu } from '../../src/kernel/kernel-cpu.js';
import { abiOf } from '../../src/kernel/pkeys/abi.js';
import type { BareProcess } from '../kernel-memory/bare-process.js';

/** Makes a call of the machine's ABI by name. */
export function call(p: BareProcess, name: string, ...args: number[]): number {
  const found = Object.values(abiOf(p.memory).syscalls).find((s) => s.name === name);
  if (!found) throw new Error(`${abiOf(p.memory).name} has no ${name}`);
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = args;
  return found.handler(p as unknown as KernelCpu, a, b, c, d, e, f);
}

/** Names of the calls an ABI has besides pkey_mprotect, by number. */
export function offered(p: BareProcess): string[] {
  return Object.values(abiOf(p.memory).syscalls).map((s) => s.name);
}
