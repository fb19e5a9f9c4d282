import { Mnemonic } from './iced/enums.js';
import type { Insn } from './insn.js';
import { rowOf } from './table.js';

/** How an instruction affects control flow, as region discovery needs it. */
export const FlowControl = { next: 0, end: 1, call: 2, return: 3 } as const;

/** `targets`: guest addresses that may follow and are known; for `next` only the following instruction. */
export interface FlowInfo {
  readonly kind: number;
  readonly targets: readonly number[];
  /** Target of a direct call. */
  readonly callee?: number;
  /** Whether it jumps, calls or returns to an address that is a value. */
  readonly indirect?: boolean;
}

const NEXT: FlowInfo = { kind: FlowControl.next, targets: [] };
const NOWHERE: FlowInfo = { kind: FlowControl.end, targets: [] };
const INDIRECT_JUMP: FlowInfo = { kind: FlowControl.end, targets: [], indirect: true };
const INDIRECT_CALL: FlowInfo = { kind: FlowControl.call, targets: [], indirect: true };
const RETURN: FlowInfo = { kind: FlowControl.return, targets: [], indirect: true };

/** Control flow of an instruction. One that is not implemented, or runs in TypeScript, ends its block. */
export function flowOf(insn: Insn): FlowInfo {
  const row = rowOf(insn);
  if (row?.lower) return NEXT;
  if (!row?.end) return NOWHERE;
  if (insn.mnemonic === Mnemonic.Ret) return RETURN;
  const op = insn.ops[0];
  if (op?.kind !== 'branch') {
    if (insn.mnemonic === Mnemonic.Jmp) return INDIRECT_JUMP;
    return insn.mnemonic === Mnemonic.Call ? INDIRECT_CALL : NOWHERE;
  }
  if (insn.mnemonic === Mnemonic.Jmp) return { kind: FlowControl.end, targets: [op.target] };
  if (insn.mnemonic === Mnemonic.Call) return { kind: FlowControl.call, targets: [], callee: op.target };
  // Jcc, LOOPcc, JRCXZ. The likelier side first: backward branches are taken, forward ones are not.
  const targets = op.target <= insn.ip ? [op.target, insn.next] : [insn.next, op.target];
  return { kind: FlowControl.end, targets };
}
