/** Random encodings of an instruction form, for 64-bit mode. */
import { type Code, Decoder, DecoderOptions, FlowControl, MandatoryPrefix, Mnemonic } from 'iced-x86';
import { CODE } from './driver.js';
import { chooseAddress, type MemoryOperand } from './memory-operand.js';
import type { Opcode } from './opcodes.js';
import type { Random } from './random.js';
import { littleEndian, signedInteger } from './values.js';

/** One instruction as encoded. */
export interface EncodedInstruction {
  readonly bytes: Uint8Array;
  /** The ModRM or absolute memory operand, if it has one. */
  readonly memory: MemoryOperand | undefined;
  /** ModRM.rm with REX.B if it names a register, the register in the opcode byte, else `undefined`. */
  readonly rm: number | undefined;
  /** ModRM.reg with REX.R, if there is a ModRM. */
  readonly reg: number | undefined;
  /** With REX: byte registers 4–7 are SPL BPL SIL DIL, else AH CH DH BH. */
  readonly hasRex: boolean;
  readonly addressSize: 32 | 64;
  readonly repeated: boolean;
  readonly locked: boolean;
}

export interface EncodeOptions {
  /** Address of the instruction; default `CODE`. */
  readonly ip?: number;
  /** Values of immediates and branch displacements in order; random where missing. */
  readonly immediates?: readonly bigint[];
  /** No redundant prefixes, so that forms with fixed branch targets have a known length. */
  readonly plain?: boolean;
  /** RIP-relative and absolute operands may lie where the access faults. */
  readonly faults?: boolean;
}

/** Bytes of each immediate operand kind. `mem_offs` is handled with the memory operands. */
const IMMEDIATE_BYTES: Record<string, number> = {
  imm8: 1,
  imm8sex16: 1,
  imm8sex32: 1,
  imm8sex64: 1,
  imm16: 2,
  imm32: 4,
  imm32sex64: 4,
  imm64: 8,
  br64_1: 1,
  br64_4: 4,
};

const isRegister = (kind: string): boolean => /_(reg|rm)$/.test(kind);
const isModRmMemory = (kind: string): boolean => kind === 'mem' || kind.endsWith('_or_mem');
const isString = (kind: string): boolean => kind === 'seg_rSI' || kind === 'es_rDI';

/** Whether the form reads or writes strings (MOVS, STOS …), which REP repeats. */
export function isStringInstruction(opcode: Opcode): boolean {
  return opcode.operands.some(isString);
}

/** Shift counts are undefined for 16-bit double shifts of more than 16. */
const isDoubleShift16 = (opcode: Opcode): boolean => /^Sh[lr]d_rm16_/.test(opcode.name);

/** What decides the address: the operand, and how ModRM, SIB and displacement say it. */
interface Address {
  readonly operand: MemoryOperand;
  readonly mod: number;
  readonly rm: number;
  readonly sib: number | undefined;
  /** Bytes of the displacement. */
  readonly size: 0 | 1 | 4;
  readonly ripRelative: boolean;
}

function randomAddress(opcode: Opcode, rng: Random, addressSize: 32 | 64, faults: boolean): Address {
  const form = rng.below(100);
  const size = opcode.memoryBytes || 8;
  if (form < 14 || (form >= 90 && form < 94)) {
    const fixed = fixedAddress(rng, size, faults);
    const operand = { scale: 1, displacement: 0n, addressSize, fixed };
    if (form < 14) return { operand, mod: 0, rm: 5, sib: undefined, size: 4, ripRelative: true };
    return { operand, mod: 0, rm: 4, sib: 0x25, size: 4, ripRelative: false };
  }
  const sizeOfDisplacement = rng.pick([0, 1, 4] as const);
  const displacement = sizeOfDisplacement === 0 ? 0n : signedInteger(rng, 8 * sizeOfDisplacement);
  if (form >= 94) {
    // Index without base; its displacement always has 32 bits.
    const index = randomIndex(rng);
    const shift = rng.below(4);
    const operand = { index, scale: 1 << shift, displacement: signedInteger(rng, 32), addressSize };
    return {
      operand,
      mod: 0,
      rm: 4,
      sib: (shift << 6) | ((index & 7) << 3) | 5,
      size: 4,
      ripRelative: false,
    };
  }
  const base = rng.below(16);
  const withSib = form >= 50 || (base & 7) === 4;
  // Mod 0 with RBP or R13 means something else.
  const shortest = (base & 7) === 5 && sizeOfDisplacement === 0 ? 1 : sizeOfDisplacement;
  const mod = shortest === 0 ? 0 : shortest === 1 ? 1 : 2;
  if (!withSib) {
    const operand = { base, scale: 1, displacement, addressSize };
    return { operand, mod, rm: base & 7, sib: undefined, size: shortest, ripRelative: false };
  }
  const index = rng.chance(0.15) ? undefined : rng.chance(0.1) && base !== 4 ? base : randomIndex(rng);
  const shift = rng.below(4);
  const operand = { base, index, scale: 1 << shift, displacement, addressSize };
  const sib = (shift << 6) | (((index ?? 4) & 7) << 3) | (base & 7);
  return { operand, mod, rm: 4, sib, size: shortest, ripRelative: false };
}

/** Any register but RSP, which as an index means none. */
function randomIndex(rng: Random): number {
  const index = rng.below(15);
  return index < 4 ? index : index + 1;
}

/** An address that a 32-bit displacement reaches from the code and from 0. */
function fixedAddress(rng: Random, size: number, faults: boolean): bigint {
  for (;;) {
    const address = chooseAddress(rng, size, faults);
    if (address < 0x7000_0000n) return address;
  }
}

function prefixes(
  opcode: Opcode,
  rng: Random,
  address67: boolean,
  lock: boolean,
  rep: number,
  plain: boolean,
): number[] {
  const list: number[] = [];
  if (address67) list.push(0x67);
  if (lock) list.push(0xf0);
  if (rep) list.push(rep);
  if (opcode.mandatoryPrefix === MandatoryPrefix.PF3) list.push(0xf3);
  if (opcode.mandatoryPrefix === MandatoryPrefix.PF2) list.push(0xf2);
  if (opcode.mandatoryPrefix === MandatoryPrefix.P66 || opcode.operandSize === 16) list.push(0x66);
  // CS, DS, ES and SS overrides do nothing in 64-bit mode.
  if (!plain && opcode.flow === FlowControl.Next && rng.chance(0.04))
    list.push(rng.pick([0x26, 0x2e, 0x36, 0x3e]));
  for (let i = list.length - 1; i > 0; i--) {
    const j = rng.below(i + 1);
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

function immediate(
  opcode: Opcode,
  index: number,
  kind: string,
  rng: Random,
  given: bigint | undefined,
): bigint {
  if (given !== undefined) return given;
  if (opcode.mnemonic === Mnemonic.Enter)
    return index === 0 ? BigInt(rng.below(0x200)) : BigInt(rng.pick([0, 0, 1, 2, 3, 31, 33]));
  if (isDoubleShift16(opcode) && kind === 'imm8') return BigInt(rng.below(17) | (rng.below(8) << 5));
  return signedInteger(rng, 8 * IMMEDIATE_BYTES[kind]);
}

function attempt(opcode: Opcode, rng: Random, options: EncodeOptions): EncodedInstruction | undefined {
  const { operands } = opcode;
  const plain = options.plain ?? false;
  const hasModRm =
    opcode.group >= 0 || opcode.rmGroup >= 0 || operands.some((k) => isModRmMemory(k) || isRegister(k));
  const hasMemoryForm = operands.some(isModRmMemory);
  const hasRegisterForm = !operands.includes('mem');
  const absolute = operands.includes('mem_offs');
  const implicitMemory = operands.some((k) => isString(k) || k === 'seg_rDI' || k === 'seg_rBX_al');
  const useMemory = hasMemoryForm && (!hasRegisterForm || rng.chance(0.6));

  let addressSize: 32 | 64 = opcode.addressSize === 32 ? 32 : 64;
  if (opcode.addressSize === 0 && (useMemory || absolute || implicitMemory) && rng.chance(0.1))
    addressSize = 32;
  const lock = opcode.lockable && useMemory && rng.chance(0.3);
  const rep =
    isStringInstruction(opcode) && rng.chance(0.6)
      ? opcode.repeatableNotEqual && rng.chance(0.5)
        ? 0xf2
        : 0xf3
      : 0;
  const bytes = prefixes(opcode, rng, addressSize === 32, lock, rep, plain);

  const extend = (): number => (rng.chance(0.35) ? 8 : 0);
  let rex = 0;
  let rexWanted = !plain && rng.chance(0.1);
  if (opcode.operandSize === 64 && !opcode.wide) rex |= 8;
  else if (opcode.operandSize !== 16 && opcode.operandSize !== 32 && !plain && rng.chance(0.1)) rex |= 8;

  let reg: number | undefined;
  let rm: number | undefined;
  let address: Address | undefined;
  const tail: number[] = [];
  const opcodeBytes = [...opcode.opcode];
  const inOpcode = operands.find((k) => k.endsWith('_opcode'));
  if (inOpcode) {
    rm = inOpcode === 'sti_opcode' ? rng.below(8) : rng.below(8) | extend();
    opcodeBytes[opcodeBytes.length - 1] |= rm & 7;
    if (rm & 8) rex |= 1;
  }
  if (hasModRm) {
    if (opcode.group >= 0) {
      reg = opcode.group;
    } else {
      // Without an operand in it, the field is given by the opcode's second byte or ignored.
      const kind = operands.find((k) => k.endsWith('_reg'));
      reg = kind === 'seg_reg' ? rng.below(6) : rng.below(8) | (kind === 'mm_reg' ? 0 : extend());
      if (reg & 8) rex |= 4;
    }
    if (useMemory) {
      address = randomAddress(opcode, rng, addressSize, options.faults ?? true);
      if ((address.operand.base ?? 0) & 8) rex |= 1;
      if ((address.operand.index ?? 0) & 8) rex |= 2;
      tail.push((address.mod << 6) | ((reg & 7) << 3) | address.rm);
      if (address.sib !== undefined) tail.push(address.sib);
    } else {
      rm =
        opcode.rmGroup >= 0
          ? opcode.rmGroup
          : rng.below(8) | (operands.some((k) => /^mm_(rm|or_mem)$/.test(k)) ? 0 : extend());
      if (rm & 8) rex |= 1;
      tail.push(0xc0 | ((reg & 7) << 3) | (rm & 7));
    }
  }
  rexWanted ||= rex !== 0;
  if (rexWanted) bytes.push(0x40 | rex);
  bytes.push(...opcode.escape, ...opcodeBytes, ...tail);

  const displacementAt = bytes.length;
  let memory = address?.operand;
  if (address) bytes.push(...littleEndian(memory!.fixed ?? memory!.displacement, address.size));
  if (absolute) {
    const fixed = fixedAddress(rng, opcode.memoryBytes, options.faults ?? true);
    memory = { scale: 1, displacement: 0n, addressSize, fixed };
    bytes.push(...littleEndian(fixed, addressSize / 8));
  }
  let immediates = 0;
  for (const kind of operands) {
    const size = IMMEDIATE_BYTES[kind];
    if (!size) continue;
    const value = immediate(opcode, immediates, kind, rng, options.immediates?.[immediates]);
    immediates++;
    bytes.push(...littleEndian(BigInt.asUintN(64, value), size));
  }
  if (address?.ripRelative) {
    const next = BigInt((options.ip ?? CODE) + bytes.length);
    bytes.splice(displacementAt, 4, ...littleEndian(BigInt.asUintN(32, memory!.fixed! - next), 4));
  }
  if (bytes.length > 15) return undefined;
  return {
    bytes: Uint8Array.from(bytes),
    memory,
    rm,
    reg,
    hasRex: rexWanted,
    addressSize,
    repeated: rep !== 0,
    locked: lock,
  };
}

/** The form that a decoder sees in these bytes, if they are exactly one instruction. */
export function decodedCode(bytes: Uint8Array): Code | undefined {
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  const instruction = decoder.decode();
  const code = instruction.isInvalid || instruction.length !== bytes.length ? undefined : instruction.code;
  instruction.free();
  decoder.free();
  return code;
}

/** A random encoding of the form, or `undefined` if none of many tries decodes to it. */
export function encode(
  opcode: Opcode,
  rng: Random,
  options: EncodeOptions = {},
): EncodedInstruction | undefined {
  for (let tries = 0; tries < 64; tries++) {
    const encoded = attempt(opcode, rng, options);
    if (encoded && decodedCode(encoded.bytes) === opcode.code) return encoded;
  }
  return undefined;
}
