/**
 * Locked accesses across a cache line ("split locks", SDM vol. 3, 10.1.2.3). Hosts that detect them, as Linux does with
 * split_lock_detect and hypervisors do for their guests, make each cost from 50 µs to 100 ms and more, so that there only a few
 * of the generated cases are run.
 */
import { Mnemonic } from 'iced-x86';
import type { GeneratedCase } from './cases.js';
import { splitLockNanoseconds } from './native.js';

const LINE = 64;
/** An undelayed split lock takes about a microsecond. */
const SLOW = 20_000;
/** Cases of each code with a split lock on hosts that delay them. */
export const KEPT = 2;

/** Whether a case's instruction under test accesses memory locked and across a cache line. */
export function isSplitLock({ template, test, operandAddress }: GeneratedCase): boolean {
  const { opcode, encoded } = template;
  if (operandAddress === undefined || !(encoded.locked || opcode.mnemonic === Mnemonic.Xchg)) return false;
  const size = opcode.memoryBytes;
  let address = operandAddress;
  if (BIT_OFFSETS.test(opcode.name)) {
    const offset = BigInt.asIntN(opcode.operandSize, test.state.gpr[encoded.reg!]);
    const bits = BigInt(8 * size);
    address += ((offset - (((offset % bits) + bits) % bits)) / bits) * BigInt(size);
  }
  return Number(BigInt.asUintN(6, address)) + size > LINE;
}

/** Bit tests whose offset is in a register and moves the address. */
const BIT_OFFSETS = /^Bt[src]_rm\d+_r\d+$/;

/** The cases of one code that are to be run where split locks are as slow as `slow` says; default: as measured here. */
export function withoutSlow<T extends { readonly generated: GeneratedCase }>(
  cases: readonly T[],
  slow = slowHere,
): T[] {
  let kept = 0;
  return cases.filter(({ generated }) => !isSplitLock(generated) || !slow() || kept++ < KEPT);
}

let measured: boolean | undefined;
function slowHere(): boolean {
  measured ??= splitLockNanoseconds() > SLOW;
  return measured;
}
