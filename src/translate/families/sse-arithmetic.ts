import { CpuState } from '../../cpu/state.js';
import { Op, Type } from '../../wasm/opcodes.js';
import { Simd } from '../../wasm/simd.js';
import type { Emitter } from '../emitter.js';
import type { Row } from '../row.js';
import { Shape, SseKind } from '../sse-operations.js';
import {
  callExact,
  denormal,
  floatLower,
  type Format,
  formatOf,
  isPacked,
  longSignificand,
  notNumber,
  type Operands,
  pairs,
  rightly,
  slowness,
  within,
} from './sse-float.js';
import { lanes, type Lower, splat, sseRow } from './sse-operands.js';

/** ADD SUB MUL DIV SQRT MIN MAX of scalar and packed numbers, HADDx HSUBx ADDSUBx DPPx, and the estimates RCPx and RSQRTx. */

/** How an operation is done inline. */
interface Inline {
  /** Pushes the scalar result of a0 and b0, which are on the stack. */
  scalar(e: Emitter, f: Format): void;
  /** Pushes the packed result of two locals. */
  packed(e: Emitter, f: Format, o: Operands): void;
  /** Operands that the host's operation is right for: nothing but PE can become newly set. */
  readonly range: 'summands' | 'factors';
  /** Whether it is right for zeros too. */
  readonly zeros: boolean;
  /** Pushes a mask (i32) that is not 0 where the result may be inexact; `r` is the result, in all lanes for a scalar. */
  inexact(e: Emitter, f: Format, r: number, o: Operands, packed: boolean): void;
  /** Whether a isn't used. */
  readonly unary?: boolean;
}

const sum: Inline = {
  range: 'summands',
  zeros: true,
  scalar: (e, f) => e.c.op(f.scalarAdd),
  packed: (e, f, { a, b }) => e.c.get(a).get(b).simd(f.add),
  // If r - a is b and r - b is a, the one of these that has the smaller operand is exact (Dekker 1971), and so is r.
  inexact: (e, f, r, { a, b }, packed) => {
    const { c } = e;
    if (packed) {
      c.get(r).get(a).simd(f.sub).get(b).simd(f.ne);
      c.get(r).get(b).simd(f.sub).get(a).simd(f.ne).simd(Simd.or).simd(f.bitmask);
    } else oppositeSums(e, f, r, pairs(e, f, a, b));
  },
};

const difference: Inline = {
  range: 'summands',
  zeros: true,
  scalar: (e, f) => e.c.op(f.scalarSub),
  packed: (e, f, { a, b }) => e.c.get(a).get(b).simd(f.sub),
  inexact: (e, f, r, { a, b }, packed) => {
    const { c } = e;
    if (packed) {
      c.get(a).get(r).simd(f.sub).get(b).simd(f.ne);
      c.get(r).get(b).simd(f.add).get(a).simd(f.ne).simd(Simd.or).simd(f.bitmask);
    } else {
      // As a + (-b): the sign bits of b's lanes.
      c.get(pairs(e, f, a, b));
      if (f.bytes === 8) c.v128(0n, 1n << 63n);
      else c.v128(1n << 63n, 1n << 63n);
      c.simd(Simd.xor);
      oppositeSums(e, f, r, e.toTemp(Type.v128));
    }
  },
};

/** Pushes a mask: r minus [a, b] is not [b, a]. */
function oppositeSums(e: Emitter, f: Format, r: number, pair: number): void {
  const { c } = e;
  c.get(r).get(pair).simd(f.sub);
  c.get(pair)
    .get(pair)
    .shuffle(lanes(f.bytes, ...(f.bytes === 8 ? [1, 0] : [1, 0, 1, 0])));
  c.simd(f.ne).simd(f.bitmask);
}

const product: Inline = {
  range: 'factors',
  zeros: true,
  scalar: (e, f) => e.c.op(f.scalarMul),
  packed: (e, f, { a, b }) => e.c.get(a).get(b).simd(f.mul),
  inexact: (e, f, _r, { a, b }, packed) => {
    const { c } = e;
    if (packed) {
      c.get(a).get(b).simd(Simd.or);
      longSignificand(e, f, e.toTemp(Type.v128));
    } else longSignificand(e, f, pairs(e, f, a, b));
    c.simd(Simd.any_true);
  },
};

const quotient: Inline = {
  range: 'factors',
  zeros: false,
  scalar: (e, f) => e.c.op(f.scalarDiv),
  packed: (e, f, { a, b }) => e.c.get(a).get(b).simd(f.div),
  // r * b is a, exactly.
  inexact: (e, f, r, o, packed) => {
    const { c } = e;
    const [a, b] = packed ? [o.a, o.b] : [lowest(e, f, o.a), lowest(e, f, o.b)];
    c.get(r).get(b).simd(f.mul).get(a).simd(f.ne).simd(f.bitmask);
    c.get(r).get(b).simd(Simd.or);
    longSignificand(e, f, e.toTemp(Type.v128));
    c.simd(Simd.any_true).op(Op.i32_or);
  },
};

const root: Inline = {
  range: 'factors',
  zeros: false,
  unary: true,
  scalar: (e, f) => e.c.op(f.scalarSqrt),
  packed: (e, f, { b }) => e.c.get(b).simd(f.sqrt),
  inexact: (e, f, r, o, packed) => {
    const { c } = e;
    const b = packed ? o.b : lowest(e, f, o.b);
    c.get(r).get(r).simd(f.mul).get(b).simd(f.ne).simd(f.bitmask);
    longSignificand(e, f, r);
    c.simd(Simd.any_true).op(Op.i32_or);
  },
};

/** A new local with the lowest lane in all lanes. */
function lowest(e: Emitter, f: Format, value: number): number {
  e.c.get(value).simdLane(f.extract, 0).simd(f.splat);
  return e.toTemp(Type.v128);
}

/** Pushes whether (i32) there are operands that are not as `check` finds: it pushes ones in lanes where a local is. */
function straying(
  e: Emitter,
  f: Format,
  { unary }: Inline,
  { a, b }: Operands,
  packed: boolean,
  check: (value: number) => void,
): void {
  const { c } = e;
  if (unary) {
    const operand = packed ? b : lowest(e, f, b);
    check(operand);
    // Of these the mask has the sign bits: negative numbers have no root.
    c.get(operand).simd(Simd.andnot);
  } else if (packed) {
    check(a);
    check(b);
    c.simd(Simd.and);
  } else check(pairs(e, f, a, b));
  c.simd(f.bitmask)
    .i32((1 << (16 / f.bytes)) - 1)
    .op(Op.i32_ne);
}

/** An operation that has been done inline. */
interface Done {
  readonly operands: Operands;
  /** What the inline operation was given. */
  readonly arranged: Operands;
  /** Local of its result, in all lanes for a scalar. */
  readonly r: number;
}

/**
 * Pushes the destination's new value: what `result` pushes, or what the exact operation gives. That nothing but the operands must be
 * looked at is found out by one branch. MXCSR has a part in that: with PE set, as is usual, or, in code that has computed nothing but
 * exact results so far, not; such code looks for inexact results on its usual way, and calls for the first.
 */
function settle(
  e: Emitter,
  kind: number,
  shape: number,
  inline: Inline,
  { operands, arranged, r }: Done,
  result: () => void,
): void {
  const { c } = e;
  const f = formatOf(shape);
  const packed = isPacked(shape);
  const range = f.ranges[inline.range];
  const exact = () => callExact(e, kind, shape, 0, operands);
  /** Pushes a mask that isn't 0 if MXCSR and the result ask for the exact operation. */
  const inexact = () => {
    slowness(e);
    const slow = e.toTemp(Type.i32);
    c.get(slow).if(Type.i32);
    inline.inexact(e, f, r, arranged, packed);
    c.get(slow).i32(1).op(Op.i32_shr_u).op(Op.i32_or);
    c.else().i32(0).end();
  };
  const bounds = e.exactSoFar ? CpuState.floatBoundsExact : CpuState.floatBounds;
  straying(e, f, inline, operands, packed, within(e, f, range, bounds));
  e.mayFault();
  c.unlikely().if(Type.v128);
  straying(e, f, inline, operands, packed, rightly(e, f, range, inline.zeros));
  inexact();
  c.op(Op.i32_or);
  c.if(Type.v128);
  exact();
  c.else();
  result();
  c.end();
  c.else();
  if (e.exactSoFar) {
    inexact();
    c.unlikely().if(Type.v128);
    exact();
    c.else();
    result();
    c.end();
  } else result();
  c.end();
}

function arithmetic(kind: number, shape: number, inline: Inline): Lower {
  const f = formatOf(shape);
  const packed = isPacked(shape);
  return floatLower(shape, (e, _insn, o) => {
    const { c } = e;
    let scalar = 0;
    if (packed) inline.packed(e, f, o);
    else {
      if (!inline.unary) c.get(o.a).simdLane(f.extract, 0);
      c.get(o.b).simdLane(f.extract, 0);
      inline.scalar(e, f);
      scalar = e.toTemp(f.type);
      c.get(scalar).simd(f.splat);
    }
    const r = e.toTemp(Type.v128);
    settle(e, kind, shape, inline, { operands: o, arranged: o, r }, () => {
      if (packed) c.get(r);
      else c.get(o.a).get(scalar).simdLane(f.replace, 0);
    });
  });
}

/** MIN, MAX: with neither NaN nor denormals nothing can be raised, whatever MXCSR says. Of equal operands b is taken. */
function extreme(kind: number, shape: number): Lower {
  const f = formatOf(shape);
  const packed = isPacked(shape);
  return floatLower(shape, (e, _insn, o) => {
    const { c } = e;
    strange(e, f, o, packed);
    e.mayFault();
    c.unlikely().if(Type.v128);
    callExact(e, kind, shape, 0, o);
    c.else();
    if (!packed) c.get(o.a);
    c.get(o.b)
      .get(o.a)
      .simd(kind === SseKind.min ? f.pmin : f.pmax);
    if (!packed) c.simdLane(f.extract, 0).simdLane(f.replace, 0);
    c.end();
  });
}

/** Pushes a mask (i32) of operands that are NaN or denormal. */
export function strange(e: Emitter, f: Format, o: Operands, packed: boolean): void {
  const { c } = e;
  if (packed) {
    denormal(e, f, o.a);
    notNumber(e, f, o.a);
    denormal(e, f, o.b);
    notNumber(e, f, o.b);
    c.simd(Simd.or).simd(Simd.or).simd(Simd.or);
  } else {
    const pair = pairs(e, f, o.a, o.b);
    denormal(e, f, pair);
    notNumber(e, f, pair);
    c.simd(Simd.or);
  }
  c.simd(f.bitmask);
}

/** The exact operation alone. */
function exactly(kind: number, shape: number): Lower {
  return floatLower(shape, (e, insn, o) => {
    const op = insn.ops[2];
    callExact(e, kind, shape, op?.kind === 'imm' ? Number(op.value) & 0xff : 0, o);
  });
}

/** HADDx, HSUBx, ADDSUBx as the sum or difference of two rearranged vectors; the exact operation gets the original ones. */
function rearranged(
  kind: number,
  shape: number,
  inline: Inline,
  arrange: (e: Emitter, o: Operands) => Operands,
): Lower {
  const f = formatOf(shape);
  return floatLower(shape, (e, _insn, o) => {
    const { c } = e;
    const arranged = arrange(e, o);
    inline.packed(e, f, arranged);
    const r = e.toTemp(Type.v128);
    settle(e, kind, shape, inline, { operands: o, arranged, r }, () => c.get(r));
  });
}

function evenAndOdd(bytes: 4 | 8) {
  const even = bytes === 8 ? [0, 2] : [0, 2, 4, 6];
  return (e: Emitter, { a, b }: Operands): Operands => {
    const { c } = e;
    c.get(a)
      .get(b)
      .shuffle(lanes(bytes, ...even));
    const first = e.toTemp(Type.v128);
    c.get(a)
      .get(b)
      .shuffle(lanes(bytes, ...even.map((n) => n + 1)));
    return { a: first, b: e.toTemp(Type.v128) };
  };
}

/** b with the even lanes' signs changed. */
function evenNegated(bytes: 4 | 8) {
  return (e: Emitter, { a, b }: Operands): Operands => {
    const { c } = e;
    c.get(b);
    if (bytes === 8) c.v128(1n << 63n, 0n);
    else c.v128(1n << 31n, 1n << 31n);
    c.simd(Simd.xor);
    return { a, b: e.toTemp(Type.v128) };
  };
}

/**
 * RCPx, RSQRTx: 1 / b and 1 / √b, rounded to single precision, which is well within the architecture's relative error of
 * 1.5 * 2^-12 and the same on every host. MXCSR has no part in them: denormal operands count as zeros, tiny results
 * are flushed to zero, nothing is raised.
 */
function estimate(reciprocalRoot: boolean, packed: boolean): Lower {
  return floatLower(packed ? Shape.ps : Shape.ss, (e, _insn, { a, b }) => {
    const { c } = e;
    const signs = 0x8000_0000_8000_0000n;
    /** Pops a v128; pushes it with tiny lanes replaced by zeros of their sign. */
    const flush = () => {
      const value = e.toTemp(Type.v128);
      c.get(value).v128(signs, signs).simd(Simd.and);
      c.get(value);
      c.get(value).simd(Simd.f32x4_abs);
      splat(e, 4, 0x0080_0000n);
      c.simd(Simd.f32x4_lt);
      c.simd(Simd.bitselect);
    };
    c.get(b);
    flush();
    const source = e.toTemp(Type.v128);
    splat(e, 4, 0x3f80_0000n);
    c.get(source);
    if (reciprocalRoot) c.simd(Simd.f32x4_sqrt);
    c.simd(Simd.f32x4_div);
    if (!reciprocalRoot) flush();
    const r = e.toTemp(Type.v128);
    // A NaN gives itself, quiet; a negative number's root the default NaN.
    c.get(b);
    splat(e, 4, 0x0040_0000n);
    c.simd(Simd.or);
    c.get(r);
    notNumberBits(e, b);
    c.simd(Simd.bitselect);
    if (reciprocalRoot) {
      const quieted = e.toTemp(Type.v128);
      splat(e, 4, 0xffc0_0000n);
      c.get(quieted);
      c.get(source).v128(0n, 0n).simd(Simd.f32x4_lt).simd(Simd.bitselect);
    }
    if (!packed) {
      const whole = e.toTemp(Type.v128);
      c.get(a).get(whole).simdLane(Simd.f32x4_extract_lane, 0).simdLane(Simd.f32x4_replace_lane, 0);
    }
  });
}

function notNumberBits(e: Emitter, value: number): void {
  e.c.get(value).get(value).simd(Simd.f32x4_ne);
}

const raising = { mayRaise: true };

function scalarAndPacked(name: string, lower: (shape: number) => Lower): Row[] {
  return [
    ...sseRow(`${name}ss_xmm_xmmm32`, lower(Shape.ss), raising),
    ...sseRow(`${name}sd_xmm_xmmm64`, lower(Shape.sd), raising),
    ...sseRow(`${name}ps_xmm_xmmm128`, lower(Shape.ps), raising),
    ...sseRow(`${name}pd_xmm_xmmm128`, lower(Shape.pd), raising),
  ];
}

export const rows: readonly Row[] = [
  ...scalarAndPacked('Add', (shape) => arithmetic(SseKind.add, shape, sum)),
  ...scalarAndPacked('Sub', (shape) => arithmetic(SseKind.sub, shape, difference)),
  ...scalarAndPacked('Mul', (shape) => arithmetic(SseKind.mul, shape, product)),
  ...scalarAndPacked('Div', (shape) => arithmetic(SseKind.div, shape, quotient)),
  ...scalarAndPacked('Sqrt', (shape) => arithmetic(SseKind.sqrt, shape, root)),
  ...scalarAndPacked('Min', (shape) => extreme(SseKind.min, shape)),
  ...scalarAndPacked('Max', (shape) => extreme(SseKind.max, shape)),
  ...sseRow('Haddps_xmm_xmmm128', rearranged(SseKind.hadd, Shape.ps, sum, evenAndOdd(4)), raising),
  ...sseRow('Haddpd_xmm_xmmm128', rearranged(SseKind.hadd, Shape.pd, sum, evenAndOdd(8)), raising),
  ...sseRow('Hsubps_xmm_xmmm128', rearranged(SseKind.hsub, Shape.ps, difference, evenAndOdd(4)), raising),
  ...sseRow('Hsubpd_xmm_xmmm128', rearranged(SseKind.hsub, Shape.pd, difference, evenAndOdd(8)), raising),
  ...sseRow('Addsubps_xmm_xmmm128', rearranged(SseKind.addsub, Shape.ps, sum, evenNegated(4)), raising),
  ...sseRow('Addsubpd_xmm_xmmm128', rearranged(SseKind.addsub, Shape.pd, sum, evenNegated(8)), raising),
  ...sseRow('Dpps_xmm_xmmm128_imm8', exactly(SseKind.dot, Shape.ps), raising),
  ...sseRow('Dppd_xmm_xmmm128_imm8', exactly(SseKind.dot, Shape.pd), raising),
  ...sseRow('Rcpss_xmm_xmmm32', estimate(false, false)),
  ...sseRow('Rcpps_xmm_xmmm128', estimate(false, true)),
  ...sseRow('Rsqrtss_xmm_xmmm32', estimate(true, false)),
  ...sseRow('Rsqrtps_xmm_xmmm128', estimate(true, true)),
];
