import { CPUS } from '../memory/layout.js';
import { PAGE_SIZE } from '../memory/memory.js';
import { alignUp, struct } from '../memory/struct.js';
import { TLB_ENTRIES, TlbEntry } from '../mmu/tlb.js';

/** Entries of the jump cache: guest address → slot in the CPU's function table. */
export const JUMP_ENTRIES = 16384;

export const JumpEntry = struct({
  /** Guest RIP of the region's entry; the slot is 0 in an empty entry. */
  rip: 'u64',
  slot: 'i32',
  /** Pointer of the ThreadedBlock at that address; 0 if it has been translated to a region. */
  block: 'u32',
});

/**
 * The state of one emulated CPU. Emitted code addresses it through its only parameter, the block's pointer.
 *
 * Only the CPU's own thread writes here, except for the words marked atomic.
 * PKRU is deliberately not here: it lives in a WebAssembly.Global that only the CPU's own worker can reach.
 */
export const CpuState = struct({
  /** RAX RCX RDX RBX RSP RBP RSI RDI R8–R15, in encoding order. */
  gpr: ['u64', 16],
  rip: 'u64',
  fsBase: 'u64',
  gsBase: 'u64',
  /** ES, CS, SS, DS, FS, GS, in encoding order; those of CS and SS never change and are not kept here. */
  selectors: ['u16', 6],
  /** Lazy arithmetic flags: see src/cpu/flags.ts. */
  ccDst: 'u64',
  ccSrc: 'u64',
  ccSrc2: 'u64',
  ccOver: 'u64',
  ccOp: 'i32',
  /** RFLAGS bits other than CF PF AF ZF SF OF (which are lazy): DF is bit 10, NT 14, AC 18, ID 21; IF and bit 1 read as 1. */
  rflags: 'u32',
  mxcsr: 'u32',
  /**
   * 0 when SSE arithmetic may use the host's directly: all exceptions masked, round to nearest, no FTZ/DAZ, PE set. 1 when
   * only PE isn't set, so that exact operations may. 2 or 3 otherwise. See mxcsrSlow in src/cpu/xsave.ts.
   */
  mxcsrSlow: 'i32',
  /** What the inline checks of SSE arithmetic take, a range of FloatRanges each (src/cpu/float-ranges.ts): constants, */
  floatMoves: ['v128', 4],
  /** bounds that nothing passes unless mxcsrSlow is 0, */
  floatBounds: ['v128', 4],
  /** and bounds that nothing passes unless it is 0 or 1. */
  floatBoundsExact: ['v128', 4],
  xmm: ['v128', 16],
  /** x87: eight registers of 16 bytes (10 used) in *physical* order, control, status (TOP in bits 13:11), tag (full, 2 bits each). */
  fpr: ['v128', 8],
  fcw: 'u16',
  fsw: 'u16',
  ftw: 'u16',
  fop: 'u16',
  fip: 'u64',
  fdp: 'u64',
  /** Instructions left before the CPU looks for work other than its region; see `interrupt`. Checked as (budget | interrupt) < 0. */
  budget: 'i32',
  /** Atomic: bit set of Interrupt, with bit 31 set while any is pending. */
  interrupt: 'i32',
  /** Atomic: what the CPU is doing, see CpuMode; shootdowns decide by it whom to wait for. */
  mode: 'i32',
  /** Atomic: incremented after each flush request served; waiters park on it. */
  flushDone: 'i32',
  /** Atomic: number of initiators parked on `flushDone`. */
  flushWaiters: 'i32',
  /** The mm's TLB generation up to which this CPU has flushed (own thread only). */
  tlbGeneration: 'i32',
  /** Atomic: doorbell; an idle CPU parks on it. */
  doorbell: 'i32',
  /** Pointers to the current task and to the mm whose page tables are loaded (0: none). mm is atomic. */
  task: 'u32',
  mm: 'u32',
  /** Pointer of the top-level page table (CR3). */
  cr3: 'u32',
  id: 'i32',
  /** Exception being raised: vector (SDM 6.3.1), error code, and for #PF the address (CR2). */
  vector: 'i32',
  /** Of #DB, which has none: what it sets in DR6. */
  errorCode: 'i32',
  faultAddress: 'u64',
  /** An Exit: why the slow path of an access gave up. */
  exit: 'i32',
  /** 1 while all other CPUs stand still for the instruction at RIP. */
  exclusive: 'i32',
  /** 1 while one instruction may write to a page with translated code without leaving its region. */
  codeWriteAllowed: 'i32',
  /** Seeded mode: accesses that the instruction at RIP has made; see src/translate/shared-access.ts. */
  accesses: 'i32',
  /** Scratch arguments of helper calls. */
  arg0: 'u64',
  arg1: 'u64',
  /** Scratch for accesses that cross a page; XSAVE-sized ones go piecewise. */
  bounce: { bytes: 64, align: 16 },
  /** Counters (doubles) for --stats. */
  instructions: 'f64',
  regionsTranslated: 'f64',
  /** Taken from the translation store. */
  regionsRestored: 'f64',
  contextSwitches: 'f64',
  tlbMisses: 'f64',
  shootdownsSent: 'f64',
  shootdownsReceived: 'f64',
  pkeyFaults: 'f64',
  pageFaults: 'f64',
  syscalls: 'f64',
  /** Always 0: stands for the base or index that a memory operand lacks. */
  zero: 'u64',
  scratch: { bytes: 1024, align: 64 },
  tlbRead: { bytes: TLB_ENTRIES * TlbEntry.size, align: 64 },
  tlbWrite: { bytes: TLB_ENTRIES * TlbEntry.size, align: 64 },
  jumps: { bytes: JUMP_ENTRIES * JumpEntry.size, align: 64 },
});

export const CPU_BLOCK_BYTES = alignUp(CpuState.size, PAGE_SIZE);

/** Pointer to the block of CPU `id`. */
export function cpuPointer(id: number): number {
  return CPUS + id * CPU_BLOCK_BYTES;
}

/** DR6: single step. */
export const DR6_BS = 0x4000;

/** Segment registers, in encoding order. */
export const Segment = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5 } as const;

/** Encoding-order numbers of the general-purpose registers. */
export const Gpr = {
  rax: 0,
  rcx: 1,
  rdx: 2,
  rbx: 3,
  rsp: 4,
  rbp: 5,
  rsi: 6,
  rdi: 7,
  r8: 8,
  r9: 9,
  r10: 10,
  r11: 11,
  r12: 12,
  r13: 13,
  r14: 14,
  r15: 15,
} as const;

/** What a CPU is doing, for those who change page tables. */
export const CpuMode = {
  /** In the kernel, idle, or in a blocking host call: uses no TLB entry; flushes before it goes back to guest code. */
  kernel: 0,
  /** In guest code: flushes and acknowledges at its next safe point. */
  user: 1,
  /** The kernel reads or writes one page of user memory through a translation: short, takes no lock, ends by itself. */
  uaccess: 2,
} as const;

/** Reasons for a CPU to leave guest code at the next safe point. */
export const Interrupt = {
  /** TLB or translated code to drop: the mm's generation moved on. */
  flush: 1,
  /** The scheduler wants another task here. */
  reschedule: 2,
  /** A signal is pending for the current task. */
  signal: 4,
  /** The machine stops. */
  stop: 8,
  /** Another CPU performs an access that no wasm atomic can: stand still until it is done. */
  standStill: 16,
  /** Bit 31, set together with any of the above. */
  any: -0x80000000,
} as const;

/** Why a region returned to the CPU's loop. */
export const Exit = {
  /** RIP has the next address; find or translate its region. */
  next: 0,
  /** SYSCALL was executed; RIP, RCX and R11 are set. */
  syscall: 1,
  /** `vector`, `errorCode` and `faultAddress` say which exception; RIP is at the faulting instruction (#BP, #DB: after it). */
  exception: 2,
  /** (budget | interrupt) < 0; RIP is where to go on. */
  interrupt: 3,
  /** Nothing was executed of the instruction at RIP: run it again (alone if it writes translated code). */
  restart: 4,
  /** The instruction at RIP is not implemented: #UD for the guest, a line on stderr for the user. */
  unimplemented: 5,
  /** The instruction at RIP runs in TypeScript (the `execute` of its row). */
  execute: 6,
  /** The instruction at RIP needs all other CPUs to stand still: a locked access that wasm atomics cannot do. */
  exclusive: 7,
  /** Seeded mode: the schedule wants another CPU to run now; nothing was executed of the instruction at RIP. */
  yielded: 8,
  /** The threaded block at RIP has run so often that it should be translated. Nothing of it was executed this time. */
  promote: 9,
} as const;

/** Exception vectors (SDM vol. 3, table 6-1). */
export const Vector = {
  DE: 0,
  DB: 1,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  XM: 19,
} as const;

/** Page-fault error code bits (SDM vol. 3, 4.7). */
export const PfError = { present: 1, write: 2, user: 4, reserved: 8, fetch: 16, pk: 32 } as const;
