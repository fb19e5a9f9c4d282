import type { Memory } from '../memory/memory.js';

/** Copies the few bytes of an access; by words where both sides allow it. A call of `copyWithin` costs ten times as much. */
export function copyBytes({ i32, u8 }: Memory, to: number, from: number, size: number): void {
  if (((to | from | size) & 3) === 0) {
    for (let i = 0; i < size; i += 4) i32[(to + i) >>> 2] = i32[(from + i) >>> 2];
  } else {
    for (let i = 0; i < size; i++) u8[to + i] = u8[from + i];
  }
}

/** The first four bytes at most, as a number. */
export function firstWord({ i32, u8 }: Memory, pointer: number, size: number): number {
  if (size >= 4 && (pointer & 3) === 0) return i32[pointer >>> 2];
  let value = 0;
  for (let i = 0; i < size && i < 4; i++) value |= u8[pointer + i] << (8 * i);
  return value;
}
