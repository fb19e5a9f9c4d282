import { CcKind, ccOp, ccOver, Flag, OPERATION, OverKind } from '../cpu/flags.js';
import { CpuState } from '../cpu/state.js';
import { Code } from '../wasm/code.js';
import { Op, Type } from '../wasm/opcodes.js';
import type { HelperName } from './helpers.js';
import { type Width, width } from './width.js';

/** x86 condition codes, as in the low four bits of Jcc, SETcc and CMOVcc opcodes. */
export const Cc = {
  o: 0,
  no: 1,
  b: 2,
  ae: 3,
  e: 4,
  ne: 5,
  be: 6,
  a: 7,
  s: 8,
  ns: 9,
  p: 10,
  np: 11,
  l: 12,
  ge: 13,
  le: 14,
  g: 15,
} as const;

/**
 * The part of an emitter that knows temporaries, helpers and the lazy arithmetic flags: the operands and the result of the last operation
 * that wrote flags are kept instead of them, and a condition is computed when it is asked for (src/cpu/flags.ts).
 */
export abstract class FlagEmitter {
  /** The function's first parameter: pointer of the CPU block. */
  static readonly CPU = 0;

  readonly c: Code;
  protected readonly ccDst: number;
  protected readonly ccSrc: number;
  private readonly ccSrc2: number;
  private readonly ccOver: number;
  /** Whether ccSrc2, which few operations have, is read or set at all; and ccOver. */
  src2Used = false;
  overUsed = false;
  protected readonly ccOpLocal: number;
  /** Operands and result of the last flag-setting instruction, as long as `cc` says that they are known. */
  private readonly known = { a32: 0, b32: 0, r32: 0, a64: 0, b64: 0, r64: 0 };

  /** The last flag-writing operation, if the same on every path to here; null: only the locals know. */
  cc: KnownFlags | null = null;
  /** Set by the region builder: nobody will see the flags that the current instruction writes. */
  flagsDead = false;

  private readonly pool = new Map<number, number[]>();
  private readonly taken: [number, number][] = [];

  /**
   * @param params parameters of the function
   * @param helpers names of the functions that the module imports, in their order; grows
   */
  constructor(
    params: number,
    private readonly helpers: HelperName[],
  ) {
    const c = (this.c = new Code(params));
    this.ccDst = c.local(Type.i64);
    this.ccSrc = c.local(Type.i64);
    this.ccSrc2 = c.local(Type.i64);
    this.ccOver = c.local(Type.i64);
    this.ccOpLocal = c.local(Type.i32);
    for (const name of ['a32', 'b32', 'r32'] as const) this.known[name] = c.local(Type.i32);
    for (const name of ['a64', 'b64', 'r64'] as const) this.known[name] = c.local(Type.i64);
  }

  /** A temporary local of a wasm type, valid until the end of the instruction. Its initial value is undefined. */
  temp(type: number): number {
    let free = this.pool.get(type);
    if (!free) this.pool.set(type, (free = []));
    const local = free.pop() ?? this.c.local(type);
    this.taken.push([type, local]);
    return local;
  }

  /** Pops the value on the stack into a fresh temporary. */
  toTemp(type: number): number {
    const local = this.temp(type);
    this.c.set(local);
    return local;
  }

  /** Function index of a helper, importing it on first use. */
  helper(name: HelperName): number {
    const known = this.helpers.indexOf(name);
    return known >= 0 ? known : this.helpers.push(name) - 1;
  }

  callHelper(name: HelperName): void {
    this.c.call(this.helper(name));
  }

  /** Gives the temporaries back. */
  protected giveBack(): void {
    for (const [type, local] of this.taken) this.pool.get(type)!.push(local);
    this.taken.length = 0;
  }

  // --- flags -----------------------------------------------------------------------------------------------------------

  /** Locals for the operands and the result of a flag-setting instruction of a width: a, b, r. */
  flagOperands(w: Width): { a: number; b: number; r: number } {
    const k = this.known;
    return w.is64 ? { a: k.a64, b: k.b64, r: k.r64 } : { a: k.a32, b: k.b32, r: k.r32 };
  }

  /**
   * Records the flags of an operation whose operands and result are in the locals of `flagOperands`:
   * r always; b as `ccSrc` for add, adc, sub, sbb, shl, shr, imul; `carry` (i64 local) for adc, sbb (ccSrc2), inc, dec, mul (ccSrc),
   * and the other operand for imul (ccSrc2).
   * Sub-word results must be masked to their size. Must come after the instruction's last access that can fault.
   */
  setFlags(kind: number, size: number, carry?: number): void {
    if (this.flagsDead) {
      this.cc = null;
      return;
    }
    this.noteFlagsWritten();
    const c = this.c;
    const w = width(size);
    const { b, r } = this.flagOperands(w);
    const extend = (local: number) => {
      c.get(local);
      if (!w.is64) c.op(Op.i64_extend_i32_u);
    };
    extend(r);
    c.set(this.ccDst);
    if (kind === CcKind.inc || kind === CcKind.dec || kind === CcKind.mul) c.get(carry!).set(this.ccSrc);
    else if (kind !== CcKind.logic) {
      extend(b);
      c.set(this.ccSrc);
    }
    if (HAS_SRC2.has(kind)) {
      this.src2Used = true;
      c.get(carry!).set(this.ccSrc2);
    }
    c.i32(ccOp(kind, size)).set(this.ccOpLocal);
    this.cc = { kind, size };
  }

  /** Pops the six arithmetic flags (i32, other bits ignored) and makes them the flags. */
  setFlagBits(): void {
    this.noteFlagsWritten();
    this.c.op(Op.i64_extend_i32_u).set(this.ccSrc);
    this.c.i32(ccOp(CcKind.flags, 1)).set(this.ccOpLocal);
    this.cc = { kind: CcKind.flags, size: 1 };
  }

  /**
   * Pops a value (i64) and computes CF from it, or CF and OF; the other flags stay as they are.
   * @param kind an OverKind
   * @param size bytes of the value
   */
  setOver(kind: number, size: number): void {
    const c = this.c;
    if (this.flagsDead) {
      c.op(Op.drop);
      this.cc = null;
      return;
    }
    this.overUsed = true;
    this.noteFlagsRead();
    this.noteFlagsWritten();
    c.set(this.ccOver);
    const over = ccOver(kind, size);
    if (this.cc) {
      this.cc = { ...this.cc, over };
      c.i32(operationOf(this.cc));
    } else c.get(this.ccOpLocal).i32(OPERATION).op(Op.i32_and).i32(over).op(Op.i32_or);
    c.set(this.ccOpLocal);
  }

  /** Whether OF may come from elsewhere than the last operation that wrote all flags: `setOver` with a kind that leaves it alone would lose it. */
  get mayHaveOver(): boolean {
    return !this.cc || this.cc.over !== undefined;
  }

  /** Pushes the six arithmetic flags (i32) at their RFLAGS positions; other bits are 0. */
  flagBits(): void {
    this.noteFlagsRead();
    const c = this.c;
    if (this.cc?.kind === CcKind.flags && this.cc.over === undefined) {
      c.get(this.ccSrc).op(Op.i32_wrap_i64).i32(0x8d5).op(Op.i32_and);
      return;
    }
    if (this.cc) c.i32(operationOf(this.cc));
    else c.get(this.ccOpLocal);
    this.src2Used = this.overUsed = true;
    c.get(this.ccDst).get(this.ccSrc).get(this.ccSrc2).get(this.ccOver);
    this.callHelper('flags');
  }

  /** Pushes 1 if the condition holds, else 0 (i32). */
  condition(cc: number): void {
    if (!this.knownCondition(cc)) this.computedCondition(cc);
  }

  /** Pushes CF as an i64 0 or 1. */
  carry(): void {
    if (this.knownCondition(Cc.b)) {
      this.c.op(Op.i64_extend_i32_u);
      return;
    }
    const c = this.c;
    this.noteFlagsRead();
    // In loops the last operation is often INC or DEC itself, which carries CF along.
    c.get(this.ccOpLocal).i32(ccOp(CcKind.inc, 1)).op(Op.i32_sub).i32(8).op(Op.i32_lt_u);
    c.if(Type.i64).get(this.ccSrc).else();
    this.computedCondition(Cc.b);
    c.op(Op.i64_extend_i32_u).end();
  }

  /** Pushes 1 if the condition holds of whatever the locals of the lazy flags say, else 0 (i32). */
  protected computedCondition(cc: number): void {
    const c = this.c;
    this.flagBits();
    const base = cc & ~1;
    if (base === Cc.l || base === Cc.le) {
      const flags = this.toTemp(Type.i32);
      // SF is bit 7, OF bit 11.
      c.get(flags).i32(4).op(Op.i32_shr_u).get(flags).op(Op.i32_xor).i32(Flag.SF).op(Op.i32_and);
      if (base === Cc.le) c.get(flags).i32(Flag.ZF).op(Op.i32_and).op(Op.i32_or);
    } else {
      const mask = {
        [Cc.o]: Flag.OF,
        [Cc.b]: Flag.CF,
        [Cc.e]: Flag.ZF,
        [Cc.be]: Flag.CF | Flag.ZF,
        [Cc.s]: Flag.SF,
        [Cc.p]: Flag.PF,
      }[base]!;
      c.i32(mask).op(Op.i32_and);
    }
    c.op(Op.i32_eqz);
    if (!(cc & 1)) c.op(Op.i32_eqz);
  }

  /** Emits a condition straight from the operands of the last flag-setting instruction where that is possible. */
  private knownCondition(cc: number): boolean {
    if (!this.cc) return false;
    const { kind, size, over } = this.cc;
    const c = this.c;
    if (over === ccOver(OverKind.carry, 1) && cc >> 1 === Cc.b >> 1) {
      c.get(this.ccOver).op(Op.i32_wrap_i64);
      if (cc & 1) c.op(Op.i32_eqz);
      return true;
    }
    if (kind === CcKind.flags) return false;
    const w = width(size);
    const { a, b, r } = this.flagOperands(w);
    const negate = () => {
      if (cc & 1) c.op(Op.i32_eqz);
    };
    /** Pushes a local, sign-extended within its width. */
    const signed = (local: number) => {
      c.get(local);
      if (size === 1) c.op(Op.i32_extend8_s);
      else if (size === 2) c.op(Op.i32_extend16_s);
    };
    const zero = () => (w.is64 ? c.i64(0) : c.i32(0));
    const base = cc & ~1;
    // ZF and SF come from the result alone, whatever the operation.
    if (kind !== CcKind.mul && kind !== CcKind.imul) {
      if (base === Cc.e) {
        if (kind === CcKind.sub)
          c.get(a)
            .get(b)
            .op(cc & 1 ? w.ne : w.eq);
        else {
          c.get(r).op(w.eqz);
          negate();
        }
        return true;
      }
      if (base === Cc.s) {
        signed(r);
        zero();
        c.op(w.ltS);
        negate();
        return true;
      }
    }
    // All others need CF or OF.
    if (over !== undefined) return false;
    if (kind === CcKind.sub) {
      switch (base) {
        case Cc.b:
          c.get(a)
            .get(b)
            .op(cc & 1 ? w.geU : w.ltU);
          return true;
        case Cc.be:
          c.get(a)
            .get(b)
            .op(cc & 1 ? w.gtU : w.leU);
          return true;
        case Cc.l:
        case Cc.le:
          signed(a);
          signed(b);
          c.op(base === Cc.l ? w.ltS : w.leS);
          negate();
          return true;
      }
    } else if (kind === CcKind.logic) {
      switch (base) {
        case Cc.b:
        case Cc.o:
          c.i32(cc & 1);
          return true;
        case Cc.be:
          c.get(r).op(w.eqz);
          negate();
          return true;
        case Cc.l:
        case Cc.le:
          signed(r);
          zero();
          c.op(base === Cc.l ? w.ltS : w.leS);
          negate();
          return true;
      }
    } else if (kind === CcKind.add && base === Cc.b) {
      c.get(r)
        .get(b)
        .op(cc & 1 ? w.geU : w.ltU);
      return true;
    } else if ((kind === CcKind.inc || kind === CcKind.dec) && base === Cc.b) {
      this.noteFlagsRead();
      c.get(this.ccSrc).op(Op.i32_wrap_i64);
      negate();
      return true;
    }
    return false;
  }

  /** The locals of the lazy flags are read. */
  protected abstract noteFlagsRead(): void;
  /** The current instruction writes the locals of the lazy flags. */
  protected abstract noteFlagsWritten(): void;

  /** Stores the lazy flags to the CPU block. */
  protected storeFlags(): void {
    const { c, cc } = this;
    const store = (local: number, field: number) =>
      c.get(FlagEmitter.CPU).get(local).mem(Op.i64_store, field);
    if (cc?.kind !== CcKind.flags) store(this.ccDst, CpuState.ccDst);
    if (cc?.kind !== CcKind.logic) store(this.ccSrc, CpuState.ccSrc);
    if (cc ? HAS_SRC2.has(cc.kind) : this.src2Used) store(this.ccSrc2, CpuState.ccSrc2);
    if (cc ? cc.over !== undefined : this.overUsed) store(this.ccOver, CpuState.ccOver);
    c.get(FlagEmitter.CPU);
    if (cc) c.i32(operationOf(cc));
    else c.get(this.ccOpLocal);
    c.mem(Op.i32_store, CpuState.ccOp);
  }

  /** Loads the lazy flags from the CPU block. */
  protected loadFlags(c: Code): void {
    c.get(FlagEmitter.CPU).mem(Op.i64_load, CpuState.ccDst).set(this.ccDst);
    c.get(FlagEmitter.CPU).mem(Op.i64_load, CpuState.ccSrc).set(this.ccSrc);
    if (this.src2Used) c.get(FlagEmitter.CPU).mem(Op.i64_load, CpuState.ccSrc2).set(this.ccSrc2);
    if (this.overUsed) c.get(FlagEmitter.CPU).mem(Op.i64_load, CpuState.ccOver).set(this.ccOver);
    c.get(FlagEmitter.CPU).mem(Op.i32_load, CpuState.ccOp).set(this.ccOpLocal);
  }
}

/** What is known of the lazy flags while code is emitted. */
export interface KnownFlags {
  /** A CcKind, and bytes of its operands. */
  readonly kind: number;
  readonly size: number;
  /** The `ccOver` of what lies over it. */
  readonly over?: number;
}

function operationOf({ kind, size, over = 0 }: KnownFlags): number {
  return ccOp(kind, size) | over;
}

/** Operations of which CcState.ccSrc2 is an operand. */
const HAS_SRC2: ReadonlySet<number> = new Set([CcKind.adc, CcKind.sbb, CcKind.imul]);
