import { CcKind, ccOp, OPERATION } from '../../cpu/flags.js';
import { CpuState, Exit } from '../../cpu/state.js';
import { Code, type Label } from '../../wasm/code.js';
import { Op, Type } from '../../wasm/opcodes.js';
import { Emitter } from '../emitter.js';
import { Cc } from '../flag-emitter.js';
import type { HelperName } from '../helpers.js';
import type { Insn, MemOperand, Operand } from '../insn.js';
import type { Flow, Row } from '../row.js';
import { sizeMask } from '../width.js';
import { Step, ThreadedInsn } from './layout.js';
import { nextAddress } from './next-address.js';
import { DYNAMIC_ADDRESS, Placeholder, VIRTUAL } from './shape.js';

/** The handler's second parameter: pointer of the ThreadedInsn. */
const INSN = 1;

/** Conditions that compare the operands of a subtraction. */
const COMPARISONS: ReadonlyMap<number, number> = new Map([
  [Cc.b, Op.i64_lt_u],
  [Cc.be, Op.i64_le_u],
  [Cc.l, Op.i64_lt_s],
  [Cc.le, Op.i64_le_s],
]);

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
    this.c.get(Emitter.CPU);
    if (to === Placeholder.next) this.nextRip();
    else this.c.get(INSN).mem(Op.i64_load, ThreadedInsn.value);
    this.c.mem(Op.i64_store, CpuState.rip);
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
    nextAddress(this.c, INSN);
  }

  protected override immediate(op: Operand & { kind: 'imm' }, size: number): void {
    if (!this.openImmediate) {
      super.immediate(op, size);
      return;
    }
    const { c } = this;
    c.get(INSN).mem(size === 8 ? Op.i64_load : Op.i32_load, ThreadedInsn.value);
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
    c.get(INSN).mem(Op.i64_load8_u, ThreadedInsn.shift).op(Op.i64_shl).op(Op.i64_add);
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

  /**
   * What set the flags is known only when the handler runs. Mostly it was a comparison, or the result alone decides: these are looked for
   * here, which is faster than to compute all flags: a run of sqlite of two seconds takes a tenth less time.
   */
  protected override computedCondition(cc: number): void {
    const { c } = this;
    const base = cc & ~1;
    const kind = (from: number) => c.get(this.ccOpLocal).i32(from).op(Op.i32_and);
    const comparison = COMPARISONS.get(base);
    if (base === Cc.e) {
      // Whatever lies over it tells of CF and OF only.
      kind(OPERATION)
        .i32(ccOp(CcKind.add, 1))
        .op(Op.i32_sub)
        .i32(ccOp(CcKind.mul, 1) - ccOp(CcKind.add, 1))
        .op(Op.i32_lt_u);
      c.if(Type.i32).get(this.ccDst).op(Op.i64_eqz);
    } else if (comparison !== undefined) {
      kind(-4).i32(ccOp(CcKind.sub, 1)).op(Op.i32_eq);
      c.if(Type.i32);
      // The operands, the first of which is the sum of difference and second, moved to the top of 64 bits.
      const up = this.temp(Type.i64);
      c.i64(64).i64(8).get(this.ccOpLocal).i32(3).op(Op.i32_and).op(Op.i64_extend_i32_u).op(Op.i64_shl);
      c.op(Op.i64_sub).set(up);
      c.get(this.ccDst).get(this.ccSrc).op(Op.i64_add).get(up).op(Op.i64_shl);
      c.get(this.ccSrc).get(up).op(Op.i64_shl).op(comparison);
    } else {
      super.computedCondition(cc);
      return;
    }
    if (cc & 1) c.op(Op.i32_eqz);
    c.else();
    super.computedCondition(cc);
    c.end();
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
