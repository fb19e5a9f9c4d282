/**
 * Round-to-nearest f32 and f64 arithmetic against JavaScript's own, which every host has, and x87 against exact values
 * where double arithmetic is exact.
 */
import { describe, expect, it } from 'vitest';
import * as sf from '../../src/cpu/softfloat/index.js';
import { Random, SEED } from './host.js';

const view = new DataView(new ArrayBuffer(8));
const fromBits = (hi: number, lo: number): number => {
  view.setUint32(0, hi);
  view.setUint32(4, lo);
  return view.getFloat64(0);
};
const toBits = (x: number): [number, number] => {
  view.setFloat64(0, x);
  return [view.getUint32(0), view.getUint32(4)];
};
const f32FromBits = (bits: number): number => {
  view.setUint32(0, bits);
  return view.getFloat32(0);
};
const f32ToBits = (x: number): number => {
  view.setFloat32(0, x);
  return view.getUint32(0);
};

type Binary = (a: number, b: number) => number;
const OPERATIONS: [string, Binary, typeof sf.f64Add, typeof sf.f32Add][] = [
  ['add', (a, b) => a + b, sf.f64Add, sf.f32Add],
  ['sub', (a, b) => a - b, sf.f64Sub, sf.f32Sub],
  ['mul', (a, b) => a * b, sf.f64Mul, sf.f32Mul],
  ['div', (a, b) => a / b, sf.f64Div, sf.f32Div],
];

describe('IEEE arithmetic to nearest', () => {
  it.each(OPERATIONS)('%s', (_, js, f64, f32) => {
    const r = new Random(SEED);
    const env = new sf.SseEnv();
    for (let i = 0; i < 20_000; i++) {
      const a = [r.word(), r.word()];
      const b = [(a[0] + ((r.below(120) - 60) << 20)) >>> 0, r.word()];
      const expected = js(fromBits(a[0], a[1]), fromBits(b[0], b[1]));
      f64(env, a[0], a[1], b[0], b[1]);
      if (!Number.isNaN(expected)) expect([env.hi, env.lo]).toEqual(toBits(expected));
      const single = Math.fround(js(f32FromBits(a[1]), f32FromBits(b[1])));
      // twice rounded is once rounded here: doubles have more than twice the bits of singles, but not among denormals
      if (!Number.isNaN(single) && Math.abs(single) > 2e-38) {
        expect(f32(env, a[1], b[1])).toBe(f32ToBits(single));
      }
    }
  });

  it('sqrt', () => {
    const r = new Random(SEED);
    const env = new sf.SseEnv();
    for (let i = 0; i < 20_000; i++) {
      const x = fromBits(r.word() & 0x7fefffff, r.word());
      sf.f64Sqrt(env, ...toBits(x));
      expect([env.hi, env.lo]).toEqual(toBits(Math.sqrt(x)));
    }
  });

  it('double precision control, for results in the range of doubles', () => {
    const r = new Random(SEED);
    const env = new sf.X87Env();
    env.control = 0x027f;
    for (let i = 0; i < 20_000; i++) {
      const a = (r.word() - 0x80000000) * 2 ** (r.below(200) - 100) + r.word();
      const b = (r.word() - 0x7fffffff) * 2 ** (r.below(200) - 100) - r.word();
      const a80 = sf.f80FromF64(env, ...toBits(a));
      const b80 = sf.f80FromF64(env, ...toBits(b));
      for (const [f, expected] of [
        [sf.fadd, a + b],
        [sf.fsubr, b - a],
        [sf.fmul, a * b],
        [sf.fdiv, a / b],
      ] as const) {
        const result = f(env, a80, b80);
        sf.f80ToF64(env, result);
        expect(fromBits(env.hi, env.lo)).toBe(expected);
        expect(env.raised).toBe(0);
      }
    }
  });

  it('elementary functions, to the precision of doubles', () => {
    const r = new Random(SEED);
    const env = new sf.X87Env();
    const value = (a: sf.F80): number => {
      sf.f80ToF64(env, a);
      return fromBits(env.hi, env.lo);
    };
    const close = (a: number, b: number): void =>
      expect(Math.abs(a - b)).toBeLessThanOrEqual(Math.abs(b) * 2 ** -50);
    for (let i = 0; i < 500; i++) {
      const x = (r.word() / 2 ** 32) * 0.75 + 1e-9;
      const f = sf.f80FromF64(env, ...toBits(x));
      close(value(sf.fsin(env, f)), Math.sin(x));
      close(value(sf.fcos(env, f)), Math.cos(x));
      close(value(sf.fptan(env, f).tangent), Math.tan(x));
      close(value(sf.fpatan(env, f, sf.F80_ONE)), Math.atan2(1, x));
      close(value(sf.fyl2xp1(env, f, sf.fldln2(env))), Math.log1p(x));
      close(value(sf.fyl2x(env, f, sf.fldln2(env))), Math.log(x));
      close(value(sf.f2xm1(env, f)), Math.expm1(x * Math.LN2));
    }
  });
});
