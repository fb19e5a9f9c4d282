import { Type } from '../wasm/opcodes.js';

const { i32, i64, v128 } = Type;

/**
 * Functions that emitted regions may call, by name: the import module is 'h'. Those of wasm are exported by the runtime
 * module (src/translate/runtime.ts), those of TypeScript by the CPU (src/translate/engine.ts). The first parameter is the CPU block.
 */
export const HELPERS = {
  /** Memory access slow paths: src/mmu/walk.ts. */
  load: { params: [i32, i64, i32], results: [i32] },
  store: { params: [i32, i64, i32], results: [i32] },
  modify: { params: [i32, i64, i32], results: [i32] },
  /** The same for accesses that share a look-up. */
  loadAgain: { params: [i32, i64, i32], results: [i32] },
  storeAgain: { params: [i32, i64, i32], results: [i32] },
  modifyAgain: { params: [i32, i64, i32], results: [i32] },
  /** The same for a locked instruction; differs in seeded mode only (src/translate/shared-access.ts). */
  modifyLocked: { params: [i32, i64, i32], results: [i32] },
  /** (cpu) -> 1, or 0 to leave the region: MFENCE and the like in seeded mode. */
  fence: { params: [i32], results: [i32] },
  /** (cpu, SwitchPoint) -> 1, or 0 to leave the region: seeded mode only. */
  point: { params: [i32, i32], results: [i32] },
  /** (op, dst, src, src2, over) -> the six arithmetic flags: src/cpu/flags.ts. */
  flags: { params: [i32, i64, i64, i64, i64], results: [i32] },
  /** High halves of 64x64-bit products. */
  mulHighU: { params: [i64, i64], results: [i64] },
  mulHighS: { params: [i64, i64], results: [i64] },
  /** (cpu, high, low, divisor) -> 1 with quotient in arg0 and remainder in arg1, or 0 for #DE. */
  divU: { params: [i32, i64, i64, i64], results: [i32] },
  divS: { params: [i32, i64, i64, i64], results: [i32] },
  /** (cpu, operation, register number or bits 79:64, bits 31:0, bits 63:32) -> result: src/cpu/x87-operations.ts. */
  x87: { params: [i32, i32, i32, i32, i32], results: [i32] },
  /** Common x87 instructions: src/translate/x87-runtime.ts, x87-arithmetic.ts. Loads: (cpu, value), of 80 bits in two parts. */
  x87LoadF32: { params: [i32, i32], results: [] },
  x87LoadF64: { params: [i32, i64], results: [] },
  x87LoadF80: { params: [i32, i64, i32], results: [] },
  x87LoadI64: { params: [i32, i64], results: [] },
  /** (cpu, operation, whether to pop, or options) -> 1 if there is something to store: X87.result, X87.defer. */
  x87StoreF32: { params: [i32, i32, i32], results: [i32] },
  x87StoreF64: { params: [i32, i32, i32], results: [i32] },
  x87StoreF80: { params: [i32], results: [i32] },
  x87StoreInteger: { params: [i32, i32, i32], results: [i32] },
  /** (cpu, i) */
  x87Exchange: { params: [i32, i32], results: [] },
  x87LoadRegister: { params: [i32, i32], results: [] },
  /** (cpu, operation, i, whether to pop) */
  x87StoreRegister: { params: [i32, i32, i32, i32], results: [] },
  /** (cpu, operation, bits of sign and exponent to keep, bits to flip) */
  x87Sign: { params: [i32, i32, i32, i32], results: [] },
  /** (cpu, operation, kind, i | bits of an f64 | bits of an f32) */
  x87Arithmetic: { params: [i32, i32, i32, i32], results: [] },
  x87ArithmeticF64: { params: [i32, i32, i32, i64], results: [] },
  x87ArithmeticF32: { params: [i32, i32, i32, i32], results: [] },
  /** (cpu, operation, options, i) -> ZF, PF, CF */
  x87Compare: { params: [i32, i32, i32, i32], results: [i32] },
  /** (cpu, operation, imm, a, b) -> result, and 1 if it raised the exception in CpuState instead: src/translate/sse-operations.ts. */
  sse: { params: [i32, i32, i32, v128, v128], results: [v128, i32] },
  /** PCMPxSTRx and CRC32: src/translate/sse-strings.ts. */
  stringMatch: { params: [i32, i32, i32, v128, v128], results: [i32] },
  crc32: { params: [i64, i32], results: [i64] },
  /** (cpu, source | value, destination, count, size) -> elements done: src/translate/runtime.ts. */
  bulkCopy: { params: [i32, i64, i64, i64, i32], results: [i64] },
  bulkFill: { params: [i32, i64, i64, i64, i32], results: [i64] },
} as const satisfies Record<string, { params: readonly number[]; results: readonly number[] }>;

export type HelperName = keyof typeof HELPERS;
