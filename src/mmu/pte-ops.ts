import type { Memory } from '../memory/memory.js';
import { ModuleWriter } from '../wasm/module.js';
import { Type } from '../wasm/opcodes.js';
import { addFrameFunctions } from './frames.js';
import { addTableFunctions, slotBody } from './table-ops.js';
import { addUserFunctions } from './user-ops.js';

/**
 * Frames, page tables and user memory in bulk: a small WebAssembly module, one instance a worker and machine.
 *
 * JavaScript has no 64-bit atomics without BigInt, and a call into WebAssembly costs some 10 ns: so whatever touches
 * page-table entries does it here, a whole range a call. `root` is the pointer of a top-level table. Addresses are numbers,
 * ranges [start, end) page-aligned; entries are (low, high) halves as in pte.ts. Pointers come back signed: use `>>> 0`.
 */
export interface TableOps {
  /** A zeroed frame with one reference; 0 if the machine has none left. */
  allocateFrame(): number;
  /** Drops a reference of a frame; without any it is free. */
  releaseFrame(pointer: number): void;

  /**
   * Changes the entries of a range that have a frame to `old & keep | set`, and keeps their frames, A and D if the masks do.
   * With `copyOnWrite`, frames with more than one reference stay write-protected.
   * @returns how many entries changed of which a TLB may hold too much: rights lost, execution lost, or another key
   */
  protect(
    root: number,
    start: number,
    end: number,
    keepLow: number,
    setLow: number,
    keepHigh: number,
    setHigh: number,
    copyOnWrite: number,
  ): number;

  /**
   * Makes all entries of a range not present, and leaf tables that are covered entirely; `release` must follow.
   * @returns 0 if no TLB and no walker can know of anything in the range
   */
  zap(root: number, start: number, end: number): number;
  /** Empties the entries of a range, releasing frames and entirely covered leaf tables. Returns the number of pages. */
  release(root: number, start: number, end: number): number;
  /** Entries of a range that have a frame. */
  count(root: number, start: number, end: number): number;
  /** Makes the tables for a range: 1, or 0 if there are no frames for them (some may exist then). */
  tables(root: number, start: number, end: number): number;
  /** Moves the entries of a range to [to, …), whose tables exist and whose entries are empty. Returns their number. */
  move(root: number, start: number, end: number, to: number): number;
  /**
   * Gives another root the same frames in a range whose entries there are empty. With `copyOnWrite` both sides lose W.
   * @returns nonzero if an entry here lost W, −1 if there are no frames for tables (part of it is done then)
   */
  share(root: number, start: number, end: number, target: number, copyOnWrite: number): number;
  /** Replaces one entry if it is as expected: 1 done, 0 no frame for a table, 2 it was something else. */
  map(
    root: number,
    address: number,
    expectLow: number,
    expectHigh: number,
    low: number,
    high: number,
  ): number;
  /** Copies the leaf entry of an address to `out` (8 bytes): 1, or 0 if it is empty. */
  entry(root: number, address: number, out: number): number;
  /** Releases all frames and tables below a root, and the root. `level` is 4. */
  destroy(root: number, level: number): void;

  /**
   * A walk for the kernel: pointer, or a value below WALK_FAILED (user-ops.ts). Sets A and D.
   * @param access Access.read or Access.write
   * @param length bytes, within the page, that are to be written
   */
  walk(root: number, address: number, access: number, pkru: number, length: number): number;
  /** Copies user memory to `pointer`; returns the bytes copied before the first refusal. */
  copyIn(cpu: number, root: number, address: number, pointer: number, length: number, pkru: number): number;
  copyOut(cpu: number, root: number, address: number, pointer: number, length: number, pkru: number): number;
  /** Zeroes user memory; `pointer` is not used. */
  clear(cpu: number, root: number, address: number, pointer: number, length: number, pkru: number): number;
  /** Compare-exchange on an aligned 32-bit word of user memory: 1 with the old value at `out`, 0 refused. */
  exchange(
    cpu: number,
    root: number,
    address: number,
    expected: number,
    value: number,
    pkru: number,
    out: number,
  ): number;
}

let compiled: WebAssembly.Module | undefined;

/** An instance for a machine's memory, which must have its frame pool before anything is called. */
export function createTableOps(memory: Memory): TableOps {
  compiled ??= new WebAssembly.Module(moduleBytes());
  const instance = new WebAssembly.Instance(compiled, { e: { m: memory.wasm } });
  return instance.exports as unknown as TableOps;
}

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const { i32, i64 } = Type;
  const m = new ModuleWriter();
  m.importMemory('e', 'm');
  const frames = addFrameFunctions(m);
  m.export('allocateFrame', frames.allocate);
  m.export('releaseFrame', frames.release);
  const slot = m.func([i32, i64, i32], [i32], slotBody(frames));
  addTableFunctions(m, slot, frames);
  addUserFunctions(m);
  return m.finish();
}
