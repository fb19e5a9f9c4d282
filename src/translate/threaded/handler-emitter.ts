import { CpuState, Exit } from '../../cpu/state.js';
import { Code, type Label } from '../../wasm/code.js';
import { Op, Type } from '../../wasm/opcodes.js';
import { Emitter } from '../emitter.js';
import type { HelperName } from '../helpers.js';
import type { Insn, MemOperand, Operand } from '../insn.js';
import type { Flow, Row } from '../row.js';
import { sizeMask } from '../width.js';
import { Step, ThreadedInsn } from './layout.js';
import { DYNAMIC_ADDRESS, Placeholder, VIRTUAL } from './shape.js';

/** The handler's second parameter: pointer of the ThreadedInsn. */
const INSN = 1;

/**
 * Writes the handler of a shape: (cpu, ThreadedInsn) -> Step. What a region has as constants and in locals from its entry on, a
 * handler takes from the ThreadedInsn and the CPU block.
 */
export class HandlerEmitter extends Emitter {
  private readonly faultLabel: Label;
  private readonly exitLabel: Label;
  private readonly step: number;
  /** Bit sets of the processor's registers (those with fixed numbers) that the lowering has used. */
  fixedGprs = 0;
  fixedXmms = 0;

  /** @param openImmediate whether immediate operands are in the ThreadedInsn */
  constructor(
    helpers: HelperName[],
    private readonly openImmediate: boolean,
  ) {
    super(2, helpers);
    this.step = this.c.local(Type.i32);
    this.exitLabel = this.c.block();
    this.faultLabel = this.c.block();
  }

  /** Emits the representative `insn`. */
  instruction(insn: Insn, row: Row): void {
    this.begin(insn, 1);
    if (row.lower) row.lower(this, insn);
    else if (row.end) row.end(this, insn, this.flow());
    else this.leave(Exit.execute);
    this.complete();
    this.finishInsn();
  }

  /** Goes on at a placeholder's address. */
  private jump(to: number, step: number = Step.jump): void {
    if (to !== Placeholder.next && to !== Placeholder.target)
      throw new Error('a jump out of the instruction');
    const field = to === Placeholder.next ? ThreadedInsn.next : ThreadedInsn.target;
    this.c.get(Emitter.CPU).get(INSN).mem(Op.i64_load, field).mem(Op.i64_store, CpuState.rip);
    this.c.i32(step).set(this.step).br(this.exitLabel);
  }

  private flow(): Flow {
    const { c } = this;
    return {
      jump: (target) => {
        this.complete();
        this.jump(target);
      },
      branch: (taken, otherwise) => {
        this.complete();
        c.if();
        this.jump(taken);
        c.end();
        this.jump(otherwise);
      },
      indirect: () => {
        this.complete();
        const to = this.toTemp(Type.i64);
        c.get(Emitter.CPU).get(to).mem(Op.i64_store, CpuState.rip);
        c.i32(Step.jump).set(this.step).br(this.exitLabel);
      },
      status: (exit, target) => {
        this.complete();
        c.get(Emitter.CPU).i32(exit).mem(Op.i32_store, CpuState.exit);
        this.jump(target, Step.status);
      },
    };
  }

  override gpr(num: number): number {
    if (num < VIRTUAL) this.fixedGprs |= 1 << num;
    return super.gpr(num);
  }

  override xmm(num: number): number {
    if (num < VIRTUAL) this.fixedXmms |= 1 << num;
    return super.xmm(num);
  }

  override get immediatesOpen(): boolean {
    return this.openImmediate;
  }

  override nextRip(): void {
    this.c.get(INSN).mem(Op.i64_load, ThreadedInsn.next);
  }

  protected override immediate(op: Operand & { kind: 'imm' }, size: number): void {
    if (!this.openImmediate) {
      super.immediate(op, size);
      return;
    }
    const { c } = this;
    c.get(INSN).mem(size === 8 ? Op.i64_load : Op.i32_load, ThreadedInsn.imm);
    if (size < 4) c.i32(sizeMask(size)).op(Op.i32_and);
  }

  protected override offset(mem: MemOperand): void {
    if (mem.base !== DYNAMIC_ADDRESS) {
      super.offset(mem);
      return;
    }
    const { c } = this;
    const register = (field: number) =>
      c.get(Emitter.CPU).get(INSN).mem(Op.i32_load16_u, field).op(Op.i32_add).mem(Op.i64_load);
    register(ThreadedInsn.base);
    register(ThreadedInsn.index);
    c.get(INSN).mem(Op.i64_load32_u, ThreadedInsn.shift).op(Op.i64_shl).op(Op.i64_add);
    c.get(INSN).mem(Op.i64_load, ThreadedInsn.disp).op(Op.i64_add);
  }

  protected override registerAddress(c: Code, n: number, field: number): number {
    if (n < VIRTUAL) return super.registerAddress(c, n, field);
    c.get(Emitter.CPU)
      .get(INSN)
      .mem(Op.i32_load16_u, ThreadedInsn.registers + 2 * (n - VIRTUAL))
      .op(Op.i32_add);
    return 0;
  }

  /** The ThreadedInsn says where it is. */
  protected fault(): void {
    this.keep();
    this.c.br(this.faultLabel);
  }

  /** Stores what the instruction has written. */
  private complete(): void {
    this.settle();
    this.keep();
  }

  /** A single instruction has no later accesses to tell about; and its immediates are left open. */
  override holdsSum(): void {}

  /** Closes the function and returns its body. */
  finish(): Uint8Array {
    const c = this.c;
    c.br(this.exitLabel);
    c.end(); // faultLabel
    c.i32(Step.left).set(this.step);
    c.end(); // exitLabel
    c.get(this.step);
    const head = new Code(2);
    this.loadRegisters(head, this.usage.needed);
    if (this.pkruLocal !== undefined) head.globalGet(0).op(Op.i64_extend_i32_u).set(this.pkruLocal);
    return c.finish(head);
  }
}
