import { Frame } from '../memory/layout.js';
import { PAGE_SIZE } from '../memory/memory.js';
import { Code } from '../wasm/code.js';
import type { ModuleWriter } from '../wasm/module.js';
import { Atomic, Misc, Op, Type } from '../wasm/opcodes.js';
import { type FrameFunctions, frameEntry } from './frames.js';
import { Pte, TABLE_FLAGS } from './pte.js';
import { entryOffset, framePointer } from './walk.js';

/**
 * Page tables in bulk, as WebAssembly functions: every entry is read and changed by one 64-bit atomic operation, and
 * accessed and dirty bits that walkers set meanwhile are kept.
 *
 * Addresses are f64 parameters (JavaScript's numbers, exact); ranges [start, end) are page-aligned user addresses.
 * Whoever adds or removes entries holds the lock of the address space, shared or alone; walkers hold nothing.
 */

const { i32, i64, f64 } = Type;

/** log2 of the bytes that an entry of each level above the leaf covers. */
const UPPER = [39, 30, 21] as const;
const LEAF_TABLE_LOG2 = 21;

const FRAME_MASK = 0xffff_f000;
const KEY_MASK = 0x7800_0000_0000_0000n;
const NX = -0x8000_0000_0000_0000n;
const PRESENT_ACCESSED = Pte.present | Pte.accessed;

/** An f64 parameter as an address; what is beyond 63 bits becomes the largest, which is no user address. */
export function toAddress(c: Code, parameter: number, local: number): void {
  c.get(parameter).misc(Misc.i64_trunc_sat_f64_s).set(local);
}

/** slot(root, address: i64, create) → pointer of the leaf entry; 0 if there is no table for it (and no frame for one). */
export function slotBody(frames: FrameFunctions): Uint8Array {
  const c = new Code(3);
  const [table, address, create] = [0, 1, 2];
  const slot = c.local(i32);
  const fresh = c.local(i32);
  const entry = c.local(i64);
  const wanted = c.local(i64);
  for (const shift of UPPER) {
    c.get(table);
    entryOffset(c, address, shift);
    c.op(Op.i32_add).tee(slot).atomic(Atomic.i64_load, 3).tee(entry);
    c.op(Op.i32_wrap_i64).i32(Pte.present).op(Op.i32_and).op(Op.i32_eqz);
    c.if();
    c.get(create).op(Op.i32_eqz);
    c.if().i32(0).ret().end();
    c.call(frames.allocate).tee(fresh).op(Op.i32_eqz);
    c.if().i32(0).ret().end();
    c.get(fresh).i32(TABLE_FLAGS).op(Op.i32_or).op(Op.i64_extend_i32_u).set(wanted);
    c.get(slot).i64(0).get(wanted).atomic(Atomic.i64_rmw_cmpxchg, 3).tee(entry).op(Op.i64_eqz);
    c.if().get(wanted).set(entry);
    // Another CPU was first with its table.
    c.else().get(fresh).call(frames.release).end();
    c.end();
    c.get(entry);
    framePointer(c);
    c.set(table);
  }
  c.get(table);
  entryOffset(c, address, 12);
  c.op(Op.i32_add);
  return c.finish();
}

interface RangeLocals {
  readonly root: number;
  /** i64: the address that `slot` is for. */
  readonly at: number;
  readonly end: number;
}

/**
 * Calls `leaf` for each entry of the range that has a table, whether or not the entry is used.
 * @param leaf emits code for the entry at `slot`; must leave the nesting as it was
 * @param whole emits code for the entry at `slot` of a leaf table all of whose addresses were in the range
 */
function forRange(
  c: Code,
  { root, at, end }: RangeLocals,
  leaf: (slot: number) => void,
  whole?: (slot: number) => void,
): void {
  const table = c.local(i32);
  const slot = c.local(i32);
  const upper = c.local(i32);
  const entry = c.local(i64);
  const begin = c.local(i64);
  const stop = c.local(i64);
  const done = c.block();
  const next = c.loop();
  c.get(at).get(end).op(Op.i64_ge_u).brIf(done);
  c.get(root).set(table);
  for (const shift of UPPER) {
    c.get(table);
    entryOffset(c, at, shift);
    c.op(Op.i32_add).tee(upper).atomic(Atomic.i64_load, 3).tee(entry).op(Op.i64_eqz);
    c.if();
    nextBoundary(c, at, shift);
    c.set(at).br(next);
    c.end();
    c.get(entry);
    framePointer(c);
    c.set(table);
  }
  c.get(table);
  entryOffset(c, at, 12);
  c.op(Op.i32_add).set(slot);
  c.get(at).set(begin);
  nextBoundary(c, at, LEAF_TABLE_LOG2);
  c.tee(stop).get(end).get(stop).get(end).op(Op.i64_lt_u).op(Op.select).set(stop);
  const more = c.loop();
  leaf(slot);
  c.get(slot).i32(8).op(Op.i32_add).set(slot);
  c.get(at).i64(PAGE_SIZE).op(Op.i64_add).tee(at).get(stop).op(Op.i64_lt_u).brIf(more);
  c.end();
  if (whole) {
    c.get(stop)
      .get(begin)
      .op(Op.i64_sub)
      .i64(2 ** LEAF_TABLE_LOG2)
      .op(Op.i64_eq);
    c.if();
    whole(upper);
    c.end();
  }
  c.br(next);
  c.end();
  c.end();
}

/** Leaves the first address after that of `at` which a next entry of level `shift` covers. */
function nextBoundary(c: Code, at: number, shift: number): void {
  c.get(at).i64(shift).op(Op.i64_shr_u).i64(1).op(Op.i64_add).i64(shift).op(Op.i64_shl);
}

function increment(c: Code, local: number): void {
  c.get(local).i32(1).op(Op.i32_add).set(local);
}

/** Prologue of functions (root, start: f64, end: f64, …). */
function range(c: Code): RangeLocals {
  const at = c.local(i64);
  const end = c.local(i64);
  toAddress(c, 1, at);
  toAddress(c, 2, end);
  return { root: 0, at, end };
}

/** protect(root, start, end, keepLow, setLow, keepHigh, setHigh, copyOnWrite): see TableOps.protect. */
function protectBody(): Uint8Array {
  const c = new Code(8);
  const locals = range(c);
  const copyOnWrite = 7;
  const keep = c.local(i64);
  const set = c.local(i64);
  const old = c.local(i64);
  const wanted = c.local(i64);
  const count = c.local(i32);
  for (const [low, high, local] of [
    [3, 5, keep],
    [4, 6, set],
  ]) {
    c.get(high).op(Op.i64_extend_i32_u).i64(32).op(Op.i64_shl);
    c.get(low).op(Op.i64_extend_i32_u).op(Op.i64_or).set(local);
  }
  forRange(c, locals, (slot) => {
    const skip = c.block();
    const retry = c.loop();
    c.get(slot).atomic(Atomic.i64_load, 3).tee(old).i64(FRAME_MASK).op(Op.i64_and).op(Op.i64_eqz).brIf(skip);
    c.get(old).get(keep).op(Op.i64_and).get(set).op(Op.i64_or).set(wanted);
    c.get(wanted).op(Op.i32_wrap_i64).i32(Pte.writable).op(Op.i32_and).i32(0).get(copyOnWrite).op(Op.select);
    c.if();
    c.get(old);
    framePointer(c);
    frameEntry(c);
    c.atomic(Atomic.i32_load, 2, Frame.references).i32(1).op(Op.i32_ne);
    c.if().get(wanted).i64(~Pte.writable).op(Op.i64_and).set(wanted).end();
    c.end();
    c.get(wanted).get(old).op(Op.i64_eq).brIf(skip);
    // A new key alone, of a page that TLBs may have: a store to the high half, which nobody else writes to (the address space's lock
    // is held; walkers set A and D in the low half, by a compare-exchange of both). A page without A needs the compare-exchange:
    // a walker that sets A meanwhile has cached the old key, and this entry must then count.
    c.get(old).op(Op.i32_wrap_i64).get(wanted).op(Op.i32_wrap_i64).op(Op.i32_eq);
    c.get(old).op(Op.i32_wrap_i64).i32(Pte.accessed).op(Op.i32_and);
    c.i32(0).op(Op.i32_ne).op(Op.i32_and);
    c.if();
    c.get(slot).get(wanted).i64(32).op(Op.i64_shr_u).op(Op.i32_wrap_i64).mem(Op.i32_store, 4);
    c.else();
    c.get(slot).get(old).get(wanted).atomic(Atomic.i64_rmw_cmpxchg, 3).get(old).op(Op.i64_ne).brIf(retry);
    c.end();
    // Only what was present and accessed can be in a TLB (walkers set A first), and only losses and keys matter there.
    c.get(old)
      .op(Op.i32_wrap_i64)
      .i32(PRESENT_ACCESSED)
      .op(Op.i32_and)
      .i32(PRESENT_ACCESSED)
      .op(Op.i32_ne)
      .brIf(skip);
    c.get(old).get(wanted).op(Op.i64_xor).i64(KEY_MASK).op(Op.i64_and);
    c.get(old)
      .get(wanted)
      .i64(-1)
      .op(Op.i64_xor)
      .op(Op.i64_and)
      .i64(Pte.present | Pte.writable)
      .op(Op.i64_and);
    c.op(Op.i64_or);
    c.get(wanted).get(old).i64(-1).op(Op.i64_xor).op(Op.i64_and).i64(NX).op(Op.i64_and);
    c.op(Op.i64_or).op(Op.i64_eqz).brIf(skip);
    increment(c, count);
    c.end();
    c.end();
  });
  c.get(count);
  return c.finish();
}

/** zap(root, start, end): see TableOps.zap. */
function zapBody(): Uint8Array {
  const c = new Code(3);
  const locals = range(c);
  const count = c.local(i32);
  forRange(
    c,
    locals,
    (slot) => {
      c.get(slot).atomic(Atomic.i64_load, 3).op(Op.i64_eqz).op(Op.i32_eqz);
      c.if();
      c.get(slot).i64(~Pte.present).atomic(Atomic.i64_rmw_and, 3).op(Op.i32_wrap_i64);
      c.i32(PRESENT_ACCESSED).op(Op.i32_and).i32(PRESENT_ACCESSED).op(Op.i32_eq);
      c.get(count).op(Op.i32_add).set(count);
      c.end();
    },
    (table) => {
      // Walkers may be on their way through the table: it counts as something to wait for.
      c.get(table).i64(~Pte.present).atomic(Atomic.i64_rmw_and, 3).op(Op.drop);
      increment(c, count);
    },
  );
  c.get(count);
  return c.finish();
}

/** release(root, start, end): see TableOps.release. */
function releaseBody(frames: FrameFunctions): Uint8Array {
  const c = new Code(3);
  const locals = range(c);
  const count = c.local(i32);
  const old = c.local(i64);
  forRange(
    c,
    locals,
    (slot) => {
      c.get(slot).atomic(Atomic.i64_load, 3).op(Op.i64_eqz).op(Op.i32_eqz);
      c.if();
      c.get(slot).i64(0).atomic(Atomic.i64_rmw_xchg, 3);
      framePointer(c);
      c.call(frames.release);
      increment(c, count);
      c.end();
    },
    (table) => {
      c.get(table).i64(0).atomic(Atomic.i64_rmw_xchg, 3).set(old);
      c.get(old);
      framePointer(c);
      c.call(frames.release);
    },
  );
  c.get(count);
  return c.finish();
}

/** count(root, start, end) → entries that have a frame. */
function countBody(): Uint8Array {
  const c = new Code(3);
  const locals = range(c);
  const count = c.local(i32);
  forRange(c, locals, (slot) => {
    c.get(slot).atomic(Atomic.i64_load, 3).op(Op.i64_eqz).op(Op.i32_eqz).get(count).op(Op.i32_add).set(count);
  });
  c.get(count);
  return c.finish();
}

/** tables(root, start, end) → 1 once all leaf tables of the range exist, 0 if there are no frames for them. */
function tablesBody(slot: number): Uint8Array {
  const c = new Code(3);
  const { at, end } = range(c);
  const done = c.block();
  const next = c.loop();
  c.get(at).get(end).op(Op.i64_ge_u).brIf(done);
  c.get(0).get(at).i32(1).call(slot).op(Op.i32_eqz);
  c.if().i32(0).ret().end();
  nextBoundary(c, at, LEAF_TABLE_LOG2);
  c.set(at).br(next);
  c.end();
  c.end();
  c.i32(1);
  return c.finish();
}

/** move(root, start, end, to): see TableOps.move. */
function moveBody(slotFunction: number): Uint8Array {
  const c = new Code(4);
  const locals = range(c);
  const delta = c.local(i64);
  const count = c.local(i32);
  toAddress(c, 3, delta);
  c.get(delta).get(locals.at).op(Op.i64_sub).set(delta);
  forRange(c, locals, (slot) => {
    c.get(slot).atomic(Atomic.i64_load, 3).op(Op.i64_eqz).op(Op.i32_eqz);
    c.if();
    c.get(0).get(locals.at).get(delta).op(Op.i64_add).i32(1).call(slotFunction);
    c.get(slot).i64(0).atomic(Atomic.i64_rmw_xchg, 3);
    c.atomic(Atomic.i64_store, 3);
    increment(c, count);
    c.end();
  });
  c.get(count);
  return c.finish();
}

/** share(root, start, end, target, copyOnWrite): see TableOps.share. */
function shareBody(slotFunction: number): Uint8Array {
  const c = new Code(5);
  const locals = range(c);
  const [target, copyOnWrite] = [3, 4];
  const entry = c.local(i64);
  const count = c.local(i32);
  const to = c.local(i32);
  forRange(c, locals, (slot) => {
    c.get(slot).atomic(Atomic.i64_load, 3).tee(entry).op(Op.i64_eqz).op(Op.i32_eqz);
    c.if();
    c.get(target).get(locals.at).i32(1).call(slotFunction).tee(to).op(Op.i32_eqz);
    c.if().i32(-1).ret().end();
    c.get(copyOnWrite);
    c.if();
    c.get(slot).i64(~Pte.writable).atomic(Atomic.i64_rmw_and, 3).tee(entry).op(Op.i32_wrap_i64);
    c.i32(Pte.writable).op(Op.i32_and).get(count).op(Op.i32_or).set(count);
    c.get(entry).i64(~Pte.writable).op(Op.i64_and).set(entry);
    c.end();
    c.get(entry);
    framePointer(c);
    frameEntry(c);
    c.i32(1).atomic(Atomic.i32_rmw_add, 2, Frame.references).op(Op.drop);
    c.get(to).get(entry).atomic(Atomic.i64_store, 3);
    c.end();
  });
  c.get(count);
  return c.finish();
}

/** map(root, address, expectLow, expectHigh, low, high): see TableOps.map. */
function mapBody(slotFunction: number): Uint8Array {
  const c = new Code(6);
  const address = c.local(i64);
  const slot = c.local(i32);
  const expected = c.local(i64);
  toAddress(c, 1, address);
  c.get(0).get(address).i32(1).call(slotFunction).tee(slot).op(Op.i32_eqz);
  c.if().i32(0).ret().end();
  c.get(slot);
  pair(c, 2);
  c.tee(expected);
  pair(c, 4);
  c.atomic(Atomic.i64_rmw_cmpxchg, 3).get(expected).op(Op.i64_ne).i32(1).op(Op.i32_add);
  return c.finish();
}

/** Parameters `low`, `low + 1` as one i64. */
function pair(c: Code, low: number): void {
  c.get(low + 1)
    .op(Op.i64_extend_i32_u)
    .i64(32)
    .op(Op.i64_shl);
  c.get(low).op(Op.i64_extend_i32_u).op(Op.i64_or);
}

/** entry(root, address, out) → 1 with the leaf entry at `out` (8 bytes), 0 if it is empty or has no table. */
function entryBody(slotFunction: number): Uint8Array {
  const c = new Code(3);
  const address = c.local(i64);
  const slot = c.local(i32);
  const entry = c.local(i64);
  toAddress(c, 1, address);
  c.get(address).i64(0x8000_0000_0000).op(Op.i64_ge_u);
  c.if().i32(0).ret().end();
  c.get(0).get(address).i32(0).call(slotFunction).tee(slot).op(Op.i32_eqz);
  c.if().i32(0).ret().end();
  c.get(2).get(slot).atomic(Atomic.i64_load, 3).tee(entry).mem(Op.i64_store);
  c.get(entry).i64(0).op(Op.i64_ne);
  return c.finish();
}

/** destroy(table, level): releases what the entries of a table refer to, and the table. Level 1 is a leaf table. */
function destroyBody(self: number, frames: FrameFunctions): Uint8Array {
  const c = new Code(2);
  const [table, level] = [0, 1];
  const slot = c.local(i32);
  const entry = c.local(i64);
  c.get(table).set(slot);
  const next = c.loop();
  c.get(slot).atomic(Atomic.i64_load, 3).tee(entry).op(Op.i64_eqz).op(Op.i32_eqz);
  c.if();
  c.get(level).i32(1).op(Op.i32_gt_u);
  c.if();
  c.get(entry);
  framePointer(c);
  c.get(level).i32(1).op(Op.i32_sub).call(self);
  c.else();
  c.get(entry);
  framePointer(c);
  c.call(frames.release);
  c.end();
  c.end();
  c.get(slot)
    .i32(8)
    .op(Op.i32_add)
    .tee(slot)
    .i32(PAGE_SIZE - 1)
    .op(Op.i32_and)
    .brIf(next);
  c.end();
  c.get(table).call(frames.release);
  return c.finish();
}

/** Adds the functions to a module and exports them under the names in `TableOps`. */
export function addTableFunctions(m: ModuleWriter, slot: number, frames: FrameFunctions): void {
  const add = (name: string, params: readonly number[], results: readonly number[], body: Uint8Array) =>
    m.export(name, m.func(params, results, body));
  add('protect', [i32, f64, f64, i32, i32, i32, i32, i32], [i32], protectBody());
  add('zap', [i32, f64, f64], [i32], zapBody());
  add('release', [i32, f64, f64], [i32], releaseBody(frames));
  add('count', [i32, f64, f64], [i32], countBody());
  add('tables', [i32, f64, f64], [i32], tablesBody(slot));
  add('move', [i32, f64, f64, f64], [i32], moveBody(slot));
  add('share', [i32, f64, f64, i32, i32], [i32], shareBody(slot));
  add('map', [i32, f64, i32, i32, i32, i32], [i32], mapBody(slot));
  add('entry', [i32, f64, i32], [i32], entryBody(slot));
  add('destroy', [i32, i32], [], destroyBody(m.nextFunc, frames));
}
