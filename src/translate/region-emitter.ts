import { CpuState, Exit, JUMP_ENTRIES, JumpEntry } from '../cpu/state.js';
import { Code, type Label } from '../wasm/code.js';
import { Op, Type } from '../wasm/opcodes.js';
import { Emitter } from './emitter.js';
import type { HelperName } from './helpers.js';
import type { RegisterSet, RegisterUsage } from './register-usage.js';

/** Writes the function of one region: (cpu) -> Exit. RIP and the budget live in locals; leaving is chained to the next region. */
export class RegionEmitter extends Emitter {
  /** Label of the exit that continues elsewhere (RIP local set) or returns `status`. */
  private readonly exitLabel: Label;

  private readonly ripLocal: number;
  private readonly statusLocal: number;
  readonly budgetLocal: number;

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
    cpu: number | null = null,
  ) {
    super(1, helpers, seeded, cpu);
    const c = this.c;
    this.ripLocal = c.local(Type.i64);
    this.statusLocal = c.local(Type.i32);
    this.budgetLocal = c.local(Type.i32);
    this.exitLabel = c.block();
  }

  protected fault(): void {
    const { c } = this;
    this.keep();
    c.get(Emitter.CPU).i64(this.insn.ip).mem(Op.i64_store, CpuState.rip);
    c.get(Emitter.CPU).get(this.budgetLocal).i32(this.left).op(Op.i32_add).mem(Op.i32_store, CpuState.budget);
    c.get(Emitter.CPU).mem(Op.i32_load, CpuState.exit).ret();
  }

  /** What a part of the code may change that is emitted elsewhere, for `resume`. */
  get position(): Position {
    const { cc, dirty, usage } = this;
    return { cc, dirty: dirty.copy(), usage };
  }

  /** Goes on emitting the block that is left for others. */
  resume({ cc, dirty, usage }: Position): void {
    this.cc = cc;
    this.dirty = dirty.copy();
    this.usage = usage;
  }

  /** Goes on at a known guest address, outside of the region. */
  exitTo(target: number): void {
    this.keep();
    this.c.i64(target).set(this.ripLocal).br(this.exitLabel);
  }

  /** Pops the guest address (i64) at which to go on. */
  exitIndirect(): void {
    this.c.set(this.ripLocal);
    this.keep();
    this.c.br(this.exitLabel);
  }

  /** Leaves with a status, RIP being `target`; the current instruction counts as executed. */
  exitStatus(status: number, target: number): void {
    this.c.i32(status).set(this.statusLocal);
    this.exitTo(target);
  }

  /**
   * Closes the function: exit, chaining. Returns the body with locals and prologue.
   * @param loads registers that the code expects in their locals at entry
   */
  finish(chain: boolean, loads: RegisterSet): Uint8Array {
    const c = this.c;
    c.end(); // exitLabel
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
    if (this.cpuBase !== null) head.i32(this.cpuBase).set(Emitter.CPU);
    head.get(Emitter.CPU).mem(Op.i32_load, CpuState.budget).tee(this.budgetLocal);
    head.get(Emitter.CPU).mem(Op.i32_load, CpuState.interrupt).op(Op.i32_or).i32(0).op(Op.i32_lt_s);
    head.unlikely().if();
    head.get(Emitter.CPU).i64(this.entry).mem(Op.i64_store, CpuState.rip);
    head.i32(Exit.interrupt).ret();
    head.end();
    this.loadRegisters(head, loads);
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

/** Where the emitter is in a basic block. */
interface Position {
  readonly cc: Emitter['cc'];
  readonly dirty: RegisterSet;
  readonly usage: RegisterUsage;
}

const JUMP_MASK = JUMP_ENTRIES - 1;
