/** Addresses for the memory operands of generated cases, and the register values that produce them. */
import { DATA, DATA_END, PAGE, RODATA, STACK, STACK_END } from './driver.js';
import type { Random } from './random.js';

/** An explicit memory operand as encoded. Registers are numbers 0–15 in encoding order. */
export interface MemoryOperand {
  readonly base?: number;
  readonly index?: number;
  /** 1, 2, 4 or 8. */
  readonly scale: number;
  /** Sign-extended displacement; 0 if `fixed` is given. */
  readonly displacement: bigint;
  readonly addressSize: 32 | 64;
  /** The effective address where no register goes into it: RIP-relative and absolute operands. */
  readonly fixed?: bigint;
}

/**
 * An address for an access of `size` bytes: mostly in the data pages, naturally aligned, misaligned or across the page
 * boundary between them; with `faults` sometimes one that the access can't have. Operands of 16 bytes are mostly
 * aligned, because most instructions with such operands do nothing else than fault otherwise.
 */
export function chooseAddress(rng: Random, size: number, faults: boolean): bigint {
  const span = Math.max(size, 1);
  const natural = span >= 16 ? 16 : 2 ** Math.floor(Math.log2(span));
  const across = (boundary: number): number => boundary - (span > 1 ? 1 + rng.below(span - 1) : 1);
  const kind = rng.below(faults ? 100 : 85);
  let address: number;
  if (kind < 52) address = DATA + rng.below(Math.floor((DATA_END - DATA - span) / natural) + 1) * natural;
  else if (kind < 64) address = DATA + rng.below(DATA_END - DATA - span + 1);
  else if (kind < 74) address = across(DATA + PAGE);
  else if (kind < 78) address = DATA_END - span;
  else if (kind < 81) address = DATA;
  else if (kind < 85) address = STACK + rng.below(STACK_END - STACK - span + 1);
  else if (kind < 89) address = across(DATA_END);
  else if (kind < 92) address = DATA_END + rng.below(PAGE - span);
  else if (kind < 94) address = across(DATA);
  else if (kind < 97) address = RODATA + rng.below(PAGE / 16) * 16;
  else if (kind < 98)
    return rng.u64() | 0x8000_0000_0000n; // not canonical, or the kernel's half
  else if (kind < 99) return 0x8000_0000_0000n - BigInt(rng.below(2 * span));
  else address = rng.below(PAGE); // null pointers
  if (span === 16 && rng.chance(0.7)) address -= address % 16;
  return BigInt(address);
}

/** Inverse of an odd number modulo 2^64 (Newton's iteration). */
function inverse(odd: bigint): bigint {
  let x = odd;
  for (let i = 0; i < 6; i++) x = BigInt.asUintN(64, x * (2n - odd * x));
  return x;
}

/**
 * Sets base and index so that the operand's address is `target`, or the nearest address the encoding can reach.
 * Returns that address. What doesn't go into the address (upper halves with 32-bit addressing) becomes random.
 */
export function solve(operand: MemoryOperand, target: bigint, gpr: BigUint64Array, rng: Random): bigint {
  const { base, index, displacement, addressSize } = operand;
  if (operand.fixed !== undefined) return operand.fixed;
  const wrap = (value: bigint): bigint => BigInt.asUintN(addressSize, value);
  const set = (register: number, value: bigint): void => {
    gpr[register] = addressSize === 64 ? wrap(value) : wrap(value) | (BigInt(rng.u32()) << 32n);
  };
  const scale = BigInt(operand.scale);
  let need = wrap(target - displacement);
  if (base === undefined && index === undefined) return wrap(displacement);
  if (index === undefined) {
    set(base!, need);
  } else if (base === undefined) {
    need -= need % scale;
    set(index, need / scale + BigInt(rng.below(operand.scale)) * ((1n << BigInt(addressSize)) / scale));
  } else if (base !== index) {
    set(base, need - gpr[index] * scale);
  } else if (scale === 1n) {
    need -= need % 2n;
    set(base, need / 2n + (rng.chance(0.5) ? 1n << BigInt(addressSize - 1) : 0n));
  } else {
    set(base, need * inverse(scale + 1n));
  }
  return wrap(need + displacement);
}
