import { type Constants, type Insn, type InsnDecoder, type Operand, small } from './insn.js';
import { PrefixTrie } from './prefix-trie.js';

/**
 * An instruction without its address, displacement and immediate: what the bytes before those decide, so that another with the same
 * bytes need not be decoded. Programs repeat themselves: six of seven instructions of a Go program's start have been met before,
 * two of three of a static hello's.
 */
export class Template {
  readonly length: number;

  /** @param example one of the instructions */
  constructor(
    readonly example: Insn,
    private readonly constants: Constants,
  ) {
    this.length = example.next - example.ip;
  }

  /** The instruction in the bytes at an index, at the guest address `ip`. */
  insn(u8: Uint8Array, at: number, ip: number): Insn {
    const { example, constants } = this;
    const next = ip + this.length;
    let { ops, mem } = example;
    const { displacementOffset, displacementSize, relative } = constants;
    const { immediateOffset, immediateSize, signed, operand } = constants;
    if (immediateSize > 0) {
      const value = constant(u8, at + immediateOffset, immediateSize, signed);
      const { kind } = ops[operand];
      const op: Operand =
        kind === 'branch'
          ? { kind, target: next + Number(value) }
          : { kind: 'imm', value: small(BigInt(value)) };
      ops = ops.map((old, i) => (i === operand ? op : old));
    }
    if (mem && displacementSize > 0) {
      const value = constant(u8, at + displacementOffset, displacementSize, true);
      mem = { ...mem, disp: small(relative ? BigInt(next) + BigInt(value) : BigInt(value)) };
    }
    return { ...example, ip, next, ops, mem };
  }
}

/** The number in `size` bytes, little endian; 0 for none. */
function constant(u8: Uint8Array, at: number, size: number, signed: boolean): number | bigint {
  switch (size) {
    case 0:
      return 0;
    case 1:
      return signed ? (u8[at] << 24) >> 24 : u8[at];
    case 2: {
      const value = u8[at] | (u8[at + 1] << 8);
      return signed ? (value << 16) >> 16 : value;
    }
    case 4: {
      const value = u8[at] | (u8[at + 1] << 8) | (u8[at + 2] << 16) | (u8[at + 3] << 24);
      return signed ? value : value >>> 0;
    }
    default:
      return BigInt(constant(u8, at, 4, false)) | (BigInt(constant(u8, at + 4, 4, true)) << 32n);
  }
}

/** Constants as a template has them: the instruction's last bytes, from `first` on. */
interface LastConstants extends Constants {
  readonly first: number;
}

/**
 * The constants of an instruction that `decoder` has decoded just now; null if it can have no template: constants are the last
 * bytes of nearly all instructions, and two immediates and 32-bit addresses are rare.
 */
export function constantsOf(decoder: InsnDecoder, insn: Insn): LastConstants | null {
  const constants = decoder.constants();
  const { displacementOffset, displacementSize, immediateSize, secondSize, operand } = constants;
  const first = insn.next - insn.ip - displacementSize - immediateSize - secondSize;
  if (displacementSize > 0 && displacementOffset !== first) return null;
  if (secondSize > 0 || insn.mem?.addressSize === 4) return null;
  return immediateSize > 0 && operand < 0 ? null : { ...constants, first };
}

/** Templates kept; a program of millions of random instructions has no end of them. */
const KEPT = 20_000;

/** Templates are used below this address: sums with a constant are exact. Nothing above it can be executed. */
const HIGHEST = 2 ** 47;

/** Finds templates by an instruction's first bytes. */
export class Templates {
  private readonly trie = new PrefixTrie();
  private readonly all: Template[] = [];

  /** The template of the instruction in the `room` bytes at an index; null if there is none, or if it is longer than that. */
  find(u8: Uint8Array, at: number, room: number, ip: number): Template | null {
    if (ip >= HIGHEST) return null;
    const index = this.trie.find(u8, at, room);
    if (index < 0) return null;
    const template = this.all[index];
    return template.length <= room ? template : null;
  }

  /** Keeps the template of an instruction that `decoder` has decoded just now, of these bytes, if it has one. */
  learn(decoder: InsnDecoder, insn: Insn, bytes: Uint8Array): void {
    const constants = constantsOf(decoder, insn);
    if (!constants) return;
    if (this.all.length >= KEPT) {
      this.trie.clear();
      this.all.length = 0;
    }
    if (this.trie.add(bytes, constants.first, this.all.length)) this.all.push(new Template(insn, constants));
  }
}
