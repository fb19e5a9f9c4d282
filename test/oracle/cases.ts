/** Test cases for an instruction form: its encodings, each with initial states that reach its interesting results. */
import { FlowControl, Mnemonic } from 'iced-x86';
import {
  CODE,
  DATA,
  DATA_END,
  type MemoryRun,
  PAGE,
  RFLAGS_LOADED,
  STACK,
  STACK_END,
  type TestCase,
} from './driver.js';
import { type EncodedInstruction, encode, isStringInstruction } from './encodings.js';
import { chooseAddress, type MemoryOperand, solve } from './memory-operand.js';
import type { Opcode } from './opcodes.js';
import type { Random } from './random.js';
import { ELEMENT_SIZE, element, fxImage, integer, littleEndian, mxcsr, vector } from './values.js';

/** One encoding, ready for any number of states. */
export interface Template {
  readonly opcode: Opcode;
  /** The instruction under test. */
  readonly encoded: EncodedInstruction;
  /** The case's whole code: the instruction alone, or with what a branch needs around it. */
  readonly code: Uint8Array;
  /** Offsets in the code where an indirect branch or return may go; empty for other instructions. */
  readonly targets: readonly number[];
}

/** A case, and where its explicit memory operand lies, for the comparison. */
export interface GeneratedCase {
  readonly template: Template;
  readonly test: TestCase;
  readonly operandAddress: bigint | undefined;
}

export interface CaseOptions {
  /** Also addresses where accesses fault. Default true. */
  readonly faults?: boolean;
}

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSP = 4;
const RBP = 5;
const RSI = 6;
const RDI = 7;

/** MOV AL, 0x11 and MOV BL, 0x22: traces of which way a branch went. */
const MARK_A = [0xb0, 0x11];
const MARK_B = [0xb3, 0x22];
const JMP_SHORT = 0xeb;
const RET = 0xc3;

/** A random encoding of the form in its surroundings, or `undefined` if the encoder finds none. */
export function makeTemplate(
  opcode: Opcode,
  rng: Random,
  { faults = true }: CaseOptions = {},
): Template | undefined {
  switch (opcode.flow) {
    case FlowControl.ConditionalBranch:
    case FlowControl.UnconditionalBranch:
      return rng.chance(0.5) ? forwardBranch(opcode, rng) : backwardBranch(opcode, rng);
    case FlowControl.Call: {
      const encoded = encode(opcode, rng, { plain: true, immediates: [4n] });
      if (!encoded) return undefined;
      // call f; mark A; jmp end; f: mark B; ret; end:
      const code = [...encoded.bytes, ...MARK_A, JMP_SHORT, 3, ...MARK_B, RET];
      return { opcode, encoded, code: Uint8Array.from(code), targets: [] };
    }
    case FlowControl.IndirectBranch:
    case FlowControl.IndirectCall:
    case FlowControl.Return: {
      const encoded = encode(opcode, rng, { faults: false });
      if (!encoded) return undefined;
      const { length } = encoded.bytes;
      const code = [...encoded.bytes, ...MARK_A, ...MARK_B];
      return { opcode, encoded, code: Uint8Array.from(code), targets: [length, length + 2, length + 4] };
    }
    default: {
      const encoded = encode(opcode, rng, { faults });
      return encoded && { opcode, encoded, code: encoded.bytes, targets: [] };
    }
  }
}

function forwardBranch(opcode: Opcode, rng: Random): Template | undefined {
  const encoded = encode(opcode, rng, { plain: true, immediates: [2n] });
  return encoded && { opcode, encoded, code: Uint8Array.from([...encoded.bytes, ...MARK_A]), targets: [] };
}

function backwardBranch(opcode: Opcode, rng: Random): Template | undefined {
  const length = encode(opcode, rng, { plain: true, immediates: [0n] })?.bytes.length;
  if (length === undefined) return undefined;
  // jmp over; back: mark B; jmp end; over: branch to back; mark A; end:
  const encoded = encode(opcode, rng, { plain: true, immediates: [BigInt(-4 - length)] });
  if (encoded?.bytes.length !== length) return undefined;
  const code = [JMP_SHORT, 4, ...MARK_B, JMP_SHORT, length + 2, ...encoded.bytes, ...MARK_A];
  return { opcode, encoded, code: Uint8Array.from(code), targets: [] };
}

/** The state of a case while it is being chosen. */
class Draft {
  readonly gpr = new BigUint64Array(16);
  readonly xmm = new Uint8Array(256);
  rflags = 0;
  mxcsr = 0x1f80;
  fx: Uint8Array | undefined;
  readonly #memory = new Map<number, number>();

  /** Sets initial memory; bytes outside DATA and STACK are left out. */
  patch(address: bigint, bytes: Uint8Array): void {
    bytes.forEach((byte, i) => {
      const at = Number(address) + i;
      if ((at >= DATA && at < DATA_END) || (at >= STACK && at < STACK_END)) this.#memory.set(at, byte);
    });
  }

  memory(): MemoryRun[] {
    const runs: { address: number; bytes: number[] }[] = [];
    for (const at of [...this.#memory.keys()].sort((a, b) => a - b)) {
      const last = runs.at(-1);
      if (last && last.address + last.bytes.length === at) last.bytes.push(this.#memory.get(at)!);
      else runs.push({ address: at, bytes: [this.#memory.get(at)!] });
    }
    return runs.map(({ address, bytes }) => ({ address, bytes: Uint8Array.from(bytes) }));
  }
}

/** A random initial state for the template. */
export function makeCase(
  template: Template,
  rng: Random,
  { faults = true }: CaseOptions = {},
): GeneratedCase {
  const { opcode, encoded } = template;
  const draft = new Draft();
  for (let i = 0; i < 16; i++) draft.gpr[i] = integer(rng, 64);
  for (let i = 0; i < 16; i++) draft.xmm.set(vector(rng, 16, opcode.element), 16 * i);
  // Equal operands are rare by chance and matter to comparisons.
  if (rng.chance(0.15)) draft.gpr[rng.below(16)] = draft.gpr[rng.below(16)];
  if (rng.chance(0.15)) draft.xmm.copyWithin(16 * rng.below(16), 0, 16);
  draft.rflags = rng.u32() & RFLAGS_LOADED;
  draft.mxcsr = mxcsr(rng);
  if (opcode.x87 || rng.chance(0.1)) draft.fx = fxImage(rng);
  if (opcode.stack || rng.chance(0.7)) draft.gpr[RSP] = stackPointer(rng, faults);

  prepareRegisters(template, draft, rng);
  let operandAddress: bigint | undefined;
  const operand = encoded.memory ?? implicitOperand(opcode, encoded, draft);
  if (operand) {
    const mayFault = faults && template.targets.length === 0 && !opcode.operands.includes('seg_rDI');
    const size = opcode.memoryBytes || 8;
    operandAddress = solve(operand, chooseAddress(rng, size, mayFault), draft.gpr, rng);
    fillOperand(template, draft, operandAddress, rng);
  } else if (isStringInstruction(opcode)) {
    prepareString(template, draft, rng, faults);
  }
  prepareTarget(template, draft, operandAddress, rng);

  const { gpr, rflags, xmm, fx } = draft;
  return {
    template,
    test: {
      code: template.code,
      state: { gpr, rflags, xmm, mxcsr: draft.mxcsr, fx },
      memory: draft.memory(),
    },
    operandAddress,
  };
}

function stackPointer(rng: Random, faults: boolean): bigint {
  const kind = rng.below(20);
  if (kind < 12) return BigInt(STACK + 0x800 + 8 * rng.below(0x200));
  if (kind < 14) return BigInt(STACK + 0x800 + rng.below(0x1000));
  if (kind < 18 || !faults) return BigInt(STACK + PAGE - 16 + rng.below(32));
  if (rng.chance(0.2)) return rng.pick([1n << 63n, (1n << 47n) + 8n, 1n << 47n, (1n << 47n) - 4n]); // not canonical
  return BigInt(rng.pick([STACK, STACK_END]) + rng.pick([0, 8, -8, 4, -4, -1, 1, 16, -16, -64]));
}

/** Operands that the encoding doesn't show but that work like a memory operand with one base register. */
function implicitOperand(
  opcode: Opcode,
  encoded: EncodedInstruction,
  draft: Draft,
): MemoryOperand | undefined {
  const { addressSize } = encoded;
  if (opcode.operands.includes('seg_rBX_al')) {
    return { base: RBX, scale: 1, displacement: draft.gpr[RAX] & 0xffn, addressSize };
  }
  if (opcode.operands.includes('seg_rDI')) return { base: RDI, scale: 1, displacement: 0n, addressSize };
  return undefined;
}

/** Register values without which most cases of some instructions would end the same way. */
function prepareRegisters({ opcode, encoded }: Template, draft: Draft, rng: Random): void {
  const { gpr } = draft;
  switch (opcode.mnemonic) {
    case Mnemonic.Div:
    case Mnemonic.Idiv:
      if (rng.chance(0.7)) {
        const small = rng.pick([0n, 0n, 1n, 5n, -1n, -2n]);
        if (opcode.operandSize === 0)
          gpr[RAX] = BigInt.asUintN(64, BigInt.asIntN(1 + rng.below(15), gpr[RAX]));
        else if (rng.chance(0.3))
          gpr[RDX] = BigInt.asIntN(opcode.operandSize, gpr[RAX]) < 0n ? 2n ** 64n - 1n : 0n;
        else gpr[RDX] = BigInt.asUintN(64, small);
      }
      break;
    case Mnemonic.Bt:
    case Mnemonic.Bts:
    case Mnemonic.Btr:
    case Mnemonic.Btc:
      // The bit offset in a register moves the address.
      if (encoded.memory && encoded.reg !== undefined && !opcode.operands.includes('imm8')) {
        const offset = BigInt.asUintN(opcode.operandSize, BigInt(rng.below(1 << 14) - (1 << 13)));
        gpr[encoded.reg] = rng.chance(0.3)
          ? offset | (gpr[encoded.reg] & ~((1n << BigInt(opcode.operandSize)) - 1n))
          : offset;
      }
      break;
    case Mnemonic.Shld:
    case Mnemonic.Shrd:
      if (opcode.operandSize === 16) gpr[RCX] = (gpr[RCX] & ~0x1fn) | BigInt(rng.below(17));
      break;
    case Mnemonic.Loop:
    case Mnemonic.Loope:
    case Mnemonic.Loopne:
    case Mnemonic.Jrcxz:
    case Mnemonic.Jecxz:
      if (rng.chance(0.6)) gpr[RCX] = rng.pick([0n, 1n, 2n, 1n << 32n, (1n << 32n) | 1n]);
      break;
    case Mnemonic.Leave:
    case Mnemonic.Enter:
      gpr[RBP] = stackPointer(rng, opcode.mnemonic === Mnemonic.Leave);
      break;
    case Mnemonic.Pcmpestri:
    case Mnemonic.Pcmpestrm:
    case Mnemonic.Pcmpestri64:
    case Mnemonic.Pcmpestrm64:
      if (rng.chance(0.7)) gpr[RAX] = BigInt.asUintN(64, BigInt(rng.below(40) - 20));
      if (rng.chance(0.7)) gpr[RDX] = BigInt.asUintN(64, BigInt(rng.below(40) - 20));
      break;
    default:
  }
}

/** Contents of the memory operand. */
function fillOperand({ opcode }: Template, draft: Draft, address: bigint, rng: Random): void {
  const size = opcode.memoryBytes || 8;
  const special = specialContents(opcode, rng);
  if (special) {
    draft.patch(address, special);
    return;
  }
  switch (opcode.mnemonic) {
    case Mnemonic.Cmpxchg:
      if (rng.chance(0.5)) draft.patch(address, littleEndian(draft.gpr[RAX], size));
      return;
    case Mnemonic.Cmpxchg8b:
    case Mnemonic.Cmpxchg16b: {
      const half = size / 2;
      draft.patch(address, littleEndian(rng.chance(0.7) ? draft.gpr[RAX] : integer(rng, 64), half));
      draft.patch(
        address + BigInt(half),
        littleEndian(rng.chance(0.7) ? draft.gpr[RDX] : integer(rng, 64), half),
      );
      return;
    }
    default:
  }
  const kind = rng.below(10);
  if (kind < 1) return; // the pattern
  if (kind < 2) draft.patch(address, littleEndian(draft.gpr[rng.below(16)], Math.min(size, 8)));
  else if (kind < 3) draft.patch(address, draft.xmm.slice(0, Math.min(size, 16)));
  else if (opcode.element && ELEMENT_SIZE[opcode.element] === size) {
    draft.patch(address, littleEndian(element(rng, opcode.element), size));
  } else draft.patch(address, vector(rng, size, opcode.element));
}

/** Operands that must have a certain form for the result to be defined. */
function specialContents(opcode: Opcode, rng: Random): Uint8Array | undefined {
  switch (opcode.mnemonic) {
    case Mnemonic.Ldmxcsr: {
      // One reserved bit makes it fault; bit 17 isn't reserved on AMD processors.
      const value = rng.chance(0.85)
        ? mxcsr(rng) | (rng.u32() & 0x603f)
        : 0x1f80 | (1 << rng.pick([16, 18, 24, 31]));
      return littleEndian(BigInt(value >>> 0), 4);
    }
    case Mnemonic.Fxrstor:
    case Mnemonic.Fxrstor64: {
      const image = fxImage(rng);
      image.set(littleEndian(BigInt(mxcsr(rng)), 4), 24);
      image.set(vector(rng, 256), 160);
      return image;
    }
    case Mnemonic.Fldcw:
      return fxImage(rng).slice(0, 2);
    case Mnemonic.Fldenv:
    case Mnemonic.Frstor: {
      const image = fxImage(rng);
      const field = opcode.operandSize === 16 ? 2 : 4;
      const bytes = new Uint8Array(opcode.memoryBytes || 7 * field);
      bytes.set(image.subarray(0, 2), 0);
      bytes.set(image.subarray(2, 4), field);
      bytes.set(rng.bytes(2), 2 * field);
      for (let at = 7 * field; at + 10 <= bytes.length; at += 10)
        bytes.set(littleEndian(element(rng, 'f80'), 10), at);
      return bytes;
    }
    case Mnemonic.Fbld:
      return Uint8Array.from({ length: 10 }, (_, i) =>
        i === 9 ? rng.below(2) << 7 : (rng.below(10) << 4) | rng.below(10),
      );
    default:
      return undefined;
  }
}

/** RSI, RDI and RCX for a string instruction. */
function prepareString({ encoded, opcode }: Template, draft: Draft, rng: Random, faults: boolean): void {
  const { gpr } = draft;
  const size = opcode.memoryBytes || 1;
  const count = rng.pick([0, 1, 2, 3, rng.below(20), rng.below(60)]);
  const extent = size * (encoded.repeated ? Math.max(count, 1) : 1);
  const backwards = (draft.rflags & 0x400) !== 0;
  const place = (register: number): void => {
    const lowest = chooseAddress(rng, extent, faults && rng.chance(0.4));
    const first = backwards ? lowest + BigInt(extent - size) : lowest;
    solve({ base: register, scale: 1, displacement: 0n, addressSize: encoded.addressSize }, first, gpr, rng);
  };
  place(RSI);
  place(RDI);
  // Overlapping strings, and equal ones to compare.
  if (rng.chance(0.2)) gpr[RDI] = BigInt.asUintN(64, gpr[RSI] + BigInt(rng.below(33) - 16));
  if (rng.chance(0.4)) {
    const fill = rng.below(256);
    for (const register of [RSI, RDI]) {
      const first = BigInt.asUintN(encoded.addressSize, gpr[register]);
      const lowest = backwards ? first - BigInt(extent - size) : first;
      if (lowest < BigInt(STACK_END)) draft.patch(lowest, new Uint8Array(extent).fill(fill));
    }
    if (rng.chance(0.5)) gpr[RAX] = BigInt(`0x${fill.toString(16).padStart(2, '0').repeat(8)}`);
  }
  if (encoded.repeated) {
    gpr[RCX] = BigInt(count) | (encoded.addressSize === 32 ? BigInt(rng.u32()) << 32n : 0n);
  }
}

/** Where returns and indirect branches go, and what POPF pops. */
function prepareTarget(template: Template, draft: Draft, operand: bigint | undefined, rng: Random): void {
  const { opcode, encoded, targets } = template;
  if (/^Popf/.test(opcode.name)) {
    const flags = rng.u32() & (RFLAGS_LOADED | 0x20_3202); // and ID, IOPL, IF; the last two can't be changed
    draft.patch(draft.gpr[RSP], littleEndian(BigInt(flags), 8));
  }
  if (targets.length === 0) return;
  const target = littleEndian(BigInt(CODE + rng.pick(targets)), 8);
  if (opcode.flow === FlowControl.Return) draft.patch(draft.gpr[RSP], target);
  else if (operand !== undefined) draft.patch(operand, target);
  else draft.gpr[encoded.rm!] = new DataView(target.buffer).getBigUint64(0, true);
}
