import {
  type Code,
  Decoder,
  DecoderOptions,
  Instruction,
  Mnemonic,
  OpKind,
  Register,
  RflagsBits,
} from 'iced-x86';
import { Flag } from '../cpu/flags.js';

/** Register classes as the lowering code distinguishes them. `high` are AH, CH, DH, BH. */
export type RegClass = 'low8' | 'high8' | '16' | '32' | '64' | 'xmm' | 'mm' | 'st' | 'seg' | 'other';

/** An operand of a decoded instruction. Immediates are sign-extended to 64 bits as the instruction prescribes. */
export type Operand =
  | { readonly kind: 'reg'; readonly class: RegClass; readonly num: number; readonly size: number }
  | { readonly kind: 'mem' }
  | { readonly kind: 'imm'; readonly value: number | bigint }
  | { readonly kind: 'branch'; readonly target: number };

/** The memory operand. `base` and `index` are register numbers or -1; a RIP-relative address is in `disp` already. */
export interface MemOperand {
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  readonly disp: number | bigint;
  /** Segment whose base counts: only FS and GS have one in 64-bit mode. */
  readonly segment: 'none' | 'fs' | 'gs';
  /** 4 with an address-size prefix: the effective address is taken modulo 2^32. */
  readonly addressSize: 4 | 8;
}

/** One decoded instruction, with everything that lowering reads as plain values. */
export interface Insn {
  readonly ip: number;
  /** Address of the next instruction. */
  readonly next: number;
  readonly code: Code;
  readonly mnemonic: Mnemonic;
  readonly ops: readonly Operand[];
  readonly mem: MemOperand | null;
  readonly lock: boolean;
  /** F3 (REP, REPE) and F2 (REPNE) where they repeat a string instruction. */
  readonly rep: boolean;
  readonly repne: boolean;
  /** Arithmetic flags read, and those written, cleared, set or left undefined. */
  readonly flagsRead: number;
  readonly flagsWritten: number;
}

interface RegInfo {
  class: RegClass;
  num: number;
  size: number;
}

const registers: RegInfo[] = [];
for (const [name, value] of Object.entries(Register)) {
  if (typeof value !== 'number') continue;
  registers[value] = classify(value, name);
}

function classify(value: number, name: string): RegInfo {
  const within = (from: number, count: number) => value >= from && value < from + count;
  if (within(Register.AL, 4)) return { class: 'low8', num: value - Register.AL, size: 1 };
  if (within(Register.AH, 4)) return { class: 'high8', num: value - Register.AH, size: 1 };
  if (within(Register.SPL, 12)) return { class: 'low8', num: value - Register.SPL + 4, size: 1 };
  if (within(Register.AX, 16)) return { class: '16', num: value - Register.AX, size: 2 };
  if (within(Register.EAX, 16)) return { class: '32', num: value - Register.EAX, size: 4 };
  if (within(Register.RAX, 16)) return { class: '64', num: value - Register.RAX, size: 8 };
  if (within(Register.XMM0, 16)) return { class: 'xmm', num: value - Register.XMM0, size: 16 };
  if (within(Register.MM0, 8)) return { class: 'mm', num: value - Register.MM0, size: 8 };
  if (within(Register.ST0, 8)) return { class: 'st', num: value - Register.ST0, size: 10 };
  if (within(Register.ES, 6)) return { class: 'seg', num: value - Register.ES, size: 2 };
  void name;
  return { class: 'other', num: value, size: 0 };
}

/**
 * Whether an instruction's memory access goes through SS by default: its base is RSP or RBP, or it uses the stack implicitly
 * (its memory operand, if it has one, is then assumed not to be the culprit).
 */
export function usesStackSegment(insn: Insn): boolean {
  const { mem } = insn;
  if (!mem) return true;
  return mem.segment === 'none' && (mem.base === 4 || mem.base === 5);
}

/** Whether an instruction with a memory operand also accesses the stack. */
export function isStackInstruction(insn: Insn): boolean {
  return STACK_MNEMONICS.has(insn.mnemonic);
}

const STACK_MNEMONICS = new Set<Mnemonic>([Mnemonic.Push, Mnemonic.Pop, Mnemonic.Call]);

/** Number (0–15) of a general-purpose register used in an address; -1 for none or RIP. */
function addressRegister(register: Register): number {
  const info = registers[register];
  return info.class === '64' || info.class === '32' ? info.num : -1;
}

const ICED_FLAGS: readonly (readonly [number, number])[] = [
  [RflagsBits.CF, Flag.CF],
  [RflagsBits.PF, Flag.PF],
  [RflagsBits.AF, Flag.AF],
  [RflagsBits.ZF, Flag.ZF],
  [RflagsBits.SF, Flag.SF],
  [RflagsBits.OF, Flag.OF],
];

function arithmeticFlags(iced: number): number {
  let flags = 0;
  for (const [from, to] of ICED_FLAGS) if (iced & from) flags |= to;
  return flags;
}

/** Flags read and written depend on the Code alone (and, for shifts, on a nonzero count): looked up once per Code. */
const flagsByCode: ({ read: number; written: number } | undefined)[] = [];

/** A decoder of 64-bit code; keeps its iced objects for its life. */
export class InsnDecoder {
  private readonly insn = new Instruction();

  /**
   * Decodes one instruction.
   * @param bytes up to 15 bytes at `ip`
   * @returns null if the bytes are no instruction; 'short' if they end too early
   */
  decode(bytes: Uint8Array, ip: number): Insn | null | 'short' {
    const decoder = new Decoder(64, bytes, DecoderOptions.None);
    try {
      decoder.ip = BigInt(ip);
      decoder.decodeOut(this.insn);
      if (this.insn.isInvalid)
        return decoder.lastError === NO_MORE_BYTES && bytes.length < 15 ? 'short' : null;
      return extract(this.insn, ip);
    } finally {
      decoder.free();
    }
  }

  /** The instruction's text, Intel syntax. */
  text(bytes: Uint8Array, ip: number): string {
    const decoder = new Decoder(64, bytes, DecoderOptions.None);
    decoder.ip = BigInt(ip);
    decoder.decodeOut(this.insn);
    decoder.free();
    return this.insn.isInvalid ? '(bad)' : this.insn.toString();
  }
}

/** iced's DecoderError.NoMoreBytes. */
const NO_MORE_BYTES = 2;

function extract(insn: Instruction, ip: number): Insn {
  const code = insn.code;
  const count = insn.opCount;
  const ops: Operand[] = [];
  let mem: MemOperand | null = null;
  for (let i = 0; i < count; i++) {
    const kind = insn.opKind(i);
    switch (kind) {
      case OpKind.Register: {
        const info = registers[insn.opRegister(i)];
        ops.push({ kind: 'reg', class: info.class, num: info.num, size: info.size });
        break;
      }
      case OpKind.NearBranch16:
      case OpKind.NearBranch32:
      case OpKind.NearBranch64:
        ops.push({ kind: 'branch', target: Number(insn.nearBranchTarget) });
        break;
      case OpKind.Memory: {
        ops.push({ kind: 'mem' });
        const base = insn.memoryBase;
        mem = {
          base: addressRegister(base),
          index: addressRegister(insn.memoryIndex),
          scale: insn.memoryIndexScale,
          disp: small(insn.memoryDisplacementU64),
          segment: segmentOf(insn.memorySegment),
          addressSize:
            registers[base].class === '32' ||
            base === Register.EIP ||
            registers[insn.memoryIndex].class === '32'
              ? 4
              : 8,
        };
        break;
      }
      case OpKind.Immediate8:
      case OpKind.Immediate8_2nd:
      case OpKind.Immediate16:
      case OpKind.Immediate32:
      case OpKind.Immediate64:
      case OpKind.Immediate8to16:
      case OpKind.Immediate8to32:
      case OpKind.Immediate8to64:
      case OpKind.Immediate32to64:
        ops.push({ kind: 'imm', value: small(insn.immediate(i)) });
        break;
      default: {
        // String operands: implied registers, with a segment that may be overridden for the source.
        ops.push({ kind: 'mem' });
        const address32 =
          kind === OpKind.MemorySegESI || kind === OpKind.MemorySegEDI || kind === OpKind.MemoryESEDI;
        const source = kind === OpKind.MemorySegRSI || kind === OpKind.MemorySegESI;
        const masked = kind === OpKind.MemorySegRDI || kind === OpKind.MemorySegEDI;
        if (!mem || source)
          mem = {
            base: source ? 6 : 7,
            index: -1,
            scale: 1,
            disp: 0,
            segment: source || masked ? segmentOf(insn.memorySegment) : 'none',
            addressSize: address32 ? 4 : 8,
          };
      }
    }
  }
  let flags = flagsByCode[code];
  if (!flags) {
    const read = arithmeticFlags(insn.rflagsRead);
    const written = arithmeticFlags(insn.rflagsModified);
    flags = flagsByCode[code] = { read, written };
  }
  return {
    ip,
    next: ip + insn.length,
    code,
    mnemonic: insn.mnemonic,
    ops,
    mem,
    lock: insn.hasLockPrefix,
    rep: insn.hasRepPrefix,
    repne: insn.hasRepnePrefix,
    flagsRead: flags.read,
    flagsWritten: flags.written,
  };
}

function segmentOf(segment: Register): 'none' | 'fs' | 'gs' {
  return segment === Register.FS ? 'fs' : segment === Register.GS ? 'gs' : 'none';
}

/** A 64-bit value as a number if it is a small signed one, which is cheaper to handle and to emit. */
function small(value: bigint): number | bigint {
  const signed = BigInt.asIntN(64, value);
  return signed >= -0x8000_0000n && signed <= 0x7fff_ffffn ? Number(signed) : signed;
}
