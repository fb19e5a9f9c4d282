/** Compares a driver's result with the reference's, as far as the architecture defines it, and prints differences. */
import {
  Decoder,
  DecoderOptions,
  Formatter,
  FormatterSyntax,
  Instruction,
  Mnemonic,
  RflagsBits,
} from 'iced-x86';
import type { GeneratedCase } from './cases.js';
import {
  CODE,
  type MemoryRun,
  PAGE,
  patternByte,
  RFLAGS_COMPARED,
  RFLAGS_LOADED,
  type TestCase,
  type TestException,
  type TestResult,
  vectorName,
} from './driver.js';
import { isStringInstruction } from './encodings.js';

/** What of a result doesn't count. */
export interface Rules {
  /** RFLAGS bits without a defined value. */
  readonly undefinedFlags: number;
  /** Bits of the x87 status word without a defined value. */
  readonly undefinedStatus: number;
  /** Memory without defined contents: [first address, length]. */
  readonly ignoredMemory: readonly (readonly [bigint, number])[];
  /**
   * The memory operand [first address, length] of an x87 or SSE instruction that is larger than a quadword: a fault may leave
   * part of it written (SDM vol. 3, 10.1.1, "multiple memory accesses").
   */
  readonly parts: readonly [bigint, number] | null;
  /** A fault may name any address of the operand. */
  readonly anyAddress: boolean;
  /** Allowed relative error of single-precision elements of XMM registers. */
  readonly estimate: number;
  /** Allowed error of x87 registers, in units in the last place: how a transcendental is computed depends on the model. */
  readonly transcendental: bigint;
  /**
   * A store of an MMX register that faults: it must leave the x87 unit as it was, but on some models the unit has made its
   * transition (TOP = 0, all registers valid) by then.
   */
  readonly mmxStore: boolean;
  /**
   * An x87 store: the SDM doesn't say whether an unmasked x87 exception, which leaves the instruction without a store, or a
   * fault of the operand comes first.
   */
  readonly x87Store: boolean;
  /**
   * A string instruction that repeats, with 32-bit addresses: whether upper halves of RCX, RSI and RDI are cleared when no
   * element has been done yet depends on the model. After an element all are.
   */
  readonly upperHalves: boolean;
  /**
   * CMPS or SCAS that repeats: a fault must leave the flags as they were before the instruction (SDM vol. 2, REP); some
   * models leave those of the last element.
   */
  readonly initialFlags: boolean;
  /**
   * Several accesses or checks can fault, and the SDM doesn't say which does first: CMPS; operands that go from the lower half
   * of the address space into what isn't canonical; FXSAVE and FXRSTOR where the address is misaligned (#GP) and not
   * canonical (#SS with RSP or RBP).
   */
  readonly anyFault: boolean;
  /** XMM register of DPPS or DPPD: which NaN comes out, and in which element, depends on the model (SDM vol. 2, DPPD). */
  readonly anyNan: { readonly register: number; readonly elementBytes: 4 | 8 } | null;
  /**
   * The operand's end lies at a page's end, and some models also read the next two bytes: MOVSXD with a 16-bit destination has
   * a 16-bit operand with Intel, a 32-bit one with AMD, and Intel's models differ too.
   */
  readonly readsBeyond: boolean;
  /** The bytes that FXSAVE and FXRSTOR don't use are in a page of their own: some models don't access them at all. */
  readonly skipsEnd: boolean;
}

const RFLAGS: readonly (readonly [number, number])[] = [
  [RflagsBits.OF, 0x800],
  [RflagsBits.SF, 0x80],
  [RflagsBits.ZF, 0x40],
  [RflagsBits.AF, 0x10],
  [RflagsBits.CF, 0x1],
  [RflagsBits.PF, 0x4],
];
const STATUS: readonly (readonly [number, number])[] = [
  [RflagsBits.C0, 0x100],
  [RflagsBits.C1, 0x200],
  [RflagsBits.C2, 0x400],
  [RflagsBits.C3, 0x4000],
];

const TRANSCENDENTAL = new Set([
  ...[Mnemonic.F2xm1, Mnemonic.Fyl2x, Mnemonic.Fyl2xp1, Mnemonic.Fptan, Mnemonic.Fpatan],
  ...[Mnemonic.Fsin, Mnemonic.Fcos, Mnemonic.Fsincos],
]);
const ESTIMATE = new Set([Mnemonic.Rcpps, Mnemonic.Rcpss, Mnemonic.Rsqrtps, Mnemonic.Rsqrtss]);
const SHIFTS = new Set([
  ...[
    Mnemonic.Shl,
    Mnemonic.Sal,
    Mnemonic.Shr,
    Mnemonic.Sar,
    Mnemonic.Rol,
    Mnemonic.Ror,
    Mnemonic.Rcl,
    Mnemonic.Rcr,
  ],
  ...[Mnemonic.Shld, Mnemonic.Shrd],
]);

/** Byte ranges within the operand of x87 state stores that processors fill differently (FOP, FIP, FDP, reserved). */
const UNDEFINED_BYTES: Record<string, readonly (readonly [number, number])[]> = {
  Fnstenv_m14byte: [[6, 8]],
  Fnsave_m94byte: [[6, 8]],
  Fnstenv_m28byte: [[12, 16]],
  Fnsave_m108byte: [[12, 16]],
  Fxsave_m512byte: [
    [6, 18],
    [28, 4],
    [416, 96],
  ],
  Fxsave64_m512byte: [
    [6, 18],
    [28, 4],
    [416, 96],
  ],
};

/** The rules for a case's instruction: undefined flags as iced-x86 knows them, made exact for shifts by CL. */
export function rulesFor({ template, test, operandAddress }: GeneratedCase): Rules {
  const { opcode, encoded } = template;
  const decoder = new Decoder(64, encoded.bytes, DecoderOptions.None);
  const instruction = decoder.decode();
  let undefinedBits = instruction.rflagsUndefined;
  instruction.free();
  decoder.free();
  if (SHIFTS.has(opcode.mnemonic) && opcode.operands.includes('cl')) {
    const count = Number(test.state.gpr[1] & (opcode.operandSize === 64 ? 63n : 31n));
    if (count === 0) undefinedBits = 0;
    else if (count === 1) undefinedBits &= ~RflagsBits.OF;
  }
  // OF is undefined unless the masked count is 0 or 1 (SDM vol. 2, RCL): that it comes to 1 modulo the operand's bits and CF
  // doesn't matter, though iced-x86 thinks so.
  if (
    (opcode.mnemonic === Mnemonic.Rcl || opcode.mnemonic === Mnemonic.Rcr) &&
    opcode.operands.includes('imm8')
  ) {
    const count = encoded.bytes[encoded.bytes.length - 1] & (opcode.operandSize === 64 ? 63 : 31);
    if (count > 1) undefinedBits |= RflagsBits.OF;
  }
  const bytes = opcode.memoryBytes;
  const pageOf = (offset: bigint): bigint | undefined =>
    operandAddress === undefined ? undefined : (operandAddress + offset) / BigInt(PAGE);
  const isSplitBy = (boundary: bigint): boolean =>
    operandAddress !== undefined && operandAddress < boundary && operandAddress + BigInt(bytes) > boundary;
  const misaligned = operandAddress !== undefined && operandAddress % 16n !== 0n;
  const canonical =
    operandAddress === undefined || BigInt.asUintN(64, BigInt.asIntN(48, operandAddress)) === operandAddress;
  const bits = (table: typeof RFLAGS): number =>
    table.reduce((mask, [from, to]) => mask | (undefinedBits & from ? to : 0), 0);
  return {
    undefinedFlags: bits(RFLAGS),
    // Whether a transcendental was rounded up (C1) depends on how it is computed.
    undefinedStatus: bits(STATUS) | (TRANSCENDENTAL.has(opcode.mnemonic) ? 0x200 : 0),
    ignoredMemory: (UNDEFINED_BYTES[opcode.name] ?? []).map(([at, size]) => [
      operandAddress! + BigInt(at),
      size,
    ]),
    parts: operandAddress !== undefined && bytes > 8 ? [operandAddress, bytes] : null,
    anyAddress: bytes > 16 || IN_PARTS.has(opcode.mnemonic),
    estimate: ESTIMATE.has(opcode.mnemonic) ? 1.5 * 2 ** -12 : 0,
    transcendental: TRANSCENDENTAL.has(opcode.mnemonic) ? 1n << 13n : 0n,
    mmxStore: /^Mov(d|q|ntq)_r?m\w+_mm$/.test(opcode.name),
    x87Store: /^F(i?stp?|isttp|bstp)_m/.test(opcode.name),
    upperHalves: isStringInstruction(opcode) && encoded.repeated && encoded.addressSize === 32,
    initialFlags: /^(Cmps|Scas)[bwdq]_/.test(opcode.name) && encoded.repeated,
    anyFault:
      /^Cmps[bwdq]_/.test(opcode.name) ||
      (IN_PARTS.has(opcode.mnemonic) && isSplitBy(1n << 47n)) ||
      (bytes === 512 && misaligned && !canonical),
    anyNan: /^Dpp[sd]_/.test(opcode.name)
      ? { register: encoded.reg!, elementBytes: opcode.mnemonic === Mnemonic.Dpps ? 4 : 8 }
      : null,
    readsBeyond: opcode.mnemonic === Mnemonic.Movsxd && bytes === 2 && pageOf(1n) !== pageOf(3n),
    skipsEnd: bytes === 512 && pageOf(415n) !== pageOf(511n),
  };
}

/** Instructions that access their operand field by field. */
const IN_PARTS = new Set([
  ...[Mnemonic.Fnstenv, Mnemonic.Fnsave, Mnemonic.Fldenv, Mnemonic.Frstor],
  ...[Mnemonic.Fxsave, Mnemonic.Fxsave64, Mnemonic.Fxrstor, Mnemonic.Fxrstor64],
]);

/** RCX, RSI, RDI. */
const STRING_REGISTERS = new Set([1, 6, 7]);

/** #SS, #GP, #PF. */
const isMemoryFault = ({ exception }: TestResult): boolean =>
  exception !== null && [12, 13, 14].includes(exception.vector);

/** Whether one result is a memory fault and the other an x87 exception that is pending now: two orders of the same events. */
function otherOrder(a: TestResult, b: TestResult): boolean {
  const pending = (result: TestResult): boolean => result.exception === null && (result.fx[2] & 0x80) !== 0;
  return (isMemoryFault(a) && pending(b)) || (isMemoryFault(b) && pending(a));
}

const GPR_NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');
const hex = (value: number | bigint, digits = 1): string => `0x${value.toString(16).padStart(digits, '0')}`;
const FLAG_NAMES = new Map([
  [0x1, 'CF'],
  [0x4, 'PF'],
  [0x10, 'AF'],
  [0x40, 'ZF'],
  [0x80, 'SF'],
  [0x400, 'DF'],
  [0x800, 'OF'],
  [0x4_0000, 'AC'],
  [0x20_0000, 'ID'],
]);

/** Names of the flags that are set ("CF ZF"), or "-". */
export function flagNames(rflags: number): string {
  const names = [...FLAG_NAMES].filter(([bit]) => rflags & bit).map(([, name]) => name);
  return names.join(' ') || '-';
}

function exceptionText(exception: TestException | null): string {
  if (!exception) return 'none';
  const { vector, errorCode, address } = exception;
  return (
    vectorName(vector) +
    (vector === 14 ? `(${hex(address)}, ${errorCode})` : errorCode ? `(${errorCode})` : '')
  );
}

/** A little-endian vector as one hexadecimal number. */
function bytesText(bytes: Uint8Array): string {
  return [...bytes]
    .reverse()
    .map((b) => b.toString(16).padStart(2, '0'))
    .join('');
}

/** Byte by address. */
function expand(runs: readonly MemoryRun[]): Map<number, number> {
  const map = new Map<number, number>();
  for (const { address, bytes } of runs) {
    for (let i = 0; i < bytes.length; i++) map.set(address + i, bytes[i]);
  }
  return map;
}

const near = (a: number, b: number, error: number): boolean =>
  Object.is(a, b) || (Number.isNaN(a) && Number.isNaN(b)) || Math.abs(a - b) <= Math.abs(a) * error;

function sameVector(a: Uint8Array, b: Uint8Array, estimate: number): boolean {
  if (a.every((byte, i) => byte === b[i])) return true;
  if (estimate === 0) return false;
  const [x, y] = [new DataView(a.slice().buffer), new DataView(b.slice().buffer)];
  return [0, 4, 8, 12].every((i) => near(x.getFloat32(i, true), y.getFloat32(i, true), estimate));
}

/** Whether floating-point elements are equal, or both NaN. */
function sameButNans(a: Uint8Array, b: Uint8Array, elementBytes: 4 | 8): boolean {
  const elements = (bytes: Uint8Array): Float32Array | Float64Array => {
    const { buffer } = bytes.slice();
    return elementBytes === 4 ? new Float32Array(buffer) : new Float64Array(buffer);
  };
  const [x, y] = [elements(a), elements(b)];
  return x.every((value, i) => Object.is(value, y[i]));
}

/** Whether two x87 registers have the same value but for some units in the last place, or are both NaN. */
function nearExtended(a: Uint8Array, b: Uint8Array, units: bigint): boolean {
  const parts = (bytes: Uint8Array) => {
    const view = new DataView(bytes.slice(0, 10).buffer);
    const high = view.getUint16(8, true);
    const fraction = view.getBigUint64(0, true) & ((1n << 63n) - 1n);
    const exponent = high & 0x7fff;
    const special = exponent !== 0x7fff ? 'finite' : fraction === 0n ? 'infinite' : 'NaN';
    return { sign: high & 0x8000, special, ordinal: (BigInt(exponent) << 63n) | fraction };
  };
  const [x, y] = [parts(a), parts(b)];
  if (x.special !== y.special) return false;
  if (x.special === 'NaN') return true;
  const distance = x.ordinal - y.ordinal;
  return x.sign === y.sign && distance <= units && -distance <= units;
}

function compareX87(expected: Uint8Array, actual: Uint8Array, rules: Rules, report: Report): void {
  const word = (image: Uint8Array, at: number): number => image[at] | (image[at + 1] << 8);
  const mask = 0xffff & ~rules.undefinedStatus;
  if (word(expected, 0) !== word(actual, 0))
    report('fcw', hex(word(expected, 0), 4), hex(word(actual, 0), 4));
  const [want, got] = [word(expected, 2), word(actual, 2)];
  if ((want ^ got) & mask) report('fsw', hex(want, 4), `${hex(got, 4)} (compared: ${hex(mask, 4)})`);
  if (expected[4] !== actual[4]) report('ftw (abridged)', hex(expected[4], 2), hex(actual[4], 2));
  const top = (want >> 11) & 7;
  for (let i = 0; i < 8; i++) {
    if (!((expected[4] >> ((top + i) & 7)) & 1)) continue; // empty
    const [e, a] = [expected, actual].map((image) => image.subarray(32 + 16 * i, 42 + 16 * i));
    if (e.every((byte, j) => byte === a[j])) continue;
    if (rules.transcendental && nearExtended(e, a, rules.transcendental)) continue;
    report(`st${i}`, bytesText(e), bytesText(a));
  }
}

type Report = (what: string, expected: string, actual: string) => void;

/** Differences between two results, one per line; empty if they agree. */
export function compareResults(
  test: TestCase,
  expected: TestResult,
  actual: TestResult,
  rules: Rules,
): string[] {
  const lines: string[] = [];
  const report: Report = (what, e, a) => lines.push(`${what}: expected ${e}, got ${a}`);

  if (rules.x87Store && otherOrder(expected, actual)) return [];
  if (rules.readsBeyond && isMemoryFault(expected)) return [];
  if (rules.skipsEnd && isMemoryFault(actual) && !isMemoryFault(expected)) return [];
  const [want, got] = [expected.exception, actual.exception];
  const bothFault = isMemoryFault(expected) && isMemoryFault(actual);
  if (!sameException(want, got, rules) && !(rules.anyFault && bothFault)) {
    report('exception', exceptionText(want), exceptionText(got));
  }
  if (expected.rip !== actual.rip) report('rip', hex(expected.rip), hex(actual.rip));
  for (let i = 0; i < 16; i++) {
    const [initial, e, a] = [test.state.gpr[i], expected.gpr[i], actual.gpr[i]];
    if (e === a) continue;
    const untouched = lowerHalf(e) === lowerHalf(initial) && (a === initial || a === lowerHalf(initial));
    if (!(rules.upperHalves && STRING_REGISTERS.has(i) && untouched))
      report(GPR_NAMES[i], hex(e, 16), hex(a, 16));
  }
  const flags = RFLAGS_COMPARED & ~rules.undefinedFlags;
  const kept = rules.initialFlags && want && ((test.state.rflags ^ actual.rflags) & RFLAGS_LOADED) === 0;
  if ((expected.rflags ^ actual.rflags) & flags & (kept ? ~RFLAGS_LOADED : -1)) {
    report('flags', flagNames(expected.rflags & flags), flagNames(actual.rflags & flags));
  }
  for (let i = 0; i < 16; i++) {
    const [e, a] = [expected, actual].map((r) => r.xmm.subarray(16 * i, 16 * i + 16));
    if (sameVector(e, a, rules.estimate)) continue;
    if (rules.anyNan?.register === i && sameButNans(e, a, rules.anyNan.elementBytes)) continue;
    report(`xmm${i}`, bytesText(e), bytesText(a));
  }
  if (expected.mxcsr !== actual.mxcsr) report('mxcsr', hex(expected.mxcsr, 4), hex(actual.mxcsr, 4));
  if (!(rules.mmxStore && want && unchangedX87(test, actual)))
    compareX87(expected.fx, actual.fx, rules, report);
  const parts = want && rules.parts ? [rules.parts] : [];
  compareMemory(test, expected, actual, [...rules.ignoredMemory, ...parts], report);
  return lines;
}

const lowerHalf = (value: bigint): bigint => value & 0xffff_ffffn;

/** Whether two results ended by the same exception, or both by none. */
function sameException(want: TestException | null, got: TestException | null, rules: Rules): boolean {
  // From the last page of the lower half on, whether a page is present is the host kernel's affair, not the case's.
  const hidden = want && want.vector === 14 && want.address >= 0x7fff_ffff_f000n ? 1 : 0;
  return (
    want?.vector === got?.vector &&
    ((want?.errorCode ?? 0) | hidden) === ((got?.errorCode ?? 0) | hidden) &&
    (rules.anyAddress || want?.address === got?.address)
  );
}

/** Whether the x87 unit is as it was before the case. */
function unchangedX87(test: TestCase, { fx }: TestResult): boolean {
  const initial = test.state.fx ?? NO_FX;
  return fx.every((byte, i) => byte === initial[i] || !(i < 5 || (i >= 32 && i < 160)));
}

/** The x87 unit of a case that doesn't say one: FCW = 0x37F, all empty. */
const NO_FX = Uint8Array.from({ length: 512 }, (_, i) => (i === 0 ? 0x7f : i === 1 ? 3 : 0));

function compareMemory(
  test: TestCase,
  expected: TestResult,
  actual: TestResult,
  ignoredMemory: Rules['ignoredMemory'],
  report: Report,
): void {
  const [before, e, a] = [test.memory, expected.memory, actual.memory].map(expand);
  const ignored = (at: number): boolean =>
    ignoredMemory.some(([from, size]) => at >= Number(from) && at < Number(from) + size);
  const addresses = [...new Set([...e.keys(), ...a.keys()])].sort((x, y) => x - y);
  let differences = 0;
  for (const at of addresses) {
    if (e.get(at) === a.get(at) || ignored(at)) continue;
    if (++differences > 16) continue;
    const initial = before.get(at) ?? patternByte(at);
    report(`memory ${hex(at)}`, hex(e.get(at) ?? initial, 2), hex(a.get(at) ?? initial, 2));
  }
  if (differences > 16) report('memory', 'nothing else', `${differences - 16} more bytes that differ`);
}

/** Bytes and Intel-syntax text of each instruction of a case's code. */
export function disassemble(code: Uint8Array): string[] {
  const formatter = new Formatter(FormatterSyntax.Nasm);
  const decoder = new Decoder(64, code, DecoderOptions.None);
  decoder.ip = BigInt(CODE);
  const instruction = new Instruction();
  const lines: string[] = [];
  while (decoder.canDecode) {
    const at = decoder.position;
    decoder.decodeOut(instruction);
    const bytes = [...code.subarray(at, at + instruction.length)]
      .map((b) => b.toString(16).padStart(2, '0'))
      .join(' ');
    lines.push(`${hex(CODE + at)}  ${bytes.padEnd(32)}  ${formatter.format(instruction)}`);
  }
  instruction.free();
  decoder.free();
  formatter.free();
  return lines;
}

/** A failed case for a reader: code, the whole initial state, what the reference did, and the differences. */
export function describeFailure(
  generated: GeneratedCase,
  expected: TestResult,
  differences: readonly string[],
): string {
  const { test, operandAddress, template } = generated;
  const { gpr, rflags, xmm, fx } = test.state;
  const lines = [`${template.opcode.name}`, ...disassemble(test.code).map((l) => `  ${l}`), 'initial state'];
  for (let i = 0; i < 16; i += 4) {
    lines.push(
      `  ${[0, 1, 2, 3].map((j) => `${GPR_NAMES[i + j].padStart(3)}=${gpr[i + j].toString(16).padStart(16, '0')}`).join(' ')}`,
    );
  }
  lines.push(`  flags: ${flagNames(rflags)}  mxcsr: ${hex(test.state.mxcsr, 4)}`);
  for (let i = 0; i < 16; i += 2) {
    lines.push(
      `  ${[i, i + 1].map((j) => `${`xmm${j}`.padStart(5)}=${bytesText(xmm.subarray(16 * j, 16 * j + 16))}`).join(' ')}`,
    );
  }
  if (fx) {
    lines.push(
      `  fcw=${bytesText(fx.subarray(0, 2))} fsw=${bytesText(fx.subarray(2, 4))} ftw=${bytesText(fx.subarray(4, 5))}`,
    );
    for (let i = 0; i < 8; i++) lines.push(`  st${i}=${bytesText(fx.subarray(32 + 16 * i, 42 + 16 * i))}`);
  }
  if (operandAddress !== undefined) lines.push(`  memory operand at ${hex(operandAddress)}`);
  for (const { address, bytes } of test.memory) {
    const dump = [...bytes.subarray(0, 64)].map((b) => b.toString(16).padStart(2, '0')).join(' ');
    lines.push(`  [${hex(address)}] ${dump}${bytes.length > 64 ? ` … (${bytes.length} bytes)` : ''}`);
  }
  lines.push(
    `reference: exception ${exceptionText(expected.exception)}, flags ${flagNames(expected.rflags)}`,
  );
  return [...lines, 'differences', ...differences.map((d) => `  ${d}`)].join('\n');
}
