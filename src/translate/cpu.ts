import { TSC_HZ } from '../cpu/cpuid.js';
import { ARITHMETIC_FLAGS, CcKind, ccOp, FIXED_FLAGS, Flag, KEPT_FLAGS } from '../cpu/flags.js';
import type { CpuHooks } from '../cpu/guest-cpu.js';
import { CpuState, cpuPointer, DR6_BS, Exit, Gpr, JUMP_ENTRIES, JumpEntry, Vector } from '../cpu/state.js';
import { FCW_DEFAULT, MXCSR_DEFAULT, setMxcsr } from '../cpu/xsave.js';
import { MACHINE, Machine, MachineFlag } from '../memory/layout.js';
import { type Memory, PAGE_SIZE } from '../memory/memory.js';
import { TLB_ENTRIES, TlbEntry } from '../mmu/tlb.js';
import { NON_CANONICAL } from '../mmu/walk.js';
import { Engine, type EngineCpu } from './engine.js';
import { isStackInstruction, usesStackSegment } from './insn.js';
import { rowOf } from './table.js';

/** Instructions between two samples of where time goes (some tens of microseconds). */
const SAMPLE_INTERVAL = 100_000;

/** One emulated CPU: runs guest code region by region. */
export class Cpu implements EngineCpu {
  readonly base: number;
  readonly hasPku: boolean;

  /** @param engine the translator; several CPUs hosted by one worker share one */
  constructor(
    readonly memory: Memory,
    readonly id: number,
    readonly hooks: CpuHooks,
    private readonly engine = new Engine(memory),
  ) {
    this.base = cpuPointer(id);
    this.hasPku = (memory.load32(MACHINE + Machine.flags) & MachineFlag.noPku) === 0;
    engine.attach(this);
    memory.store32(this.base + CpuState.id, id);
    setMxcsr(memory, this.base, MXCSR_DEFAULT);
    memory.u16[(this.base + CpuState.fcw) >>> 1] = FCW_DEFAULT;
    memory.u16[(this.base + CpuState.ftw) >>> 1] = 0xffff;
    this.flushTlb();
    engine.dropCode();
  }

  savedPkru = 0;

  get pkru(): number {
    return (this.engine.isActive(this) ? (this.engine.pkru.value as number) : this.savedPkru) >>> 0;
  }

  set pkru(value: number) {
    if (this.engine.isActive(this)) this.engine.pkru.value = value | 0;
    else this.savedPkru = value | 0;
  }

  get rflags(): number {
    const rest = this.memory.load32(this.base + CpuState.rflags) & KEPT_FLAGS;
    return this.engine.runtime.rflags(this.base) | rest | FIXED_FLAGS;
  }

  set rflags(value: number) {
    const { memory, base } = this;
    memory.store32(base + CpuState.ccOp, ccOp(CcKind.flags, 1));
    memory.storeNumber(base + CpuState.ccSrc, value & ARITHMETIC_FLAGS);
    memory.store32(base + CpuState.rflags, value & KEPT_FLAGS);
  }

  timestamp(): number {
    return Math.floor((this.hooks.now(this) * TSC_HZ) / 1e9);
  }

  translate(address: number, access: number): number {
    const low = (address % 0x1_0000_0000) | 0;
    const high = Math.floor(address / 0x1_0000_0000) | 0;
    this.engine.activate(this);
    const pointer = this.engine.runtime.translate(this.base, low, high, access) >>> 0;
    if (pointer === 0 && this.memory.load32(this.base + CpuState.errorCode) === NON_CANONICAL) {
      this.setException(Vector.GP, 0);
    }
    return pointer;
  }

  run(): number {
    const { memory, base, engine } = this;
    engine.activate(this);
    const budget = memory.load32(base + CpuState.budget);
    let left = budget;
    let exit: number = Exit.next;
    while (exit === Exit.next) {
      const slice = Math.min(left, SAMPLE_INTERVAL);
      memory.store32(base + CpuState.budget, slice);
      if (memory.load32(base + CpuState.rflags) & Flag.TF) exit = this.trace();
      else {
        const slot = this.knownSlot() || engine.lookup(this, this.rip);
        exit = slot === 0 ? Exit.exception : engine.runtime.enter(base, slot);
      }
      if (exit === Exit.restart) exit = this.step();
      else if (exit === Exit.execute) exit = this.execute();
      else if (exit === Exit.promote) {
        engine.promote(this, this.rip);
        exit = Exit.next;
      } else if (exit === Exit.exclusive) exit = this.hooks.exclusive(this, () => this.step());
      left -= slice - memory.load32(base + CpuState.budget);
      if (exit === Exit.interrupt && left >= 0 && memory.load32(base + CpuState.interrupt) === 0) {
        engine.sample(this, this.rip);
        exit = Exit.next;
      }
    }
    memory.store32(base + CpuState.budget, left);
    memory.count(base + CpuState.instructions, budget - left);
    if (exit === Exit.syscall) memory.storeNumber(base + CpuState.gpr + 8 * Gpr.r11, this.rflags);
    else if (exit === Exit.exception && memory.load32(base + CpuState.errorCode) === NON_CANONICAL)
      this.nonCanonical();
    return exit;
  }

  /** Table slot of the region at RIP if the jump cache has it, else 0. */
  private knownSlot(): number {
    const { base } = this;
    const { i32 } = this.memory;
    const rip = (base + CpuState.rip) >>> 2;
    const low = i32[rip];
    const high = i32[rip + 1];
    const entry = base + CpuState.jumps + (low & (JUMP_ENTRIES - 1)) * JumpEntry.size;
    const known = (entry + JumpEntry.rip) >>> 2;
    return i32[known] === low && i32[known + 1] === high ? i32[(entry + JumpEntry.slot) >>> 2] : 0;
  }

  private get rip(): number {
    return this.memory.loadAddress(this.base + CpuState.rip);
  }

  /** Runs the instruction at RIP alone, allowed to write over translated code. */
  private step(): number {
    const { memory, base } = this;
    memory.store32(base + CpuState.codeWriteAllowed, 1);
    try {
      return this.engine.single(this);
    } finally {
      memory.store32(base + CpuState.codeWriteAllowed, 0);
    }
  }

  /** Single-stepping (TF): one instruction, and #DB behind it unless it raised something itself (SDM vol. 3, 17.3.1.4). */
  private trace(): number {
    const { rip } = this;
    let exit = this.step();
    if (exit === Exit.execute) exit = this.execute();
    else if (exit === Exit.exclusive) exit = this.hooks.exclusive(this, () => this.step());
    // POPF that sets TF (again) has been executed when it leaves its block.
    if (exit === Exit.interrupt && this.rip !== rip) exit = Exit.next;
    if (exit !== Exit.next) return exit;
    this.setException(Vector.DB, DR6_BS);
    return Exit.exception;
  }

  /** Runs the instruction at RIP in TypeScript. */
  private execute(): number {
    const insn = this.engine.fetch(this, this.rip);
    if (!insn) return Exit.exception;
    const row = rowOf(insn);
    if (!row?.execute) return Exit.unimplemented;
    // It reaches memory past the store buffer.
    if (this.engine.shared?.fence(this.base) === 0) return this.memory.load32(this.base + CpuState.exit);
    const { memory, base } = this;
    memory.store32(base + CpuState.exit, Exit.exception);
    if (!row.execute(this, insn)) {
      // `restart`: a translation that it relied on was dropped meanwhile.
      return memory.load32(base + CpuState.exit) === Exit.restart ? Exit.next : Exit.exception;
    }
    if (!row.jumps) memory.storeNumber(base + CpuState.rip, insn.next);
    memory.store32(base + CpuState.budget, memory.load32(base + CpuState.budget) - 1);
    return Exit.next;
  }

  /** Decides between #GP and #SS for the non-canonical address of the instruction at RIP (SDM vol. 1, 3.3.7.1). */
  private nonCanonical(): void {
    const { memory, base } = this;
    const address = memory.u64[(base + CpuState.faultAddress) >>> 3];
    const rsp = memory.u64[(base + CpuState.gpr + 8 * Gpr.rsp) >>> 3];
    const insn = this.engine.fetch(this, this.rip);
    const stack = insn && (usesStackSegment(insn) || (isStackInstruction(insn) && near(address, rsp)));
    this.setException(stack ? Vector.SS : Vector.GP, 0);
  }

  setException(vector: number, errorCode: number): void {
    this.memory.store32(this.base + CpuState.vector, vector);
    this.memory.store32(this.base + CpuState.errorCode, errorCode);
    this.memory.storeNumber(this.base + CpuState.faultAddress, 0);
  }

  dropCode(start?: number, end?: number): void {
    this.engine.dropCode(start, end);
  }

  dropFrame(frame: number): void {
    this.engine.dropFrame(frame);
  }

  describeInstruction(address: number): { bytes: Uint8Array; text: string } | null {
    return this.engine.describeInstruction(this, address);
  }

  flushTlb(): void {
    this.emptyTlb(0, TLB_ENTRIES);
  }

  flushTlbRange(start: number, end: number): void {
    const first = Math.floor(start / PAGE_SIZE);
    const count = Math.ceil(end / PAGE_SIZE) - first;
    this.emptyTlb(first % TLB_ENTRIES, Math.min(count, TLB_ENTRIES));
  }

  /** Empties the entries of `count` pages; the index of the first is below TLB_ENTRIES, a power of two. */
  private emptyTlb(first: number, count: number): void {
    const { i32 } = this.memory;
    const reads = (this.base + CpuState.tlbRead) >>> 2;
    const writes = (this.base + CpuState.tlbWrite) >>> 2;
    const stride = TlbEntry.size >>> 2;
    const mask = TLB_ENTRIES - 1;
    for (let left = count, index = first; left > 0; left--, index++) {
      // TLB_INVALID_PAGE, as integers: storing a bigint takes many times as long.
      const offset = (index & mask) * stride;
      i32[reads + offset] = -1;
      i32[reads + offset + 1] = -1;
      i32[writes + offset] = -1;
      i32[writes + offset + 1] = -1;
    }
  }
}

/** Whether an address is one that PUSH, POP or CALL uses with this RSP. */
function near(address: bigint, rsp: bigint): boolean {
  return BigInt.asUintN(64, address - rsp + 8n) <= 16n;
}
