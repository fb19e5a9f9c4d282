import { PAGE_SIZE } from './memory.js';
import { alignUp, struct } from './struct.js';

/** Most CPUs one machine may have. */
export const MAX_CPUS = 64;

/** The machine control block, at MACHINE. Written at boot unless said otherwise. */
export const Machine = struct({
  cpuCount: 'i32',
  /** Index into ABI_NAMES (src/kernel/pkeys/abi.ts). */
  abi: 'i32',
  /** CONFIG_X86_DEBUG_FPU: 1 when the scheduler clears key 14's bits at each context switch. */
  debugFpu: 'i32',
  /** 0 parallel (a worker a CPU), 1 seeded (one worker hosts all CPUs). */
  seeded: 'i32',
  /** Bit set of deliberate defects for `verify --mutants`; 0 on a healthy machine. */
  mutants: 'i32',
  /** Options, bit set: see MachineFlag. */
  flags: 'i32',
  /** Atomic: 0 while running; 1 from exit_group, a fatal signal or a host stop on. CPUs leave at the next safe point. */
  stopping: 'i32',
  /** Exit status (0–255) and killing signal (0 if none) of the first process; valid once `stopping` is 1. */
  exitCode: 'i32',
  exitSignal: 'i32',
  /** Atomic: rung to wake the scheduler thread. */
  schedulerDoorbell: 'i32',
  /** Atomic: number of CPUs in a split-lock section waiting or running, and the CPU that owns it + 1. */
  splitLockOwner: 'i32',
  /** First frame's pointer, number of frames, pointer to the frame table. */
  framesBase: 'u32',
  frameCount: 'u32',
  frameTable: 'u32',
  /** Kernel heap: start, end, and the bump pointer (atomic). */
  heapBase: 'u32',
  heapEnd: 'u32',
  heapNext: 'u32',
  /** Code store, for threaded code: start, end. */
  codeBase: 'u32',
  codeEnd: 'u32',
  /** Whether the code store begins with a table of forms (src/translate/threaded/forms.ts); atomic. */
  forms: 'i32',
  /** Key 14: context switches performed, and those in which there was something to clear (atomic). */
  contextSwitches: 'i32',
  key14Cleared: 'i32',
  /** Seed of the machine's random source, and the wall clock at boot: ms since 1970 (real time) and performance.now. */
  seed: 'f64',
  bootRealtime: 'f64',
  bootMonotonic: 'f64',
  /** Roots of kernel structures, by owner (src/kernel): pointers to heap blocks. */
  roots: ['u32', 32],
});

/** `noPku`: the processor has no protection keys (CPUID says so, CR4.PKE cannot be set). */
export const MachineFlag = { strace: 1, captureOutput: 2, noSmap: 4, noPku: 8 } as const;

/** Pointer to the machine control block; the page below it stays empty so that 0 is never a valid pointer. */
export const MACHINE = PAGE_SIZE;

/** Pointer to the first CPU block. */
export const CPUS = 2 * PAGE_SIZE;

const HEAP_BYTES = 64 << 20;
const CODE_BYTES = 64 << 20;

/** Where things lie in a machine's memory; `total` is a multiple of 64 KiB and at most 4 GiB. */
export interface MemoryMap {
  readonly heapBase: number;
  readonly heapEnd: number;
  readonly codeBase: number;
  readonly codeEnd: number;
  readonly frameTable: number;
  readonly framesBase: number;
  readonly frameCount: number;
  readonly total: number;
}

/** One entry of the frame table, by frame number (pointer of frame = framesBase + number * PAGE_SIZE). */
export const Frame = struct({
  /** Mappings of the frame plus kernel references; on the free list it links to the next free frame. Atomic. */
  references: 'i32',
  /** Atomic: bit i is set when bytes [128 i, 128 i + 128) of the frame hold code that some CPU has translated. */
  codeMask: 'i32',
});

/**
 * Computes the memory map.
 * @param guestBytes size of guest memory asked for; reduced if it does not fit under 4 GiB with the kernel's own areas
 * @param cpuBlockBytes size of one CPU block
 */
export function memoryMap(guestBytes: number, cpuCount: number, cpuBlockBytes: number): MemoryMap {
  const heapBase = alignUp(CPUS + cpuCount * cpuBlockBytes, PAGE_SIZE);
  const heapEnd = heapBase + HEAP_BYTES;
  const codeBase = heapEnd;
  const codeEnd = codeBase + CODE_BYTES;
  const frameTable = codeEnd;
  let frameCount = Math.floor(guestBytes / PAGE_SIZE);
  const end = (frames: number) => alignUp(frameTable + frames * Frame.size, PAGE_SIZE) + frames * PAGE_SIZE;
  const most = 0x1_0000_0000 - 65536;
  while (end(frameCount) > most) frameCount -= 256;
  const framesBase = alignUp(frameTable + frameCount * Frame.size, PAGE_SIZE);
  const total = alignUp(end(frameCount), 65536);
  return { heapBase, heapEnd, codeBase, codeEnd, frameTable, framesBase, frameCount, total };
}
