import { type Code, Mnemonic, OpKind, Register, RflagsBits } from './iced/enums.js';
import { type IcedLibrary, icedLibrary } from './iced/library.js';
import { Flag } from '../cpu/flags.js';

/** Register classes as the lowering code distinguishes them. `high` are AH, CH, DH, BH. */
export type RegClass = 'low8' | 'high8' | '16' | '32' | '64' | 'xmm' | 'mm' | 'st' | 'seg' | 'other';

/** An operand of a decoded instruction. Immediates are sign-extended to 64 bits as the instruction prescribes. */
export type Operand =
  | { readonly kind: 'reg'; readonly class: RegClass; readonly num: number; readonly size: number }
  | { readonly kind: 'mem' }
  | { readonly kind: 'imm'; readonly value: number | bigint }
  /** A target in the kernel's half is negative. */
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
  /** Bytes of the memory operand; 0 if it has none or one of no particular size. */
  readonly memorySize: number;
  readonly lock: boolean;
  /** F3 (REP, REPE) and F2 (REPNE) where they repeat a string instruction. */
  readonly rep: boolean;
  readonly repne: boolean;
  /** Arithmetic flags read. */
  readonly flagsRead: number;
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

/** The longest instruction (SDM vol. 2, 2.3.11). */
export const MAX_INSN = 15;

/** iced's DecoderError.NoMoreBytes. */
const DECODER_ERROR_NO_MORE_BYTES = 2;

/** A decoder of 64-bit code. It keeps its objects inside the library for its life. */
export class InsnDecoder {
  private readonly iced = icedLibrary();
  private readonly instruction = this.iced.instruction_new();
  private readonly decoder: number;
  /** Where the decoder reads its bytes from, inside the library's memory. */
  private readonly bytes: number;
  private memory = new Uint8Array(0);

  constructor() {
    const { iced } = this;
    this.bytes = iced.__wbindgen_malloc(MAX_INSN, 1);
    const result = iced.__wbindgen_add_to_stack_pointer(-16);
    iced.decoder_new(result, 64, this.bytes, MAX_INSN, 0);
    this.decoder = new Int32Array(iced.memory.buffer)[result / 4];
    iced.__wbindgen_add_to_stack_pointer(16);
  }

  /** Whether the latest bytes that were no instruction are the beginning of something longer. */
  wantsMore(): boolean {
    const { iced, decoder, instruction } = this;
    if (iced.decoder_lastError(decoder) === DECODER_ERROR_NO_MORE_BYTES) return true;
    if (iced.instruction_length(instruction) < MAX_INSN) return false;
    // The library calls what is longer than an instruction may be invalid. Without its first byte, a prefix, it is not that long.
    const result = iced.__wbindgen_add_to_stack_pointer(-16);
    iced.decoder_set_position(result, decoder, 1);
    iced.decoder_decodeOut(decoder, instruction);
    iced.__wbindgen_add_to_stack_pointer(16);
    return iced.decoder_lastError(decoder) === DECODER_ERROR_NO_MORE_BYTES;
  }

  /** Decodes the instruction at the start of `bytes`, of which it uses at most 15; null if it is none. */
  decode(bytes: Uint8Array, ip: number): Insn | null {
    const { iced, decoder, instruction } = this;
    // The library's memory is in another buffer when it has grown, and the old one is then empty.
    if (this.memory.length === 0) this.memory = new Uint8Array(iced.memory.buffer);
    const { memory } = this;
    // At the end of the decoder's bytes, so that it doesn't find more than there are.
    const start = Math.max(0, MAX_INSN - bytes.length);
    for (let i = start; i < MAX_INSN; i++) memory[this.bytes + i] = bytes[i - start];
    const result = iced.__wbindgen_add_to_stack_pointer(-16);
    iced.decoder_set_position(result, decoder, start);
    iced.decoder_set_ip(decoder, BigInt(ip));
    iced.decoder_decodeOut(decoder, instruction);
    const insn = iced.instruction_isInvalid(instruction) ? null : extract(iced, instruction, ip, result);
    iced.__wbindgen_add_to_stack_pointer(16);
    return insn;
  }

  /** The constants of the instruction decoded last. */
  constants(): Constants {
    const { iced, decoder, instruction } = this;
    const offsets = iced.decoder_getConstantOffsets(decoder, instruction);
    const kinds = OP_KIND.slice(0, iced.instruction_opCount(instruction)).map((name) =>
      iced[name](instruction),
    );
    const operand = kinds.findIndex((kind) => IMMEDIATES.has(kind));
    const base = iced.instruction_memoryBase(instruction);
    const constants = {
      displacementOffset: iced.constantoffsets_displacementOffset(offsets),
      displacementSize: iced.constantoffsets_displacementSize(offsets),
      immediateOffset: iced.constantoffsets_immediateOffset(offsets),
      immediateSize: iced.constantoffsets_immediateSize(offsets),
      secondSize: iced.constantoffsets_immediateSize2(offsets),
      operand,
      signed: operand >= 0 && IMMEDIATES.get(kinds[operand])!,
      relative: base === Register.RIP || base === Register.EIP,
    };
    iced.__wbg_constantoffsets_free(offsets);
    return constants;
  }
}

/** Operands that are in the instruction's last bytes, and whether they are sign-extended. */
const IMMEDIATES: ReadonlyMap<number, boolean> = new Map([
  [OpKind.NearBranch16, true],
  [OpKind.NearBranch32, true],
  [OpKind.NearBranch64, true],
  [OpKind.Immediate8, false],
  [OpKind.Immediate16, false],
  [OpKind.Immediate32, false],
  [OpKind.Immediate64, false],
  [OpKind.Immediate8to16, true],
  [OpKind.Immediate8to32, true],
  [OpKind.Immediate8to64, true],
  [OpKind.Immediate32to64, true],
]);

/** Where an instruction has a displacement or an immediate: bytes [offset, offset + size) of it. Size 0: nowhere. */
export interface Constants {
  readonly displacementOffset: number;
  readonly displacementSize: number;
  readonly immediateOffset: number;
  readonly immediateSize: number;
  /** Bytes of a second immediate, behind the first. */
  readonly secondSize: number;
  /** The operand that the immediate is, -1 for none, and whether it is sign-extended; a branch's distance is. */
  readonly operand: number;
  readonly signed: boolean;
  /** Whether the displacement counts from the next instruction. */
  readonly relative: boolean;
}

/** @param scratch 16 bytes on the library's stack, for results that don't fit in a return value */
function extract(iced: IcedLibrary, insn: number, ip: number, scratch: number): Insn {
  const code = iced.instruction_code(insn);
  const count = iced.instruction_opCount(insn);
  const ops: Operand[] = [];
  let mem: MemOperand | null = null;
  for (let i = 0; i < count; i++) {
    const kind = iced[OP_KIND[i]](insn);
    switch (kind) {
      case OpKind.Register: {
        const info = registers[iced[OP_REGISTER[i]](insn)];
        ops.push({ kind: 'reg', class: info.class, num: info.num, size: info.size });
        break;
      }
      case OpKind.NearBranch16:
      case OpKind.NearBranch32:
      case OpKind.NearBranch64:
        ops.push({
          kind: 'branch',
          target: Number(BigInt.asIntN(64, iced.instruction_nearBranchTarget(insn))),
        });
        break;
      case OpKind.Memory: {
        ops.push({ kind: 'mem' });
        const base = iced.instruction_memoryBase(insn);
        const index = iced.instruction_memoryIndex(insn);
        const narrow =
          registers[base].class === '32' || base === Register.EIP || registers[index].class === '32';
        mem = {
          base: addressRegister(base),
          index: addressRegister(index),
          scale: iced.instruction_memoryIndexScale(insn),
          disp: small(iced.instruction_memoryDisplacement(insn)),
          segment: segmentOf(iced.instruction_memorySegment(insn)),
          addressSize: narrow ? 4 : 8,
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
        iced.instruction_immediate(scratch, insn, i);
        ops.push({ kind: 'imm', value: small(new BigInt64Array(iced.memory.buffer, scratch, 1)[0]) });
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
            segment: source || masked ? segmentOf(iced.instruction_memorySegment(insn)) : 'none',
            addressSize: address32 ? 4 : 8,
          };
      }
    }
  }
  return {
    ip,
    next: ip + iced.instruction_length(insn),
    code,
    mnemonic: iced.instruction_mnemonic(insn),
    ops,
    mem,
    memorySize: mem ? bytesOf(iced, iced.instruction_memorySize(insn)) : 0,
    lock: iced.instruction_hasLockPrefix(insn) !== 0,
    rep: iced.instruction_hasRepPrefix(insn) !== 0,
    repne: iced.instruction_hasRepnePrefix(insn) !== 0,
    flagsRead: arithmeticFlags(iced.instruction_rflagsRead(insn)),
  };
}

const memorySizes: (number | undefined)[] = [];

/** Bytes of one of iced's MemorySize. */
function bytesOf(iced: IcedLibrary, memorySize: number): number {
  return (memorySizes[memorySize] ??= iced.memorysizeext_size(memorySize));
}

const OP_KIND = [
  'instruction_op0Kind',
  'instruction_op1Kind',
  'instruction_op2Kind',
  'instruction_op3Kind',
] as const;
const OP_REGISTER = [
  'instruction_op0Register',
  'instruction_op1Register',
  'instruction_op2Register',
  'instruction_op3Register',
] as const;

function segmentOf(segment: Register): 'none' | 'fs' | 'gs' {
  return segment === Register.FS ? 'fs' : segment === Register.GS ? 'gs' : 'none';
}

/** A 64-bit value as a number if it is a small signed one, which is cheaper to handle and to emit. */
export function small(value: bigint): number | bigint {
  const signed = BigInt.asIntN(64, value);
  return signed >= -0x8000_0000n && signed <= 0x7fff_ffffn ? Number(signed) : signed;
}
