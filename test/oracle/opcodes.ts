/** Which instructions the oracle can test, and what of iced-x86's opcode table the encoder needs. */
import {
  Code,
  CodeExt,
  CpuidFeature,
  EncodingKind,
  type FlowControl,
  Instruction,
  type MandatoryPrefix,
  MemorySize,
  MemorySizeExt,
  Mnemonic,
  OpCodeOperandKind,
  OpCodeTableKind,
} from 'iced-x86';
import type { Element } from './values.js';

/** An instruction form; plain data, so that nothing of iced-x86's WebAssembly memory stays allocated. */
export interface Opcode {
  readonly code: Code;
  /** Name of the code ("Add_rm32_r32"). */
  readonly name: string;
  readonly mnemonic: Mnemonic;
  /** Escape bytes of the opcode map: none, 0F, 0F 38 or 0F 3A. */
  readonly escape: readonly number[];
  /** One or two bytes after the escape, in order of encoding. */
  readonly opcode: readonly number[];
  readonly mandatoryPrefix: MandatoryPrefix;
  /** 16, 32, 64, or 0 if the form doesn't depend on it. */
  readonly operandSize: number;
  /** Operand size is 64 without REX.W. */
  readonly wide: boolean;
  /** 32, 64, or 0 if the form doesn't depend on it. */
  readonly addressSize: number;
  /** ModRM.reg where it extends the opcode, else -1. */
  readonly group: number;
  /** ModRM.rm where it extends the opcode, else -1. */
  readonly rmGroup: number;
  /** Names in `OpCodeOperandKind`. */
  readonly operands: readonly string[];
  readonly flow: FlowControl;
  readonly lockable: boolean;
  readonly repeatable: boolean;
  readonly repeatableNotEqual: boolean;
  /** Uses RSP implicitly. */
  readonly stack: boolean;
  /** x87 or MMX: the initial state needs an FXSAVE image. */
  readonly x87: boolean;
  /** Bytes of the memory operand; 0 if there is none or its size is open. */
  readonly memoryBytes: number;
  /** Element of the memory operand, if it says one. */
  readonly element: Element | undefined;
  /** CPUID features, as iced-x86 names them. */
  readonly features: readonly string[];
}

/** /proc/cpuinfo's names of the CPUID features of testable instructions; those every x86-64 has aren't listed. */
const HOST_FLAG: Record<string, string> = {
  ADX: 'adx',
  AES: 'aes',
  BMI1: 'bmi1',
  CLFLUSHOPT: 'clflushopt',
  CLWB: 'clwb',
  CMPXCHG16B: 'cx16',
  GFNI: 'gfni',
  LZCNT: 'abm',
  MOVBE: 'movbe',
  PCLMULQDQ: 'pclmulqdq',
  POPCNT: 'popcnt',
  PREFETCHW: '3dnowprefetch',
  SHA: 'sha_ni',
  SSE3: 'pni',
  SSE4_1: 'sse4_1',
  SSE4_2: 'sse4_2',
  SSSE3: 'ssse3',
};

const BASELINE = new Set(
  (
    'INTEL8086 INTEL186 INTEL286 INTEL386 INTEL486 X64 FPU FPU287 FPU387 CMOV CX8 MMX SSE SSE2 FXSR CLFSH PAUSE ' +
    'MULTIBYTENOP CET_IBT'
  ).split(' '),
);

const SKIPPED: Record<string, string> = {
  ...reasons('reads the processor’s tables', 'Sgdt Sidt Sldt Str Smsw Lar Lsl Verr Verw'),
  ...reasons('loads a segment register', 'Lss Lfs Lgs'),
  ...reasons('the driver’s own segment bases', 'Rdfsbase Rdgsbase Wrfsbase Wrgsbase'),
  ...reasons('enters the kernel', 'Int Int1 Iret Iretd Iretq Retf Retfq'),
  ...reasons('not deterministic', 'Rdtsc Rdtscp Rdrand Rdseed Cpuid Rdpid'),
  ...reasons('depends on the processor’s state components', 'Xsave Xsave64 Xrstor Xrstor64 Xgetbv Xsetbv'),
  ...reasons('no defined result', 'Fstpnce'),
};

function reasons(reason: string, mnemonics: string): Record<string, string> {
  return Object.fromEntries(mnemonics.split(' ').map((m) => [m, reason]));
}

const SKIPPED_CODES: Record<string, string> = {
  ...reasons(
    'loads a segment register',
    'Mov_Sreg_rm16 Mov_Sreg_r32m16 Mov_Sreg_r64m16 Popw_FS Popw_GS Popq_FS Popq_GS',
  ),
  ...reasons('far branch', 'Call_m1616 Call_m1632 Call_m1664 Jmp_m1616 Jmp_m1632 Jmp_m1664'),
  ...reasons('undefined result', 'Bswap_r16'),
};

/** Why the generator doesn't make this form, or `undefined` if it does. Independent of the host. */
export function skipReason(code: Code): string | undefined {
  const info = CodeExt.opCode(code);
  const instruction = new Instruction();
  try {
    instruction.code = code;
    if (!info.isInstruction) return 'not an instruction';
    if (info.encoding !== EncodingKind.Legacy) return `${EncodingKind[info.encoding]} encoding`;
    if (!info.mode64) return 'not in 64-bit mode';
    if (info.isReservedNop) return 'reserved NOP';
    if (info.fwait) return 'two instructions: WAIT and the one without it';
    if (!info.intelDecoder64 || !info.amdDecoder64) return 'AMD and Intel differ';
    if (info.isInputOutput) return 'port I/O';
    if (info.mustBeCpl0 || info.isPrivileged) return 'privileged';
    const feature = features(instruction).find((f) => !BASELINE.has(f) && !(f in HOST_FLAG));
    if (feature) return `feature ${feature}`;
    return SKIPPED[Mnemonic[info.mnemonic]] ?? SKIPPED_CODES[Code[code]];
  } finally {
    instruction.free();
    info.free();
  }
}

/** Whether a processor with these /proc/cpuinfo flags has the instruction. */
export function hostHas(opcode: Opcode, flags: ReadonlySet<string>): boolean {
  return opcode.features.every((f) => !(f in HOST_FLAG) || flags.has(HOST_FLAG[f]));
}

/** All forms the generator makes. */
export function testableCodes(): Code[] {
  return (Object.values(Code) as (Code | string)[]).filter(
    (c): c is Code => typeof c === 'number' && skipReason(c) === undefined,
  );
}

function features(instruction: Instruction): string[] {
  return [...instruction.cpuidFeatures()].map((f) => CpuidFeature[f]);
}

const ELEMENT_OF: Partial<Record<string, Element>> = {
  Int8: 'i8',
  UInt8: 'i8',
  Int16: 'i16',
  UInt16: 'i16',
  Int32: 'i32',
  UInt32: 'i32',
  Int64: 'i64',
  UInt64: 'i64',
  Float32: 'f32',
  Float64: 'f64',
  Float80: 'f80',
};

const ESCAPES: Partial<Record<OpCodeTableKind, readonly number[]>> = {
  [OpCodeTableKind.Normal]: [],
  [OpCodeTableKind.T0F]: [0x0f],
  [OpCodeTableKind.T0F38]: [0x0f, 0x38],
  [OpCodeTableKind.T0F3A]: [0x0f, 0x3a],
};

/** Facts about a form that `skipReason` lets through. */
export function opcodeOf(code: Code): Opcode {
  const info = CodeExt.opCode(code);
  const instruction = new Instruction();
  try {
    instruction.code = code;
    const names = features(instruction);
    const escapeBytes = ESCAPES[info.table];
    if (!escapeBytes) throw new Error(`${Code[code]}: opcode map ${OpCodeTableKind[info.table]}`);
    return {
      code,
      name: Code[code],
      mnemonic: info.mnemonic,
      escape: escapeBytes,
      opcode: info.opCodeLength === 1 ? [info.opCode] : [info.opCode >> 8, info.opCode & 0xff],
      mandatoryPrefix: info.mandatoryPrefix,
      operandSize: info.operandSize,
      wide: info.defaultOpSize64 || info.forceOpSize64 || info.intelForceOpSize64,
      addressSize: info.addressSize,
      group: info.groupIndex,
      rmGroup: info.rmGroupIndex,
      operands: Array.from({ length: info.opCount }, (_, i) => OpCodeOperandKind[info.opKind(i)]),
      flow: instruction.flowControl,
      lockable: info.canUseLockPrefix,
      repeatable: info.canUseRepPrefix,
      repeatableNotEqual: info.canUseRepnePrefix,
      stack: instruction.isStackInstruction,
      x87:
        names.some((f) => f.startsWith('FPU')) ||
        usesMmx(info.instructionString) ||
        /^(Emms|Fx)/.test(Code[code]),
      memoryBytes: MemorySizeExt.size(info.memorySize),
      element: ELEMENT_OF[MemorySize[MemorySizeExt.elementType(info.memorySize)]],
      features: names,
    };
  } finally {
    instruction.free();
    info.free();
  }
}

/** Whether an instruction string of iced-x86 ("PADDB mm, mm/m64") names an MMX register. */
function usesMmx(text: string): boolean {
  return /\bmm\d?\b/.test(text);
}
