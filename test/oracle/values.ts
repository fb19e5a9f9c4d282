/** Operand values: random ones mixed with those at which instructions tend to go wrong. */
import type { Random } from './random.js';

/** What a vector register or memory operand is filled with. */
export type Element = 'i8' | 'i16' | 'i32' | 'i64' | 'f32' | 'f64' | 'f80';

/** Bytes of an element. */
export const ELEMENT_SIZE: Record<Element, number> = {
  i8: 1,
  i16: 2,
  i32: 4,
  i64: 8,
  f32: 4,
  f64: 8,
  f80: 10,
};

const VECTOR_ELEMENTS: readonly Element[] = ['i8', 'i16', 'i32', 'i64', 'f32', 'f64'];

/** An integer of at most 32 bits, unsigned. */
function integer32(rng: Random, bits: number): number {
  const value = ((): number => {
    switch (rng.below(8)) {
      case 0:
      case 1:
      case 2:
        return rng.u32();
      case 3: // sign boundaries of every size that fits
      case 4: {
        const top = 2 ** (8 * 2 ** rng.below(Math.log2(bits) - 2) - 1);
        const middle = rng.pick([0, 1, -1, 2]) * top;
        return middle + rng.below(3) - 1;
      }
      case 5:
        return rng.below(66);
      case 6:
        return 2 ** rng.below(bits) + rng.below(3) - 1;
      default: // random, narrower, either sign
        return (rng.u32() | 0) >> rng.below(bits);
    }
  })();
  return bits === 32 ? value >>> 0 : (value & (2 ** bits - 1)) >>> 0;
}

/** An integer of `bits` bits, unsigned: 8, 16, 32 or 64. */
export function integer(rng: Random, bits: number): bigint {
  if (bits <= 32) return BigInt(integer32(rng, bits));
  switch (rng.below(8)) {
    case 0:
    case 1:
    case 2:
      return rng.u64();
    case 3: // sign boundaries
      return BigInt.asUintN(
        64,
        (1n << rng.pick([7n, 8n, 15n, 16n, 31n, 32n, 63n])) + BigInt(rng.below(3) - 1),
      );
    case 4: // a narrower value's kinds, extended either way
      return rng.chance(0.5)
        ? BigInt(integer32(rng, 32))
        : BigInt.asUintN(64, BigInt(integer32(rng, 32) | 0));
    case 5:
      return BigInt(rng.below(66));
    case 6:
      return BigInt.asUintN(64, (1n << BigInt(rng.below(64))) + BigInt(rng.below(3) - 1));
    default: // random, narrower, either sign
      return BigInt.asUintN(64, BigInt.asIntN(64, rng.u64()) >> BigInt(rng.below(64)));
  }
}

/** A signed value for an immediate or displacement of `bits` bits. */
export function signedInteger(rng: Random, bits: number): bigint {
  const top = 1n << BigInt(bits - 1);
  if (rng.chance(0.4))
    return BigInt.asIntN(bits, rng.pick([0n, 1n, -1n, 0x7fn, -0x80n, 0x80n, top - 1n, -top]));
  return BigInt.asIntN(bits, integer(rng, bits));
}

/**
 * An IEEE 754 number of `exponent` + `fraction` + 1 bits: zeros, denormals, infinities, quiet and signalling NaNs,
 * numbers near 1, near the integer ranges and at ties, and random bits.
 */
function float(rng: Random, exponent: number, fraction: number): bigint {
  const f = BigInt(fraction);
  const maximum = (1n << BigInt(exponent)) - 1n;
  const bias = maximum >> 1n;
  const ones = (1n << f) - 1n;
  const random = rng.u64() & ones;
  const magnitude = ((): bigint => {
    switch (rng.below(12)) {
      case 0:
        return rng.pick([0n, 1n, ones, 1n << f, (1n << f) + 1n]); // zero, denormals, least normals
      case 1:
        return random; // denormal
      case 2:
        return rng.pick([maximum << f, ((maximum - 1n) << f) | ones]); // infinity, greatest
      case 3: // NaNs
        return (
          (maximum << f) | rng.pick([1n << (f - 1n), (1n << (f - 1n)) | random, 1n, (random >> 1n) | 1n])
        );
      case 4:
        return rng.pick([
          bias << f,
          (bias - 1n) << f,
          (bias << f) | (1n << (f - 1n)),
          ((bias + 1n) << f) | (1n << (f - 2n)),
        ]);
      case 5: // at and beside powers of two where integers end
        return (
          ((bias + BigInt(rng.pick([7, 8, 15, 16, 23, 24, 31, 32, 52, 53, 62, 63, 64]))) << f) +
          BigInt(rng.below(3) - 1)
        );
      case 6: // small integers and halves
        return ((bias + BigInt(rng.below(6))) << f) | (random & (((1n << 6n) - 1n) << (f - 6n)));
      case 7: // near underflow and overflow
        return (rng.pick([BigInt(1 + rng.below(3)), maximum - 1n - BigInt(rng.below(3))]) << f) | random;
      case 8:
        return ((BigInt(rng.u32()) & maximum) << f) | random;
      default:
        return ((bias + BigInt(rng.below(41) - 20)) << f) | random;
    }
  })();
  return (
    (BigInt(rng.below(2)) << (BigInt(exponent) + f)) | (magnitude & ((1n << (BigInt(exponent) + f)) - 1n))
  );
}

/** An 80-bit x87 number, sometimes one of the encodings the 387 and later call invalid. */
function float80(rng: Random): bigint {
  const sign = BigInt(rng.below(2)) << 79n;
  const integerBit = 1n << 63n;
  if (rng.chance(0.5)) {
    // A number a program could have loaded: a double, widened.
    const d = float(rng, 11, 52);
    const e = (d >> 52n) & 0x7ffn;
    const m = (d & ((1n << 52n) - 1n)) << 11n;
    if (e === 0x7ffn) return sign | (0x7fffn << 64n) | integerBit | m;
    if (e !== 0n) return sign | ((e - 1023n + 16383n) << 64n) | integerBit | m;
    return sign | (m === 0n ? 0n : ((1n - 1023n + 16383n) << 64n) | integerBit | m);
  }
  const random = rng.u64();
  const near = 16383n + BigInt(rng.below(141) - 70);
  return (
    sign |
    rng.pick([
      0n,
      random >> 1n, // denormal
      random | integerBit, // pseudo-denormal
      (0x7fffn << 64n) | integerBit, // infinity
      (0x7fffn << 64n) | (3n << 62n) | (random >> 2n), // quiet NaN
      (0x7fffn << 64n) | integerBit | (random >> 2n) | 1n, // signalling NaN
      (near << 64n) | (random >> 1n), // unnormal
      (near << 64n) | integerBit,
      (near << 64n) | integerBit | random,
      (near << 64n) | integerBit | (random & (0xffffn << 47n)),
      (BigInt(rng.below(0x7fff)) << 64n) | integerBit | random,
    ])
  );
}

/** Bits of one element. */
export function element(rng: Random, kind: Element): bigint {
  switch (kind) {
    case 'f32':
      return float(rng, 8, 23);
    case 'f64':
      return float(rng, 11, 52);
    case 'f80':
      return float80(rng);
    default:
      return integer(rng, 8 * ELEMENT_SIZE[kind]);
  }
}

/** Little-endian bytes of `value`. */
export function littleEndian(value: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(16, length));
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt.asUintN(64, value), true);
  if (length > 8) view.setBigUint64(8, BigInt.asUintN(64, value >> 64n), true);
  return bytes.subarray(0, length);
}

/** `length` bytes filled with elements of one kind, mostly `preferred`. */
export function vector(rng: Random, length: number, preferred?: Element): Uint8Array {
  const kind = preferred && rng.chance(0.75) ? preferred : rng.pick(VECTOR_ELEMENTS);
  const size = ELEMENT_SIZE[kind];
  const out = new Uint8Array(length + 16);
  const view = new DataView(out.buffer);
  for (let at = 0; at < length; at += size) {
    if (kind === 'i8') out[at] = integer32(rng, 8);
    else if (kind === 'i16') view.setUint16(at, integer32(rng, 16), true);
    else if (kind === 'i32') view.setUint32(at, integer32(rng, 32), true);
    else if (kind === 'f32') view.setUint32(at, Number(element(rng, kind)), true);
    else if (kind === 'f80') out.set(littleEndian(element(rng, kind), 10), at);
    else view.setBigUint64(at, element(rng, kind), true);
  }
  return out.slice(0, length);
}

/**
 * An MXCSR: mostly the default with any rounding, flush-to-zero and denormals-are-zero; sometimes with exceptions
 * unmasked or flags already set. Bits 16–31 stay clear.
 */
export function mxcsr(rng: Random): number {
  let value = 0x1f80;
  if (rng.chance(0.5)) value |= rng.below(4) << 13;
  if (rng.chance(0.2)) value |= 0x8000;
  if (rng.chance(0.2)) value |= 0x40;
  if (rng.chance(0.2)) value |= rng.below(64);
  if (rng.chance(0.1)) value &= ~(rng.below(64) << 7);
  return value;
}

/** An x87 state as a 512-byte FXSAVE image (bytes 0–5 and 32–159; the rest is zero). */
export function fxImage(rng: Random): Uint8Array {
  const image = new Uint8Array(512);
  let fcw = 0x37f;
  if (rng.chance(0.4)) fcw = (fcw & ~0xc00) | (rng.below(4) << 10);
  if (rng.chance(0.3)) fcw = (fcw & ~0x300) | (rng.pick([0, 2, 3]) << 8);
  if (rng.chance(0.15)) fcw &= ~rng.below(64);
  let fsw = (rng.below(8) << 11) | (rng.below(2) << 14) | (rng.below(8) << 8);
  if (rng.chance(0.3)) fsw |= rng.below(64);
  if (fsw & 0x40 && !(fsw & 1)) fsw &= ~0x40; // a stack fault is an invalid operation
  if (fsw & ~fcw & 0x3f) fsw = rng.chance(0.8) ? fsw & ~0x3f : fsw | 0x8080; // ES and B follow pending exceptions
  const tags = rng.chance(0.5) ? 0xff : rng.below(256);
  image.set(littleEndian(BigInt(fcw), 2), 0);
  image.set(littleEndian(BigInt(fsw), 2), 2);
  image[4] = tags;
  for (let i = 0; i < 8; i++) image.set(littleEndian(float80(rng), 10), 32 + 16 * i);
  return image;
}
