import { codeByName } from '../iced/library.js';
import type { GuestCpu } from '../../cpu/guest-cpu.js';
import { CpuState, Gpr, Vector } from '../../cpu/state.js';
import { loadEnvironment, restoreState, saveState, storeEnvironment } from '../../cpu/x87-environment.js';
import { type X87OperationName, x87Operation } from '../../cpu/x87-operations.js';
import { ES_B, FCW_DEFAULT, FCW_FIXED, FCW_WRITABLE } from '../../cpu/xsave.js';
import type { InstructionMemory } from '../../cpu/xsave-instructions.js';
import { Op, Type } from '../../wasm/opcodes.js';
import { Emitter } from '../emitter.js';
import { Cc } from '../flag-emitter.js';
import type { HelperName } from '../helpers.js';
import { effectiveAddress, instructionMemory } from '../execute.js';
import type { Insn } from '../insn.js';
import { type Row, raiseException } from '../row.js';
import { ArithmeticKind, POP_AFTER, TO_CODES, TO_STI } from '../x87-arithmetic.js';
import { POP, TRUNCATE } from '../x87-runtime.js';
import { implied } from './move.js';

/**
 * The x87 instructions. The unit's state stays in the CPU block: emitted code raises pending exceptions, accesses memory
 * and calls the unit's operations. Those are in TypeScript (src/cpu/x87-operations.ts), named here by X87OperationName;
 * common ones have helpers of their own, which do the common cases in WebAssembly and call the same operation for others.
 */

type Lower = (e: Emitter, insn: Insn) => void;

/** Raises #MF if an unmasked exception is pending, as all but the FN… instructions do before anything else. */
export function raisePending(e: Emitter): void {
  e.c.get(Emitter.CPU).mem(Op.i32_load8_u, CpuState.fsw).i32(0x80).op(Op.i32_and);
  e.raiseIf(Vector.MF);
}

/** Number i of the ST(i) that is not the implied ST(0). */
function stackRegister(insn: Insn, i: number): number {
  const op = insn.ops[i];
  if (op?.kind !== 'reg' || op.class !== 'st') throw new Error(`operand ${i} is no x87 register`);
  return op.num;
}

/** Calls an operation: `operands` pushes register number (or bits 79:64), bits 31:0 and bits 63:32. Pushes its result. */
function call(e: Emitter, name: X87OperationName, operands: () => void): void {
  e.c.get(Emitter.CPU).i32(x87Operation(name));
  operands();
  e.callHelper('x87');
}

/** An operation on registers; `operand` says which operand names ST(i). */
function onRegisters(name: X87OperationName, operand?: number): Lower {
  return (e, insn) => {
    raisePending(e);
    call(e, name, () =>
      e.c
        .i32(operand === undefined ? 0 : stackRegister(insn, operand))
        .i32(0)
        .i32(0),
    );
    e.c.op(Op.drop);
  };
}

/** An operation with an operand from memory of 2, 4, 8 or 10 bytes; those of 2 are sign-extended. */
function fromMemory(name: X87OperationName): Lower {
  return (e, insn) => {
    const { c } = e;
    raisePending(e);
    const size = insn.memorySize;
    e.ea();
    if (size === 10) {
      e.readPointer(10);
      const pointer = e.toTemp(Type.i32);
      call(e, name, () => {
        c.get(pointer).mem(Op.i32_load16_u, 8).get(pointer).mem(Op.i32_load).get(pointer).mem(Op.i32_load, 4);
      });
    } else if (size === 8) {
      e.load(8);
      const value = e.toTemp(Type.i64);
      call(e, name, () => {
        c.i32(0).get(value).op(Op.i32_wrap_i64).get(value).i64(32).op(Op.i64_shr_u).op(Op.i32_wrap_i64);
      });
    } else {
      e.load(size);
      if (size === 2) c.op(Op.i32_extend16_s);
      const value = e.toTemp(Type.i32);
      call(e, name, () => c.i32(0).get(value).i32(0));
    }
    c.op(Op.drop);
  };
}

/** FLD and FILD from memory. */
const loadFloat: Lower = (e, insn) => {
  const { c } = e;
  raisePending(e);
  const size = insn.memorySize;
  e.ea();
  if (size === 10) {
    e.readPointer(10);
    const pointer = e.toTemp(Type.i32);
    c.get(Emitter.CPU).get(pointer).mem(Op.i64_load).get(pointer).mem(Op.i32_load16_u, 8);
    e.callHelper('x87LoadF80');
    return;
  }
  e.load(size);
  const value = e.toTemp(size === 8 ? Type.i64 : Type.i32);
  c.get(Emitter.CPU).get(value);
  e.callHelper(size === 8 ? 'x87LoadF64' : 'x87LoadF32');
};

const loadInteger: Lower = (e, insn) => {
  const { c } = e;
  raisePending(e);
  const size = insn.memorySize;
  e.ea();
  e.load(size);
  if (size < 8) c.op(Op.i64_extend_i32_u);
  if (size === 2) c.op(Op.i64_extend16_s);
  else if (size === 4) c.op(Op.i64_extend32_s);
  const value = e.toTemp(Type.i64);
  c.get(Emitter.CPU).get(value);
  e.callHelper('x87LoadI64');
};

/** FLD1, FLDZ. */
function loadConstant(significand: bigint, exponent: number): Lower {
  return (e) => {
    raisePending(e);
    e.c.get(Emitter.CPU).i64(significand).i32(exponent);
    e.callHelper('x87LoadF80');
  };
}

/** Faults if `size` bytes at an address (i64 local) cannot be written. */
function probe(e: Emitter, address: number, size: number): void {
  e.c.get(Emitter.CPU).get(address).i32(size);
  e.callHelper('modify');
  e.c.op(Op.i32_eqz);
  e.faultIf();
}

/** Calls a store's operation; pushes whether there is something to store. */
type Convert = (e: Emitter) => void;

const convert =
  (name: X87OperationName): Convert =>
  (e) =>
    call(e, name, () => e.c.i32(0).i32(0).i32(0));

/** The same through a helper of its own. */
function convertBy(helper: HelperName, name: X87OperationName, options: number): Convert {
  return (e) => {
    e.c.get(Emitter.CPU).i32(x87Operation(name)).i32(options);
    e.callHelper(helper);
  };
}

const convertF80: Convert = (e) => {
  e.c.get(Emitter.CPU);
  e.callHelper('x87StoreF80');
};

/** A store: the operation computes value and new state, and the state is taken when the value is in memory. */
function toMemory(operation: Convert): Lower {
  return (e, insn) => {
    const { c } = e;
    raisePending(e);
    const size = insn.memorySize;
    e.ea();
    const address = e.toTemp(Type.i64);
    operation(e);
    c.if();
    const pointer = e.temp(Type.i32);
    e.storeWith(address, size, (offset) => {
      c.set(pointer);
      const part = (load: number, store: number, at: number) =>
        c
          .get(pointer)
          .get(Emitter.CPU)
          .mem(load, CpuState.arg0 + at)
          .mem(store, offset + at);
      if (size >= 8) part(Op.i64_load, Op.i64_store, 0);
      else if (size === 4) part(Op.i32_load, Op.i32_store, 0);
      if (size === 10) part(Op.i32_load16_u, Op.i32_store16, 8);
      else if (size === 2) part(Op.i32_load16_u, Op.i32_store16, 0);
    });
    c.else();
    // An unmasked exception keeps the value from memory, but page faults come first.
    probe(e, address, size);
    c.end();
    // Status and tag word lie side by side.
    c.get(Emitter.CPU)
      .get(Emitter.CPU)
      .mem(Op.i32_load, CpuState.arg1 + 4)
      .mem(Op.i32_store, CpuState.fsw);
  };
}

/** Compares ST(0) with the ST(i) that operand 1 names, or with ST(1). Pushes ZF, PF and CF. */
function compare(e: Emitter, insn: Insn, name: X87OperationName, options: number): void {
  raisePending(e);
  const i = insn.ops.length > 1 ? stackRegister(insn, 1) : 1;
  e.c.get(Emitter.CPU).i32(x87Operation(name)).i32(options).i32(i);
  e.callHelper('x87Compare');
}

/** FCOM, FUCOM and their popping forms: to the condition codes. */
function toCodes(name: X87OperationName, pops: number): Lower {
  return (e, insn) => {
    compare(e, insn, name, pops | TO_CODES);
    e.c.op(Op.drop);
  };
}

/** FCOMI and its like: to EFLAGS. */
function toFlags(name: X87OperationName, pops: number): Lower {
  return (e, insn) => {
    compare(e, insn, name, pops);
    e.setFlagBits();
  };
}

const exchange: Lower = (e, insn) => {
  raisePending(e);
  e.c.get(Emitter.CPU).i32(stackRegister(insn, 1));
  e.callHelper('x87Exchange');
};

/** FLD ST(i). */
const loadRegister: Lower = (e, insn) => {
  raisePending(e);
  e.c.get(Emitter.CPU).i32(stackRegister(insn, 0));
  e.callHelper('x87LoadRegister');
};

/** FST ST(i), FSTP ST(i). */
function storeRegister(name: X87OperationName, pop: number): Lower {
  return (e, insn) => {
    raisePending(e);
    e.c.get(Emitter.CPU).i32(x87Operation(name)).i32(stackRegister(insn, 0)).i32(pop);
    e.callHelper('x87StoreRegister');
  };
}

/** FABS, FCHS. */
function changeSign(name: X87OperationName, keep: number, flip: number): Lower {
  return (e) => {
    raisePending(e);
    e.c.get(Emitter.CPU).i32(x87Operation(name)).i32(keep).i32(flip);
    e.callHelper('x87Sign');
  };
}

function conditionalMove(cc: number): Lower {
  return (e, insn) => {
    raisePending(e);
    e.condition(cc);
    const taken = e.toTemp(Type.i32);
    call(e, 'conditionalMove', () => e.c.i32(stackRegister(insn, 1)).get(taken).i32(0));
    e.c.op(Op.drop);
  };
}

/** FLDCW: ES and B follow the new masks. */
const loadControl: Lower = (e) => {
  const { c } = e;
  raisePending(e);
  e.ea();
  e.load(2);
  c.i32(FCW_WRITABLE).op(Op.i32_and).i32(FCW_FIXED).op(Op.i32_or);
  const control = e.toTemp(Type.i32);
  c.get(Emitter.CPU).get(control).mem(Op.i32_store16, CpuState.fcw);
  c.get(Emitter.CPU).mem(Op.i32_load16_u, CpuState.fsw).i32(~ES_B).op(Op.i32_and);
  const status = e.toTemp(Type.i32);
  c.get(Emitter.CPU).get(status);
  c.i32(ES_B).i32(0);
  c.get(status).get(control).i32(-1).op(Op.i32_xor).op(Op.i32_and).i32(0x3f).op(Op.i32_and);
  c.op(Op.select).op(Op.i32_or).mem(Op.i32_store16, CpuState.fsw);
};

/** FNSTCW, FNSTSW. */
const storeWord =
  (field: number): Lower =>
  (e) => {
    e.c.get(Emitter.CPU).mem(Op.i32_load16_u, field);
    e.writeOp(0, 2);
  };

const statusToAx: Lower = (e) => {
  e.c.get(Emitter.CPU).mem(Op.i32_load16_u, CpuState.fsw);
  e.writeReg(implied(Gpr.rax, 2));
};

/** FNCLEX: clears the exception flags, SF, ES and B. */
const clearExceptions: Lower = (e) => {
  const { c } = e;
  c.get(Emitter.CPU).get(Emitter.CPU).mem(Op.i32_load16_u, CpuState.fsw);
  c.i32(0x7f00).op(Op.i32_and).mem(Op.i32_store16, CpuState.fsw);
};

/** FNINIT: control, status, tag word and opcode are four consecutive words. */
const initialize: Lower = (e) => {
  const { c } = e;
  c.get(Emitter.CPU)
    .i64((0xffffn << 32n) | BigInt(FCW_DEFAULT))
    .mem(Op.i64_store, CpuState.fcw);
  for (const field of [CpuState.fip, CpuState.fdp]) c.get(Emitter.CPU).i64(0).mem(Op.i64_store, field);
};

type StateOperation = (cpu: GuestCpu, access: InstructionMemory, address: number, wide: boolean) => boolean;

function onEnvironment(
  operation: StateOperation,
  bytes: number,
  waits: boolean,
): NonNullable<Row['execute']> {
  return (cpu, insn) => {
    const { memory, base } = cpu;
    if (waits && memory.u16[(base + CpuState.fsw) >>> 1] & 0x80) return raiseException(cpu, Vector.MF);
    const wide = insn.memorySize > bytes;
    return operation(cpu, instructionMemory(cpu, insn), effectiveAddress(cpu, insn), wide);
  };
}

/** Rows of codes, given by their names separated by spaces. */
function row(names: string, lower: Lower): Row[] {
  return names.split(' ').map((name) => ({ ...named(name), lower, mayRaise: true }));
}

function named(name: string): Pick<Row, 'codes'> {
  return { codes: [codeByName(name)] };
}

function execute(names: string, run: NonNullable<Row['execute']>): Row[] {
  return names.split(' ').map((name) => ({ ...named(name), execute: run }));
}

const ARITHMETIC = ['fadd', 'fsub', 'fsubr', 'fmul', 'fdiv', 'fdivr'] as const;

function arithmetic(name: (typeof ARITHMETIC)[number]): Row[] {
  const code = name[0].toUpperCase() + name.slice(1);
  const integer = `Fi${name.slice(1)}`;
  const kind = ArithmeticKind[name.slice(1) as keyof typeof ArithmeticKind];
  return [
    ...row(`${code}_m32fp`, withMemory(`${name}F32`, kind)),
    ...row(`${code}_m64fp`, withMemory(`${name}F64`, kind)),
    ...row(`${integer}_m16int ${integer}_m32int`, fromMemory(`${name}Int`)),
    ...row(`${code}_st0_sti`, withRegister(`${name}St0`, kind, 1)),
    ...row(`${code}_sti_st0`, withRegister(`${name}Sti`, kind | TO_STI, 0)),
    ...row(`${code}p_sti_st0`, withRegister(`${name}Pop`, kind | TO_STI | POP_AFTER, 0)),
  ];
}

/** Arithmetic between ST(0) and the ST(i) that `operand` names. */
function withRegister(name: X87OperationName, kind: number, operand: number): Lower {
  return (e, insn) => {
    raisePending(e);
    e.c.get(Emitter.CPU).i32(x87Operation(name)).i32(kind).i32(stackRegister(insn, operand));
    e.callHelper('x87Arithmetic');
  };
}

/** Arithmetic between ST(0) and an f32 or f64 in memory. */
function withMemory(name: X87OperationName, kind: number): Lower {
  return (e, insn) => {
    raisePending(e);
    const size = insn.memorySize;
    e.ea();
    e.load(size);
    const bits = e.toTemp(size === 8 ? Type.i64 : Type.i32);
    e.c.get(Emitter.CPU).i32(x87Operation(name)).i32(kind).get(bits);
    e.callHelper(size === 8 ? 'x87ArithmeticF64' : 'x87ArithmeticF32');
  };
}

/** Instructions without explicit operands whose operation has their name. */
const NAMED = [
  ...['fldl2t', 'fldl2e', 'fldpi', 'fldlg2', 'fldln2', 'ftst', 'fxam'],
  ...['fsqrt', 'frndint', 'fscale', 'fprem', 'fprem1', 'fxtract'],
  ...['f2xm1', 'fyl2x', 'fyl2xp1', 'fptan', 'fpatan', 'fsin', 'fcos', 'fsincos'],
] as X87OperationName[];

const CONDITIONS: readonly (readonly [string, number])[] = [
  ['b', Cc.b],
  ['e', Cc.e],
  ['be', Cc.be],
  ['u', Cc.p],
  ['nb', Cc.ae],
  ['ne', Cc.ne],
  ['nbe', Cc.a],
  ['nu', Cc.np],
];

export const rows: readonly Row[] = [
  ...ARITHMETIC.flatMap(arithmetic),
  ...NAMED.flatMap((name) => row(name[0].toUpperCase() + name.slice(1), onRegisters(name))),
  ...row('Fld_m32fp Fld_m64fp Fld_m80fp', loadFloat),
  ...row('Fild_m16int Fild_m32int Fild_m64int', loadInteger),
  ...row('Fld1', loadConstant(1n << 63n, 0x3fff)),
  ...row('Fldz', loadConstant(0n, 0)),
  ...row('Fbld_m80bcd', fromMemory('loadBcd')),
  ...row('Fst_m32fp', toMemory(convertBy('x87StoreF32', 'storeF32', 0))),
  ...row('Fstp_m32fp', toMemory(convertBy('x87StoreF32', 'storeF32Pop', 1))),
  ...row('Fst_m64fp', toMemory(convertBy('x87StoreF64', 'storeF64', 0))),
  ...row('Fstp_m64fp', toMemory(convertBy('x87StoreF64', 'storeF64Pop', 1))),
  ...row('Fstp_m80fp', toMemory(convertF80)),
  ...row('Fist_m16int', toMemory(convertBy('x87StoreInteger', 'storeI16', 16))),
  ...row('Fistp_m16int', toMemory(convertBy('x87StoreInteger', 'storeI16Pop', 16 | POP))),
  ...row('Fist_m32int', toMemory(convertBy('x87StoreInteger', 'storeI32', 32))),
  ...row('Fistp_m32int', toMemory(convertBy('x87StoreInteger', 'storeI32Pop', 32 | POP))),
  ...row('Fistp_m64int', toMemory(convertBy('x87StoreInteger', 'storeI64Pop', 64 | POP))),
  ...row('Fisttp_m16int', toMemory(convertBy('x87StoreInteger', 'truncateI16', 16 | POP | TRUNCATE))),
  ...row('Fisttp_m32int', toMemory(convertBy('x87StoreInteger', 'truncateI32', 32 | POP | TRUNCATE))),
  ...row('Fisttp_m64int', toMemory(convertBy('x87StoreInteger', 'truncateI64', 64 | POP | TRUNCATE))),
  ...row('Fbstp_m80bcd', toMemory(convert('storeBcd'))),
  ...row('Fld_sti', loadRegister),
  ...row('Fst_sti', storeRegister('storeRegister', 0)),
  ...row('Fstp_sti Fstp_sti_DFD0 Fstp_sti_DFD8', storeRegister('storeRegisterPop', 1)),
  ...row('Fxch_st0_sti Fxch_st0_sti_DDC8 Fxch_st0_sti_DFC8', exchange),
  ...row('Fchs', changeSign('fchs', 0xffff, 0x8000)),
  ...row('Fabs', changeSign('fabs', 0x7fff, 0)),
  ...row('Ffree_sti', onRegisters('free', 0)),
  ...row('Ffreep_sti', onRegisters('freePop', 0)),
  ...row('Fincstp', onRegisters('incstp')),
  ...row('Fdecstp', onRegisters('decstp')),
  ...row('Fcom_st0_sti Fcom_st0_sti_DCD0', toCodes('fcom', 0)),
  ...row('Fcomp_st0_sti Fcomp_st0_sti_DCD8 Fcomp_st0_sti_DED0', toCodes('fcomPop', 1)),
  ...row('Fucom_st0_sti', toCodes('fucom', 0)),
  ...row('Fucomp_st0_sti', toCodes('fucomPop', 1)),
  ...row('Fcom_m32fp', fromMemory('fcomF32')),
  ...row('Fcomp_m32fp', fromMemory('fcomF32Pop')),
  ...row('Fcom_m64fp', fromMemory('fcomF64')),
  ...row('Fcomp_m64fp', fromMemory('fcomF64Pop')),
  ...row('Ficom_m16int Ficom_m32int', fromMemory('fcomInt')),
  ...row('Ficomp_m16int Ficomp_m32int', fromMemory('fcomIntPop')),
  ...row('Fcomi_st0_sti', toFlags('fcomi', 0)),
  ...row('Fcomip_st0_sti', toFlags('fcomiPop', 1)),
  ...row('Fucomi_st0_sti', toFlags('fucomi', 0)),
  ...row('Fucomip_st0_sti', toFlags('fucomiPop', 1)),
  ...CONDITIONS.flatMap(([name, cc]) => row(`Fcmov${name}_st0_sti`, conditionalMove(cc))),
  ...row('Fcompp', toCodes('fcomPopPop', 2)),
  ...row('Fucompp', toCodes('fucomPopPop', 2)),
  ...row('Fnop Wait', raisePending),
  ...row('Fldcw_m2byte', loadControl),
  ...row('Fnstcw_m2byte', storeWord(CpuState.fcw)),
  ...row('Fnstsw_m2byte', storeWord(CpuState.fsw)),
  ...row('Fnstsw_AX', statusToAx),
  ...row('Fnclex', clearExceptions),
  ...row('Fninit', initialize),
  // Of the 8087 and 80287: no-ops since.
  ...row('Fneni Fndisi Fnsetpm', () => {}),
  ...execute('Fnstenv_m14byte Fnstenv_m28byte', onEnvironment(storeEnvironment, 14, false)),
  ...execute('Fldenv_m14byte Fldenv_m28byte', onEnvironment(loadEnvironment, 14, true)),
  ...execute('Fnsave_m94byte Fnsave_m108byte', onEnvironment(saveState, 94, false)),
  ...execute('Frstor_m94byte Frstor_m108byte', onEnvironment(restoreState, 94, true)),
];
