import type { GuestCpu } from './guest-cpu.js';
import { CpuState, Exit, Vector } from './state.js';
import {
  enabledComponents,
  initX87,
  initXmm,
  LegacyArea,
  loadX87,
  loadXmm,
  MXCSR_DEFAULT,
  MXCSR_MASK,
  PKRU_OFFSET,
  saveMxcsr,
  saveX87,
  setMxcsr,
  Xfeature,
  XSAVE_EXTENDED,
  XSAVE_HEADER,
  XsaveHeader,
  xinuse,
} from './xsave.js';

/**
 * FXSAVE, FXRSTOR, XSAVE, XSAVEC, XSAVEOPT and XRSTOR (SDM vol. 1, 10.5 and 13.7–13.11; vol. 2 for the pseudocode).
 *
 * Each returns true when it is done. On false nothing has changed, neither a register nor a byte of guest memory, and
 * CpuState.exit (with vector, errorCode, faultAddress) says why, as after a failed access of an emitted region.
 *
 * The image passes through CpuState.scratch: the savers compose it there, look up all the places in guest memory that
 * they are going to write, and only then copy; the loaders copy it there, check it, and only then load. Loads of guest memory
 * are checked under the old PKRU because PKRU is set last.
 */

/** Guest memory as an instruction sees it: with the CPU's PKRU, demand paging and page faults. */
export interface InstructionMemory {
  /** Pointer to `size` bytes (at most 64, within one page) that may be read; 0 with the reason in CpuState. */
  read(address: number, size: number): number;
  /** The same for writing. */
  write(address: number, size: number): number;
}

/** No access is larger than this or crosses a multiple of it. */
const PIECE = 64;

/** Raises #GP(0). */
function generalProtection(cpu: GuestCpu): false {
  const { memory, base } = cpu;
  memory.store32(base + CpuState.exit, Exit.exception);
  memory.store32(base + CpuState.vector, Vector.GP);
  memory.store32(base + CpuState.errorCode, 0);
  return false;
}

/** Copies [offset, offset + length) of the guest's area to the same offsets of the scratch area. */
function fetch(
  cpu: GuestCpu,
  access: InstructionMemory,
  address: number,
  offset: number,
  length: number,
): boolean {
  const { memory, base } = cpu;
  const scratch = base + CpuState.scratch;
  let at = offset;
  const end = offset + length;
  while (at < end) {
    const size = Math.min(end - at, PIECE - ((address + at) % PIECE));
    const pointer = access.read(address + at, size);
    if (pointer === 0) return false;
    memory.u8.copyWithin(scratch + at, pointer, pointer + size);
    at += size;
  }
  return true;
}

/** Ranges [offset, end) of the scratch area that go to guest memory, in ascending pairs. */
type Ranges = number[];

/** Pointers found for the pieces of the ranges; only used within one call, so one array serves all CPUs of a worker. */
const pieces: number[] = [];

/**
 * Copies ranges of the scratch area to guest memory, all or nothing.
 *
 * Finding a place may page-fault, and the kernel may then acknowledge a shootdown, which makes places found before stale.
 * That moves the CPU's TLB generation on, and the search starts again. After a search without one nothing can become
 * stale, because the initiator of a shootdown waits for CPUs that are in user mode.
 */
function commit(cpu: GuestCpu, access: InstructionMemory, address: number, ranges: Ranges): boolean {
  const { memory, base } = cpu;
  const generation = (base + CpuState.tlbGeneration) >>> 2;
  let before: number;
  do {
    before = memory.i32[generation];
    let n = 0;
    for (let r = 0; r < ranges.length; r += 2) {
      for (let at = ranges[r]; at < ranges[r + 1]; ) {
        const size = Math.min(ranges[r + 1] - at, PIECE - ((address + at) % PIECE));
        const pointer = access.write(address + at, size);
        if (pointer === 0) return false;
        pieces[n++] = pointer;
        at += size;
      }
    }
  } while (memory.i32[generation] !== before);
  const scratch = base + CpuState.scratch;
  let n = 0;
  for (let r = 0; r < ranges.length; r += 2) {
    for (let at = ranges[r]; at < ranges[r + 1]; ) {
      const size = Math.min(ranges[r + 1] - at, PIECE - ((address + at) % PIECE));
      memory.u8.copyWithin(pieces[n++], scratch + at, scratch + at + size);
      at += size;
    }
  }
  return true;
}

/** Bytes of the operand of FXSAVE and FXRSTOR. */
const LEGACY_BYTES = 512;

const CONTROL: Ranges = [0, LegacyArea.mxcsr];
const MXCSR: Ranges = [LegacyArea.mxcsr, LegacyArea.st];
const ST: Ranges = [LegacyArea.st, LegacyArea.xmm];
const XMM: Ranges = [LegacyArea.xmm, LegacyArea.unused];

/** Without REX.W the instruction and data pointers are 32 bits and the selectors beside them, deprecated, are 0. */
function pointers32(cpu: GuestCpu, image: number): void {
  cpu.memory.store32(image + LegacyArea.fip + 4, 0);
  cpu.memory.store32(image + LegacyArea.fdp + 4, 0);
}

/**
 * FXSAVE (FXSAVE64 with `rexW`). Bytes 416 to 511 are not written, but must be writable as the rest of the operand.
 * @param address linear address; #GP(0) unless 16-byte aligned
 */
export function fxsave(cpu: GuestCpu, access: InstructionMemory, address: number, rexW: boolean): boolean {
  if (address % 16 !== 0) return generalProtection(cpu);
  if (access.write(address, 1) === 0 || access.write(address + LEGACY_BYTES - 1, 1) === 0) return false;
  const { memory, base } = cpu;
  const scratch = base + CpuState.scratch;
  saveX87(memory, base, scratch);
  if (!rexW) pointers32(cpu, scratch);
  saveMxcsr(memory, base, scratch);
  memory.u8.copyWithin(scratch + LegacyArea.xmm, base + CpuState.xmm, base + CpuState.xmm + 256);
  return commit(cpu, access, address, [0, LegacyArea.unused]);
}

/** FXRSTOR (FXRSTOR64 with `rexW`); #GP(0) for a misaligned area or reserved bits of MXCSR. */
export function fxrstor(cpu: GuestCpu, access: InstructionMemory, address: number, rexW: boolean): boolean {
  if (address % 16 !== 0) return generalProtection(cpu);
  if (!fetch(cpu, access, address, 0, LEGACY_BYTES)) return false;
  const scratch = cpu.base + CpuState.scratch;
  if (!rexW) pointers32(cpu, scratch);
  return restoreLegacy(cpu, scratch) || generalProtection(cpu);
}

/** The three ways of saving, which differ in what they leave out and in the header. */
export const SaveKind = { xsave: 0, xsaveopt: 1, xsavec: 2 } as const;

/**
 * XSAVE, XSAVEOPT and XSAVEC (with their 64-bit forms by `rexW`).
 * @param requested EDX:EAX, of which only EAX matters since no component above 31 exists
 * @param address linear address; #GP(0) unless 64-byte aligned
 */
export function xsave(
  cpu: GuestCpu,
  access: InstructionMemory,
  kind: number,
  address: number,
  requested: number,
  rexW: boolean,
): boolean {
  if (address % 64 !== 0) return generalProtection(cpu);
  const { memory, base } = cpu;
  const scratch = base + CpuState.scratch;
  const rfbm = requested & enabledComponents(cpu);
  const inUse = xinuse(cpu);
  const compact = kind === SaveKind.xsavec;
  let saved = kind === SaveKind.xsave ? rfbm : rfbm & inUse;
  if (compact && rfbm & Xfeature.sse && memory.load32(base + CpuState.mxcsr) !== MXCSR_DEFAULT)
    saved |= Xfeature.sse;
  const header = scratch + XSAVE_HEADER;
  const ranges: Ranges = [];

  if (saved & Xfeature.x87) {
    saveX87(memory, base, scratch);
    if (!rexW) pointers32(cpu, scratch);
    ranges.push(...CONTROL);
  }
  // XSAVEC treats MXCSR as part of the SSE component; the others write it whenever SSE or AVX is asked for.
  if (compact ? saved & Xfeature.sse : rfbm & (Xfeature.sse | Xfeature.avx)) {
    saveMxcsr(memory, base, scratch);
    ranges.push(...MXCSR);
  }
  if (saved & Xfeature.x87) ranges.push(...ST);
  if (saved & Xfeature.sse) {
    memory.u8.copyWithin(scratch + LegacyArea.xmm, base + CpuState.xmm, base + CpuState.xmm + 256);
    ranges.push(...XMM);
  }
  if (compact) {
    memory.store32(header + XsaveHeader.xstateBv, saved);
    memory.store32(header + XsaveHeader.xstateBv + 4, 0);
    memory.store32(header + XsaveHeader.xcompBv, rfbm);
    memory.store32(header + XsaveHeader.xcompBv + 4, 1 << 31);
    ranges.push(XSAVE_HEADER, XSAVE_HEADER + XsaveHeader.reserved);
  } else {
    if (!fetch(cpu, access, address, XSAVE_HEADER, 8)) return false;
    const old = memory.load32(header + XsaveHeader.xstateBv);
    memory.store32(header + XsaveHeader.xstateBv, (old & ~rfbm) | (inUse & rfbm));
    ranges.push(XSAVE_HEADER, XSAVE_HEADER + XsaveHeader.xcompBv);
  }
  if (saved & Xfeature.pkru) {
    const offset = compact ? compactedPkru(rfbm) : PKRU_OFFSET;
    memory.store32(scratch + offset, cpu.pkru);
    memory.store32(scratch + offset + 4, 0);
    ranges.push(offset, offset + 8);
  }
  return commit(cpu, access, address, ranges);
}

/** Offset of PKRU in a compacted image with these components: after AVX if that is there. */
function compactedPkru(components: number): number {
  return XSAVE_EXTENDED + (components & Xfeature.avx ? 256 : 0);
}

/**
 * What an XSAVE header asks of XRSTOR: XSTATE_BV, XCOMP_BV's components and the format; null where XRSTOR raises #GP(0):
 * XSTATE_BV with a component that XCR0 (compacted: XCOMP_BV) doesn't have; XCOMP_BV with one that XCR0 doesn't have;
 * nonzero bytes 23:8 (compacted: 63:16).
 */
function readHeader(
  cpu: GuestCpu,
  image: number,
): { bv: number; components: number; compact: boolean } | null {
  const { memory } = cpu;
  const enabled = enabledComponents(cpu);
  const header = (image + XSAVE_HEADER) >>> 2;
  const word = (i: number) => memory.i32[header + i];
  const anyFrom = (first: number, end: number) => {
    for (let i = first; i < end; i++) if (word(i) !== 0) return true;
    return false;
  };
  const bv = word(0);
  const components = word(2);
  const compact = word(3) < 0;
  if (word(1) !== 0) return null;
  if (compact) {
    if (components & ~enabled || word(3) & 0x7fff_ffff || bv & ~components || anyFrom(4, 16)) return null;
  } else if (bv & ~enabled || anyFrom(2, 6)) {
    return null;
  }
  return { bv, components, compact };
}

/**
 * XRSTOR64 from a copy in kernel memory, for rt_sigreturn.
 * @param image pointer to XSAVE_BYTES bytes
 * @param requested components to load or initialise
 * @returns false, with nothing loaded, where XRSTOR would raise #GP(0)
 */
export function restoreImage(cpu: GuestCpu, image: number, requested: number): boolean {
  const { memory, base } = cpu;
  const header = readHeader(cpu, image);
  if (!header) return false;
  const { bv, components, compact } = header;
  const rfbm = requested & enabledComponents(cpu);
  const load = rfbm & bv;
  // The standard form loads MXCSR whenever SSE or AVX is asked for, whatever XSTATE_BV says.
  const loadMxcsr = compact ? load & Xfeature.sse : rfbm & (Xfeature.sse | Xfeature.avx);
  const mxcsr = memory.load32(image + LegacyArea.mxcsr);
  if (loadMxcsr && mxcsr & ~MXCSR_MASK) return false;

  if (load & Xfeature.x87) loadX87(memory, base, image);
  else if (rfbm & Xfeature.x87) initX87(memory, base);
  if (load & Xfeature.sse) loadXmm(memory, base, image);
  else if (rfbm & Xfeature.sse) initXmm(memory, base);
  if (loadMxcsr) setMxcsr(memory, base, mxcsr);
  else if (compact && rfbm & Xfeature.sse) setMxcsr(memory, base, MXCSR_DEFAULT);
  if (rfbm & Xfeature.pkru) {
    const offset = compact ? compactedPkru(components) : PKRU_OFFSET;
    cpu.pkru = load & Xfeature.pkru ? memory.loadU32(image + offset) : 0;
  }
  return true;
}

/** FXRSTOR64 from a copy in kernel memory; false, with nothing loaded, where it would raise #GP(0). */
export function restoreLegacy(cpu: GuestCpu, image: number): boolean {
  const { memory, base } = cpu;
  const mxcsr = memory.load32(image + LegacyArea.mxcsr);
  if (mxcsr & ~MXCSR_MASK) return false;
  loadX87(memory, base, image);
  loadXmm(memory, base, image);
  setMxcsr(memory, base, mxcsr);
  return true;
}

/**
 * XRSTOR (XRSTOR64 with `rexW`), standard and compacted format. #GP(0) for an area that isn't 64-byte aligned, for a bad header
 * (`readHeader`) and for reserved bits in an MXCSR that is to be loaded; all of it before anything is loaded.
 * @param requested EDX:EAX, of which only EAX matters
 */
export function xrstor(
  cpu: GuestCpu,
  access: InstructionMemory,
  address: number,
  requested: number,
  rexW: boolean,
): boolean {
  if (address % 64 !== 0) return generalProtection(cpu);
  const scratch = cpu.base + CpuState.scratch;
  const rfbm = requested & enabledComponents(cpu);
  if (!fetch(cpu, access, address, XSAVE_HEADER, XsaveHeader.size)) return false;
  const header = readHeader(cpu, scratch);
  if (!header) return generalProtection(cpu);
  const load = rfbm & header.bv;
  if (load & Xfeature.x87) {
    if (!fetch(cpu, access, address, 0, LegacyArea.mxcsr)) return false;
    if (!fetch(cpu, access, address, LegacyArea.st, LegacyArea.xmm - LegacyArea.st)) return false;
    if (!rexW) pointers32(cpu, scratch);
  }
  const sse = header.compact ? load & Xfeature.sse : rfbm & (Xfeature.sse | Xfeature.avx);
  if (sse && !fetch(cpu, access, address, LegacyArea.mxcsr, 8)) return false;
  if (load & Xfeature.sse && !fetch(cpu, access, address, LegacyArea.xmm, 256)) return false;
  const pkru = header.compact ? compactedPkru(header.components) : PKRU_OFFSET;
  if (load & Xfeature.pkru && !fetch(cpu, access, address, pkru, 8)) return false;
  return restoreImage(cpu, scratch, rfbm) || generalProtection(cpu);
}
