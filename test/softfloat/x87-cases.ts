/** Operands for the x87 tests, and their encoding as the oracle's records. */
import type { F80 } from '../../src/cpu/softfloat/index.js';
import type { Random } from './host.js';

export interface Case {
  op: number;
  control: number;
  /** Condition codes before. */
  cc: number;
  a: F80;
  b: F80;
  memory: Uint8Array;
}

const f80 = (sexp: number, hi: number, lo: number): F80 => ({ sexp, hi, lo });

/** Of each class, positive; the sign is drawn. */
const SPECIAL: F80[] = [
  f80(0, 0, 0),
  f80(0, 0, 1),
  f80(0, 0x7fffffff, 0xffffffff),
  f80(0, 0x00010000, 0),
  f80(0, 0x80000000, 0), // pseudo-denormals
  f80(0, 0xffffffff, 0xffffffff),
  f80(1, 0x80000000, 0),
  f80(1, 0xffffffff, 0xffffffff),
  f80(0x3fff, 0x80000000, 0),
  f80(0x3fff, 0x80000000, 1),
  f80(0x3ffe, 0xffffffff, 0xffffffff),
  f80(0x3ffe, 0x80000000, 0),
  f80(0x4000, 0xc0000000, 0),
  f80(0x403d, 0xffffffff, 0xffffffff),
  f80(0x403e, 0x80000000, 0), // 2^63
  f80(0x401e, 0x80000000, 0), // 2^31
  f80(0x400e, 0x80000000, 0), // 2^15
  f80(0x7ffe, 0xffffffff, 0xffffffff),
  f80(0x7ffe, 0x80000000, 0),
  f80(0x7fff, 0x80000000, 0), // infinity
  f80(0x7fff, 0xc0000000, 0),
  f80(0x7fff, 0xc0000000, 5),
  f80(0x7fff, 0xffffffff, 0xffffffff),
  f80(0x7fff, 0x80000000, 1), // signalling
  f80(0x7fff, 0xa0000000, 0),
  f80(0x7fff, 0xbfffffff, 0xffffffff),
  f80(0x7fff, 0, 0), // pseudo-infinity
  f80(0x7fff, 0x40000000, 1), // pseudo-NaN
  f80(0x3fff, 0x40000000, 0), // unnormals
  f80(0x1234, 0, 0),
];

function randomSignificand(r: Random): [number, number] {
  const hi = (r.word() | 0x80000000) >>> 0;
  const lo = r.word();
  switch (r.below(8)) {
    case 0:
      return [0x80000000, 0];
    case 1:
      return [0xffffffff, 0xffffffff];
    case 2:
      return [hi, 0];
    case 3:
      return [(hi & 0xffffff00) >>> 0, 0]; // an f32's
    case 4:
      return [hi, (lo & 0xfffff800) >>> 0]; // an f64's
    case 5:
      return [(0x80000000 | (1 << r.below(31))) >>> 0, (1 << r.below(32)) >>> 0];
    default:
      return [hi, lo];
  }
}

const EXPONENTS = [
  0x3fff, 0x3fff, 0x3fff, 0x403e, 0x401e, 0x400e, 1, 0x7ffd, 0x3f81, 0x3f6a, 0x3c01, 0x3bcd, 0x407e, 0x43fe,
];

export function randomF80(r: Random, near?: F80): F80 {
  const sign = (r.word() >>> 31) << 15;
  if (r.below(5) === 0) {
    const s = r.pick(SPECIAL);
    return { ...s, sexp: s.sexp | sign };
  }
  const [hi, lo] = randomSignificand(r);
  if (r.below(24) === 0) return f80(sign, r.word() >>> (1 + r.below(31)), r.word());
  if (near !== undefined && r.below(4) === 0) return f80(sign | (near.sexp & 0x7fff), near.hi, near.lo);
  let exp: number;
  const kind = r.below(4);
  if (near !== undefined && kind < 2) exp = (near.sexp & 0x7fff) + r.below(141) - 70;
  else if (kind < 3) exp = r.pick(EXPONENTS) + r.below(21) - 10;
  else exp = r.below(0x7fff);
  return f80(sign | Math.max(0, Math.min(0x7ffe, exp)), exp <= 0 ? hi & 0x7fffffff : hi, lo);
}

/** Masked most of the time; reserved precision control now and then. */
function randomControl(r: Random): number {
  const masks = r.below(3) === 0 ? r.below(64) : 0x3f;
  const pc = r.below(16) === 0 ? 1 : r.pick([0, 2, 3, 3]);
  return masks | 0x40 | (pc << 8) | (r.below(4) << 10);
}

function randomMemory(r: Random, format: 'f32' | 'f64' | 'int' | 'bcd' | 'pattern'): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 16; i += 4) view.setUint32(i, r.word(), true);
  if (format === 'bcd') {
    for (let i = 0; i < 9; i++) bytes[i] = r.below(10) * 16 + r.below(10);
    bytes.fill(0, r.below(10), 9);
    bytes[9] = r.below(2) * 0x80;
  } else if (format === 'int') {
    bytes.fill(r.pick([0, 0xff]), r.below(9), 8);
    if (r.below(8) === 0) view.setUint32(4, 0x80000000, true);
  } else if (format === 'f32') {
    const exp = r.pick([0, 0, 0xff, 1, 0x7f, 0x80, 0xfe, r.below(256)]);
    const fraction = r.pick([0, 1, 0x400000, 0x7fffff, r.below(0x800000)]);
    view.setUint32(0, (r.below(2) << 31) | (exp << 23) | fraction, true);
  } else if (format === 'f64') {
    const exp = r.pick([0, 0, 0x7ff, 1, 0x3ff, 0x400, 0x7fe, r.below(0x800)]);
    view.setUint32(
      4,
      (r.below(2) << 31) | (exp << 20) | r.pick([0, 1, 0x80000, 0xfffff, r.below(0x100000)]),
      true,
    );
    view.setUint32(0, r.pick([0, 1, 0xffffffff, r.word()]), true);
  }
  return bytes;
}

export function randomCase(r: Random, op: number, format: Parameters<typeof randomMemory>[1]): Case {
  const a = randomF80(r);
  return {
    op,
    control: randomControl(r),
    cc: r.word() & 0x4700,
    a,
    b: randomF80(r, a),
    memory: randomMemory(r, format),
  };
}

/** See x87-oracle.c for the layout. */
export function encodeCases(cases: readonly Case[]): Uint8Array {
  const bytes = new Uint8Array(cases.length * 64);
  const view = new DataView(bytes.buffer);
  cases.forEach((c, i) => {
    const at = i * 64;
    view.setUint8(at, c.op);
    view.setUint16(at + 2, c.control, true);
    view.setUint16(at + 4, c.cc, true);
    writeF80(view, at + 16, c.a);
    writeF80(view, at + 32, c.b);
    bytes.set(c.memory, at + 48);
  });
  return bytes;
}

function writeF80(view: DataView, at: number, a: F80): void {
  view.setUint32(at, a.lo, true);
  view.setUint32(at + 4, a.hi, true);
  view.setUint16(at + 8, a.sexp, true);
}

export const readF80 = (view: DataView, at: number): F80 => ({
  lo: view.getUint32(at, true),
  hi: view.getUint32(at + 4, true),
  sexp: view.getUint16(at + 8, true),
});

const hex = (n: number, digits: number): string => (n >>> 0).toString(16).padStart(digits, '0');
export const showF80 = (a: F80): string => `${hex(a.sexp, 4)}:${hex(a.hi, 8)}${hex(a.lo, 8)}`;
export const showCase = (c: Case): string =>
  `cw ${hex(c.control, 4)} cc ${hex(c.cc, 4)} a ${showF80(c.a)} b ${showF80(c.b)} m ${Buffer.from(c.memory.subarray(0, 10)).toString('hex')}`;
