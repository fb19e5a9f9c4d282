import * as soft from '../cpu/softfloat/index.js';
import { CpuState, Exit, Vector } from '../cpu/state.js';
import { setMxcsr } from '../cpu/xsave.js';
import type { Memory } from '../memory/memory.js';
import { Shape, SSE_A, SSE_B, SSE_RESULT, SseKind } from './sse-operations.js';

/**
 * SSE floating point in software, with every flag, rounding mode and exception: what the emitted code turns to when
 * the host's operation isn't certain to be the guest's.
 */

type BinaryF32 = (env: soft.SseEnv, a: number, b: number) => number;
type BinaryF64 = (env: soft.SseEnv, aHi: number, aLo: number, bHi: number, bLo: number) => void;

const BINARY_F32: Record<number, BinaryF32> = {
  [SseKind.add]: soft.f32Add,
  [SseKind.sub]: soft.f32Sub,
  [SseKind.mul]: soft.f32Mul,
  [SseKind.div]: soft.f32Div,
  [SseKind.min]: soft.f32Min,
  [SseKind.max]: soft.f32Max,
  [SseKind.sqrt]: (env, _a, b) => soft.f32Sqrt(env, b),
};

const BINARY_F64: Record<number, BinaryF64> = {
  [SseKind.add]: soft.f64Add,
  [SseKind.sub]: soft.f64Sub,
  [SseKind.mul]: soft.f64Mul,
  [SseKind.div]: soft.f64Div,
  [SseKind.min]: soft.f64Min,
  [SseKind.max]: soft.f64Max,
  [SseKind.sqrt]: (env, _aHi, _aLo, bHi, bLo) => soft.f64Sqrt(env, bHi, bLo),
};

/** Kinds whose lanes are those of other operations: for lane i, which one. */
function laneKind(kind: number, lane: number): number {
  return kind === SseKind.addsub ? (lane & 1 ? SseKind.add : SseKind.sub) : kind;
}

/** (cpu, operation, imm) -> 0 with the result in scratch, or 1 with the exception in CpuState and nothing changed but MXCSR. */
export function sseSlow(memory: Memory): (cpu: number, operation: number, imm: number) => number {
  const env = new soft.SseEnv();
  const words = memory.i32;
  // Word indices of the operands and the result.
  let a = 0;
  let b = 0;
  let r = 0;

  /** Writes env's f64 to lane i. */
  const put = (i: number): void => {
    words[r + 2 * i] = env.lo;
    words[r + 2 * i + 1] = env.hi;
  };

  /** Lane i of a binary operation from lane x of the operand at p and lane y of the one at q. */
  const lane = (
    kind: number,
    double: boolean,
    i: number,
    p: number,
    x: number,
    q: number,
    y: number,
  ): void => {
    if (double) {
      BINARY_F64[kind](env, words[p + 2 * x + 1], words[p + 2 * x], words[q + 2 * y + 1], words[q + 2 * y]);
      put(i);
    } else words[r + i] = BINARY_F32[kind](env, words[p + x], words[q + y]);
  };

  const compareLane = (double: boolean, i: number, imm: number): void => {
    if (double) {
      const [hi, lo] = [2 * i + 1, 2 * i];
      const holds = soft.f64Compare(env, imm, words[a + hi], words[a + lo], words[b + hi], words[b + lo]);
      words[r + lo] = words[r + hi] = holds ? -1 : 0;
    } else words[r + i] = soft.f32Compare(env, imm, words[a + i], words[b + i]) ? -1 : 0;
  };

  const roundLane = (double: boolean, i: number, imm: number): void => {
    if (double) {
      soft.f64Round(env, words[b + 2 * i + 1], words[b + 2 * i], imm);
      put(i);
    } else words[r + i] = soft.f32Round(env, words[b + i], imm);
  };

  const dot = (double: boolean, imm: number): void => {
    const [x, y] = [a, b].map((at) => new Uint32Array(words.slice(at, at + 4).buffer));
    const out = new Uint32Array(4);
    (double ? soft.f64DotProduct : soft.f32DotProduct)(env, x, y, imm, out);
    words.set(out, r);
  };

  const toI32 = (double: boolean, lanes: number, truncate: boolean): void => {
    for (let i = 0; i < lanes; i++)
      words[r + i] = double
        ? soft.f64ToI32(env, words[b + 2 * i + 1], words[b + 2 * i], truncate)
        : soft.f32ToI32(env, words[b + i], truncate);
    // CVTPD2DQ clears the upper half.
    for (let i = lanes; i < 4; i++) words[r + i] = 0;
  };

  const toI64 = (double: boolean, truncate: boolean): void => {
    if (double) soft.f64ToI64(env, words[b + 1], words[b], truncate);
    else soft.f32ToI64(env, words[b], truncate);
    put(0);
  };

  const fromI32 = (double: boolean, lanes: number): void => {
    for (let i = 0; i < lanes; i++) {
      if (double) {
        soft.f64FromI32(env, words[b + i]);
        put(i);
      } else words[r + i] = soft.f32FromI32(env, words[b + i]);
    }
  };

  const fromI64 = (double: boolean): void => {
    if (double) {
      soft.f64FromI64(env, words[b + 1], words[b]);
      put(0);
    } else words[r] = soft.f32FromI64(env, words[b + 1], words[b]);
  };

  const convert = (shape: number): void => {
    const packed = shape === Shape.ps || shape === Shape.pd;
    for (let i = 0; i < (packed ? 2 : 1); i++) {
      if (shape === Shape.sd || shape === Shape.pd) {
        soft.f32ToF64(env, words[b + i]);
        put(i);
      } else words[r + i] = soft.f64ToF32(env, words[b + 2 * i + 1], words[b + 2 * i]);
    }
    if (shape === Shape.ps) words[r + 2] = words[r + 3] = 0;
  };

  return (cpu, operation, imm) => {
    const kind = operation >> 2;
    const shape = operation & 3;
    const double = shape === Shape.sd || shape === Shape.pd;
    const lanes = shape === Shape.ps ? 4 : shape === Shape.pd ? 2 : 1;
    a = (cpu + CpuState.scratch + SSE_A) >>> 2;
    b = (cpu + CpuState.scratch + SSE_B) >>> 2;
    r = (cpu + CpuState.scratch + SSE_RESULT) >>> 2;
    env.mxcsr = memory.load32(cpu + CpuState.mxcsr);
    soft.sseBegin(env);
    words.copyWithin(r, a, a + 4);
    switch (kind) {
      case SseKind.compare:
        for (let i = 0; i < lanes; i++) compareLane(double, i, imm);
        break;
      case SseKind.comi:
      case SseKind.ucomi: {
        const signals = kind === SseKind.comi;
        words[r] = double
          ? soft.f64Comi(env, signals, words[a + 1], words[a], words[b + 1], words[b])
          : soft.f32Comi(env, signals, words[a], words[b]);
        break;
      }
      case SseKind.round:
        for (let i = 0; i < lanes; i++) roundLane(double, i, imm);
        break;
      case SseKind.hadd:
      case SseKind.hsub: {
        const each = kind === SseKind.hadd ? SseKind.add : SseKind.sub;
        for (let i = 0; i < lanes; i++) {
          const from = i < lanes / 2 ? a : b;
          const first = (2 * i) % lanes;
          lane(each, double, i, from, first, from, first + 1);
        }
        break;
      }
      case SseKind.dot:
        dot(double, imm);
        break;
      case SseKind.toI32:
      case SseKind.truncateToI32:
        toI32(double, lanes, kind === SseKind.truncateToI32);
        break;
      case SseKind.toI64:
      case SseKind.truncateToI64:
        toI64(double, kind === SseKind.truncateToI64);
        break;
      case SseKind.fromI32:
        fromI32(double, lanes);
        break;
      case SseKind.fromI64:
        fromI64(double);
        break;
      case SseKind.convert:
        convert(shape);
        break;
      default:
        for (let i = 0; i < lanes; i++) lane(laneKind(kind, i), double, i, a, i, b, i);
    }
    const unmasked = soft.sseFinish(env);
    setMxcsr(memory, cpu, env.mxcsr);
    if (unmasked === 0) return 0;
    memory.store32(cpu + CpuState.vector, Vector.XM);
    memory.store32(cpu + CpuState.errorCode, 0);
    memory.storeNumber(cpu + CpuState.faultAddress, 0);
    memory.store32(cpu + CpuState.exit, Exit.exception);
    return 1;
  };
}
