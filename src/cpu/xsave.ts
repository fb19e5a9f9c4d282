import type { Memory } from '../memory/memory.js';
import { struct } from '../memory/struct.js';
import type { GuestCpu } from './guest-cpu.js';
import { setFloatRanges } from './float-ranges.js';
import { CpuState } from './state.js';

/**
 * The XSAVE image (SDM vol. 1, 13.4): what a task's extended state looks like in memory, for the context switch, for
 * signal frames and for the instructions (src/cpu/xsave-instructions.ts).
 *
 * Standard format. PKRU lies at 832, where AMD's Zen 3 has it too: bytes 576 to 831 are those of the AVX component (2),
 * which the processor doesn't have yet, so that it can get it without moving anything.
 */

/** The FXSAVE area with REX.W (SDM vol. 1, table 10-2 and vol. 2, FXSAVE). */
export const LegacyArea = struct({
  fcw: 'u16',
  fsw: 'u16',
  /** Abridged: bit i is 1 when *physical* register i is not empty. */
  ftw: 'u8',
  reserved: 'u8',
  fop: 'u16',
  fip: 'u64',
  fdp: 'u64',
  mxcsr: 'u32',
  mxcsrMask: 'u32',
  /** ST(0) to ST(7), 10 bytes used of each 16. */
  st: ['v128', 8],
  xmm: ['v128', 16],
  unused: { bytes: 48, align: 16 },
  /** Left to software; Linux keeps struct _fpx_sw_bytes here in signal frames. */
  software: { bytes: 48, align: 16 },
});

/** The XSAVE header, at XSAVE_HEADER of the image. */
export const XsaveHeader = struct({ xstateBv: 'u64', xcompBv: 'u64', reserved: { bytes: 48, align: 8 } });

export const XSAVE_HEADER = LegacyArea.size;
/** First byte after legacy area and header: where the compacted format starts its components. */
export const XSAVE_EXTENDED = XSAVE_HEADER + XsaveHeader.size;

/** Bits of XCR0, RFBM and XSTATE_BV. */
export const Xfeature = { x87: 1, sse: 2, avx: 4, pkru: 1 << 9 } as const;

/** Number and offset (standard format) of the PKRU component; it is 8 bytes long, PKRU in the lower 4. */
export const PKRU_COMPONENT = 9;
export const PKRU_OFFSET = XSAVE_EXTENDED + 256;

/** Bytes of an image in standard format. */
export const XSAVE_BYTES = PKRU_OFFSET + 8;

/** All components that there are. */
export const XCR0 = Xfeature.x87 | Xfeature.sse | Xfeature.pkru;

/** XCR0 of a CPU: without protection keys their component isn't there either. */
export function enabledComponents(cpu: GuestCpu): number {
  return cpu.hasPku ? XCR0 : XCR0 & ~Xfeature.pkru;
}

export const MXCSR_DEFAULT = 0x1f80;
/** Bits of MXCSR that may be set. */
export const MXCSR_MASK = 0xffff;
/** Those of them that the program sets: DAZ, the exceptions' masks, rounding, FTZ. The others say which exceptions there have been. */
export const MXCSR_SETTINGS = 0xffc0;
/** Number of the bit PE: a result was inexact. */
export const MXCSR_PE_BIT = 5;
export const FCW_DEFAULT = 0x037f;
/** Bits of the x87 control word that can be written, and the one that always reads as 1. */
export const FCW_WRITABLE = 0x1f3f;
export const FCW_FIXED = 0x40;
/** ES and B of the x87 status word: an unmasked exception is pending. */
export const ES_B = 0x8080;

/**
 * CpuState.mxcsrSlow for an MXCSR: bit 1 is set unless all exceptions are masked, rounding is to nearest and FTZ and DAZ are
 * off; bit 0 is set unless PE is already set. LDMXCSR computes it in emitted code (loadMxcsr in
 * src/translate/families/sse-move.ts), of the same constants.
 */
export function mxcsrSlow(value: number): number {
  return ((value & MXCSR_SETTINGS) === MXCSR_DEFAULT ? 0 : 2) | ((value >>> MXCSR_PE_BIT) & 1 ? 0 : 1);
}

/** Sets MXCSR, and by it mxcsrSlow and the constants of the inline checks. */
export function setMxcsr(memory: Memory, base: number, value: number): void {
  memory.store32(base + CpuState.mxcsr, value);
  const slow = mxcsrSlow(value);
  // Of a new CPU's block all is 0.
  if (slow === memory.load32(base + CpuState.mxcsrSlow) && memory.load32(base + CpuState.floatMoves) !== 0)
    return;
  memory.store32(base + CpuState.mxcsrSlow, slow);
  setFloatRanges(memory, base, slow);
}

/** XINUSE: the components not in their initial state, as a bit set. A component that is all initial is never reported. */
export function xinuse(cpu: GuestCpu): number {
  const { memory, base } = cpu;
  return (
    (x87InUse(memory, base) ? Xfeature.x87 : 0) |
    (anyNonzero(memory, base + CpuState.xmm, 256) ? Xfeature.sse : 0) |
    (cpu.pkru !== 0 ? Xfeature.pkru : 0)
  );
}

function x87InUse(memory: Memory, base: number): boolean {
  const { u16 } = memory;
  return (
    u16[(base + CpuState.fcw) >> 1] !== FCW_DEFAULT ||
    u16[(base + CpuState.fsw) >> 1] !== 0 ||
    u16[(base + CpuState.ftw) >> 1] !== 0xffff ||
    u16[(base + CpuState.fop) >> 1] !== 0 ||
    anyNonzero(memory, base + CpuState.fip, 16) ||
    anyNonzero(memory, base + CpuState.fpr, 128)
  );
}

function anyNonzero(memory: Memory, pointer: number, bytes: number): boolean {
  const i32 = memory.i32;
  const end = (pointer + bytes) >>> 2;
  for (let i = pointer >>> 2; i < end; i++) if (i32[i] !== 0) return true;
  return false;
}

/** Copies words; for areas of this size a loop beats a call of copyWithin. */
function copyWords(memory: Memory, to: number, from: number, bytes: number): void {
  const i32 = memory.i32;
  const t = to >>> 2;
  const f = from >>> 2;
  const count = bytes >>> 2;
  for (let i = 0; i < count; i++) i32[t + i] = i32[f + i];
}

/**
 * Writes the components in `mask` to an image in standard format, as XSAVE does: their data even when initial, MXCSR with
 * SSE, and in XSTATE_BV 1 for those in use and 0 for those that are initial; other bits of XSTATE_BV stay.
 * @param image pointer, 8-byte aligned; nothing of it outside the fields named is written
 */
export function saveImage(cpu: GuestCpu, image: number, mask: number = XCR0): void {
  const { memory, base } = cpu;
  if (mask & Xfeature.x87) saveX87(memory, base, image);
  if (mask & Xfeature.sse) {
    copyWords(memory, image + LegacyArea.xmm, base + CpuState.xmm, 256);
    saveMxcsr(memory, base, image);
  }
  if (mask & Xfeature.pkru) {
    memory.store32(image + PKRU_OFFSET, cpu.pkru);
    memory.store32(image + PKRU_OFFSET + 4, 0);
  }
  const bv = image + XSAVE_HEADER + XsaveHeader.xstateBv;
  memory.store32(bv, (memory.load32(bv) & ~mask) | (xinuse(cpu) & mask));
}

export function saveMxcsr(memory: Memory, base: number, image: number): void {
  memory.store32(image + LegacyArea.mxcsr, memory.load32(base + CpuState.mxcsr));
  memory.store32(image + LegacyArea.mxcsrMask, MXCSR_MASK);
}

/** x87 state to a legacy area in the form with 64-bit FIP and FDP. */
export function saveX87(memory: Memory, base: number, image: number): void {
  const { u16, u8, i32 } = memory;
  const fsw = u16[(base + CpuState.fsw) >> 1];
  u16[(image + LegacyArea.fcw) >> 1] = u16[(base + CpuState.fcw) >> 1];
  u16[(image + LegacyArea.fsw) >> 1] = fsw;
  u8[image + LegacyArea.ftw] = abridgedTag(u16[(base + CpuState.ftw) >> 1]);
  u8[image + LegacyArea.reserved] = 0;
  u16[(image + LegacyArea.fop) >> 1] = u16[(base + CpuState.fop) >> 1];
  copyWords(memory, image + LegacyArea.fip, base + CpuState.fip, 16);
  const top = (fsw >> 11) & 7;
  for (let i = 0; i < 8; i++) {
    const from = (base + CpuState.fpr + ((top + i) & 7) * 16) >>> 2;
    const to = (image + LegacyArea.st + i * 16) >>> 2;
    i32[to] = i32[from];
    i32[to + 1] = i32[from + 1];
    i32[to + 2] = i32[from + 2] & 0xffff;
    i32[to + 3] = 0;
  }
}

/** A status word with ES and B as flags and masks have it, whatever they were: what loading it makes of it. */
export function summarized(fsw: number, fcw: number): number {
  const flags = fsw & ~ES_B & 0xffff;
  return (flags & ~fcw & 0x3f) !== 0 ? flags | ES_B : flags;
}

/** The reverse of `saveX87`. */
export function loadX87(memory: Memory, base: number, image: number): void {
  const { u16, u8, i32 } = memory;
  const fcw = (u16[(image + LegacyArea.fcw) >> 1] & FCW_WRITABLE) | FCW_FIXED;
  const fsw = summarized(u16[(image + LegacyArea.fsw) >> 1], fcw);
  u16[(base + CpuState.fcw) >> 1] = fcw;
  u16[(base + CpuState.fsw) >> 1] = fsw;
  u16[(base + CpuState.fop) >> 1] = u16[(image + LegacyArea.fop) >> 1] & 0x7ff;
  copyWords(memory, base + CpuState.fip, image + LegacyArea.fip, 16);
  const abridged = u8[image + LegacyArea.ftw];
  const top = (fsw >> 11) & 7;
  let tags = 0;
  for (let i = 0; i < 8; i++) {
    const physical = (top + i) & 7;
    const from = (image + LegacyArea.st + i * 16) >>> 2;
    const to = (base + CpuState.fpr + physical * 16) >>> 2;
    i32[to] = i32[from];
    i32[to + 1] = i32[from + 1];
    i32[to + 2] = i32[from + 2] & 0xffff;
    i32[to + 3] = 0;
    const tag = (abridged >> physical) & 1 ? tagOf(i32[to], i32[to + 1], i32[to + 2]) : 3;
    tags |= tag << (physical * 2);
  }
  u16[(base + CpuState.ftw) >> 1] = tags;
}

/** Full tag word (2 bits a register, 3 is empty) to the abridged one (1 is not empty). */
export function abridgedTag(full: number): number {
  // Bit 2i of the complement of "both bits set", then the even bits pressed together.
  let bits = ~(full & (full >> 1)) & 0x5555;
  bits = (bits | (bits >> 1)) & 0x3333;
  bits = (bits | (bits >> 2)) & 0x0f0f;
  return (bits | (bits >> 4)) & 0xff;
}

/** Tag of an 80-bit value: 0 valid, 1 zero, 2 special (SDM vol. 1, 8.1.7). */
export function tagOf(low: number, high: number, top: number): number {
  const exponent = top & 0x7fff;
  if (exponent === 0) return (low | high) === 0 ? 1 : 2;
  return exponent === 0x7fff || high >= 0 ? 2 : 0;
}

/** Initial x87 state, as FNINIT leaves it but with the registers zero. */
export function initX87(memory: Memory, base: number): void {
  const { u16, i32 } = memory;
  u16[(base + CpuState.fcw) >> 1] = FCW_DEFAULT;
  u16[(base + CpuState.fsw) >> 1] = 0;
  u16[(base + CpuState.ftw) >> 1] = 0xffff;
  u16[(base + CpuState.fop) >> 1] = 0;
  i32.fill(0, (base + CpuState.fip) >>> 2, (base + CpuState.fip + 16) >>> 2);
  i32.fill(0, (base + CpuState.fpr) >>> 2, (base + CpuState.fpr + 128) >>> 2);
}

export function loadXmm(memory: Memory, base: number, image: number): void {
  copyWords(memory, base + CpuState.xmm, image + LegacyArea.xmm, 256);
}

export function initXmm(memory: Memory, base: number): void {
  memory.i32.fill(0, (base + CpuState.xmm) >>> 2, (base + CpuState.xmm + 256) >>> 2);
}

/** Everything as after exec: x87 and SSE initial, MXCSR 1F80h, and PKRU as given (0 without protection keys). */
export function initExtendedState(cpu: GuestCpu, pkru: number): void {
  initX87(cpu.memory, cpu.base);
  initXmm(cpu.memory, cpu.base);
  setMxcsr(cpu.memory, cpu.base, MXCSR_DEFAULT);
  cpu.pkru = cpu.hasPku ? pkru >>> 0 : 0;
}

/**
 * Loads the components in `mask` from an image in standard format that the kernel wrote or has validated: from their data
 * where XSTATE_BV has 1, to their initial state where it has 0. MXCSR comes with SSE, whatever its bit, as XRSTOR does it.
 * @param image pointer, 8-byte aligned, in kernel memory (nobody else changes it meanwhile)
 */
export function loadImage(cpu: GuestCpu, image: number, mask: number = XCR0): void {
  const { memory, base } = cpu;
  const bv = memory.load32(image + XSAVE_HEADER + XsaveHeader.xstateBv);
  if (mask & Xfeature.x87) {
    if (bv & Xfeature.x87) loadX87(memory, base, image);
    else initX87(memory, base);
  }
  if (mask & Xfeature.sse) {
    if (bv & Xfeature.sse) loadXmm(memory, base, image);
    else initXmm(memory, base);
    setMxcsr(memory, base, memory.load32(image + LegacyArea.mxcsr) & MXCSR_MASK);
  }
  if (mask & Xfeature.pkru) cpu.pkru = bv & Xfeature.pkru ? memory.loadU32(image + PKRU_OFFSET) : 0;
}

/** PKRU of an image in standard format. */
export function imagePkru(memory: Memory, image: number): number {
  const bv = memory.load32(image + XSAVE_HEADER + XsaveHeader.xstateBv);
  return bv & Xfeature.pkru ? memory.loadU32(image + PKRU_OFFSET) : 0;
}

/** Sets the PKRU of an image in standard format; XSTATE_BV says initial exactly when it is 0. */
export function setImagePkru(memory: Memory, image: number, pkru: number): void {
  const bv = image + XSAVE_HEADER + XsaveHeader.xstateBv;
  memory.store32(image + PKRU_OFFSET, pkru);
  memory.store32(bv, pkru === 0 ? memory.load32(bv) & ~Xfeature.pkru : memory.load32(bv) | Xfeature.pkru);
}

/** Makes an image that holds the initial state with a PKRU, as a new task needs it. */
export function initImage(memory: Memory, image: number, pkru: number): void {
  memory.u8.fill(0, image, image + XSAVE_BYTES);
  memory.u16[(image + LegacyArea.fcw) >> 1] = FCW_DEFAULT;
  memory.store32(image + LegacyArea.mxcsr, MXCSR_DEFAULT);
  memory.store32(image + LegacyArea.mxcsrMask, MXCSR_MASK);
  setImagePkru(memory, image, pkru);
}
