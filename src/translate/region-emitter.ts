import { CpuState, Exit, JUMP_ENTRIES, JumpEntry } from '../cpu/state.js';
import { Code, type Label } from '../wasm/code.js';
import { Op, Type } from '../wasm/opcodes.js';
import { Emitter } from './emitter.js';
import type { HelperName } from './helpers.js';

/** Writes the function of one region: (cpu) -> Exit. RIP and the budget live in locals; leaving is chained to the next region. */
export class RegionEmitter extends Emitter {
  /** Label of the exit that continues elsewhere (RIP local set) or returns `status`. */
  readonly exitLabel: Label;
  readonly faultLabel: Label;

  readonly ripLocal: number;
  readonly statusLocal: number;
  readonly budgetLocal: number;
  private readonly ipLocal: number;
  private readonly leftLocal: number;

  /**
   * @param entry guest address of the region's first instruction
   * @param helpers names of the functions that the module imports, in their order; grows
   * @param seeded every access to guest memory is a call (src/translate/shared-access.ts)
   * @param cpu pointer of the only CPU that will run the region, whose block is then at constant addresses; null: several do
   */
  constructor(
    readonly entry: number,
    helpers: HelperName[],
    seeded = false,
    private readonly cpu: number | null = null,
  ) {
    super(1, helpers, seeded);
    const c = this.c;
    this.ripLocal = c.local(Type.i64);
    this.statusLocal = c.local(Type.i32);
    this.budgetLocal = c.local(Type.i32);
    this.ipLocal = c.local(Type.i32);
    this.leftLocal = c.local(Type.i32);
    this.exitLabel = c.block();
    this.faultLabel = c.block();
  }

  protected noteInstruction(): void {
    this.c.i32(this.insn.ip - this.entry).set(this.ipLocal);
    this.c.i32(this.left).set(this.leftLocal);
  }

  /** Goes on at a known guest address, outside of the region. */
  exitTo(target: number): void {
    this.c.i64(target).set(this.ripLocal).br(this.exitLabel);
  }

  /** Pops the guest address (i64) at which to go on. */
  exitIndirect(): void {
    this.c.set(this.ripLocal).br(this.exitLabel);
  }

  /** Leaves with a status, RIP being `target`; the current instruction counts as executed. */
  exitStatus(status: number, target: number): void {
    this.c.i32(status).set(this.statusLocal);
    this.exitTo(target);
  }

  /** Closes the function: fault exit, write-back, chaining. Returns the body with locals and prologue. */
  finish(chain: boolean): Uint8Array {
    const c = this.c;
    c.end(); // faultLabel
    c.i64(this.entry).get(this.ipLocal).op(Op.i64_extend_i32_s).op(Op.i64_add).set(this.ripLocal);
    c.get(this.budgetLocal).get(this.leftLocal).op(Op.i32_add).set(this.budgetLocal);
    c.get(Emitter.CPU).mem(Op.i32_load, CpuState.exit).set(this.statusLocal);
    c.end(); // exitLabel
    this.transferFlags(c, true);
    c.get(Emitter.CPU).get(this.budgetLocal).mem(Op.i32_store, CpuState.budget);
    c.get(Emitter.CPU).get(this.ripLocal).mem(Op.i64_store, CpuState.rip);
    if (chain) {
      c.get(this.statusLocal).op(Op.i32_eqz);
      c.if();
      this.chain(c);
      c.end();
    }
    c.get(this.statusLocal);

    const head = new Code(1);
    if (this.cpu !== null) head.i32(this.cpu).set(Emitter.CPU);
    head.get(Emitter.CPU).mem(Op.i32_load, CpuState.budget).tee(this.budgetLocal);
    head.get(Emitter.CPU).mem(Op.i32_load, CpuState.interrupt).op(Op.i32_or).i32(0).op(Op.i32_lt_s);
    head.unlikely().if();
    head.get(Emitter.CPU).i64(this.entry).mem(Op.i64_store, CpuState.rip);
    head.i32(Exit.interrupt).ret();
    head.end();
    this.loadRegisters(head);
    this.transferFlags(head, false);
    if (this.pkruLocal !== undefined) head.globalGet(0).op(Op.i64_extend_i32_u).set(this.pkruLocal);
    return c.finish(head);
  }

  /** Tail-calls the region at RIP if the jump cache knows it. */
  private chain(c: Code): void {
    const entry = this.temp(Type.i32);
    c.get(this.ripLocal).op(Op.i32_wrap_i64).i32(JUMP_MASK).op(Op.i32_and).i32(4).op(Op.i32_shl);
    c.get(Emitter.CPU)
      .op(Op.i32_add)
      .tee(entry)
      .mem(Op.i64_load, CpuState.jumps + JumpEntry.rip);
    c.get(this.ripLocal).op(Op.i64_eq);
    c.if();
    c.get(Emitter.CPU)
      .get(entry)
      .mem(Op.i32_load, CpuState.jumps + JumpEntry.slot)
      .returnCallIndirect(0);
    c.end();
  }
}

const JUMP_MASK = JUMP_ENTRIES - 1;
