import { CpuState, Vector } from '../cpu/state.js';
import { PAGE_SIZE } from '../memory/memory.js';
import { TlbEntry } from '../mmu/tlb.js';
import { tlbIndex } from '../mmu/walk.js';
import { Op, Type } from '../wasm/opcodes.js';
import type { AccessGroup, Place, RecordedAccess } from './access-groups.js';
import { ExitEmitter } from './exit-emitter.js';
import type { HelperName } from './helpers.js';
import type { MemOperand } from './insn.js';
import { width } from './width.js';

/** A writable memory operand in the middle of a read-modify-write: `pointer` (i32 local) is valid until `commit`. */
export interface Modify {
  readonly address: number;
  readonly pointer: number;
  readonly size: number;
}

/** An access to translate. */
interface AccessPlan {
  /** Local of its address (i64). */
  readonly address: number;
  readonly size: number;
  readonly aligned: boolean;
  readonly write: boolean;
  /** Whether every way through the instruction passes here. */
  readonly always: boolean;
  /** Type of what `hit` and `slow` leave on the stack; undefined: nothing. */
  readonly type?: number;
  /** Pops the pointer of an access whose page the TLB has. */
  readonly hit: () => void;
  /** Emits the call for an access that was not looked up successfully. `again`: the TLB may have it nevertheless. */
  readonly slow: (again: boolean) => void;
}

/** The part of an emitter that reaches guest memory: addresses, look-ups in the TLB with the check of keys, loads and stores. */
export abstract class MemoryEmitter extends ExitEmitter {
  /** Where the address leads that is on the stack if nothing has been emitted since, and those in temporaries. */
  private pushed: { readonly place: Place | null; readonly at: number } | null = null;
  private readonly places = new Map<number, Place | null>();
  /** The accesses of the basic block that is being written, so far. */
  accesses: RecordedAccess[] = [];
  /** The groups of the block's accesses, if a draft has found them. */
  private groups: readonly (AccessGroup | null)[] = [];
  /** Locals (i64) of the groups that have been looked up and are not done with: what to add to an address, or -1. */
  private readonly addends = new Map<AccessGroup, number>();
  private readonly freeAddends: number[] = [];
  /** The distance of an access of theirs that was aligned to 16 bytes, as all are that must be. */
  private readonly alignments = new Map<AccessGroup, number>();

  protected pkruLocal: number | undefined;

  /** @param cpuBase pointer of the only CPU that will run it, whose block is then at constant addresses; null: several do */
  constructor(
    params: number,
    helpers: HelperName[],
    seeded: boolean,
    protected readonly cpuBase: number | null,
  ) {
    super(params, helpers, seeded);
  }

  /** Begins a basic block. @param groups of its accesses, if a draft has found them */
  protected beginAccesses(groups: readonly (AccessGroup | null)[]): void {
    this.pushed = null;
    this.places.clear();
    this.accesses = [];
    this.groups = groups;
    this.addends.clear();
    this.alignments.clear();
  }

  /** Pushes the effective address (i64, segment base included) of the instruction's memory operand. */
  ea(mem: MemOperand = this.insn.mem!): void {
    this.offset(mem);
    this.linear(mem);
    const { base, index, scale, disp, segment, addressSize } = mem;
    if (addressSize === 8) this.leadsTo(this.values.place(base, index, scale, Number(disp), segment));
  }

  /** Pushes the address (i64) `distance` bytes behind what a register holds. */
  addressBehind(num: number, distance: number): void {
    this.c.get(this.gpr(num));
    if (distance) this.c.i64(distance).op(Op.i64_add);
    this.leadsTo(this.values.place(num, -1, 1, distance, 'none'));
  }

  private leadsTo(place: Place | null): void {
    this.pushed = { place, at: this.c.size };
  }

  override temp(type: number): number {
    const local = super.temp(type);
    this.places.delete(local);
    return local;
  }

  override toTemp(type: number): number {
    const place = this.pushed?.at === this.c.size ? this.pushed.place : null;
    const local = super.toTemp(type);
    if (place) this.places.set(local, place);
    return local;
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
      c.get(MemoryEmitter.CPU).mem(Op.i64_load, mem.segment === 'fs' ? CpuState.fsBase : CpuState.gsBase);
      c.op(Op.i64_add);
    }
  }

  /** Pops an address (i64); pushes the value of `size` bytes there, zero-extended to its width. */
  load(size: number): void {
    this.loadWith(size, width(size).type, () => this.c.mem(LOADS[size]));
  }

  /**
   * A load of any type: pops an address (i64), pushes what `read` makes of the pointer on the stack (i32) to `size` bytes that may be
   * read. It is emitted twice: were it emitted once, behind both ways to a pointer, the host would extend the pointer once more.
   * @param aligned raises #GP(0) if the address is not a multiple of `size`
   */
  loadWith(size: number, type: number, read: () => void, aligned = false): void {
    const c = this.c;
    const address = this.toTemp(Type.i64);
    const always = c.nesting === this.nesting;
    const slow = (again: boolean) => {
      c.get(MemoryEmitter.CPU).get(address).i32(size);
      this.callHelper(again ? 'loadAgain' : 'load');
      const pointer = this.toTemp(Type.i32);
      c.get(pointer).op(Op.i32_eqz);
      this.faultIf();
      c.get(pointer);
      read();
    };
    this.translate({ address, size, aligned, write: false, always, type, hit: read, slow });
  }

  /** Pops an address (i64); pushes a pointer (i32) to `size` bytes that may be read. Leaves the region on a fault. */
  readPointer(size: number): void {
    this.loadWith(size, Type.i32, () => {});
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
    const always = c.nesting === this.nesting;
    const slow = (again: boolean) => {
      c.get(MemoryEmitter.CPU);
      write(CpuState.bounce);
      c.get(MemoryEmitter.CPU).get(address).i32(size);
      this.callHelper(again ? 'storeAgain' : 'store');
      c.op(Op.i32_eqz);
      this.faultIf();
    };
    this.translate({ address, size, aligned, write: true, always, hit: () => write(0), slow });
  }

  /** MFENCE: orders this CPU's stores before its later accesses. */
  fence(): void {
    if (!this.seeded) {
      this.c.atomicFence();
      return;
    }
    this.mayFault();
    this.c.get(MemoryEmitter.CPU);
    this.callHelper('fence');
    this.c.op(Op.i32_eqz);
    this.faultIf();
  }

  /** Pops an address (i64); makes `size` bytes there readable and writable through `pointer` until `commit`. */
  modify(size: number, locked = false): Modify {
    const c = this.c;
    const address = this.toTemp(Type.i64);
    const pointer = this.temp(Type.i32);
    const always = c.nesting === this.nesting;
    const slow = (again: boolean) => {
      c.get(MemoryEmitter.CPU).get(address).i32(size);
      this.callHelper(again ? 'modifyAgain' : locked ? 'modifyLocked' : 'modify');
      c.tee(pointer).op(Op.i32_eqz);
      this.faultIf();
    };
    this.translate({ address, size, aligned: false, write: true, always, hit: () => c.set(pointer), slow });
    return { address, pointer, size };
  }

  /**
   * After the last store through a `modify` pointer: carries bounced bytes to their two pages. Cannot fault; but in seeded mode
   * it may leave the region, so that nothing else of the instruction may have happened yet.
   */
  commit({ address, pointer, size }: Modify): void {
    if (size === 1 && !this.seeded) return;
    const c = this.c;
    c.get(pointer).get(MemoryEmitter.CPU).i32(CpuState.bounce).op(Op.i32_add).op(Op.i32_eq).unlikely();
    c.if();
    c.get(MemoryEmitter.CPU).get(address).i32(size);
    this.callHelper('store');
    if (this.seeded) {
      c.op(Op.i32_eqz);
      this.faultIf();
    } else c.op(Op.drop);
    c.end();
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
   * Emits an access: `hit` with a pointer from the TLB, or `slow`, which calls into the page walk. Prepares for a fault of this
   * instruction. (Keeping the page that a base register led to last in locals, to spare the look-up, was measured: no faster. What is
   * faster is not to compare pages again: see access-groups.ts.)
   */
  private translate(plan: AccessPlan): void {
    this.mayFault();
    const { address, size, aligned, write, always } = plan;
    if (this.seeded) {
      if (aligned) this.requireAligned(address, size);
      plan.slow(false);
      return;
    }
    const place = (always && this.places.get(address)) || null;
    const position = this.accesses.push({ place, size, write }) - 1;
    const group = this.groups[position];
    if (!group) {
      this.lookUp(plan, { before: 0, behind: size, write });
      return;
    }
    const { distance } = place!;
    const known = this.addends.get(group);
    if (known !== undefined) {
      // One that has been found to be aligned tells of others.
      const from = this.alignments.get(group);
      const told = aligned && from !== undefined && (distance - from) % size === 0;
      if (aligned) this.alignments.set(group, distance);
      if (position === group.members[group.members.length - 1]) this.endGroup(group);
      this.reach(told ? { ...plan, aligned: false } : plan, known);
      return;
    }
    const addend = this.freeAddends.pop() ?? this.c.local(Type.i64);
    this.addends.set(group, addend);
    if (aligned) this.alignments.set(group, distance);
    const range = { before: distance - group.low, behind: group.high - distance, write: group.write };
    this.lookUp(plan, range, addend);
  }

  private endGroup(group: AccessGroup): void {
    this.freeAddends.push(this.addends.get(group)!);
    this.addends.delete(group);
    this.alignments.delete(group);
  }

  /**
   * An access that asks the TLB for the page of a range of bytes around its address, which is at most a page long.
   * @param addend local (i64) to set to what leads from an address in the range to its pointer, or to -1
   */
  private lookUp(
    { address, size, aligned, type, hit, slow }: AccessPlan,
    range: { readonly before: number; readonly behind: number; readonly write: boolean },
    addend?: number,
  ): void {
    const c = this.c;
    this.pkruLocal ??= c.local(Type.i64);
    const entry = this.temp(Type.i32);
    const page = this.temp(Type.i64);
    const rights = this.temp(Type.i64);
    // What is aligned to its size lies in one page: the alignment's check, of bits that are 0 in the entry, takes the place of the last
    // byte's.
    const both = aligned && range.behind === size;
    c.get(address);
    if (!both && range.behind !== 1) c.i64(range.behind - 1).op(Op.i64_add);
    c.i64(both ? -PAGE_SIZE | (size - 1) : -PAGE_SIZE)
      .op(Op.i64_and)
      .set(page);
    c.get(address);
    if (range.before !== 0) c.i64(range.before).op(Op.i64_sub);
    tlbIndex(c);
    // With the block at a constant address, the sum is an addressing mode of the host.
    const base = this.cpuBase;
    if (base === null) c.get(MemoryEmitter.CPU).op(Op.i32_add);
    const array = (range.write ? CpuState.tlbWrite : CpuState.tlbRead) + (base ?? 0);
    c.tee(entry)
      .mem(Op.i64_load, array + TlbEntry.page)
      .get(page)
      .op(Op.i64_xor);
    // Deny mask below, addend above: PKRU has nothing in the upper half.
    c.get(entry)
      .mem(Op.i64_load, array + TlbEntry.deny)
      .tee(rights)
      .get(this.pkruLocal)
      .op(Op.i64_and)
      .op(Op.i64_or);
    if (aligned && !both) {
      c.get(address);
      c.i64(size - 1)
        .op(Op.i64_and)
        .op(Op.i64_or);
    }
    c.i64(0).op(Op.i64_ne).unlikely();
    c.if(type);
    if (aligned) this.requireAligned(address, size);
    // Among the look-ups that this call makes outdated is this one.
    slow(false);
    c.else();
    c.get(rights).i64(32).op(Op.i64_shr_u);
    if (addend !== undefined) c.tee(addend);
    c.op(Op.i32_wrap_i64);
    c.get(address).op(Op.i32_wrap_i64).op(Op.i32_add);
    hit();
    c.end();
  }

  /** An access to a page that has been looked up. @param addend see `lookUp` */
  private reach({ address, size, aligned, type, hit, slow }: AccessPlan, addend: number): void {
    const c = this.c;
    c.get(addend);
    if (aligned) {
      c.i64(0).get(address);
      c.i64(size - 1)
        .op(Op.i64_and)
        .op(Op.i64_sub)
        .op(Op.i64_or);
    }
    c.i64(0).op(Op.i64_lt_s).unlikely();
    c.if(type);
    if (aligned) this.requireAligned(address, size);
    slow(true);
    c.else();
    c.get(addend).op(Op.i32_wrap_i64).get(address).op(Op.i32_wrap_i64).op(Op.i32_add);
    hit();
    c.end();
  }

  /** The walk may call the kernel, and so a page that has been looked up may be another now. */
  override callHelper(name: HelperName): void {
    super.callHelper(name);
    if (ENTERS_KERNEL.has(name)) for (const addend of this.addends.values()) this.c.i64(-1).set(addend);
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
}

/** Helpers in which this CPU may pass through kernel mode, where other CPUs do not wait for it before they change translations. */
const ENTERS_KERNEL: ReadonlySet<HelperName> = new Set([
  'load',
  'store',
  'modify',
  'modifyLocked',
  'loadAgain',
  'storeAgain',
  'modifyAgain',
  'bulkCopy',
  'bulkFill',
]);

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
