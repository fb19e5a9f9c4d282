import { type Constants, type Insn, type InsnDecoder, type Operand, small } from './insn.js';

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
  /**
   * A trie: by `256 * node + byte` the next node, or, at the last byte before the constants, the complement of an index of `all`. The
   * root is node 0.
   */
  private readonly trie = new Map<number, number>();
  private readonly all: Template[] = [];
  private nodes = 1;

  /** The template of the instruction in the `room` bytes at an index; null if there is none, or if it is longer than that. */
  find(u8: Uint8Array, at: number, room: number, ip: number): Template | null {
    if (ip >= HIGHEST) return null;
    let node = 0;
    for (let i = 0; i < room; i++) {
      const next = this.trie.get(256 * node + u8[at + i]);
      if (next === undefined) return null;
      if (next < 0) {
        const template = this.all[~next];
        return template.length <= room ? template : null;
      }
      node = next;
    }
    return null;
  }

  /** Keeps the template of an instruction that `decoder` has decoded just now, of these bytes, if it has one. */
  learn(decoder: InsnDecoder, insn: Insn, bytes: Uint8Array): void {
    const constants = constantsOf(decoder, insn);
    if (!constants) return;
    const { first } = constants;
    if (this.all.length >= KEPT) this.forget();
    let node = 0;
    for (let i = 0; i < first - 1; i++) {
      const key = 256 * node + bytes[i];
      const next = this.trie.get(key) ?? this.nodes++;
      if (next < 0) return;
      this.trie.set(key, next);
      node = next;
    }
    const last = 256 * node + bytes[first - 1];
    if (this.trie.has(last)) return;
    this.trie.set(last, ~(this.all.push(new Template(insn, constants)) - 1));
  }

  private forget(): void {
    this.trie.clear();
    this.all.length = 0;
    this.nodes = 1;
  }
}
