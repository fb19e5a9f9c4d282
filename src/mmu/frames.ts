import { Frame, MACHINE, Machine } from '../memory/layout.js';
import { type Memory, PAGE_SHIFT, PAGE_SIZE } from '../memory/memory.js';
import { Root, rootPointer, setRoot } from '../memory/roots.js';
import { heapAllocate } from '../memory/slab.js';
import { struct } from '../memory/struct.js';
import { Code } from '../wasm/code.js';
import type { ModuleWriter } from '../wasm/module.js';
import { Atomic, Op, Type } from '../wasm/opcodes.js';

/**
 * Page frames: which are free, and how many references the others have.
 *
 * A free frame is either one that was never used (from `next` on: zero and not resident yet) or on the free list, a stack
 * that needs no lock: its head is the first frame's number + 1 in the low half and a counter of changes in the high half,
 * so that a compare-exchange fails if anything happened in between. The links are in the frame table.
 */
export const FramePool = struct({
  /** Atomic. */
  free: 'u64',
  /** Atomic: number of frames that were ever used. */
  next: 'i32',
  /** Atomic: frames in use. */
  used: 'i32',
});

const { i32, i64 } = Type;

const POOL_ROOT = MACHINE + Machine.roots + 4 * Root.framePool;

/** Indices of the functions that `addFrameFunctions` adds. */
export interface FrameFunctions {
  /** () -> pointer of a zeroed frame with one reference, or 0. */
  readonly allocate: number;
  /** (pointer): drops a reference. */
  readonly release: number;
}

export function addFrameFunctions(m: ModuleWriter): FrameFunctions {
  const allocate = m.func([], [i32], allocateBody());
  const release = m.func([i32], [], releaseBody());
  return { allocate, release };
}

/** Frame pointer (i32) on the stack → pointer of its frame-table entry. */
export function frameEntry(c: Code): void {
  c.i32(0)
    .mem(Op.i32_load, MACHINE + Machine.framesBase)
    .op(Op.i32_sub)
    .i32(PAGE_SHIFT)
    .op(Op.i32_shr_u);
  numberToEntry(c);
}

function numberToEntry(c: Code): void {
  c.i32(Math.log2(Frame.size)).op(Op.i32_shl);
  c.i32(0)
    .mem(Op.i32_load, MACHINE + Machine.frameTable)
    .op(Op.i32_add);
}

/** Leaves a new head on the stack: first frame's number + 1 in local `first`, and the counter of `head` plus one. */
function newHead(c: Code, head: number, first: number): void {
  c.get(head).i64(0x1_0000_0000).op(Op.i64_add).i64(-0x1_0000_0000n).op(Op.i64_and);
  c.get(first).op(Op.i64_extend_i32_u).op(Op.i64_or);
}

function allocateBody(): Uint8Array {
  const c = new Code(0);
  const pool = c.local(i32);
  const number = c.local(i32);
  const entry = c.local(i32);
  const link = c.local(i32);
  const pointer = c.local(i32);
  const head = c.local(i64);
  c.i32(0).mem(Op.i32_load, POOL_ROOT).set(pool);
  const again = c.loop();
  c.get(pool).atomic(Atomic.i64_load, 3, FramePool.free).tee(head).op(Op.i32_wrap_i64).tee(number);
  c.if();
  c.get(number).i32(1).op(Op.i32_sub).tee(number);
  numberToEntry(c);
  c.tee(entry).atomic(Atomic.i32_load, 2, Frame.references).set(link);
  c.get(pool).get(head);
  newHead(c, head, link);
  c.atomic(Atomic.i64_rmw_cmpxchg, 3, FramePool.free).get(head).op(Op.i64_ne).brIf(again);
  framePointer(c, number);
  c.tee(pointer).i32(0).i32(PAGE_SIZE).memoryFill();
  c.else();
  // Never used yet, if there is one. Those who come too late put the count back.
  c.get(pool).i32(1).atomic(Atomic.i32_rmw_add, 2, FramePool.next).tee(number);
  c.i32(0)
    .mem(Op.i32_load, MACHINE + Machine.frameCount)
    .op(Op.i32_ge_u);
  c.if();
  c.get(pool).i32(1).atomic(Atomic.i32_rmw_sub, 2, FramePool.next).op(Op.drop);
  c.i32(0).ret();
  c.end();
  c.get(number);
  numberToEntry(c);
  c.set(entry);
  framePointer(c, number);
  c.set(pointer);
  c.end();
  c.end(); // loop
  c.get(entry).i32(0).atomic(Atomic.i32_store, 2, Frame.codeMask);
  c.get(entry).i32(1).atomic(Atomic.i32_store, 2, Frame.references);
  c.get(pool).i32(1).atomic(Atomic.i32_rmw_add, 2, FramePool.used).op(Op.drop);
  c.get(pointer);
  return c.finish();
}

function framePointer(c: Code, number: number): void {
  c.get(number).i32(PAGE_SHIFT).op(Op.i32_shl);
  c.i32(0)
    .mem(Op.i32_load, MACHINE + Machine.framesBase)
    .op(Op.i32_add);
}

function releaseBody(): Uint8Array {
  const c = new Code(1);
  const pool = c.local(i32);
  const entry = c.local(i32);
  const first = c.local(i32);
  const head = c.local(i64);
  c.get(0);
  frameEntry(c);
  c.tee(entry).i32(1).atomic(Atomic.i32_rmw_sub, 2, Frame.references).i32(1).op(Op.i32_ne);
  c.if().ret().end();
  c.i32(0)
    .mem(Op.i32_load, POOL_ROOT)
    .tee(pool)
    .i32(1)
    .atomic(Atomic.i32_rmw_sub, 2, FramePool.used)
    .op(Op.drop);
  c.get(0)
    .i32(0)
    .mem(Op.i32_load, MACHINE + Machine.framesBase)
    .op(Op.i32_sub)
    .i32(PAGE_SHIFT)
    .op(Op.i32_shr_u);
  c.i32(1).op(Op.i32_add).set(first);
  const again = c.loop();
  c.get(pool).atomic(Atomic.i64_load, 3, FramePool.free).set(head);
  c.get(entry).get(head).op(Op.i32_wrap_i64).atomic(Atomic.i32_store, 2, Frame.references);
  c.get(pool).get(head);
  newHead(c, head, first);
  c.atomic(Atomic.i64_rmw_cmpxchg, 3, FramePool.free).get(head).op(Op.i64_ne).brIf(again);
  c.end();
  return c.finish();
}

/** Makes the pool of the machine's frames, all of them free. Called once at boot. */
export function createFramePool(memory: Memory): void {
  const pool = heapAllocate(memory, FramePool.size);
  if (pool === 0) throw new Error('the kernel heap has no room for the frame pool');
  setRoot(memory, Root.framePool, pool);
}

/** Pointer of a frame's entry in the frame table. */
export function frameTableEntry(memory: Memory, framePointer: number): number {
  const number = (framePointer - memory.loadU32(MACHINE + Machine.framesBase)) / PAGE_SIZE;
  return memory.loadU32(MACHINE + Machine.frameTable) + number * Frame.size;
}

/** Adds a reference to a frame that the caller knows to have one. */
export function holdFrame(memory: Memory, framePointer: number): void {
  Atomics.add(memory.i32, (frameTableEntry(memory, framePointer) + Frame.references) >>> 2, 1);
}

export function frameReferences(memory: Memory, framePointer: number): number {
  return Atomics.load(memory.i32, (frameTableEntry(memory, framePointer) + Frame.references) >>> 2);
}

/** Frames in use: guest pages, page tables and page caches. */
export function framesUsed(memory: Memory): number {
  return Atomics.load(memory.i32, (rootPointer(memory, Root.framePool) + FramePool.used) >>> 2);
}

export function framesTotal(memory: Memory): number {
  return memory.load32(MACHINE + Machine.frameCount);
}
