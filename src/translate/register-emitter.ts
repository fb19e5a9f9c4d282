import { CpuState } from '../cpu/state.js';
import type { Code } from '../wasm/code.js';
import { Op, Type } from '../wasm/opcodes.js';
import { RegisterValues } from './access-groups.js';
import { FlagEmitter } from './flag-emitter.js';
import type { Operand } from './insn.js';
import { RegisterSet, RegisterUsage } from './register-usage.js';

/**
 * The part of an emitter that knows the guest's registers.
 *
 * Guest registers that it uses live in wasm locals, loaded at entry. What has been written to them is stored to the CPU block on the way
 * out, by each exit for itself: an exit that is taken rarely costs the way past it nothing. (Rejected: one exit that writes all of them
 * back, to which every instruction that may leave is an edge that carries all locals along: V8's optimising compiler took several times
 * as long; and storing them before each instruction that may leave.) They are right at a fault provided that a lowering changes no
 * register, flag or memory before its last access that can fault; what a repeated string instruction changes on the way is said before
 * (`advances`).
 */
export abstract class RegisterEmitter extends FlagEmitter {
  private readonly gprLocals: (number | undefined)[] = [];
  private readonly xmmLocals: (number | undefined)[] = [];
  /** Registers written by the current instruction. */
  private written = new RegisterSet();
  /** Registers whose locals may differ from the CPU block where the current instruction begins. */
  dirty = new RegisterSet();
  /** Of the basic block that is being written. */
  usage = new RegisterUsage();
  /** What the block's registers hold, as far as addresses go. */
  protected values = new RegisterValues();
  /** What the current instruction puts into registers, where that is known. */
  private readonly sums = new Map<number, ReturnType<RegisterValues['sum']>>();
  /** Nesting of the code at the current instruction's beginning: what is deeper may not run. */
  protected nesting = 0;

  /** Local (i64) of a general-purpose register that is read. */
  gpr(num: number): number {
    this.usage.read('gpr', num);
    return (this.gprLocals[num] ??= this.c.local(Type.i64));
  }

  /** Local (i64) of a general-purpose register that is written, in whole. To read it as well, ask with `gpr`. */
  gprW(num: number): number {
    this.written.gpr |= 1 << num;
    this.sums.delete(num);
    // Where it is not written it must have its old value, to be stored with the rest.
    if (this.c.nesting > this.nesting) this.usage.read('gpr', num);
    return (this.gprLocals[num] ??= this.c.local(Type.i64));
  }

  /** Local (v128) of an XMM register that is read. */
  xmm(num: number): number {
    this.usage.read('xmm', num);
    return (this.xmmLocals[num] ??= this.c.local(Type.v128));
  }

  /** Local (v128) of an XMM register that is written, in whole. */
  xmmW(num: number): number {
    this.written.xmm |= 1 << num;
    if (this.c.nesting > this.nesting) this.usage.read('xmm', num);
    return (this.xmmLocals[num] ??= this.c.local(Type.v128));
  }

  protected noteFlagsRead(): void {
    this.usage.read('flags', 0);
  }

  protected noteFlagsWritten(): void {
    this.written.flags = 1;
    if (this.c.nesting > this.nesting) this.usage.read('flags', 0);
  }

  /** Begins a basic block. @param dirty registers whose locals may differ from the CPU block there */
  protected beginRegisters(dirty: RegisterSet): void {
    this.usage = new RegisterUsage();
    this.dirty = dirty;
    this.values = new RegisterValues();
    this.sums.clear();
  }

  /** Register `num`, which the current instruction has just written, is the sum of what `from` was before it and a distance. */
  holdsSum(num: number, from: number, distance: () => number | bigint): void {
    this.sums.set(num, this.values.sum(from, Number(distance())));
  }

  private settleValues(): void {
    for (let n = 0; this.written.gpr >>> n !== 0; n++) {
      if (!((this.written.gpr >>> n) & 1)) continue;
      const sum = this.sums.get(n);
      if (sum) this.values.set(n, sum);
      else this.values.forget(n);
    }
    this.sums.clear();
  }

  /** The instruction is complete: what it wrote is to be stored by what leaves from here on. */
  settle(): void {
    this.settleValues();
    this.dirty.add(this.written);
    this.usage.defined.add(this.written);
    this.usage.written.add(this.written);
    this.written = new RegisterSet();
  }

  /** The current instruction changes these general-purpose registers step by step, and may leave in between. */
  advances(nums: readonly number[]): void {
    for (const num of nums) {
      this.gpr(num);
      this.dirty.gpr |= 1 << num;
      this.usage.written.gpr |= 1 << num;
    }
  }

  /** Stores what has been written to registers by complete instructions. */
  protected keep(): void {
    const { c, dirty } = this;
    for (let n = 0; dirty.gpr >>> n !== 0; n++) {
      if (!((dirty.gpr >>> n) & 1)) continue;
      const local = (this.gprLocals[n] ??= c.local(Type.i64));
      const offset = this.registerAddress(c, n, CpuState.gpr + 8 * n);
      c.get(local).mem(Op.i64_store, offset);
    }
    for (let n = 0; dirty.xmm >>> n !== 0; n++) {
      if (!((dirty.xmm >>> n) & 1)) continue;
      const local = (this.xmmLocals[n] ??= c.local(Type.v128));
      const offset = this.registerAddress(c, n, CpuState.xmm + 16 * n);
      c.get(local).simdMem(V128_STORE, offset);
    }
    if (dirty.flags) this.storeFlags();
  }

  /** Pushes a register operand, zero-extended to its width. */
  readReg(op: Operand & { kind: 'reg' }): void {
    const c = this.c;
    c.get(this.gpr(op.num));
    switch (op.class) {
      case '64':
        return;
      case '32':
        c.op(Op.i32_wrap_i64);
        return;
      case '16':
        c.op(Op.i32_wrap_i64).i32(0xffff).op(Op.i32_and);
        return;
      case 'low8':
        c.op(Op.i32_wrap_i64).i32(0xff).op(Op.i32_and);
        return;
      case 'high8':
        c.op(Op.i32_wrap_i64).i32(8).op(Op.i32_shr_u).i32(0xff).op(Op.i32_and);
        return;
      default:
        throw new Error(`not a general-purpose register: ${op.class}`);
    }
  }

  /** Pops a value of the register's width into it: 32-bit writes clear the upper half, smaller ones merge. */
  writeReg(op: Operand & { kind: 'reg' }): void {
    const c = this.c;
    const local = this.gprW(op.num);
    if (op.size < 4) this.gpr(op.num);
    switch (op.class) {
      case '64':
        c.set(local);
        return;
      case '32':
        c.op(Op.i64_extend_i32_u).set(local);
        return;
      case '16':
        c.op(Op.i64_extend_i32_u).i64(0xffff).op(Op.i64_and);
        c.get(local).i64(-0x10000).op(Op.i64_and).op(Op.i64_or).set(local);
        return;
      case 'low8':
        c.op(Op.i64_extend_i32_u).i64(0xff).op(Op.i64_and);
        c.get(local).i64(-0x100).op(Op.i64_and).op(Op.i64_or).set(local);
        return;
      case 'high8':
        c.op(Op.i64_extend_i32_u).i64(0xff).op(Op.i64_and).i64(8).op(Op.i64_shl);
        c.get(local).i64(-0xff01).op(Op.i64_and).op(Op.i64_or).set(local);
        return;
      default:
        throw new Error(`not a general-purpose register: ${op.class}`);
    }
  }

  /** Loads registers, and the lazy flags. */
  protected loadRegisters(c: Code, which: RegisterSet): void {
    this.gprLocals.forEach((local, n) => {
      if (local === undefined || !((which.gpr >> n) & 1)) return;
      const offset = this.registerAddress(c, n, CpuState.gpr + 8 * n);
      c.mem(Op.i64_load, offset).set(local);
    });
    this.xmmLocals.forEach((local, n) => {
      if (local === undefined || !((which.xmm >> n) & 1)) return;
      const offset = this.registerAddress(c, n, CpuState.xmm + 16 * n);
      c.simdMem(V128_LOAD, offset).set(local);
    });
    if (which.flags) this.loadFlags(c);
  }

  /**
   * Pushes a pointer (i32) from which register `n` is reached.
   * @param field offset of the register in CpuState
   * @returns the offset of the register from that pointer
   */
  protected registerAddress(c: Code, _n: number, field: number): number {
    c.get(FlagEmitter.CPU);
    return field;
  }
}

/** SIMD memory opcodes. */
export const V128_LOAD = 0;
export const V128_STORE = 11;
