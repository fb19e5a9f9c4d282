import { CpuState, Exit, PfError, Vector } from '../cpu/state.js';
import { Frame, MACHINE, Machine } from '../memory/layout.js';
import { PAGE_SHIFT, PAGE_SIZE } from '../memory/memory.js';
import { Code, type Label } from '../wasm/code.js';
import type { ModuleWriter } from '../wasm/module.js';
import { Atomic, Op, Type } from '../wasm/opcodes.js';
import { Simd } from '../wasm/simd.js';
import { Pte } from './pte.js';
import { TLB_ENTRIES, TlbEntry } from './tlb.js';

/**
 * The page walk and the slow paths of guest memory accesses, as WebAssembly functions that emitted regions call.
 *
 * All take the CPU block's pointer first. A result of 0 means that the access did not happen and CpuState says why
 * (`exit`, `vector`, `errorCode`, `faultAddress`); the caller leaves its region with nothing of the instruction done.
 */
export interface WalkFunctions {
  /** (cpu, address: i64, size) -> pointer to `size` readable bytes (in the bounce area if they cross a page), or 0. */
  readonly load: number;
  /** (cpu, address: i64, size) -> 1 after storing `size` bytes from the bounce area to guest memory, or 0. */
  readonly store: number;
  /** (cpu, address: i64, size) -> pointer to bytes that may be read and written; the bounce area if they cross a page, or 0. */
  readonly modify: number;
  /** (cpu, address: i64, access) -> pointer of the byte, or 0: the bare walk, with demand paging. */
  readonly translate: number;
  /**
   * The first three behind a look-up in the TLB, for accesses that share one with others: it may have found that a page ends among
   * them, or that it is outdated.
   */
  readonly retry: { readonly load: number; readonly store: number; readonly modify: number };
}

/**
 * Stands in for the error code (0) of a non-canonical address's exception until the engine has seen from the instruction
 * whether it is #GP or, for an address relative to the stack segment, #SS. CpuState.faultAddress has the address meanwhile.
 */
export const NON_CANONICAL = -1;

/** Kinds of access to `translate`. */
export const Access = { read: 0, write: 1, fetch: 2 } as const;

const { i32, i64 } = Type;

/** Index of a virtual address's TLB entry, scaled to bytes. Expects the address (i64) on the stack; leaves i32. */
export function tlbIndex(c: Code): void {
  c.op(Op.i32_wrap_i64)
    .i32(PAGE_SHIFT - 4)
    .op(Op.i32_shr_u)
    .i32((TLB_ENTRIES - 1) * TlbEntry.size)
    .op(Op.i32_and);
}

/** Locals of a walk: the guest address (i64), the current table, the pointer of its entry for the address, the entry (i64). */
interface WalkLocals {
  readonly address: number;
  readonly table: number;
  readonly slot: number;
  readonly entry: number;
}

/** Entry offset for `address` in the table of level `shift` (i32). */
export function entryOffset(c: Code, address: number, shift: number): void {
  c.get(address)
    .i64(shift - 3)
    .op(Op.i64_shr_u)
    .op(Op.i32_wrap_i64)
    .i32(0xff8)
    .op(Op.i32_and);
}

/** i64 entry on the stack → pointer of its frame or table. */
export function framePointer(c: Code): void {
  c.op(Op.i32_wrap_i64).i32(-PAGE_SIZE).op(Op.i32_and);
}

/** The way from the root in `table` down to a page's entry; to `fault` where an entry is not present. */
export function descend(c: Code, { address, table, slot, entry }: WalkLocals, fault: Label): void {
  for (const shift of [39, 30, 21, 12]) {
    c.get(table);
    entryOffset(c, address, shift);
    c.op(Op.i32_add).tee(slot);
    c.atomic(Atomic.i64_load, 3).tee(entry);
    c.op(Op.i32_wrap_i64).i32(Pte.present).op(Op.i32_and).op(Op.i32_eqz).brIf(fault);
    if (shift > 12) {
      c.get(entry);
      framePointer(c);
      c.set(table);
    }
  }
}

/**
 * Adds the functions to a module whose imports already include the memory, the PKRU global (index 0), and
 * @param pageFault imported (cpu) -> i32: 1 to walk again, 0 to raise the exception described in CpuState
 * @param codeWritten imported (cpu, pointer of frame): drops the frame's translations on every CPU
 */
export function addWalkFunctions(m: ModuleWriter, pageFault: number, codeWritten: number): WalkFunctions {
  const walk = m.func([i32, i64, i32], [i32], walkBody());
  const translate = m.func([i32, i64, i32], [i32], translateBody(walk, pageFault));
  const writable = m.func([i32, i64, i32], [i32], writableBody(translate, codeWritten));
  const load = m.func([i32, i64, i32], [i32], loadBody(translate));
  const put = m.func([i32, i32, i32], [], putBody());
  const store = m.func([i32, i64, i32], [i32], storeBody(writable, translate, put));
  const modify = m.func([i32, i64, i32], [i32], modifyBody(writable, translate));
  const retry = {
    load: m.func([i32, i64, i32], [i32], retryBody(CpuState.tlbRead, load)),
    store: m.func([i32, i64, i32], [i32], retryBody(CpuState.tlbWrite, store, put)),
    modify: m.func([i32, i64, i32], [i32], retryBody(CpuState.tlbWrite, modify)),
  };
  return { load, store, modify, translate, retry };
}

/** walk(cpu, address, access) -> pointer of the addressed byte or 0; fills the TLB; sets A and D. No demand paging. */
function walkBody(): Uint8Array {
  const c = new Code(3);
  const [cpu, address, access] = [0, 1, 2];
  const table = c.local(i32);
  const slot = c.local(i32);
  const error = c.local(i32);
  const deny = c.local(i32);
  const page = c.local(i32);
  const entry = c.local(i64);
  const wanted = c.local(i64);
  const tlb = c.local(i32);

  // Fetches are the translator's, which has no TLB.
  c.get(access).i32(Access.fetch).op(Op.i32_ne);
  c.if();
  c.get(cpu)
    .get(cpu)
    .mem(Op.f64_load, CpuState.tlbMisses)
    .f64(1)
    .op(Op.f64_add)
    .mem(Op.f64_store, CpuState.tlbMisses);
  c.end();
  const fault = c.block();
  // Addresses of the upper half are supervisor's and never mapped; non-canonical ones raise #GP(0) (SDM vol. 1, 3.3.7.1).
  c.i32(PfError.user);
  c.get(access).i32(Access.write).op(Op.i32_eq).i32(1).op(Op.i32_shl).op(Op.i32_or);
  c.get(access).i32(Access.fetch).op(Op.i32_eq).i32(4).op(Op.i32_shl).op(Op.i32_or).set(error);
  c.get(address).i64(47).op(Op.i64_shr_s).i64(1).op(Op.i64_add).i64(1).op(Op.i64_gt_u);
  c.if();
  c.get(cpu).i32(Vector.GP).mem(Op.i32_store, CpuState.vector);
  c.get(cpu).i32(NON_CANONICAL).mem(Op.i32_store, CpuState.errorCode);
  c.get(cpu).get(address).mem(Op.i64_store, CpuState.faultAddress);
  c.i32(0).ret();
  c.end();
  c.get(address).i64(0).op(Op.i64_lt_s).brIf(fault);

  const again = c.loop();
  c.get(cpu).mem(Op.i32_load, CpuState.cr3).set(table);
  descend(c, { address, table, slot, entry }, fault);
  // Present: from here on a refusal has P set.
  c.get(error).i32(PfError.present).op(Op.i32_or).set(error);
  // PKRU bits that deny this kind of access: AD for a read, AD and WD for a write, none for a fetch.
  c.get(access).i32(Access.write).op(Op.i32_eq).i32(1).op(Op.i32_shl).i32(1).op(Op.i32_or);
  c.i32(0).get(access).i32(Access.fetch).op(Op.i32_ne).op(Op.select);
  c.get(entry).i64(59).op(Op.i64_shr_u).i64(15).op(Op.i64_and).op(Op.i32_wrap_i64).i32(1).op(Op.i32_shl);
  c.op(Op.i32_shl).set(deny);
  // Supervisor pages: PK is not reported for them (SDM vol. 3, 4.6.2).
  c.get(entry).op(Op.i32_wrap_i64).i32(Pte.user).op(Op.i32_and).op(Op.i32_eqz).brIf(fault);
  c.get(deny).globalGet(0).op(Op.i32_and);
  c.if();
  c.get(error).i32(PfError.pk).op(Op.i32_or).set(error);
  c.br(fault);
  c.end();
  c.get(access).i32(Access.write).op(Op.i32_eq);
  c.get(entry).op(Op.i32_wrap_i64).i32(Pte.writable).op(Op.i32_and).op(Op.i32_eqz);
  c.op(Op.i32_and).brIf(fault);
  c.get(access).i32(Access.fetch).op(Op.i32_eq);
  c.get(entry).i64(0).op(Op.i64_lt_s); // NX is bit 63
  c.op(Op.i32_and).brIf(fault);
  // Accessed, and Dirty for writes. If the entry changed meanwhile, everything is looked at afresh.
  c.get(entry)
    .i64(Pte.accessed)
    .i64(Pte.accessed | Pte.dirty)
    .get(access)
    .i32(Access.write)
    .op(Op.i32_ne)
    .op(Op.select);
  c.op(Op.i64_or).tee(wanted).get(entry).op(Op.i64_ne);
  c.if();
  c.get(slot).get(entry).get(wanted).atomic(Atomic.i64_rmw_cmpxchg, 3).get(entry).op(Op.i64_ne).brIf(again);
  c.end();
  c.end(); // loop

  c.get(entry).op(Op.i32_wrap_i64).i32(-PAGE_SIZE).op(Op.i32_and).set(page);
  // A page with translated code never gets a write entry: its writes must pass here.
  c.get(access).i32(Access.fetch).op(Op.i32_ne);
  c.if();
  c.get(access).op(Op.i32_eqz);
  c.get(page);
  frameEntry(c);
  c.atomic(Atomic.i32_load, 2, Frame.codeMask).op(Op.i32_eqz).op(Op.i32_or);
  c.if();
  c.get(address);
  tlbIndex(c);
  c.i32(CpuState.tlbWrite).i32(CpuState.tlbRead).get(access).op(Op.select);
  c.op(Op.i32_add).get(cpu).op(Op.i32_add).tee(tlb);
  c.get(address).i64(-PAGE_SIZE).op(Op.i64_and).mem(Op.i64_store, TlbEntry.page);
  c.get(tlb).get(deny).mem(Op.i32_store, TlbEntry.deny);
  c.get(tlb).get(page).get(address).op(Op.i32_wrap_i64).i32(-PAGE_SIZE).op(Op.i32_and).op(Op.i32_sub);
  c.mem(Op.i32_store, TlbEntry.addend);
  c.end();
  c.end();
  c.get(page)
    .get(address)
    .op(Op.i32_wrap_i64)
    .i32(PAGE_SIZE - 1)
    .op(Op.i32_and)
    .op(Op.i32_or)
    .ret();

  c.end(); // fault
  c.get(cpu).i32(Vector.PF).mem(Op.i32_store, CpuState.vector);
  c.get(cpu).get(error).mem(Op.i32_store, CpuState.errorCode);
  c.get(cpu).get(address).mem(Op.i64_store, CpuState.faultAddress);
  c.i32(0);
  return c.finish();
}

/** Frame pointer (i32) on the stack -> pointer of its frame-table entry. */
function frameEntry(c: Code): void {
  c.i32(0)
    .mem(Op.i32_load, MACHINE + Machine.framesBase)
    .op(Op.i32_sub)
    .i32(PAGE_SHIFT)
    .op(Op.i32_shr_u);
  c.i32(Math.log2(Frame.size)).op(Op.i32_shl);
  c.i32(0)
    .mem(Op.i32_load, MACHINE + Machine.frameTable)
    .op(Op.i32_add);
}

/** translate(cpu, address, access): walk, with the kernel's page-fault handler in between. */
function translateBody(walk: number, pageFault: number): Uint8Array {
  const c = new Code(3);
  const pointer = c.local(i32);
  const again = c.loop();
  c.get(0).get(1).get(2).call(walk).tee(pointer);
  c.if().get(pointer).ret().end();
  c.get(0).i32(Exit.exception).mem(Op.i32_store, CpuState.exit);
  c.get(0).mem(Op.i32_load, CpuState.vector).i32(Vector.PF).op(Op.i32_ne);
  c.if().i32(0).ret().end();
  c.get(0).call(pageFault).brIf(again);
  c.end();
  c.i32(0);
  return c.finish();
}

/**
 * writable(cpu, address, size) -> pointer, for `size` bytes within one page. If they hold translated code, the region
 * must be left first (`restart`); run again alone, with codeWriteAllowed, the write goes through and the code is dropped.
 */
function writableBody(translate: number, codeWritten: number): Uint8Array {
  const c = new Code(3);
  const [cpu, address, size] = [0, 1, 2];
  const pointer = c.local(i32);
  const granule = c.local(i32);
  const again = c.loop();
  c.get(cpu).get(address).i32(Access.write).call(translate).tee(pointer).op(Op.i32_eqz);
  c.if().i32(0).ret().end();
  // Mask of the 128-byte granules that the bytes touch: bits first..last, at most two for any access.
  c.i32(1).get(pointer).i32(7).op(Op.i32_shr_u).op(Op.i32_shl);
  c.i32(1).get(pointer).get(size).op(Op.i32_add).i32(1).op(Op.i32_sub).i32(7).op(Op.i32_shr_u).op(Op.i32_shl);
  c.op(Op.i32_or).set(granule);
  c.get(pointer).i32(-PAGE_SIZE).op(Op.i32_and);
  frameEntry(c);
  c.atomic(Atomic.i32_load, 2, Frame.codeMask).get(granule).op(Op.i32_and);
  c.if();
  c.get(cpu).mem(Op.i32_load, CpuState.codeWriteAllowed).op(Op.i32_eqz);
  c.if();
  c.get(cpu).i32(Exit.restart).mem(Op.i32_store, CpuState.exit);
  c.i32(0).ret();
  c.end();
  c.get(cpu).get(pointer).i32(-PAGE_SIZE).op(Op.i32_and).call(codeWritten);
  // That passed through kernel mode, where nobody waits for this CPU: the translation may be an old one.
  c.br(again);
  c.end();
  c.end();
  c.get(pointer);
  return c.finish();
}

/**
 * (cpu, address, size) -> result of `missed`, or what it would be if the TLB has the page: a pointer, or 1 after `put`.
 * @param array offset of the TLB's array in CpuState
 */
function retryBody(array: number, missed: number, put?: number): Uint8Array {
  const c = new Code(3);
  const [cpu, address, size] = [0, 1, 2];
  const entry = c.local(i32);
  c.get(address);
  tlbIndex(c);
  c.get(cpu)
    .op(Op.i32_add)
    .tee(entry)
    .mem(Op.i64_load, array + TlbEntry.page);
  c.get(address).get(size).op(Op.i64_extend_i32_u).op(Op.i64_add).i64(1).op(Op.i64_sub);
  c.i64(-PAGE_SIZE).op(Op.i64_and).op(Op.i64_eq);
  c.get(entry)
    .mem(Op.i32_load, array + TlbEntry.deny)
    .globalGet(0)
    .op(Op.i32_and)
    .op(Op.i32_eqz);
  c.op(Op.i32_and);
  c.if();
  if (put !== undefined) c.get(cpu);
  c.get(entry)
    .mem(Op.i32_load, array + TlbEntry.addend)
    .get(address)
    .op(Op.i32_wrap_i64)
    .op(Op.i32_add);
  if (put !== undefined) c.get(size).call(put).i32(1);
  c.ret();
  c.end();
  c.get(cpu).get(address).get(size).call(missed);
  return c.finish();
}

/** Leaves on the stack whether [address, address + size) crosses a page. */
function crosses(c: Code, address: number, size: number): void {
  c.get(address)
    .op(Op.i32_wrap_i64)
    .i32(PAGE_SIZE - 1)
    .op(Op.i32_and)
    .get(size)
    .op(Op.i32_add)
    .i32(PAGE_SIZE)
    .op(Op.i32_gt_u);
}

/**
 * Sets `first` to the bytes before the page boundary and `second` to the boundary's address. An access that runs into the
 * non-canonical range raises its exception before anything is translated; the upper two bytes of an x87 operand of ten are
 * an access of their own.
 */
function split(c: Code, address: number, first: number, second: number, translate: number): void {
  c.i32(0)
    .get(address)
    .op(Op.i32_wrap_i64)
    .op(Op.i32_sub)
    .i32(PAGE_SIZE - 1)
    .op(Op.i32_and)
    .set(first);
  c.get(address).get(first).op(Op.i64_extend_i32_u).op(Op.i64_add).tee(second);
  c.i64(0x8000_0000_0000).op(Op.i64_eq);
  c.get(2).i32(10).op(Op.i32_ne).get(first).i32(8).op(Op.i32_lt_u).op(Op.i32_or).op(Op.i32_and);
  c.if().get(0).get(second).i32(Access.read).call(translate).ret().end();
}

/** Locals of an access that crosses a page: bytes before the boundary, its address, and pointers of the parts on both sides. */
interface Parts {
  readonly first: number;
  readonly second: number;
  readonly low: number;
  readonly high: number;
}

function newParts(c: Code): Parts {
  const first = c.local(i32);
  const low = c.local(i32);
  const high = c.local(i32);
  return { first, low, high, second: c.local(i64) };
}

/** In a function (cpu, address, size): sets the pointers to parts that may be written, or returns 0. */
function writableParts(c: Code, { first, second, low, high }: Parts, writable: number): void {
  const [cpu, address, size] = [0, 1, 2];
  c.get(cpu).get(address).get(first).call(writable).tee(low).op(Op.i32_eqz);
  c.if().i32(0).ret().end();
  c.get(cpu).get(second).get(size).get(first).op(Op.i32_sub).call(writable).tee(high).op(Op.i32_eqz);
  c.if().i32(0).ret().end();
}

/** In a function (cpu, address, size): copies the parts to the bounce area, whose pointer it pushes. */
function gather(c: Code, { first, low, high }: Parts): void {
  const [cpu, , size] = [0, 1, 2];
  c.get(cpu).i32(CpuState.bounce).op(Op.i32_add).get(low).get(first).memoryCopy();
  c.get(cpu).i32(CpuState.bounce).op(Op.i32_add).get(first).op(Op.i32_add);
  c.get(high).get(size).get(first).op(Op.i32_sub).memoryCopy();
  c.get(cpu).i32(CpuState.bounce).op(Op.i32_add);
}

function loadBody(translate: number): Uint8Array {
  const c = new Code(3);
  const [cpu, address, size] = [0, 1, 2];
  const parts = newParts(c);
  const { first, low, high, second } = parts;
  crosses(c, address, size);
  c.op(Op.i32_eqz);
  c.if().get(cpu).get(address).i32(Access.read).call(translate).ret().end();
  split(c, address, first, second, translate);
  c.get(cpu).get(address).i32(Access.read).call(translate).tee(low).op(Op.i32_eqz);
  c.if().i32(0).ret().end();
  c.get(cpu).get(second).i32(Access.read).call(translate).tee(high).op(Op.i32_eqz);
  c.if().i32(0).ret().end();
  gather(c, parts);
  return c.finish();
}

/** put(cpu, pointer, size): copies `size` bytes from the bounce area. */
function putBody(): Uint8Array {
  const c = new Code(3);
  const [cpu, pointer, size] = [0, 1, 2];
  // One store of the access's own size: other CPUs must not see halves of it.
  for (const [bytes, load, store] of [
    [8, Op.i64_load, Op.i64_store],
    [4, Op.i32_load, Op.i32_store],
    [2, Op.i32_load16_u, Op.i32_store16],
    [1, Op.i32_load8_u, Op.i32_store8],
  ]) {
    c.get(size).i32(bytes).op(Op.i32_eq);
    c.if().get(pointer).get(cpu).mem(load, CpuState.bounce).mem(store).ret().end();
  }
  c.get(size).i32(16).op(Op.i32_eq);
  c.if();
  c.get(pointer).get(cpu).simdMem(Simd.v128_load, CpuState.bounce).simdMem(Simd.v128_store).ret();
  c.end();
  c.get(pointer).get(cpu).i32(CpuState.bounce).op(Op.i32_add).get(size).memoryCopy();
  return c.finish();
}

function storeBody(writable: number, translate: number, put: number): Uint8Array {
  const c = new Code(3);
  const [cpu, address, size] = [0, 1, 2];
  const parts = newParts(c);
  const { first, low, high, second } = parts;
  crosses(c, address, size);
  c.op(Op.i32_eqz);
  c.if();
  c.get(cpu).get(address).get(size).call(writable).tee(low).op(Op.i32_eqz);
  c.if().i32(0).ret().end();
  c.get(cpu).get(low).get(size).call(put).i32(1).ret();
  c.end();
  split(c, address, first, second, translate);
  writableParts(c, parts, writable);
  c.get(low).get(cpu).i32(CpuState.bounce).op(Op.i32_add).get(first).memoryCopy();
  c.get(high).get(cpu).i32(CpuState.bounce).op(Op.i32_add).get(first).op(Op.i32_add);
  c.get(size).get(first).op(Op.i32_sub).memoryCopy();
  c.i32(1);
  return c.finish();
}

function modifyBody(writable: number, translate: number): Uint8Array {
  const c = new Code(3);
  const [cpu, address, size] = [0, 1, 2];
  const parts = newParts(c);
  const { first, second } = parts;
  crosses(c, address, size);
  c.op(Op.i32_eqz);
  c.if().get(cpu).get(address).get(size).call(writable).ret().end();
  split(c, address, first, second, translate);
  writableParts(c, parts, writable);
  gather(c, parts);
  return c.finish();
}
