import { CpuState, Exit } from '../cpu/state.js';
import { Op } from '../wasm/opcodes.js';
import type { HelperName } from './helpers.js';
import type { Insn } from './insn.js';
import { RegisterEmitter } from './register-emitter.js';

/**
 * The part of an emitter that leaves: with an exception or for another reason, at an instruction of which nothing has happened then.
 */
export abstract class ExitEmitter extends RegisterEmitter {
  protected insn!: Insn;
  protected left = 0;
  private faultPrepared = false;

  /** @param seeded every access to guest memory is a call (src/translate/shared-access.ts) */
  constructor(
    params: number,
    helpers: HelperName[],
    protected readonly seeded: boolean,
  ) {
    super(params, helpers);
  }

  /** @param left instructions of the block from this one on, itself included */
  begin(insn: Insn, left: number): void {
    this.insn = insn;
    this.left = left;
    this.faultPrepared = false;
    this.nesting = this.c.nesting;
  }

  /** To be called before anything that may leave the region within an instruction. */
  mayFault(): void {
    if (this.faultPrepared) return;
    this.faultPrepared = true;
    this.firstAccess();
  }

  /** Pops a condition (i32); if it is not zero, leaves at this instruction as CpuState.exit says. */
  faultIf(): void {
    this.c.unlikely().if();
    this.fault();
    this.c.end();
  }

  /** Leaves at this instruction, of which nothing has happened, as CpuState.exit says. */
  protected abstract fault(): void;

  /** Leaves the region with an exception at this instruction. */
  raise(vector: number, errorCode = 0): void {
    this.mayFault();
    this.setVector(vector, errorCode);
    this.leave(Exit.exception);
  }

  /** Notes which exception the region is about to be left with. */
  setVector(vector: number, errorCode: number): void {
    const c = this.c;
    c.get(ExitEmitter.CPU).i32(vector).mem(Op.i32_store, CpuState.vector);
    c.get(ExitEmitter.CPU).i32(errorCode).mem(Op.i32_store, CpuState.errorCode);
    c.get(ExitEmitter.CPU).i64(0).mem(Op.i64_store, CpuState.faultAddress);
  }

  /** Pops a condition (i32); raises if it is not zero. */
  raiseIf(vector: number, errorCode = 0): void {
    this.mayFault();
    this.c.unlikely().if();
    this.raise(vector, errorCode);
    this.c.end();
  }

  /** Leaves the region at this instruction, of which nothing has happened, for a reason of `Exit`. */
  leave(exit: number): void {
    this.mayFault();
    this.c.get(ExitEmitter.CPU).i32(exit).mem(Op.i32_store, CpuState.exit);
    this.fault();
  }

  /** Seeded mode: the schedule may switch here, before the current instruction. @param kind a SwitchPoint */
  switchPoint(kind: number): void {
    if (!this.seeded) return;
    this.mayFault();
    this.c.get(ExitEmitter.CPU).i32(kind);
    this.callHelper('point');
    this.c.op(Op.i32_eqz);
    this.faultIf();
  }

  /** Seeded mode: the next access is the first of an instruction, or of an element of a repeated one. */
  firstAccess(): void {
    if (!this.seeded) return;
    this.c.get(ExitEmitter.CPU).i64(this.insn.ip).mem(Op.i64_store, CpuState.rip);
    this.c.get(ExitEmitter.CPU).i32(0).mem(Op.i32_store, CpuState.accesses);
  }
}
