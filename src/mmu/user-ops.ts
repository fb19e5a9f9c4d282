import { CpuMode, CpuState, PfError } from '../cpu/state.js';
import { Frame } from '../memory/layout.js';
import { PAGE_SIZE } from '../memory/memory.js';
import { Code } from '../wasm/code.js';
import type { ModuleWriter } from '../wasm/module.js';
import { Atomic, Op, Type } from '../wasm/opcodes.js';
import { frameEntry } from './frames.js';
import { Pte } from './pte.js';
import { toAddress } from './table-ops.js';
import { Access, descend } from './walk.js';

/**
 * The kernel's access to user memory, as WebAssembly functions.
 *
 * Each page is walked and copied in CpuMode.uaccess. The order is that of the shootdown protocol (shootdown.ts): the mode is
 * stored before the walk, so an initiator either has changed the entry before the walk reads it, or sees the mode and waits.
 * Leaving the mode, the CPU looks for initiators that park on flushDone, and wakes them.
 */

const { i32, i64, f64 } = Type;

/** Result of a walk that may not be served because the bytes to be written are translated code. */
export const WALK_CODE = 64;

/** Results of `walk` below this are refusals: page-fault error codes, or WALK_CODE. */
export const WALK_FAILED = PAGE_SIZE;

/** walkUser(root, address: i64, access, pkru, length) → pointer or refusal; sets A and D. `length` stays within the page. */
function walkBody(): Uint8Array {
  const c = new Code(5);
  const [root, address, access, pkru, length] = [0, 1, 2, 3, 4];
  const table = c.local(i32);
  const slot = c.local(i32);
  const error = c.local(i32);
  const pointer = c.local(i32);
  const entry = c.local(i64);
  const wanted = c.local(i64);
  c.i32(PfError.user).get(access).i32(1).op(Op.i32_shl).op(Op.i32_or).set(error);
  const fault = c.block();
  c.get(address).i64(0x8000_0000_0000).op(Op.i64_ge_u).brIf(fault);
  const again = c.loop();
  c.get(root).set(table);
  descend(c, { address, table, slot, entry }, fault);
  c.get(error).i32(PfError.present).op(Op.i32_or).set(error);
  // AD denies reads and writes, WD writes.
  c.get(pkru);
  c.get(entry).i64(58).op(Op.i64_shr_u).op(Op.i32_wrap_i64).i32(30).op(Op.i32_and).op(Op.i32_shr_u);
  c.get(access).i32(1).op(Op.i32_shl).i32(1).op(Op.i32_or).op(Op.i32_and);
  c.if();
  c.get(error).i32(PfError.pk).op(Op.i32_or).set(error).br(fault);
  c.end();
  c.get(access).get(entry).op(Op.i32_wrap_i64).i32(Pte.writable).op(Op.i32_and).op(Op.i32_eqz).op(Op.i32_and);
  c.brIf(fault);
  c.get(entry).op(Op.i32_wrap_i64).i32(-PAGE_SIZE).op(Op.i32_and);
  c.get(address)
    .op(Op.i32_wrap_i64)
    .i32(PAGE_SIZE - 1)
    .op(Op.i32_and)
    .op(Op.i32_or)
    .set(pointer);
  c.get(access);
  c.if();
  // Code in the 128-byte granules that [pointer, pointer + length) touches?
  c.get(pointer).i32(-PAGE_SIZE).op(Op.i32_and);
  frameEntry(c);
  c.atomic(Atomic.i32_load, 2, Frame.codeMask);
  c.i32(-1).get(pointer).i32(7).op(Op.i32_shr_u).op(Op.i32_shl).op(Op.i32_and);
  c.i32(-1).i32(31).get(pointer).get(length).op(Op.i32_add).i32(1).op(Op.i32_sub);
  c.i32(7).op(Op.i32_shr_u).op(Op.i32_sub).op(Op.i32_shr_u).op(Op.i32_and);
  c.if().i32(WALK_CODE).ret().end();
  c.end();
  c.get(entry)
    .i64(Pte.accessed | Pte.dirty)
    .i64(Pte.accessed)
    .get(access)
    .op(Op.select);
  c.op(Op.i64_or).tee(wanted).get(entry).op(Op.i64_ne);
  c.if();
  c.get(slot).get(entry).get(wanted).atomic(Atomic.i64_rmw_cmpxchg, 3).get(entry).op(Op.i64_ne).brIf(again);
  c.end();
  c.get(pointer).ret();
  c.end(); // loop
  c.end(); // fault
  c.get(error);
  return c.finish();
}

function enterUaccess(c: Code, cpu: number): void {
  c.get(cpu).i32(CpuMode.uaccess).atomic(Atomic.i32_store, 2, CpuState.mode);
}

/** Back to kernel mode; who parks on flushDone is woken (it looks at the mode again). */
function leaveUaccess(c: Code, cpu: number): void {
  c.get(cpu).i32(CpuMode.kernel).atomic(Atomic.i32_store, 2, CpuState.mode);
  c.get(cpu).atomic(Atomic.i32_load, 2, CpuState.flushWaiters);
  c.if();
  c.get(cpu).i32(1).atomic(Atomic.i32_rmw_add, 2, CpuState.flushDone).op(Op.drop);
  c.get(cpu).i32(-1).atomic(Atomic.notify, 2, CpuState.flushDone).op(Op.drop);
  c.end();
}

/**
 * copy(cpu, root, address, pointer, length, pkru) → bytes copied before the first refusal.
 * @param kind what is done with a piece: user memory to `pointer`, the reverse, or zeroes to user memory
 */
function copyBody(kind: 'in' | 'out' | 'clear', walk: number): Uint8Array {
  const c = new Code(6);
  const [cpu, root, pointer, length, pkru] = [0, 1, 3, 4, 5];
  const at = c.local(i64);
  const done = c.local(i32);
  const piece = c.local(i32);
  const user = c.local(i32);
  toAddress(c, 2, at);
  const out = c.block();
  const next = c.loop();
  c.get(done).get(length).op(Op.i32_ge_u).brIf(out);
  c.get(length).get(done).op(Op.i32_sub).tee(piece);
  c.i32(PAGE_SIZE)
    .get(at)
    .op(Op.i32_wrap_i64)
    .i32(PAGE_SIZE - 1)
    .op(Op.i32_and)
    .op(Op.i32_sub)
    .tee(user);
  c.get(piece).get(user).op(Op.i32_lt_u).op(Op.select).set(piece);
  enterUaccess(c, cpu);
  c.get(root)
    .get(at)
    .i32(kind === 'in' ? Access.read : Access.write)
    .get(pkru)
    .get(piece)
    .call(walk)
    .tee(user);
  c.i32(WALK_FAILED).op(Op.i32_lt_u);
  c.if();
  leaveUaccess(c, cpu);
  c.br(out);
  c.end();
  if (kind === 'clear') {
    c.get(user).i32(0).get(piece).memoryFill();
  } else {
    const from = kind === 'in' ? user : pointer;
    const to = kind === 'in' ? pointer : user;
    // Aligned words move as wholes: other threads must not see halves of them.
    const moved = c.block();
    for (const [bytes, load, store] of [
      [8, Op.i64_load, Op.i64_store],
      [4, Op.i32_load, Op.i32_store],
    ]) {
      c.get(piece).i32(bytes).op(Op.i32_eq);
      c.if();
      c.get(to).get(from).mem(load).mem(store).br(moved);
      c.end();
    }
    c.get(to).get(from).get(piece).memoryCopy();
    c.end();
    c.get(pointer).get(piece).op(Op.i32_add).set(pointer);
  }
  leaveUaccess(c, cpu);
  c.get(done).get(piece).op(Op.i32_add).set(done);
  c.get(at).get(piece).op(Op.i64_extend_i32_u).op(Op.i64_add).set(at);
  c.br(next);
  c.end();
  c.end();
  c.get(done);
  return c.finish();
}

/**
 * exchange(cpu, root, address, expected, value, pkru, out) → 1 with the old 32-bit value at `out`, 0 refused.
 * The address must be a multiple of 4.
 */
function exchangeBody(walk: number): Uint8Array {
  const c = new Code(7);
  const [cpu, root, expected, value, pkru, out] = [0, 1, 3, 4, 5, 6];
  const at = c.local(i64);
  const user = c.local(i32);
  toAddress(c, 2, at);
  enterUaccess(c, cpu);
  c.get(root)
    .get(at)
    .i32(Access.write)
    .get(pkru)
    .i32(4)
    .call(walk)
    .tee(user)
    .i32(WALK_FAILED)
    .op(Op.i32_ge_u);
  c.if();
  c.get(out).get(user).get(expected).get(value).atomic(Atomic.i32_rmw_cmpxchg, 2).mem(Op.i32_store);
  c.end();
  leaveUaccess(c, cpu);
  c.get(user).i32(WALK_FAILED).op(Op.i32_ge_u);
  return c.finish();
}

/** walk(root, address: f64, access, pkru, length): walkUser for TypeScript. */
function publicWalkBody(walk: number): Uint8Array {
  const c = new Code(5);
  const at = c.local(i64);
  toAddress(c, 1, at);
  c.get(0).get(at).get(2).get(3).get(4).call(walk);
  return c.finish();
}

/** Adds the functions to a module and exports them under the names in `TableOps`. */
export function addUserFunctions(m: ModuleWriter): void {
  const walk = m.func([i32, i64, i32, i32, i32], [i32], walkBody());
  m.export('walk', m.func([i32, f64, i32, i32, i32], [i32], publicWalkBody(walk)));
  const copy = [i32, i32, f64, i32, i32, i32];
  m.export('copyIn', m.func(copy, [i32], copyBody('in', walk)));
  m.export('copyOut', m.func(copy, [i32], copyBody('out', walk)));
  m.export('clear', m.func(copy, [i32], copyBody('clear', walk)));
  m.export('exchange', m.func([i32, i32, f64, i32, i32, i32, i32], [i32], exchangeBody(walk)));
}
