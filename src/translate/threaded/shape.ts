import { CpuState } from '../../cpu/state.js';
import { Code } from '../iced/enums.js';
import type { Insn, MemOperand, Operand } from '../insn.js';
import { REGISTER_OPERANDS } from './layout.js';

/**
 * Instructions that differ only in what a ThreadedInsn holds have the same *shape*, and one handler executes them all. What a
 * handler does is what the instruction's row lowers it to, for a representative with placeholders in the place of those operands.
 */

/** Register number of the first virtual register: those below are the processor's. */
export const VIRTUAL = 16;

/** Placeholders in a representative, for addresses that its ThreadedInsn has. */
export const Placeholder = { ip: -1, next: -2, target: -3 } as const;

/** Base register number of a memory operand whose address is computed from the ThreadedInsn. */
export const DYNAMIC_ADDRESS = VIRTUAL + REGISTER_OPERANDS;

/** Which of an instruction's operands are left to the ThreadedInsn; a handler may need some to be fixed. */
export interface Variant {
  readonly registers: boolean;
  readonly immediate: boolean;
}

/** From the most to the least general. */
export const VARIANTS: readonly Variant[] = [
  { registers: true, immediate: true },
  { registers: true, immediate: false },
  { registers: false, immediate: true },
  { registers: false, immediate: false },
];

/** An instruction's register operands by virtual number, in the order in which it first names them. */
export interface VirtualRegisters {
  readonly gpr: readonly number[];
  readonly xmm: readonly number[];
}

function isGpr(op: Operand): op is Operand & { kind: 'reg' } {
  return op.kind === 'reg' && GPR_CLASSES.has(op.class);
}

const GPR_CLASSES = new Set(['low8', 'high8', '16', '32', '64']);

/** The registers that get virtual numbers; general and XMM registers share one sequence. */
export function virtualRegisters(insn: Insn): VirtualRegisters {
  const gpr: number[] = [];
  const xmm: number[] = [];
  for (const op of insn.ops) {
    if (op.kind !== 'reg') continue;
    if (isGpr(op)) {
      if (!gpr.includes(op.num)) gpr.push(op.num);
    } else if (op.class === 'xmm' && !xmm.includes(op.num)) xmm.push(op.num);
  }
  return { gpr, xmm };
}

/** Offsets in CpuState of an instruction's virtual registers: general ones first. */
export function registerOffsets({ gpr, xmm }: VirtualRegisters): number[] {
  return [...gpr.map((num) => CpuState.gpr + 8 * num), ...xmm.map((num) => CpuState.xmm + 16 * num)];
}

/** Virtual number of a register operand. */
function virtualNumber(op: Operand & { kind: 'reg' }, { gpr, xmm }: VirtualRegisters): number {
  return VIRTUAL + (op.class === 'xmm' ? gpr.length + xmm.indexOf(op.num) : gpr.indexOf(op.num));
}

/** Whether a handler can execute the instruction at all; otherwise its region is translated at once. */
export function isThreadable(insn: Insn): boolean {
  // POP to memory looks at whether the base is RSP.
  return !(insn.mem && (insn.code === Code.Pop_rm64 || insn.code === Code.Pop_rm16));
}

/** Name of an instruction's shape in a variant. */
export function shapeKey(insn: Insn, variant: Variant, registers: VirtualRegisters): string {
  let key = `${insn.code}${insn.lock ? 'L' : ''}${insn.rep ? 'R' : ''}${insn.repne ? 'N' : ''}`;
  for (const op of insn.ops) {
    if (op.kind === 'reg') {
      const virtual = variant.registers && (op.class === 'xmm' || isGpr(op));
      key += `,${op.class}:${virtual ? virtualNumber(op, registers) : op.num}`;
    } else if (op.kind === 'imm') key += variant.immediate ? ',i' : `,${op.value}`;
    else if (op.kind === 'mem') key += ',m';
  }
  const { mem } = insn;
  return mem ? `${key};${mem.segment}${mem.addressSize}` : key;
}

/**
 * The instruction with placeholders for all that its ThreadedInsn has.
 * @param immediateRead called when the lowering looks at the value of an immediate that is meant to be left open
 */
export function representative(
  insn: Insn,
  variant: Variant,
  registers: VirtualRegisters,
  immediateRead: () => void,
): Insn {
  const ops = insn.ops.map((op): Operand => {
    if (op.kind === 'branch') return { kind: 'branch', target: Placeholder.target };
    if (op.kind === 'imm' && variant.immediate) {
      return {
        kind: 'imm',
        get value() {
          immediateRead();
          return op.value;
        },
      };
    }
    if (op.kind === 'reg' && variant.registers && (op.class === 'xmm' || isGpr(op))) {
      return { ...op, num: virtualNumber(op, registers) };
    }
    return op;
  });
  const mem: MemOperand | null = insn.mem && {
    ...insn.mem,
    base: DYNAMIC_ADDRESS,
    index: -1,
    scale: 1,
    disp: 0,
  };
  return { ...insn, ops, mem, ip: Placeholder.ip, next: Placeholder.next };
}
