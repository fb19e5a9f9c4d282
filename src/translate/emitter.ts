import { Op, Type } from '../wasm/opcodes.js';
import { Simd } from '../wasm/simd.js';
import type { AccessGroup } from './access-groups.js';
import type { HelperName } from './helpers.js';
import type { Operand } from './insn.js';
import { MemoryEmitter } from './memory-emitter.js';
import type { RegisterSet } from './register-usage.js';
import { sizeMask, width } from './width.js';

/**
 * Writes the body of a function that executes guest instructions: what all instruction families share. Two kinds of function are
 * written this way: regions (region-emitter.ts) and handlers of threaded code (threaded/handler-emitter.ts). Its parts, each built on the
 * one before: flags (flag-emitter.ts), registers (register-emitter.ts), exits (exit-emitter.ts), memory (memory-emitter.ts), operands (here).
 *
 * Temporaries are allocated from a pool with `temp` and given back at the end of the instruction.
 */
export abstract class Emitter extends MemoryEmitter {
  /**
   * Whether the code has computed only exact floating-point results so far (PE isn't set): it then looks for inexact ones on its usual way,
   * not beside it. Only a matter of speed.
   */
  exactSoFar = false;

  /** Locals (v128) of fields of the CPU's block that the code keeps for a basic block, by their offsets, and which have been loaded. */
  private readonly kept = new Map<number, number>();
  private readonly loaded = new Set<number>();

  /**
   * @param params parameters of the function
   * @param helpers names of the functions that the module imports, in their order; grows
   * @param seeded every access to guest memory is a call (src/translate/shared-access.ts)
   * @param cpuBase pointer of the only CPU that will run it, whose block is then at constant addresses; null: several do
   */
  constructor(params: number, helpers: HelperName[], seeded = false, cpuBase: number | null = null) {
    super(params, helpers, seeded, cpuBase);
  }

  // --- one instruction -------------------------------------------------------------------------------------------------

  /** Ends the instruction: gives its temporaries back. */
  finishInsn(): void {
    this.settle();
    this.giveBack();
  }

  /** Begins a basic block. @param groups of its accesses, if a draft has found them */
  beginBlock(dirty: RegisterSet, groups: readonly (AccessGroup | null)[]): void {
    this.beginRegisters(dirty);
    this.beginAccesses(groups);
    this.loaded.clear();
  }

  /** Pushes an immediate as a value of `size` bytes, zero-extended to its width. */
  imm(value: number | bigint, size: number): void {
    if (size === 8) this.c.i64(value);
    else if (size === 4) this.c.i32(Number(BigInt.asIntN(32, BigInt(value))));
    else this.c.i32(Number(value) & sizeMask(size));
  }

  /** Whether immediates are known only when the code runs: then a lowering may not look at their values. */
  get immediatesOpen(): boolean {
    return false;
  }

  /** Pushes an immediate operand as a value of `size` bytes, zero-extended to its width. */
  protected immediate(op: Operand & { kind: 'imm' }, size: number): void {
    this.imm(op.value, size);
  }

  /** Pushes the address of the instruction behind the current one (i64). */
  nextRip(): void {
    this.c.i64(this.insn.next);
  }

  /** Pushes operand `i` of `size` bytes, zero-extended to its width. */
  readOp(i: number, size: number): void {
    const op = this.insn.ops[i];
    if (op.kind === 'reg') this.readReg(op);
    else if (op.kind === 'imm') this.immediate(op, size);
    else {
      this.ea();
      this.load(size);
    }
  }

  /** Pops a value of `size` bytes' width into operand `i`, a register or memory (with its access check: may fault). */
  writeOp(i: number, size: number): void {
    const op = this.insn.ops[i];
    if (op.kind === 'reg') {
      this.writeReg(op);
      return;
    }
    const value = this.toTemp(width(size).type);
    this.ea();
    this.store(this.toTemp(Type.i64), value, size);
  }

  /**
   * The local (v128) with a field of the CPU's block, as it was when the basic block or `forgetFields` came by: the host computes what
   * depends on nothing else only once.
   */
  keptField(field: number): number {
    let local = this.kept.get(field);
    if (local === undefined) this.kept.set(field, (local = this.c.local(Type.v128)));
    if (this.loaded.has(field)) return local;
    this.c.get(Emitter.CPU).simdMem(Simd.v128_load, field).set(local);
    if (this.c.nesting === this.nesting) this.loaded.add(field);
    return local;
  }

  /** The fields that are kept have been written to. */
  forgetFields(): void {
    this.loaded.clear();
  }

  // --- PKRU ------------------------------------------------------------------------------------------------------------

  /** Pushes PKRU (i32). */
  readPkru(): void {
    this.c.globalGet(0);
  }

  /** Pops PKRU (i32): in force from the next access on. */
  writePkru(): void {
    this.pkruLocal ??= this.c.local(Type.i64);
    // What has been looked up was so with the rights of before.
    this.values.beginEpoch();
    const value = this.toTemp(Type.i32);
    this.c.get(value).globalSet(0).get(value).op(Op.i64_extend_i32_u).set(this.pkruLocal);
  }
}
