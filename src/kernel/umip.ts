import { CpuState, PfError, Vector } from '../cpu/state.js';
import type { KernelCpu } from './kernel-cpu.js';

/**
 * SGDT, SIDT, SMSW, SLDT and STR for programs (arch/x86/kernel/umip.c): the processor refuses them with #GP (UMIP), and the kernel
 * decodes them and stores values that say nothing about it, which programs have relied on. What its decoder does not take stays a #GP.
 */

const GDT_BASE = 0xffff_ffff_fffe_0000n;
const IDT_BASE = 0xffff_ffff_ffff_0000n;
/** CR0 as Linux sets it at boot. */
const CR0 = 0x8005_0033n;
/** Selector of the task-state segment. There is no local descriptor table, whose selector is 0 then. */
const TSS = 0x40n;

const MAX_INSN = 15;
/** First address that user code cannot have. */
const TASK_SIZE_MAX = 0x7fff_ffff_f000n;

const OPERAND_SIZE = 0x66;
const ADDRESS_SIZE = 0x67;
const [FS, GS] = [0x64, 0x65];
const SEGMENTS: readonly number[] = [0x26, 0x2e, 0x36, 0x3e, FS, GS];
const PREFIXES: readonly number[] = [...SEGMENTS, OPERAND_SIZE, ADDRESS_SIZE, 0xf0, 0xf2, 0xf3];
/** Different prefixes that the decoder of Linux takes (arch/x86/lib/insn.c). */
const MOST_PREFIXES = 4;

/** What became of an instruction. */
export const Emulated = {
  /** It is none of these: the #GP stands. */
  no: 0,
  yes: 1,
  /** Its operand cannot be written: CpuState has a #PF, of which si_code is to be SEGV_MAPERR whatever the reason. */
  fault: 2,
} as const;

/** What is stored, and in how many bytes of memory; null for other instructions. */
function resultOf(opcode: number, modrm: number): { value: bigint; bytes: number } | null {
  const field = (modrm >> 3) & 7;
  if (opcode === 0) {
    if (field === 0) return { value: 0n, bytes: 2 };
    return field === 1 ? { value: TSS, bytes: 2 } : null;
  }
  if (opcode !== 1) return null;
  if (field === 4) return { value: CR0, bytes: 2 };
  // A limit of 0, and the base. With a register these are other instructions.
  if (field > 1 || modrm >= 0xc0) return null;
  return { value: (field === 0 ? GDT_BASE : IDT_BASE) << 16n, bytes: 10 };
}

/** Emulates the instruction at RIP, which has raised #GP, if it is one of these. @returns an Emulated */
export function emulateUmip(k: KernelCpu): number {
  const { memory, cpu, user, rip } = k;
  const { base } = cpu;
  const scratch = base + CpuState.scratch;
  // By the program's rights to data: code that may only be executed cannot be emulated.
  const fetched = user.copyInSome(scratch, rip, MAX_INSN);
  const code = new DataView(memory.buffer, scratch, fetched);
  let at = 0;
  const next = () => (at < fetched ? code.getUint8(at++) : -1);

  const prefixes = new Set<number>();
  let byte = next();
  for (; PREFIXES.includes(byte); byte = next()) prefixes.add(byte);
  if (prefixes.size > MOST_PREFIXES) return Emulated.no;
  const rex = (byte & 0xf0) === 0x40 ? byte : 0;
  if (rex) byte = next();
  if (byte !== 0x0f) return Emulated.no;
  const opcode = next();
  const modrm = next();
  if (modrm < 0) return Emulated.no;
  const result = resultOf(opcode, modrm);
  if (!result) return Emulated.no;
  const mod = modrm >> 6;
  const register = (number: number, extension: number) =>
    base + CpuState.gpr + 8 * ((number & 7) | (rex & extension ? 8 : 0));

  if (mod === 3) {
    const bytes = rex & 8 ? 8 : prefixes.has(OPERAND_SIZE) ? 2 : 4;
    // The bytes of the operand, and no others: the upper half of a 32-bit register stays, as it would not by an instruction.
    new DataView(memory.buffer, scratch).setBigUint64(0, result.value, true);
    memory.u8.copyWithin(register(modrm, 1), scratch, scratch + bytes);
    memory.storeNumber(base + CpuState.rip, rip + at);
    return Emulated.yes;
  }

  const segments = SEGMENTS.filter((prefix) => prefixes.has(prefix));
  if (segments.length > 1) return Emulated.no;
  let address = 0n;
  let wide = mod === 2;
  let relative = false;
  const add = (pointer: number, scale = 0) => {
    address += memory.u64[pointer >>> 3] << BigInt(scale);
  };
  if ((modrm & 7) === 4) {
    const sib = next();
    if (sib < 0) return Emulated.no;
    const index = register(sib >> 3, 2);
    if (mod === 0 && (sib & 7) === 5) wide = true;
    else add(register(sib, 1));
    if (index !== register(4, 0)) add(index, sib >> 6);
  } else if (mod === 0 && (modrm & 7) === 5) wide = relative = true;
  else add(register(modrm, 1));
  const displacement = wide ? 4 : mod === 1 ? 1 : 0;
  if (at + displacement > fetched) return Emulated.no;
  if (displacement) address += BigInt(wide ? code.getInt32(at, true) : code.getInt8(at));
  at += displacement;
  if (relative) address += BigInt(rip + at);
  if (prefixes.has(ADDRESS_SIZE)) address = BigInt.asUintN(32, address);
  if (segments[0] === FS) add(base + CpuState.fsBase);
  else if (segments[0] === GS) add(base + CpuState.gsBase);
  address = BigInt.asUintN(64, address);
  // How its decoder says that there is none.
  if (address === 0xffff_ffff_ffff_ffffn) return Emulated.no;

  const { value, bytes } = result;
  const image = new DataView(memory.buffer, scratch);
  image.setBigUint64(0, BigInt.asUintN(64, value), true);
  image.setUint16(8, Number(value >> 64n), true);
  const reachable = address + BigInt(bytes) <= TASK_SIZE_MAX;
  if (reachable && user.copyOut(Number(address), scratch, bytes)) {
    memory.storeNumber(base + CpuState.rip, rip + at);
    return Emulated.yes;
  }
  memory.store32(base + CpuState.vector, Vector.PF);
  memory.store32(base + CpuState.errorCode, PfError.write);
  memory.u64[(base + CpuState.faultAddress) >>> 3] = address;
  return Emulated.fault;
}
