import type { GuestCpu } from './guest-cpu.js';
import { CpuState } from './state.js';
import { ES_B, FCW_DEFAULT, FCW_FIXED, FCW_WRITABLE, summarized, tagOf } from './xsave.js';
import type { InstructionMemory } from './xsave-instructions.js';

/**
 * FNSTENV, FLDENV, FNSAVE and FRSTOR in their protected-mode formats (SDM vol. 1, figures 8-9 and 8-11): seven fields of
 * 4 bytes (2 with an operand-size prefix), for the latter two followed by ST(0) to ST(7), 10 bytes each.
 *
 * As on processors that have given up the x87 selectors, those are 0.
 */

/** Fields of the environment, in order. */
const FCW = 0;
const FSW = 1;
const FTW = 2;
const FIP = 3;
const FCS_FOP = 4;
const FDP = 5;
const FIELDS = 7;

/** Bytes of one field, of the environment, of everything. */
const fieldSize = (wide: boolean): number => (wide ? 4 : 2);
const environmentSize = (wide: boolean): number => FIELDS * fieldSize(wide);
const REGISTERS = 80;

/** Number of TOP. */
const top = (fsw: number): number => (fsw >>> 11) & 7;

/** The tag word as the registers' contents have it (SDM vol. 1, 8.1.7). */
function fullTags({ memory, base }: GuestCpu, known: number): number {
  let tags = 0;
  for (let i = 0; i < 8; i++) {
    const at = (base + CpuState.fpr + 16 * i) >>> 2;
    const empty = ((known >>> (2 * i)) & 3) === 3;
    tags |= (empty ? 3 : tagOf(memory.i32[at], memory.i32[at + 1], memory.i32[at + 2])) << (2 * i);
  }
  return tags;
}

/**
 * Looks up the first field and the last byte, in the order in which the processor does: that decides at which address it
 * faults.
 */
function ends(touch: InstructionMemory['read'], address: number, length: number): boolean {
  return touch(address, 1) !== 0 && touch(address + 1, 1) !== 0 && touch(address + length - 1, 1) !== 0;
}

/** Writes `bytes` to guest memory, or nothing at all if some of it cannot be written. */
function write(access: InstructionMemory, cpu: GuestCpu, address: number, bytes: Uint8Array): boolean {
  if (!ends(access.write, address, bytes.length)) return false;
  const pieces: { pointer: number; from: number; to: number }[] = [];
  for (let from = 0; from < bytes.length; ) {
    const to = Math.min(bytes.length, from + 64 - ((address + from) % 64));
    const pointer = access.write(address + from, to - from);
    if (pointer === 0) return false;
    pieces.push({ pointer, from, to });
    from = to;
  }
  for (const { pointer, from, to } of pieces) cpu.memory.u8.set(bytes.subarray(from, to), pointer);
  return true;
}

/** Reads `length` bytes of guest memory; null if some of it cannot be read. */
function read(access: InstructionMemory, cpu: GuestCpu, address: number, length: number): Uint8Array | null {
  if (!ends(access.read, address, length)) return null;
  const bytes = new Uint8Array(length);
  for (let from = 0; from < length; ) {
    const to = Math.min(length, from + 64 - ((address + from) % 64));
    const pointer = access.read(address + from, to - from);
    if (pointer === 0) return null;
    bytes.set(cpu.memory.u8.subarray(pointer, pointer + to - from), from);
    from = to;
  }
  return bytes;
}

function environment(cpu: GuestCpu, wide: boolean, bytes: Uint8Array): void {
  const { memory, base } = cpu;
  const { u16 } = memory;
  const view = new DataView(bytes.buffer);
  const fop = u16[(base + CpuState.fop) >>> 1];
  const fields = [
    u16[(base + CpuState.fcw) >>> 1],
    u16[(base + CpuState.fsw) >>> 1],
    fullTags(cpu, u16[(base + CpuState.ftw) >>> 1]),
    memory.loadU32(base + CpuState.fip),
    wide ? fop << 16 : 0,
    memory.loadU32(base + CpuState.fdp),
    0,
  ];
  fields.forEach((value, i) => {
    if (!wide) view.setUint16(2 * i, value, true);
    // What has no meaning is stored as ones.
    else view.setUint32(4 * i, i <= FTW || i === FIELDS - 1 ? value | 0xffff0000 : value, true);
  });
}

/** FNSTENV: stores the environment, then masks all exceptions. */
export function storeEnvironment(
  cpu: GuestCpu,
  access: InstructionMemory,
  address: number,
  wide: boolean,
): boolean {
  const bytes = new Uint8Array(environmentSize(wide));
  environment(cpu, wide, bytes);
  if (!write(access, cpu, address, bytes)) return false;
  const { u16 } = cpu.memory;
  u16[(cpu.base + CpuState.fcw) >>> 1] |= 0x3f;
  u16[(cpu.base + CpuState.fsw) >>> 1] &= ~ES_B;
  return true;
}

/** FNSAVE: stores everything, then initializes the unit as FNINIT does. */
export function saveState(cpu: GuestCpu, access: InstructionMemory, address: number, wide: boolean): boolean {
  const { memory, base } = cpu;
  const size = environmentSize(wide);
  const bytes = new Uint8Array(size + REGISTERS);
  environment(cpu, wide, bytes);
  const first = top(memory.u16[(base + CpuState.fsw) >>> 1]);
  for (let i = 0; i < 8; i++) {
    const from = base + CpuState.fpr + 16 * ((first + i) & 7);
    bytes.set(memory.u8.subarray(from, from + 10), size + 10 * i);
  }
  if (!write(access, cpu, address, bytes)) return false;
  initialize(cpu);
  return true;
}

/** FNINIT: the registers keep their values but are empty. */
function initialize({ memory, base }: GuestCpu): void {
  memory.u16[(base + CpuState.fcw) >>> 1] = FCW_DEFAULT;
  memory.u16[(base + CpuState.fsw) >>> 1] = 0;
  memory.u16[(base + CpuState.ftw) >>> 1] = 0xffff;
  memory.u16[(base + CpuState.fop) >>> 1] = 0;
  memory.storeNumber(base + CpuState.fip, 0);
  memory.storeNumber(base + CpuState.fdp, 0);
}

function setEnvironment({ memory, base }: GuestCpu, wide: boolean, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer);
  const size = fieldSize(wide);
  const field = (i: number): number =>
    wide ? view.getUint32(size * i, true) : view.getUint16(size * i, true);
  const fcw = (field(FCW) & FCW_WRITABLE) | FCW_FIXED;
  memory.u16[(base + CpuState.fcw) >>> 1] = fcw;
  memory.u16[(base + CpuState.fsw) >>> 1] = summarized(field(FSW), fcw);
  memory.u16[(base + CpuState.ftw) >>> 1] = field(FTW);
  memory.u16[(base + CpuState.fop) >>> 1] = wide ? (field(FCS_FOP) >>> 16) & 0x7ff : 0;
  memory.storeNumber(base + CpuState.fip, field(FIP));
  memory.storeNumber(base + CpuState.fdp, field(FDP));
}

/** FLDENV. */
export function loadEnvironment(
  cpu: GuestCpu,
  access: InstructionMemory,
  address: number,
  wide: boolean,
): boolean {
  const bytes = read(access, cpu, address, environmentSize(wide));
  if (!bytes) return false;
  setEnvironment(cpu, wide, bytes);
  return true;
}

/** FRSTOR. */
export function restoreState(
  cpu: GuestCpu,
  access: InstructionMemory,
  address: number,
  wide: boolean,
): boolean {
  const size = environmentSize(wide);
  const bytes = read(access, cpu, address, size + REGISTERS);
  if (!bytes) return false;
  setEnvironment(cpu, wide, bytes);
  const { memory, base } = cpu;
  const first = top(memory.u16[(base + CpuState.fsw) >>> 1]);
  for (let i = 0; i < 8; i++) {
    const to = base + CpuState.fpr + 16 * ((first + i) & 7);
    memory.u8.set(bytes.subarray(size + 10 * i, size + 10 * i + 10), to);
    memory.u8.fill(0, to + 10, to + 16);
  }
  return true;
}
