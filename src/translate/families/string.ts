import { Code, Mnemonic } from '../iced/enums.js';
import { CcKind, Flag } from '../../cpu/flags.js';
import { CpuState, Exit, Gpr } from '../../cpu/state.js';
import { Op, Type } from '../../wasm/opcodes.js';
import { Emitter } from '../emitter.js';
import type { Insn, MemOperand } from '../insn.js';
import type { Row } from '../row.js';
import { width } from '../width.js';
import { compute } from './alu.js';
import { implied } from './move.js';

/**
 * MOVS STOS LODS SCAS CMPS, alone or repeated.
 *
 * A repeated one is a wasm loop over elements whose registers advance as it goes, so that a fault in the middle leaves
 * RCX, RSI and RDI as hardware does; MOVS and STOS take whole page runs at once where they can (DF = 0). Flags are set after
 * the last element: a fault leaves them as they were before the instruction (SDM vol. 2, REP).
 */

/** Bytes of one element, by the mnemonic's last letter. */
function elementSize(insn: Insn): number {
  return insn.memorySize;
}

/** Local (i64) with +size or -size, by DF. */
function stride(e: Emitter, size: number): number {
  const c = e.c;
  c.i64(-size).i64(size);
  c.get(Emitter.CPU).mem(Op.i32_load, CpuState.rflags).i32(Flag.DF).op(Op.i32_and).op(Op.select);
  return e.toTemp(Type.i64);
}

function operand(insn: Insn, base: number): MemOperand {
  const segment = base === Gpr.rsi ? insn.mem!.segment : 'none';
  return { base, index: -1, scale: 1, disp: 0, segment, addressSize: insn.mem!.addressSize };
}

function advance(e: Emitter, insn: Insn, register: number, by: number): void {
  e.c.get(e.gpr(register)).get(by).op(Op.i64_add);
  if (insn.mem!.addressSize === 4) e.c.op(Op.i32_wrap_i64).op(Op.i64_extend_i32_u);
  e.c.set(e.gprW(register));
}

type Kind = 'movs' | 'stos' | 'lods' | 'scas' | 'cmps';

/** Registers that a repeated instruction counts with. */
const ADVANCES: Record<Kind, readonly number[]> = {
  movs: [Gpr.rcx, Gpr.rsi, Gpr.rdi],
  stos: [Gpr.rcx, Gpr.rdi],
  lods: [Gpr.rcx, Gpr.rsi, Gpr.rax],
  scas: [Gpr.rcx, Gpr.rdi],
  cmps: [Gpr.rcx, Gpr.rsi, Gpr.rdi],
};

/** One element. SCAS and CMPS leave operands and difference in the locals of `flagOperands`. */
function element(e: Emitter, insn: Insn, kind: Kind, size: number, step: number): void {
  const c = e.c;
  const type = width(size).type;
  if (insn.rep || insn.repne) e.firstAccess();
  const load = (register: number) => {
    e.ea(operand(insn, register));
    e.load(size);
    return e.toTemp(type);
  };
  switch (kind) {
    case 'movs':
    case 'stos': {
      let value: number;
      if (kind === 'movs') value = load(Gpr.rsi);
      else {
        e.readReg(implied(Gpr.rax, size));
        value = e.toTemp(type);
      }
      e.ea(operand(insn, Gpr.rdi));
      e.store(e.toTemp(Type.i64), value, size);
      if (kind === 'movs') advance(e, insn, Gpr.rsi, step);
      advance(e, insn, Gpr.rdi, step);
      return;
    }
    case 'lods': {
      const value = load(Gpr.rsi);
      c.get(value);
      e.writeReg(implied(Gpr.rax, size));
      advance(e, insn, Gpr.rsi, step);
      return;
    }
    case 'scas':
    case 'cmps': {
      // If both operands of CMPS fault, the host reports the one at RDI.
      const second = load(Gpr.rdi);
      let first: number;
      if (kind === 'cmps') first = load(Gpr.rsi);
      else {
        e.readReg(implied(Gpr.rax, size));
        first = e.toTemp(type);
      }
      const { a, b } = e.flagOperands(width(size));
      c.get(first).set(a).get(second).set(b);
      if (kind === 'cmps') advance(e, insn, Gpr.rsi, step);
      advance(e, insn, Gpr.rdi, step);
      compute(e, 'sub', size);
    }
  }
}

function string(kind: Kind) {
  return (e: Emitter, insn: Insn): void => {
    const c = e.c;
    const size = elementSize(insn);
    e.flagsDead = false;
    const step = stride(e, size);
    const compares = kind === 'scas' || kind === 'cmps';
    if (!insn.rep && !insn.repne) {
      element(e, insn, kind, size, step);
      if (compares) e.setFlags(CcKind.sub, size);
      return;
    }
    const address32 = insn.mem!.addressSize === 4;
    const count = e.temp(Type.i64);
    e.mayFault();
    // What the next element may fault with.
    e.advances(ADVANCES[kind]);
    const remaining = () => {
      c.get(e.gpr(Gpr.rcx));
      if (address32) c.i64(0xffffffff).op(Op.i64_and);
      c.tee(count).op(Op.i64_eqz);
    };
    const done = c.block();
    remaining();
    c.brIf(done);
    const finish = c.block();
    const again = c.loop();
    // Long repetitions are interruptible between elements: the instruction simply starts again with what is left.
    c.get(Emitter.CPU).mem(Op.i32_load, CpuState.interrupt).i32(0).op(Op.i32_lt_s);
    c.if();
    e.leave(Exit.interrupt);
    c.end();
    const finished = e.temp(Type.i64);
    const decrement = (amount: () => void) => {
      c.get(e.gpr(Gpr.rcx));
      amount();
      c.op(Op.i64_sub);
      if (address32) c.i64(0xffffffff).op(Op.i64_and);
      c.set(e.gprW(Gpr.rcx));
    };
    if ((kind === 'movs' || kind === 'stos') && !address32) {
      c.get(step).i64(0).op(Op.i64_gt_s);
      c.if();
      c.get(Emitter.CPU);
      if (kind === 'movs') e.ea(operand(insn, Gpr.rsi));
      else replicated(e, size);
      c.get(e.gpr(Gpr.rdi)).get(count).i32(size);
      e.callHelper(kind === 'movs' ? 'bulkCopy' : 'bulkFill');
      c.tee(finished).op(Op.i64_eqz).op(Op.i32_eqz);
      c.if();
      const bytes = e.temp(Type.i64);
      c.get(finished).i64(size).op(Op.i64_mul).set(bytes);
      if (kind === 'movs') advance(e, insn, Gpr.rsi, bytes);
      advance(e, insn, Gpr.rdi, bytes);
      decrement(() => c.get(finished));
      remaining();
      c.brIf(finish).br(again);
      c.end();
      c.end();
    }
    element(e, insn, kind, size, step);
    decrement(() => c.i64(1));
    remaining();
    c.brIf(finish);
    if (compares) {
      // REPE goes on while equal, REPNE while not.
      const w = width(size);
      c.get(e.flagOperands(w).r).op(w.is64 ? Op.i64_eqz : Op.i32_eqz);
      if (insn.repne) c.op(Op.i32_eqz);
      c.brIf(again);
    } else c.br(again);
    c.end(); // again
    c.end(); // finish
    if (compares) e.setFlags(CcKind.sub, size);
    c.end(); // done
    e.cc = null;
  };
}

/** Pushes RAX's element repeated over eight bytes. */
function replicated(e: Emitter, size: number): void {
  const c = e.c;
  c.get(e.gpr(Gpr.rax));
  if (size === 8) return;
  c.i64(2n ** BigInt(size * 8) - 1n).op(Op.i64_and);
  c.i64(size === 1 ? 0x0101010101010101n : size === 2 ? 0x0001000100010001n : 0x100000001n).op(Op.i64_mul);
}

function xlat(e: Emitter, insn: Insn): void {
  const c = e.c;
  const mem = insn.mem!;
  c.get(e.gpr(Gpr.rbx));
  e.readReg(implied(Gpr.rax, 1));
  c.op(Op.i64_extend_i32_u).op(Op.i64_add);
  if (mem.addressSize === 4) c.op(Op.i32_wrap_i64).op(Op.i64_extend_i32_u);
  if (mem.segment !== 'none') {
    c.get(Emitter.CPU)
      .mem(Op.i64_load, mem.segment === 'fs' ? CpuState.fsBase : CpuState.gsBase)
      .op(Op.i64_add);
  }
  e.load(1);
  e.writeReg(implied(Gpr.rax, 1));
}

function row(name: Kind, letter: string, codes: readonly Code[]): Row {
  const key = (name[0].toUpperCase() + name.slice(1) + letter) as keyof typeof Mnemonic;
  return { mnemonic: Mnemonic[key] as Mnemonic, codes, lower: string(name) };
}

export const rows: readonly Row[] = [
  row('movs', 'b', [Code.Movsb_m8_m8]),
  row('movs', 'w', [Code.Movsw_m16_m16]),
  row('movs', 'd', [Code.Movsd_m32_m32]),
  row('movs', 'q', [Code.Movsq_m64_m64]),
  row('stos', 'b', [Code.Stosb_m8_AL]),
  row('stos', 'w', [Code.Stosw_m16_AX]),
  row('stos', 'd', [Code.Stosd_m32_EAX]),
  row('stos', 'q', [Code.Stosq_m64_RAX]),
  row('lods', 'b', [Code.Lodsb_AL_m8]),
  row('lods', 'w', [Code.Lodsw_AX_m16]),
  row('lods', 'd', [Code.Lodsd_EAX_m32]),
  row('lods', 'q', [Code.Lodsq_RAX_m64]),
  row('scas', 'b', [Code.Scasb_AL_m8]),
  row('scas', 'w', [Code.Scasw_AX_m16]),
  row('scas', 'd', [Code.Scasd_EAX_m32]),
  row('scas', 'q', [Code.Scasq_RAX_m64]),
  row('cmps', 'b', [Code.Cmpsb_m8_m8]),
  row('cmps', 'w', [Code.Cmpsw_m16_m16]),
  row('cmps', 'd', [Code.Cmpsd_m32_m32]),
  row('cmps', 'q', [Code.Cmpsq_m64_m64]),
  { mnemonic: Mnemonic.Xlatb, lower: xlat },
];
