import { flagsBody, operationFlagsBody } from '../cpu/flags.js';
import { CpuState } from '../cpu/state.js';
import { Frame, MACHINE, Machine } from '../memory/layout.js';
import { PAGE_SHIFT, PAGE_SIZE } from '../memory/memory.js';
import { Access, addWalkFunctions } from '../mmu/walk.js';
import { emittedModule } from '../startup/kept-module.js';
import { Code } from '../wasm/code.js';
import { ModuleWriter } from '../wasm/module.js';
import { Op, Type } from '../wasm/opcodes.js';

const { i32, i64 } = Type;

/** What the runtime module exports to TypeScript and, under the same names, to regions. */
export interface RuntimeExports {
  /** Runs the region in a table slot; returns an Exit. */
  enter(cpu: number, slot: number): number;
  /** The six arithmetic flags of a CPU's lazy state. */
  rflags(cpu: number): number;
  /** Pointer of a guest byte (address as two 32-bit halves) after all checks for an `Access`, or 0 with the exception in CpuState. */
  translate(cpu: number, low: number, high: number, access: number): number;
  readonly [name: string]: (...args: never[]) => unknown;
}

let compiled: WebAssembly.Module | undefined;

/** The runtime module, compiled once per worker. */
export function runtimeModule(): WebAssembly.Module {
  return (compiled ??= emittedModule('runtime', runtimeBytes));
}

export function runtimeBytes(): Uint8Array<ArrayBuffer> {
  const m = new ModuleWriter();
  const pageFault = m.importFunc('e', 'pageFault', [i32], [i32]);
  const codeWritten = m.importFunc('e', 'codeWritten', [i32, i32], []);
  m.importMemory('e', 'm');
  m.importTable('e', 't');
  m.importGlobal('e', 'p', i32);
  const region = m.type([i32], [i32]);

  const walk = addWalkFunctions(m, pageFault, codeWritten);
  m.export('load', walk.load);
  m.export('store', walk.store);
  m.export('modify', walk.modify);
  m.export('loadAgain', walk.retry.load);
  m.export('storeAgain', walk.retry.store);
  m.export('modifyAgain', walk.retry.modify);
  const mulHighU = m.func([i64, i64], [i64], mulHighUnsigned());
  m.export('mulHighU', mulHighU);
  // Signed: correct the unsigned product by the operands that are negative.
  let c = new Code(2);
  c.get(0).get(1).call(mulHighU);
  c.get(0).i64(63).op(Op.i64_shr_s).get(1).op(Op.i64_and).op(Op.i64_sub);
  c.get(1).i64(63).op(Op.i64_shr_s).get(0).op(Op.i64_and).op(Op.i64_sub);
  const mulHighS = m.func([i64, i64], [i64], c.finish());
  m.export('mulHighS', mulHighS);
  const operationFlags = m.func([i32, i64, i64, i64], [i32], operationFlagsBody(mulHighS));
  const flags = m.func([i32, i64, i64, i64, i64], [i32], flagsBody(operationFlags));
  m.export('flags', flags);

  c = new Code(2);
  c.get(0).get(1).callIndirect(region);
  m.export('enter', m.func([i32, i32], [i32], c.finish()));

  c = new Code(1);
  c.get(0).mem(Op.i32_load, CpuState.ccOp);
  for (const field of [CpuState.ccDst, CpuState.ccSrc, CpuState.ccSrc2, CpuState.ccOver])
    c.get(0).mem(Op.i64_load, field);
  c.call(flags);
  m.export('rflags', m.func([i32], [i32], c.finish()));

  c = new Code(4);
  c.get(0).get(1).op(Op.i64_extend_i32_u).get(2).op(Op.i64_extend_i32_u).i64(32).op(Op.i64_shl).op(Op.i64_or);
  c.get(3).call(walk.translate);
  m.export('translate', m.func([i32, i32, i32, i32], [i32], c.finish()));

  const divU = m.func([i32, i64, i64, i64], [i32], divideUnsigned());
  m.export('divU', divU);
  m.export('divS', m.func([i32, i64, i64, i64], [i32], divideSigned(divU)));
  m.export('bulkCopy', m.func([i32, i64, i64, i64, i32], [i64], bulkBody(walk.translate, true)));
  m.export('bulkFill', m.func([i32, i64, i64, i64, i32], [i64], bulkBody(walk.translate, false)));
  return m.finish();
}

/** mulHighU(a, b) by four 32-bit partial products. */
function mulHighUnsigned(): Uint8Array {
  const c = new Code(2);
  const low = (x: number) => c.get(x).i64(0xffffffff).op(Op.i64_and);
  const high = (x: number) => c.get(x).i64(32).op(Op.i64_shr_u);
  const middle = c.local(i64);
  const carry = c.local(i64);
  low(0);
  low(1);
  c.op(Op.i64_mul).i64(32).op(Op.i64_shr_u);
  high(0);
  low(1);
  c.op(Op.i64_mul).op(Op.i64_add).set(middle);
  low(0);
  high(1);
  c.op(Op.i64_mul);
  low(middle);
  c.op(Op.i64_add).set(carry);
  high(0);
  high(1);
  c.op(Op.i64_mul);
  high(middle);
  c.op(Op.i64_add);
  high(carry);
  c.op(Op.i64_add);
  return c.finish();
}

/** divU(cpu, high, low, divisor): schoolbook, a bit at a time; programs rarely have a high half. */
function divideUnsigned(): Uint8Array {
  const c = new Code(4);
  const [cpu, high, low, divisor] = [0, 1, 2, 3];
  const count = c.local(i32);
  const top = c.local(i64);
  // Covers division by zero too: high >= 0 always holds.
  c.get(high).get(divisor).op(Op.i64_ge_u);
  c.if().i32(0).ret().end();
  c.get(high).op(Op.i64_eqz);
  c.if();
  c.get(cpu).get(low).get(divisor).op(Op.i64_div_u).mem(Op.i64_store, CpuState.arg0);
  c.get(cpu).get(low).get(divisor).op(Op.i64_rem_u).mem(Op.i64_store, CpuState.arg1);
  c.i32(1).ret();
  c.end();
  c.i32(64).set(count);
  const loop = c.loop();
  c.get(high).i64(63).op(Op.i64_shr_u).set(top);
  c.get(high).i64(1).op(Op.i64_shl).get(low).i64(63).op(Op.i64_shr_u).op(Op.i64_or).set(high);
  c.get(low).i64(1).op(Op.i64_shl).set(low);
  c.get(high).get(divisor).op(Op.i64_ge_u).get(top).op(Op.i32_wrap_i64).op(Op.i32_or);
  c.if();
  c.get(high).get(divisor).op(Op.i64_sub).set(high);
  c.get(low).i64(1).op(Op.i64_or).set(low);
  c.end();
  c.get(count).i32(1).op(Op.i32_sub).tee(count).brIf(loop);
  c.end();
  c.get(cpu).get(low).mem(Op.i64_store, CpuState.arg0);
  c.get(cpu).get(high).mem(Op.i64_store, CpuState.arg1);
  c.i32(1);
  return c.finish();
}

/** divS: magnitudes through divU, then signs; a quotient outside of 64 signed bits is #DE. */
function divideSigned(divU: number): Uint8Array {
  const c = new Code(4);
  const [cpu, high, low, divisor] = [0, 1, 2, 3];
  const negative = c.local(i32); // dividend
  const opposite = c.local(i32); // quotient
  const quotient = c.local(i64);
  c.get(high).i64(0).op(Op.i64_lt_s).tee(negative);
  c.get(divisor).i64(0).op(Op.i64_lt_s).op(Op.i32_xor).set(opposite);
  c.get(negative);
  c.if();
  c.i64(0)
    .get(high)
    .op(Op.i64_sub)
    .get(low)
    .i64(0)
    .op(Op.i64_ne)
    .op(Op.i64_extend_i32_u)
    .op(Op.i64_sub)
    .set(high);
  c.i64(0).get(low).op(Op.i64_sub).set(low);
  c.end();
  c.get(cpu).get(high).get(low);
  c.i64(0).get(divisor).op(Op.i64_sub).get(divisor).get(divisor).i64(0).op(Op.i64_lt_s).op(Op.select);
  c.call(divU).op(Op.i32_eqz);
  c.if().i32(0).ret().end();
  c.get(cpu).mem(Op.i64_load, CpuState.arg0).set(quotient);
  // The magnitude may be 2^63 only if the quotient is negative.
  c.get(quotient)
    .i64(-0x8000_0000_0000_0000n)
    .get(opposite)
    .op(Op.i64_extend_i32_u)
    .op(Op.i64_add)
    .op(Op.i64_ge_u);
  c.if().i32(0).ret().end();
  c.get(opposite);
  c.if().get(cpu).i64(0).get(quotient).op(Op.i64_sub).mem(Op.i64_store, CpuState.arg0).end();
  c.get(negative);
  c.if();
  c.get(cpu).i64(0).get(cpu).mem(Op.i64_load, CpuState.arg1).op(Op.i64_sub).mem(Op.i64_store, CpuState.arg1);
  c.end();
  c.i32(1);
  return c.finish();
}

/**
 * bulkCopy(cpu, source, destination, count, size) and bulkFill(cpu, value, destination, count, size): elements done,
 * within one page of each and forwards; 0 where that is not possible (a fault, code in the page, overlap that copies
 * onto its own source, an element across pages): the caller then does one element the ordinary way.
 */
function bulkBody(translate: number, copy: boolean): Uint8Array {
  const c = new Code(5);
  const [cpu, source, destination, count, size] = [0, 1, 2, 3, 4];
  const from = c.local(i32);
  const to = c.local(i32);
  const bytes = c.local(i32);
  const at = c.local(i32);
  /** bytes = min(bytes, bytes from `pointer` to the end of its page) */
  const limit = (pointer: number) => {
    c.get(bytes);
    c.i32(PAGE_SIZE)
      .get(pointer)
      .i32(PAGE_SIZE - 1)
      .op(Op.i32_and)
      .op(Op.i32_sub)
      .tee(at);
    c.get(bytes).get(at).op(Op.i32_lt_u).op(Op.select).set(bytes);
  };
  c.get(cpu).get(destination).i32(Access.write).call(translate).tee(to).op(Op.i32_eqz);
  c.if().i64(0).ret().end();
  c.get(to)
    .i32(0)
    .mem(Op.i32_load, MACHINE + Machine.framesBase)
    .op(Op.i32_sub)
    .i32(PAGE_SHIFT)
    .op(Op.i32_shr_u);
  c.i32(Math.log2(Frame.size))
    .op(Op.i32_shl)
    .i32(0)
    .mem(Op.i32_load, MACHINE + Machine.frameTable)
    .op(Op.i32_add);
  c.mem(Op.i32_load, Frame.codeMask);
  c.if().i64(0).ret().end();
  c.get(count).get(size).op(Op.i64_extend_i32_u).op(Op.i64_mul).i64(PAGE_SIZE);
  c.get(count).i64(PAGE_SIZE).op(Op.i64_lt_u).op(Op.select).op(Op.i32_wrap_i64).set(bytes);
  limit(to);
  if (copy) {
    c.get(cpu).get(source).i32(Access.read).call(translate).tee(from).op(Op.i32_eqz);
    c.if().i64(0).ret().end();
    limit(from);
  }
  c.get(bytes).i32(0).get(size).op(Op.i32_sub).op(Op.i32_and).tee(bytes).op(Op.i32_eqz);
  c.if().i64(0).ret().end();
  if (copy) {
    // from < to < from + bytes: element by element it replicates, which memory.copy does not.
    c.get(to).get(from).op(Op.i32_sub).i32(1).op(Op.i32_sub).get(bytes).i32(1).op(Op.i32_sub).op(Op.i32_lt_u);
    c.if().i64(0).ret().end();
    c.get(to).get(from).get(bytes).memoryCopy();
  } else {
    // The caller has replicated the element over all eight bytes of the value.
    c.get(size).i32(1).op(Op.i32_eq);
    c.if();
    c.get(to).get(source).op(Op.i32_wrap_i64).get(bytes).memoryFill();
    c.else();
    c.i32(0).set(at);
    const loop = c.loop();
    c.get(bytes).get(at).op(Op.i32_sub).i32(8).op(Op.i32_ge_u);
    c.if();
    c.get(to)
      .get(at)
      .op(Op.i32_add)
      .get(source)
      .mem(Op.i64_store)
      .get(at)
      .i32(8)
      .op(Op.i32_add)
      .set(at)
      .br(loop);
    c.end();
    c.end();
    for (const [step, store] of [
      [4, Op.i64_store32],
      [2, Op.i64_store16],
    ]) {
      c.get(bytes).get(at).op(Op.i32_sub).i32(step).op(Op.i32_ge_u);
      c.if();
      c.get(to).get(at).op(Op.i32_add).get(source).mem(store).get(at).i32(step).op(Op.i32_add).set(at);
      c.end();
    }
    c.end();
  }
  c.get(bytes).get(size).op(Op.i32_div_u).op(Op.i64_extend_i32_u);
  return c.finish();
}
