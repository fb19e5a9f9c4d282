import type { Insn } from '../insn.js';
import { isThreadable, shapeKey, type Variant, VARIANTS, type VirtualRegisters } from './shape.js';

/** One handler: where it is in the handlers' table, and which of the processor's registers no virtual one may be. */
export interface Handler {
  readonly index: number;
  readonly fixedGprs: number;
  readonly fixedXmms: number;
}

/** Handlers by shape. */
export type HandlerIndex = ReadonlyMap<string, Handler>;

/** Whether a virtual register is one of those that the lowering uses by their own numbers. */
export function overlap(registers: VirtualRegisters, gprs: number, xmms: number): boolean {
  return registers.gpr.some((num) => (gprs >> num) & 1) || registers.xmm.some((num) => (xmms >> num) & 1);
}

/** The handler of an instruction, and the variant it leaves open; null if there is none. */
export function findHandler(
  index: HandlerIndex,
  insn: Insn,
  registers: VirtualRegisters,
): { handler: Handler; variant: Variant } | null {
  if (!isThreadable(insn)) return null;
  for (const variant of VARIANTS) {
    const handler = index.get(shapeKey(insn, variant, registers));
    if (!handler) continue;
    if (variant.registers && overlap(registers, handler.fixedGprs, handler.fixedXmms)) continue;
    return { handler, variant };
  }
  return null;
}
