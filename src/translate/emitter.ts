import { CcKind, ccOp, Flag } from '../cpu/flags.js';
import { CpuState, Exit, Vector } from '../cpu/state.js';
import { PAGE_SHIFT } from '../memory/memory.js';
import { TlbEntry } from '../mmu/tlb.js';
import { tlbIndex } from '../mmu/walk.js';
import { Code, type Label } from '../wasm/code.js';
import { Op, Type } from '../wasm/opcodes.js';
import type { HelperName } from './helpers.js';
import type { Insn, MemOperand, Operand } from './insn.js';
import type { Row } from './row.js';
import { sizeMask, type Width, width } from './width.js';

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

/** A writable memory operand in the middle of a read-modify-write: `pointer` (i32 local) is valid until `commit`. */
export interface Modify {
  readonly address: number;
  readonly pointer: number;
  readonly size: number;
}

/** An access to translate: locals of its address (i64) and of the pointer to set (i32). */
interface AccessPlan {
  readonly address: number;
  readonly pointer: number;
  readonly size: number;
  readonly aligned: boolean;
  /** Offset of the TLB's array in CpuState. */
  readonly tlb: number;
}

/**
 * Writes the body of a function that executes guest instructions: what all instruction families share. Two kinds of function are
 * written this way: regions (region-emitter.ts) and handlers of threaded code (threaded/handler-emitter.ts).
 *
 * Guest registers that it uses live in wasm locals, loaded at entry. What is written to them goes to the CPU block at the next
 * instruction that may leave, or at the block's end, so that every way out finds it there: rejected was writing all of them back at
 * one exit, since every instruction that may leave is then an edge to it that carries all locals along, which V8's optimising compiler
 * takes several times as long for. They are right at a fault provided that a lowering changes no register, flag or memory before its
 * last access that can fault.
 * Temporaries are allocated from a pool with `temp` and given back at the end of the instruction.
 */
export abstract class Emitter {
  /** The function's first parameter: pointer of the CPU block. */
  static readonly CPU = 0;

  readonly c: Code;
  /** Label of the exit for faults: nothing of the current instruction has happened. */
  abstract readonly faultLabel: Label;

  private readonly gprLocals: (number | undefined)[] = [];
  private readonly xmmLocals: (number | undefined)[] = [];
  /** Registers written by the current instruction, and by those before it since they were last stored: a bit set each. */
  private readonly written = { gpr: 0, xmm: 0 };
  private readonly dirty = { gpr: 0, xmm: 0 };
  private flagsTouched = false;
  protected pkruLocal: number | undefined;

  private readonly ccDst: number;
  private readonly ccSrc: number;
  private readonly ccSrc2: number;
  private readonly ccOpLocal: number;
  /** Operands and result of the last flag-setting instruction, as long as `cc` says that they are known. */
  private readonly known = { a32: 0, b32: 0, r32: 0, a64: 0, b64: 0, r64: 0 };

  /** The last flag-writing operation, if the same on every path to here; null: only the locals know. */
  cc: { kind: number; size: number } | null = null;
  /** Set by the region builder: nobody will see the flags that the current instruction writes. */
  flagsDead = false;

  private readonly pool = new Map<number, number[]>();
  private readonly taken: [number, number][] = [];

  protected insn!: Insn;
  protected left = 0;
  private faultPrepared = false;

  /**
   * @param params parameters of the function
   * @param helpers names of the functions that the module imports, in their order; grows
   * @param seeded every access to guest memory is a call (src/translate/shared-access.ts)
   */
  constructor(
    params: number,
    private readonly helpers: HelperName[],
    private readonly seeded = false,
  ) {
    const c = (this.c = new Code(params));
    this.ccDst = c.local(Type.i64);
    this.ccSrc = c.local(Type.i64);
    this.ccSrc2 = c.local(Type.i64);
    this.ccOpLocal = c.local(Type.i32);
    for (const name of ['a32', 'b32', 'r32'] as const) this.known[name] = c.local(Type.i32);
    for (const name of ['a64', 'b64', 'r64'] as const) this.known[name] = c.local(Type.i64);
  }

  // --- one instruction -------------------------------------------------------------------------------------------------

  /** @param left instructions of the block from this one on, itself included */
  begin(insn: Insn, row: Row | undefined, left: number): void {
    this.insn = insn;
    this.left = left;
    this.faultPrepared = false;
    // Here and not at the access, which may be emitted in a conditional part.
    if (insn.mem || row?.mayRaise || !row?.lower) this.sync();
  }

  /** Gives the instruction's temporaries back. */
  finishInsn(): void {
    this.settle();
    for (const [type, local] of this.taken) this.pool.get(type)!.push(local);
    this.taken.length = 0;
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

  // --- registers -------------------------------------------------------------------------------------------------------

  /** Local (i64) of a general-purpose register that is read. */
  gpr(num: number): number {
    return (this.gprLocals[num] ??= this.c.local(Type.i64));
  }

  /** Local (i64) of a general-purpose register that is written. */
  gprW(num: number): number {
    this.written.gpr |= 1 << num;
    return this.gpr(num);
  }

  /** Local (v128) of an XMM register that is read. */
  xmm(num: number): number {
    return (this.xmmLocals[num] ??= this.c.local(Type.v128));
  }

  xmmW(num: number): number {
    this.written.xmm |= 1 << num;
    return this.xmm(num);
  }

  private settle(): void {
    const { written, dirty } = this;
    dirty.gpr |= written.gpr;
    dirty.xmm |= written.xmm;
    written.gpr = written.xmm = 0;
  }

  /** Stores what has been written to registers, the current instruction's part included; it will be stored again. */
  keep(): void {
    const { c, written, dirty } = this;
    const gprs = written.gpr | dirty.gpr;
    this.gprLocals.forEach((local, n) => {
      if (local === undefined || !((gprs >> n) & 1)) return;
      const offset = this.registerAddress(c, n, CpuState.gpr + 8 * n);
      c.get(local).mem(Op.i64_store, offset);
    });
    const xmms = written.xmm | dirty.xmm;
    this.xmmLocals.forEach((local, n) => {
      if (local === undefined || !((xmms >> n) & 1)) return;
      const offset = this.registerAddress(c, n, CpuState.xmm + 16 * n);
      c.get(local).simdMem(V128_STORE, offset);
    });
  }

  /** Stores what has been written to registers. Everything that runs from here on must have passed here. */
  sync(): void {
    this.keep();
    this.settle();
    this.dirty.gpr = this.dirty.xmm = 0;
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

  /** Pushes an immediate as a value of `size` bytes, zero-extended to its width. */
  imm(value: number | bigint, size: number): void {
    if (size === 8) this.c.i64(value);
    else if (size === 4) this.c.i32(Number(BigInt.asIntN(32, BigInt(value))));
    else this.c.i32(Number(value) & sizeMask(size));
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

  // --- memory ----------------------------------------------------------------------------------------------------------

  /** Pushes the effective address (i64, segment base included) of the instruction's memory operand. */
  ea(mem: MemOperand = this.insn.mem!): void {
    this.offset(mem);
    this.linear(mem);
  }

  /** Pushes base + index * scale + displacement (i64). */
  protected offset(mem: MemOperand): void {
    const c = this.c;
    let pushed = false;
    const add = () => {
      if (pushed) c.op(Op.i64_add);
      pushed = true;
    };
    if (mem.base >= 0) {
      c.get(this.gpr(mem.base));
      add();
    }
    if (mem.index >= 0) {
      c.get(this.gpr(mem.index));
      if (mem.scale > 1) c.i64(Math.log2(mem.scale)).op(Op.i64_shl);
      add();
    }
    if (!pushed || mem.disp !== 0) {
      c.i64(mem.disp);
      add();
    }
  }

  /** Makes the offset on the stack (i64) a linear address, by address size and segment. */
  private linear(mem: MemOperand): void {
    const c = this.c;
    if (mem.addressSize === 4) c.op(Op.i32_wrap_i64).op(Op.i64_extend_i32_u);
    if (mem.segment !== 'none') {
      c.get(Emitter.CPU).mem(Op.i64_load, mem.segment === 'fs' ? CpuState.fsBase : CpuState.gsBase);
      c.op(Op.i64_add);
    }
  }

  /** Pops an address (i64); pushes the value of `size` bytes there, zero-extended to its width. */
  load(size: number): void {
    this.readPointer(size);
    this.c.mem(LOADS[size]);
  }

  /**
   * Pops an address (i64); pushes a pointer (i32) to `size` bytes that may be read. Leaves the region on a fault.
   * @param aligned raises #GP(0) if the address is not a multiple of `size`
   */
  readPointer(size: number, aligned = false): void {
    const c = this.c;
    const address = this.temp(Type.i64);
    c.set(address);
    const pointer = this.temp(Type.i32);
    this.translate({ address, pointer, size, aligned, tlb: CpuState.tlbRead }, () => {
      c.get(Emitter.CPU).get(address).i32(size);
      this.callHelper('load');
      c.tee(pointer).op(Op.i32_eqz).unlikely().brIf(this.faultLabel);
    });
    c.get(pointer);
  }

  /** Stores the value in a local (of the width of `size`) at the address in a local (i64). */
  store(address: number, value: number, size: number): void {
    const c = this.c;
    const opcode = STORES[size];
    this.storeWith(address, size, (offset) => c.get(value).mem(opcode, offset));
  }

  /**
   * A store of any type: `write(offset)` is called with the pointer on the stack and emits value and store opcode; twice, so it must be pure.
   * @param aligned raises #GP(0) if the address is not a multiple of `size`
   */
  storeWith(address: number, size: number, write: (offset: number) => void, aligned = false): void {
    const c = this.c;
    const pointer = this.temp(Type.i32);
    const done = c.block();
    this.translate({ address, pointer, size, aligned, tlb: CpuState.tlbWrite }, () => {
      c.get(Emitter.CPU);
      write(CpuState.bounce);
      c.get(Emitter.CPU).get(address).i32(size);
      this.callHelper('store');
      c.op(Op.i32_eqz).unlikely().brIf(this.faultLabel).br(done);
    });
    c.get(pointer);
    write(0);
    c.end();
  }

  /** MFENCE: orders this CPU's stores before its later accesses. */
  fence(): void {
    if (!this.seeded) {
      this.c.atomicFence();
      return;
    }
    this.mayFault();
    this.c.get(Emitter.CPU);
    this.callHelper('fence');
    this.c.op(Op.i32_eqz).unlikely().brIf(this.faultLabel);
  }

  /** Seeded mode: the schedule may switch here, before the current instruction. @param kind a SwitchPoint */
  switchPoint(kind: number): void {
    if (!this.seeded) return;
    this.mayFault();
    this.c.get(Emitter.CPU).i32(kind);
    this.callHelper('point');
    this.c.op(Op.i32_eqz).unlikely().brIf(this.faultLabel);
  }

  /** Seeded mode: the next access is the first of an instruction, or of an element of a repeated one. */
  firstAccess(): void {
    if (!this.seeded) return;
    this.c.get(Emitter.CPU).i64(this.insn.ip).mem(Op.i64_store, CpuState.rip);
    this.c.get(Emitter.CPU).i32(0).mem(Op.i32_store, CpuState.accesses);
  }

  /** Pops an address (i64); makes `size` bytes there readable and writable through `pointer` until `commit`. */
  modify(size: number, locked = false): Modify {
    const c = this.c;
    const address = this.temp(Type.i64);
    c.set(address);
    const pointer = this.temp(Type.i32);
    this.translate({ address, pointer, size, aligned: false, tlb: CpuState.tlbWrite }, () => {
      c.get(Emitter.CPU).get(address).i32(size);
      this.callHelper(locked ? 'modifyLocked' : 'modify');
      c.tee(pointer).op(Op.i32_eqz).unlikely().brIf(this.faultLabel);
    });
    return { address, pointer, size };
  }

  /**
   * After the last store through a `modify` pointer: carries bounced bytes to their two pages. Cannot fault; but in seeded mode
   * it may leave the region, so that nothing else of the instruction may have happened yet.
   */
  commit({ address, pointer, size }: Modify): void {
    if (size === 1 && !this.seeded) return;
    const c = this.c;
    c.get(pointer).get(Emitter.CPU).i32(CpuState.bounce).op(Op.i32_add).op(Op.i32_eq).unlikely();
    c.if();
    c.get(Emitter.CPU).get(address).i32(size);
    this.callHelper('store');
    if (this.seeded) c.op(Op.i32_eqz).unlikely().brIf(this.faultLabel).end();
    else c.op(Op.drop).end();
  }

  /** Pops a pointer; pushes the `size` bytes it points to, zero-extended to their width. */
  loadFrom(size: number): void {
    this.c.mem(LOADS[size]);
  }

  /** Pops a value of the width of `size` and, below it, the pointer to store it at. */
  storeTo(size: number): void {
    this.c.mem(STORES[size]);
  }

  /**
   * Sets `pointer` for an access: from the TLB, or by `slow`, which calls into the page walk. Prepares for a fault of this
   * instruction. (Keeping the page that a base register led to last in locals, to spare the look-up, was measured: no faster.)
   */
  private translate({ address, pointer, size, aligned, tlb }: AccessPlan, slow: () => void): void {
    this.mayFault();
    const c = this.c;
    if (this.seeded) {
      if (aligned) this.requireAligned(address, size);
      slow();
      return;
    }
    this.pkruLocal ??= c.local(Type.i64);
    const entry = this.temp(Type.i32);
    const page = this.temp(Type.i64);
    const rights = this.temp(Type.i64);
    c.get(address);
    // What is aligned to its size lies in one page: the alignment's check takes the place of the last byte's.
    if (size > 1 && !aligned) c.i64(size - 1).op(Op.i64_add);
    c.i64(PAGE_SHIFT).op(Op.i64_shr_u).set(page);
    const misaligned = () => {
      if (!aligned) return;
      c.get(address)
        .i64(size - 1)
        .op(Op.i64_and)
        .op(Op.i64_or);
    };
    c.get(address);
    tlbIndex(c);
    c.get(Emitter.CPU)
      .op(Op.i32_add)
      .tee(entry)
      .mem(Op.i64_load, tlb + TlbEntry.page)
      .get(page)
      .op(Op.i64_xor);
    // Deny mask below, addend above: PKRU has nothing in the upper half.
    c.get(entry)
      .mem(Op.i64_load, tlb + TlbEntry.deny)
      .tee(rights)
      .get(this.pkruLocal)
      .op(Op.i64_and)
      .op(Op.i64_or);
    misaligned();
    c.i64(0).op(Op.i64_ne).unlikely();
    c.if();
    if (aligned) this.requireAligned(address, size);
    slow();
    c.else();
    c.get(rights).i64(32).op(Op.i64_shr_u).op(Op.i32_wrap_i64);
    c.get(address).op(Op.i32_wrap_i64).op(Op.i32_add).set(pointer);
    c.end();
  }

  /** Raises #GP(0) if the address (i64 local) is not a multiple of `size`. */
  private requireAligned(address: number, size: number): void {
    this.c
      .get(address)
      .op(Op.i32_wrap_i64)
      .i32(size - 1)
      .op(Op.i32_and);
    this.raiseIf(Vector.GP);
  }

  // --- PKRU ------------------------------------------------------------------------------------------------------------

  /** Pushes PKRU (i32). */
  readPkru(): void {
    this.c.globalGet(0);
  }

  /** Pops PKRU (i32): in force from the next access on. */
  writePkru(): void {
    this.pkruLocal ??= this.c.local(Type.i64);
    const value = this.toTemp(Type.i32);
    this.c.get(value).globalSet(0).get(value).op(Op.i64_extend_i32_u).set(this.pkruLocal);
  }

  // --- faults and exits ------------------------------------------------------------------------------------------------

  /** To be called before anything that may leave the region within an instruction: notes where it is. */
  mayFault(): void {
    if (this.faultPrepared) return;
    this.faultPrepared = true;
    if (this.dirty.gpr | this.dirty.xmm) throw new Error('a row that may leave does not say mayRaise');
    this.noteInstruction();
    this.firstAccess();
  }

  /** Notes which instruction it is that may leave now. */
  protected abstract noteInstruction(): void;

  /** Leaves the region with an exception at this instruction. */
  raise(vector: number, errorCode = 0): void {
    this.mayFault();
    this.setVector(vector, errorCode);
    this.leave(Exit.exception);
  }

  /** Notes which exception the region is about to be left with. */
  setVector(vector: number, errorCode: number): void {
    const c = this.c;
    c.get(Emitter.CPU).i32(vector).mem(Op.i32_store, CpuState.vector);
    c.get(Emitter.CPU).i32(errorCode).mem(Op.i32_store, CpuState.errorCode);
    c.get(Emitter.CPU).i64(0).mem(Op.i64_store, CpuState.faultAddress);
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
    this.c.get(Emitter.CPU).i32(exit).mem(Op.i32_store, CpuState.exit);
    this.c.br(this.faultLabel);
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
    this.flagsTouched = true;
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
    if (kind === CcKind.adc || kind === CcKind.sbb || kind === CcKind.imul) c.get(carry!).set(this.ccSrc2);
    c.i32(ccOp(kind, size)).set(this.ccOpLocal);
    this.cc = { kind, size };
  }

  /** Pops the six arithmetic flags (i32, other bits ignored) and makes them the flags. */
  setFlagBits(): void {
    this.flagsTouched = true;
    this.c.op(Op.i64_extend_i32_u).set(this.ccSrc);
    this.c.i32(ccOp(CcKind.flags, 1)).set(this.ccOpLocal);
    this.cc = { kind: CcKind.flags, size: 1 };
  }

  /** Pushes the six arithmetic flags (i32) at their RFLAGS positions; other bits are 0. */
  flagBits(): void {
    this.flagsTouched = true;
    const c = this.c;
    if (this.cc?.kind === CcKind.flags) {
      c.get(this.ccSrc).op(Op.i32_wrap_i64).i32(0x8d5).op(Op.i32_and);
      return;
    }
    if (this.cc) c.i32(ccOp(this.cc.kind, this.cc.size));
    else c.get(this.ccOpLocal);
    c.get(this.ccDst).get(this.ccSrc).get(this.ccSrc2);
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
    this.flagsTouched = true;
    // In loops the last operation is often INC or DEC itself, which carries CF along.
    c.get(this.ccOpLocal).i32(ccOp(CcKind.inc, 1)).op(Op.i32_sub).i32(8).op(Op.i32_lt_u);
    c.if(Type.i64).get(this.ccSrc).else();
    this.computedCondition(Cc.b);
    c.op(Op.i64_extend_i32_u).end();
  }

  private computedCondition(cc: number): void {
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
    if (!this.cc || this.cc.kind === CcKind.flags) return false;
    this.flagsTouched = true;
    const { kind, size } = this.cc;
    const c = this.c;
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
      c.get(this.ccSrc).op(Op.i32_wrap_i64);
      negate();
      return true;
    }
    return false;
  }

  // --- the frame around the body ---------------------------------------------------------------------------------------

  /** Loads all registers that are used. */
  protected loadRegisters(c: Code): void {
    this.gprLocals.forEach((local, n) => {
      if (local === undefined) return;
      const offset = this.registerAddress(c, n, CpuState.gpr + 8 * n);
      c.mem(Op.i64_load, offset).set(local);
    });
    this.xmmLocals.forEach((local, n) => {
      if (local === undefined) return;
      const offset = this.registerAddress(c, n, CpuState.xmm + 16 * n);
      c.simdMem(V128_LOAD, offset).set(local);
    });
  }

  /** Lazy flags between locals and the CPU block. */
  protected transferFlags(c: Code, out: boolean): void {
    if (!this.flagsTouched) return;
    for (const [local, field] of [
      [this.ccDst, CpuState.ccDst],
      [this.ccSrc, CpuState.ccSrc],
      [this.ccSrc2, CpuState.ccSrc2],
    ]) {
      if (out) c.get(Emitter.CPU).get(local).mem(Op.i64_store, field);
      else c.get(Emitter.CPU).mem(Op.i64_load, field).set(local);
    }
    if (out) c.get(Emitter.CPU).get(this.ccOpLocal).mem(Op.i32_store, CpuState.ccOp);
    else c.get(Emitter.CPU).mem(Op.i32_load, CpuState.ccOp).set(this.ccOpLocal);
  }

  /**
   * Pushes a pointer (i32) from which register `n` is reached.
   * @param field offset of the register in CpuState
   * @returns the offset of the register from that pointer
   */
  protected registerAddress(c: Code, _n: number, field: number): number {
    c.get(Emitter.CPU);
    return field;
  }
}

/** SIMD memory opcodes. */
export const V128_LOAD = 0;
export const V128_STORE = 11;

const LOADS: Record<number, number> = {
  1: Op.i32_load8_u,
  2: Op.i32_load16_u,
  4: Op.i32_load,
  8: Op.i64_load,
};
const STORES: Record<number, number> = {
  1: Op.i32_store8,
  2: Op.i32_store16,
  4: Op.i32_store,
  8: Op.i64_store,
};
