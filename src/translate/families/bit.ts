import { Mnemonic } from '../iced/enums.js';
import { CcKind, Flag, OverKind } from '../../cpu/flags.js';
import { CpuState, Gpr } from '../../cpu/state.js';
import { Op } from '../../wasm/opcodes.js';
import { Emitter } from '../emitter.js';
import type { Insn } from '../insn.js';
import { destinationSize } from '../operand-size.js';
import type { Row } from '../row.js';
import { type Width, width } from '../width.js';

/** BT BTS BTR BTC, BSF BSR, POPCNT, flag instructions, LAHF SAHF, PUSHF POPF. */

export type BitKind = 'test' | 'set' | 'reset' | 'complement';

function constant(e: Emitter, w: Width, value: number): void {
  if (w.is64) e.c.i64(value);
  else e.c.i32(value);
}

/** Pushes the operand with one bit changed: `value` and `mask` are locals. */
export function changeBit(e: Emitter, w: Width, kind: BitKind, value: number, mask: number): void {
  const c = e.c;
  c.get(value).get(mask);
  if (kind === 'set') c.op(w.or);
  else if (kind === 'complement') c.op(w.xor);
  else {
    constant(e, w, -1);
    c.op(w.xor).op(w.and);
  }
}

/** Sets CF to whether `value & mask` is not 0; the other flags keep their values (the host leaves them alone too). */
export function bitToCarry(e: Emitter, w: Width, value: number, mask: number): void {
  const c = e.c;
  if (!e.mayHaveOver) {
    c.get(value).get(mask).op(w.and).op(w.eqz).op(Op.i32_eqz).op(Op.i64_extend_i32_u);
    e.setOver(OverKind.carry, 1);
    return;
  }
  e.flagBits();
  c.i32(~Flag.CF).op(Op.i32_and);
  c.get(value).get(mask).op(w.and).op(w.eqz).op(Op.i32_eqz).op(Op.i32_or);
  e.setFlagBits();
}

/** Pushes the address of the word that a register bit offset selects: it may lie anywhere around the operand. */
export function bitAddress(e: Emitter, insn: Insn, size: number): void {
  const c = e.c;
  e.ea();
  const op = insn.ops[1];
  if (op.kind !== 'reg') return;
  c.get(e.gpr(op.num));
  if (size === 2) c.op(Op.i64_extend16_s);
  else if (size === 4) c.op(Op.i64_extend32_s);
  c.i64(size === 8 ? 6 : size === 4 ? 5 : 4)
    .op(Op.i64_shr_s)
    .i64(Math.log2(size))
    .op(Op.i64_shl)
    .op(Op.i64_add);
  // (With an address-size prefix no compiler uses FS or GS: the sum, base included, is taken modulo 2^32.)
  if (insn.mem!.addressSize === 4) c.op(Op.i32_wrap_i64).op(Op.i64_extend_i32_u);
}

/** Leaves in a new local the mask 1 << (offset mod operand bits). */
export function bitMask(e: Emitter, insn: Insn, size: number): number {
  const c = e.c;
  const w = width(size);
  constant(e, w, 1);
  const op = insn.ops[1];
  if (op.kind === 'imm') constant(e, w, Number(op.value) & (size * 8 - 1));
  else {
    e.readOp(1, size);
    constant(e, w, size * 8 - 1);
    c.op(w.and);
  }
  c.op(w.shl);
  return e.toTemp(w.type);
}

function bit(kind: BitKind) {
  return (e: Emitter, insn: Insn): void => {
    const c = e.c;
    const size = destinationSize(insn);
    const w = width(size);
    const to = insn.ops[0];
    if (to.kind === 'reg') {
      const mask = bitMask(e, insn, size);
      e.readReg(to);
      const value = e.toTemp(w.type);
      if (kind !== 'test') {
        changeBit(e, w, kind, value, mask);
        e.writeReg(to);
      }
      bitToCarry(e, w, value, mask);
      return;
    }
    bitAddress(e, insn, size);
    if (kind === 'test') {
      e.load(size);
      const value = e.toTemp(w.type);
      bitToCarry(e, w, value, bitMask(e, insn, size));
      return;
    }
    const m = e.modify(size);
    const mask = bitMask(e, insn, size);
    c.get(m.pointer);
    e.loadFrom(size);
    const value = e.toTemp(w.type);
    c.get(m.pointer);
    changeBit(e, w, kind, value, mask);
    e.storeTo(size);
    e.commit(m);
    bitToCarry(e, w, value, mask);
  };
}

/** BSF, BSR: a zero source leaves the destination as it was (and, for 32 bits, its upper half too, as AMD and Intel do). */
function scan(forward: boolean) {
  return (e: Emitter, insn: Insn): void => {
    const c = e.c;
    const size = destinationSize(insn);
    const w = width(size);
    e.readOp(1, size);
    const source = e.toTemp(w.type);
    const to = insn.ops[0];
    if (to.kind !== 'reg') return;
    c.get(source).op(w.eqz).op(Op.i32_eqz);
    c.if();
    c.get(source).op(forward ? w.ctz : w.clz);
    if (!forward) {
      const zeros = e.toTemp(w.type);
      constant(e, w, w.is64 ? 63 : 31);
      c.get(zeros).op(w.sub);
    }
    e.writeReg(to);
    c.end();
    // ZF; the rest is undefined. As LOGIC on the source, which the other flags then follow.
    c.get(source).set(e.flagOperands(w).r);
    e.setFlags(CcKind.logic, size);
  };
}

function popcnt(e: Emitter, insn: Insn): void {
  const c = e.c;
  const size = destinationSize(insn);
  const w = width(size);
  e.readOp(1, size);
  const source = e.toTemp(w.type);
  c.get(source).op(w.popcnt);
  e.writeOp(0, size);
  // ZF by the source, all others 0.
  c.get(source).op(w.eqz).i32(6).op(Op.i32_shl);
  e.setFlagBits();
}

function carryFlag(change: (e: Emitter) => void) {
  return (e: Emitter): void => {
    e.flagBits();
    change(e);
    e.setFlagBits();
  };
}

/** CLD, STD: DF lives in CpuState. */
function direction(set: boolean) {
  return (e: Emitter): void => {
    const c = e.c;
    c.get(Emitter.CPU).get(Emitter.CPU).mem(Op.i32_load, CpuState.rflags);
    if (set) c.i32(Flag.DF).op(Op.i32_or);
    else c.i32(~Flag.DF).op(Op.i32_and);
    c.mem(Op.i32_store, CpuState.rflags);
  };
}

function lahf(e: Emitter): void {
  e.flagBits();
  e.c.i32(0xd5).op(Op.i32_and).i32(2).op(Op.i32_or);
  e.writeReg({ kind: 'reg', class: 'high8', num: Gpr.rax, size: 1 });
}

function sahf(e: Emitter): void {
  const c = e.c;
  e.flagBits();
  c.i32(Flag.OF).op(Op.i32_and);
  e.readReg({ kind: 'reg', class: 'high8', num: Gpr.rax, size: 1 });
  c.i32(0xd5).op(Op.i32_and).op(Op.i32_or);
  e.setFlagBits();
}

export const rows: readonly Row[] = [
  { mnemonic: Mnemonic.Bt, lower: bit('test') },
  { mnemonic: Mnemonic.Bts, lower: bit('set') },
  { mnemonic: Mnemonic.Btr, lower: bit('reset') },
  { mnemonic: Mnemonic.Btc, lower: bit('complement') },
  { mnemonic: Mnemonic.Bsf, lower: scan(true) },
  { mnemonic: Mnemonic.Bsr, lower: scan(false) },
  // Without BMI1 and LZCNT, which CPUID does not offer, the prefix means nothing: compilers use it for operands that are not 0.
  { mnemonic: Mnemonic.Tzcnt, lower: scan(true), hostDiffers: 'the host has BMI1, where it is TZCNT' },
  { mnemonic: Mnemonic.Lzcnt, lower: scan(false), hostDiffers: 'the host has LZCNT' },
  { mnemonic: Mnemonic.Popcnt, lower: popcnt, killsFlags: true },
  { mnemonic: Mnemonic.Clc, lower: carryFlag((e) => e.c.i32(~Flag.CF).op(Op.i32_and)) },
  { mnemonic: Mnemonic.Stc, lower: carryFlag((e) => e.c.i32(Flag.CF).op(Op.i32_or)) },
  { mnemonic: Mnemonic.Cmc, lower: carryFlag((e) => e.c.i32(Flag.CF).op(Op.i32_xor)) },
  { mnemonic: Mnemonic.Cld, lower: direction(false) },
  { mnemonic: Mnemonic.Std, lower: direction(true) },
  { mnemonic: Mnemonic.Lahf, lower: lahf },
  { mnemonic: Mnemonic.Sahf, lower: sahf },
];
