/** Operands for the SSE tests, and their encoding as the oracle's records. */
import type { Random } from './host.js';

export interface Case {
  op: number;
  mxcsr: number;
  /** Destination and source operand, 16 bytes each. */
  a: DataView;
  b: DataView;
}

const F32_SPECIAL = [
  0, 1, 0x7fffff, 0x400000, 0x800000, 0x800001, 0x7f7fffff, 0x7f800000, 0x7fc00000, 0x7fc12345, 0x7f800001,
  0x7fa00000, 0x3f800000, 0x3f800001, 0x3f7fffff, 0x4b7fffff, 0x4f000000, 0x4effffff, 0x5f000000, 0x3f000000,
  0x3fc00000,
];

function randomF32(r: Random, near: number): number {
  const sign = r.word() & 0x80000000;
  const kind = r.below(8);
  if (kind < 3) return (sign | r.pick(F32_SPECIAL)) >>> 0;
  const fraction = r.pick([0, 0x7fffff, 1 << r.below(23), r.word() & 0x7fffff, r.word() & 0x7fffff]);
  if (kind === 3) return (sign | fraction) >>> 0;
  const nearExp = (near >>> 23) & 0xff;
  const exp = kind < 6 ? nearExp + r.below(53) - 26 : kind === 6 ? 127 + r.below(70) - 20 : r.below(255);
  return (sign | (Math.max(0, Math.min(254, exp)) << 23) | fraction) >>> 0;
}

const F64_SPECIAL: [number, number][] = [
  [0, 0],
  [0, 1],
  [0xfffff, 0xffffffff],
  [0x80000, 0],
  [0x100000, 0],
  [0x100000, 1],
  [0x7fefffff, 0xffffffff],
  [0x7ff00000, 0],
  [0x7ff80000, 0],
  [0x7ff80000, 7],
  [0x7ff00000, 1],
  [0x7ff40000, 0],
  [0x3ff00000, 0],
  [0x3ff00000, 1],
  [0x3fefffff, 0xffffffff],
  [0x43e00000, 0],
  [0x43dfffff, 0xffffffff],
  [0x41dfffff, 0xffc00000],
  [0x41e00000, 0],
  [0x41e00000, 0x00100000],
  [0x47efffff, 0xe0000000], // the largest f32
  [0x47efffff, 0xf0000000],
  [0x38100000, 0], // the smallest normal f32
  [0x380fffff, 0xf0000000],
  [0x36a00000, 0],
  [0x36900000, 0],
  [0x3fe00000, 0],
];

function randomF64(r: Random, near: number): [number, number] {
  const sign = r.word() & 0x80000000;
  const kind = r.below(8);
  if (kind < 3) {
    const [hi, lo] = r.pick(F64_SPECIAL);
    return [(sign | hi) >>> 0, lo];
  }
  const hi = r.pick([0, 0xfffff, 1 << r.below(20), r.word() & 0xfffff, r.word() & 0xfffff]);
  const lo = r.pick([0, 0xffffffff, (1 << r.below(32)) >>> 0, r.word(), (r.word() & 0xe0000000) >>> 0]);
  if (kind === 3) return [(sign | hi) >>> 0, lo];
  const nearExp = (near >>> 20) & 0x7ff;
  const exp = kind < 6 ? nearExp + r.below(111) - 55 : kind === 6 ? 1023 + r.below(320) - 160 : r.below(2047);
  return [(sign | (Math.max(0, Math.min(2046, exp)) << 20) | hi) >>> 0, lo];
}

function randomInteger(r: Random): [number, number] {
  const shift = r.below(32);
  const lo = r.pick([0, 1, 0xffffffff, 0x80000000, r.word(), r.word() >>> shift]);
  const hi = r.pick([0, 0xffffffff, 0x80000000, 0x7fffffff, r.word(), r.word() >>> shift]);
  return [hi, lo];
}

export function randomCase(r: Random, op: number, format: 'f32' | 'f64' | 'int'): Case {
  const a = new DataView(new ArrayBuffer(16));
  const b = new DataView(new ArrayBuffer(16));
  if (format === 'f32') {
    for (let i = 0; i < 16; i += 4) {
      const x = randomF32(r, r.word());
      a.setUint32(i, x, true);
      b.setUint32(i, randomF32(r, x), true);
    }
  } else {
    for (let i = 0; i < 16; i += 8) {
      const [ah, al] = randomF64(r, r.word());
      const [bh, bl] = format === 'int' ? randomInteger(r) : randomF64(r, ah);
      a.setUint32(i, al, true);
      a.setUint32(i + 4, ah, true);
      b.setUint32(i, bl, true);
      b.setUint32(i + 4, bh, true);
    }
  }
  const masks = r.below(5) === 0 ? r.below(64) : 0x3f;
  const mxcsr =
    (masks << 7) |
    (r.below(4) << 13) |
    (r.below(4) === 0 ? 0x40 : 0) |
    (r.below(4) === 0 ? 0x8000 : 0) |
    // flags from before stay
    (r.below(8) === 0 ? r.below(64) & masks : 0);
  return { op, mxcsr, a, b };
}

/** See sse-oracle.c for the layout. */
export function encodeCases(cases: readonly Case[]): Uint8Array {
  const bytes = new Uint8Array(cases.length * 64);
  const view = new DataView(bytes.buffer);
  cases.forEach((c, i) => {
    view.setUint8(i * 64, c.op);
    view.setUint32(i * 64 + 4, c.mxcsr, true);
    bytes.set(new Uint8Array(c.a.buffer), i * 64 + 16);
    bytes.set(new Uint8Array(c.b.buffer), i * 64 + 32);
  });
  return bytes;
}

export const hex = (view: DataView, offset = 0, length = 16): string => {
  let s = '';
  for (let i = offset; i < offset + length; i += 4)
    s += ` ${view.getUint32(i, true).toString(16).padStart(8, '0')}`;
  return s;
};
