import { CpuState } from '../cpu/state.js';
import type { Memory } from '../memory/memory.js';
import { emittedModule } from '../startup/kept-module.js';
import { Code, type Label } from '../wasm/code.js';
import { ModuleWriter } from '../wasm/module.js';
import { Op, Type } from '../wasm/opcodes.js';
import { Simd } from '../wasm/simd.js';
import {
  denormal,
  DOUBLE,
  extraordinary,
  type Format,
  notFinite,
  SINGLE,
  type Sink,
} from './families/sse-float.js';
import { Shape, SSE_A, SSE_B, SSE_RESULT, SseKind } from './sse-operations.js';
import { sseSlow } from './sse-slow.js';
import { crc32Body, stringMatchBody } from './sse-strings.js';

const { i32, i64, v128 } = Type;

let compiled: WebAssembly.Module | undefined;

/** The helpers of SSE, for all CPUs of a memory. */
export function sseHelpers(memory: Memory): WebAssembly.Exports {
  compiled ??= emittedModule('sse', sseBytes);
  return new WebAssembly.Instance(compiled, { e: { m: memory.wasm, slow: sseSlow(memory) } }).exports;
}

export function sseBytes(): Uint8Array<ArrayBuffer> {
  const m = new ModuleWriter();
  const slow = m.importFunc('e', 'slow', [i32, i32, i32], [i32]);
  m.importMemory('e', 'm');
  m.export('sse', m.func([i32, i32, i32, v128, v128], [v128, i32], arithmeticBody(slow)));
  m.export('stringMatch', m.func([i32, i32, i32, v128, v128], [i32], stringMatchBody()));
  m.export('crc32', m.func([i64, i32], [i64], crc32Body()));
  return m.finish();
}

/** A function of the runtime; locals are not reused. */
class Body implements Sink {
  readonly c: Code;

  constructor(params: number) {
    this.c = new Code(params);
  }

  toTemp(type: number): number {
    const local = this.c.local(type);
    this.c.set(local);
    return local;
  }
}

/**
 * sse(cpu, operation, imm, a, b) -> result, and 1 if it raised an exception instead: see HELPERS.
 *
 * With MXCSR's default settings, sums, products, quotients and roots that the inline checks of the sse-* families were
 * too coarse for are decided here: zeros, and exact results of long significands while PE isn't set. The rest is
 * TypeScript's.
 */
function arithmeticBody(slow: number): Uint8Array {
  const body = new Body(5);
  const { c } = body;
  const [cpu, operation, imm, a, b] = [0, 1, 2, 3, 4];
  const settled = c.local(i32);
  const scalar = c.local(i32);
  const whole = c.local(v128);

  const undecided = c.block();
  c.get(cpu).mem(Op.i32_load, CpuState.mxcsrSlow).tee(settled).i32(2).op(Op.i32_and).brIf(undecided);
  c.get(operation)
    .i32(4 * (SseKind.sqrt + 1))
    .op(Op.i32_ge_u)
    .brIf(undecided);
  c.get(cpu)
    .get(a)
    .simdMem(Simd.v128_store, CpuState.scratch + SSE_A);
  c.get(cpu)
    .get(b)
    .simdMem(Simd.v128_store, CpuState.scratch + SSE_B);
  c.get(a).set(whole);
  c.get(operation).i32(2).op(Op.i32_and).op(Op.i32_eqz).set(scalar);
  const cases: [number, Format][] = [];
  for (let kind: number = SseKind.add; kind <= SseKind.sqrt; kind++)
    for (const f of [SINGLE, DOUBLE]) cases.push([kind, f]);
  const exact = c.block();
  const labels: Label[] = cases.map(() => c.block());
  // Case 2 * kind + format.
  c.get(operation).i32(2).op(Op.i32_shr_u).i32(1).op(Op.i32_shl);
  c.get(operation).i32(Shape.sd).op(Op.i32_and).op(Op.i32_or);
  c.brTable([...labels].reverse(), labels[0]);
  for (const [kind, f] of cases) {
    c.end();
    c.get(scalar);
    c.if();
    for (const operand of [a, b]) c.get(operand).simdLane(f.extract, 0).simd(f.splat).set(operand);
    c.end();
    const result = decide(body, kind, f, a, b, settled);
    c.brIf(exact);
    c.get(scalar);
    c.if(v128);
    c.get(whole).get(result).simdLane(f.extract, 0).simdLane(f.replace, 0);
    c.else().get(result).end();
    c.i32(0).ret();
  }
  c.end(); // exact
  c.get(cpu)
    .simdMem(Simd.v128_load, CpuState.scratch + SSE_A)
    .set(a);
  c.get(cpu)
    .simdMem(Simd.v128_load, CpuState.scratch + SSE_B)
    .set(b);
  c.end(); // undecided

  c.get(cpu)
    .get(a)
    .simdMem(Simd.v128_store, CpuState.scratch + SSE_A);
  c.get(cpu)
    .get(b)
    .simdMem(Simd.v128_store, CpuState.scratch + SSE_B);
  c.get(cpu).get(operation).get(imm).call(slow).set(settled);
  c.get(cpu).simdMem(Simd.v128_load, CpuState.scratch + SSE_RESULT);
  c.get(settled);
  return c.finish();
}

/** Computes a packed result into the local returned; pushes a mask that isn't 0 if it can't be sure of its flags. */
function decide(body: Body, kind: number, f: Format, a: number, b: number, slowness: number): number {
  const { c } = body;
  const isZero = (value: number) => c.get(value).v128(0n, 0n).simd(f.eq);
  if (kind === SseKind.sqrt) c.get(b).simd(f.sqrt);
  else c.get(a).get(b).simd([f.add, f.sub, f.mul, f.div][kind]);
  const r = body.toTemp(v128);

  denormal(body, f, b);
  if (kind !== SseKind.sqrt) {
    denormal(body, f, a);
    c.simd(Simd.or);
  }
  if (kind === SseKind.add || kind === SseKind.sub) {
    notFinite(body, f, r);
    c.simd(Simd.or).simd(f.bitmask);
    c.get(slowness);
    c.if(i32);
    if (kind === SseKind.add) c.get(r).get(a).simd(f.sub);
    else c.get(a).get(r).simd(f.sub);
    c.get(b).simd(f.ne);
    c.get(r)
      .get(b)
      .simd(kind === SseKind.add ? f.sub : f.add)
      .get(a)
      .simd(f.ne);
    c.simd(Simd.or).simd(f.bitmask);
    c.else().i32(0).end();
    c.op(Op.i32_or);
    return r;
  }
  // Zeros that come from zeros, not from underflow.
  isZero(r);
  if (kind === SseKind.mul) {
    isZero(a);
    isZero(b);
    c.simd(Simd.or).simd(Simd.and);
  } else if (kind === SseKind.div) {
    isZero(a);
    c.simd(Simd.and);
  }
  const zeros = body.toTemp(v128);
  extraordinary(body, f, r);
  c.get(zeros).simd(Simd.andnot).simd(Simd.or).simd(f.bitmask);
  c.get(slowness);
  c.if(i32);
  // x * y is z?
  const [x, y, z] = kind === SseKind.mul ? [a, b, r] : kind === SseKind.div ? [r, b, a] : [r, r, b];
  inexactProduct(body, f, x, y, z);
  c.get(zeros).simd(f.bitmask).i32(-1).op(Op.i32_xor).op(Op.i32_and);
  c.else().i32(0).end();
  c.op(Op.i32_or);
  return r;
}

/** Pushes the mask of lanes in which x * y is not exactly z, or (f64 only) isn't sure to be. */
function inexactProduct(body: Body, f: Format, x: number, y: number, z: number): void {
  const { c } = body;
  if (f === DOUBLE) {
    c.get(x).get(y).simd(f.mul).get(z).simd(f.ne).simd(f.bitmask);
    // A number ending in n zeros has 53 - n significant bits; a product has no more than its factors together.
    for (const lane of [0, 1]) {
      for (const factor of [x, y]) {
        c.get(factor)
          .simdLane(Simd.i64x2_extract_lane, lane)
          .i64(1n << f.fraction)
          .op(Op.i64_or)
          .op(Op.i64_ctz);
      }
      c.op(Op.i64_add).i64(53).op(Op.i64_lt_u).i32(lane).op(Op.i32_shl).op(Op.i32_or);
    }
    return;
  }
  // Products of singles are exact as doubles.
  const wide = (value: number, high: boolean) => {
    c.get(value);
    if (high) c.get(value).shuffle([8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15]);
    c.simd(Simd.f64x2_promote_low_f32x4);
  };
  for (const high of [false, true]) {
    wide(x, high);
    wide(y, high);
    c.simd(DOUBLE.mul);
    wide(z, high);
    c.simd(DOUBLE.ne).simd(DOUBLE.bitmask);
    if (high) c.i32(2).op(Op.i32_shl).op(Op.i32_or);
  }
}
