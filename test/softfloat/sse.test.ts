/** The SSE operations against the host's processor: results, MXCSR flags, EFLAGS, unmasked exceptions. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as sf from '../../src/cpu/softfloat/index.js';
import { FUZZ, Host, Random, SEED, missing } from './host.js';
import { type Case, encodeCases, hex, randomCase } from './sse-cases.js';

interface State {
  destination: DataView;
  /** The integer register. */
  gpr: DataView;
  eflags: number;
}

interface Instruction {
  name: string;
  op: number;
  format: 'f32' | 'f64' | 'int';
  run(env: sf.SseEnv, c: Case, s: State): void;
}

const LIST: Instruction[] = [];
const add = (op: number, name: string, format: Instruction['format'], run: Instruction['run']): void => {
  LIST.push({ op, name, format, run });
};

const get32 = (v: DataView, lane = 0): number => v.getUint32(lane * 4, true);
const getHi = (v: DataView, lane = 0): number => v.getUint32(lane * 8 + 4, true);
const getLo = (v: DataView, lane = 0): number => v.getUint32(lane * 8, true);

function set64(v: DataView, env: sf.SseEnv): void {
  v.setUint32(0, env.lo, true);
  v.setUint32(4, env.hi, true);
}

/** A 32-bit write to a register clears its upper half. */
function setRegister32(v: DataView, n: number): void {
  v.setInt32(0, n, true);
  v.setUint32(4, 0, true);
}

type Binary32 = (env: sf.SseEnv, a: number, b: number) => number;
type Binary64 = (env: sf.SseEnv, ah: number, al: number, bh: number, bl: number) => void;

const scalar32 = (op: number, name: string, f: Binary32): void =>
  add(op, name, 'f32', (env, c, s) => s.destination.setUint32(0, f(env, get32(c.a), get32(c.b)), true));
const packed32 = (op: number, name: string, f: Binary32): void =>
  add(op, name, 'f32', (env, c, s) => {
    for (let i = 0; i < 4; i++) s.destination.setUint32(i * 4, f(env, get32(c.a, i), get32(c.b, i)), true);
  });
const scalar64 = (op: number, name: string, f: Binary64): void =>
  add(op, name, 'f64', (env, c, s) => {
    f(env, getHi(c.a), getLo(c.a), getHi(c.b), getLo(c.b));
    set64(s.destination, env);
  });

const words = (v: DataView): number[] => [0, 1, 2, 3].map((i) => get32(v, i));
function setWords(v: DataView, from: Uint32Array): void {
  for (let i = 0; i < 4; i++) v.setUint32(i * 4, from[i], true);
}

scalar32(0, 'addss', sf.f32Add);
scalar32(1, 'subss', sf.f32Sub);
scalar32(2, 'mulss', sf.f32Mul);
scalar32(3, 'divss', sf.f32Div);
scalar32(4, 'sqrtss', (env, _, b) => sf.f32Sqrt(env, b));
scalar32(5, 'minss', sf.f32Min);
scalar32(6, 'maxss', sf.f32Max);
add(7, 'comiss', 'f32', (env, c, s) => {
  s.eflags = sf.f32Comi(env, true, get32(c.a), get32(c.b));
});
add(8, 'ucomiss', 'f32', (env, c, s) => {
  s.eflags = sf.f32Comi(env, false, get32(c.a), get32(c.b));
});
add(9, 'cvtss2sd', 'f32', (env, c, s) => {
  sf.f32ToF64(env, get32(c.b));
  set64(s.destination, env);
});
for (const truncate of [false, true]) {
  const t = truncate ? 't' : '';
  const n = truncate ? 1 : 0;
  add(10 + n, `cvt${t}ss2si r32`, 'f32', (env, c, s) =>
    setRegister32(s.gpr, sf.f32ToI32(env, get32(c.b), truncate)),
  );
  add(12 + n, `cvt${t}ss2si r64`, 'f32', (env, c, s) => {
    sf.f32ToI64(env, get32(c.b), truncate);
    set64(s.gpr, env);
  });
  add(74 + n, `cvt${t}sd2si r32`, 'f64', (env, c, s) =>
    setRegister32(s.gpr, sf.f64ToI32(env, getHi(c.b), getLo(c.b), truncate)),
  );
  add(76 + n, `cvt${t}sd2si r64`, 'f64', (env, c, s) => {
    sf.f64ToI64(env, getHi(c.b), getLo(c.b), truncate);
    set64(s.gpr, env);
  });
}
add(14, 'cvtsi2ss r32', 'int', (env, c, s) =>
  s.destination.setUint32(0, sf.f32FromI32(env, c.b.getInt32(0, true)), true),
);
add(15, 'cvtsi2ss r64', 'int', (env, c, s) =>
  s.destination.setUint32(0, sf.f32FromI64(env, getHi(c.b), getLo(c.b)), true),
);
for (const [op, imm8] of [
  [16, 0xff],
  [17, 0x71],
]) {
  add(op, `dpps ${imm8.toString(16)}`, 'f32', (env, c, s) => {
    const out = new Uint32Array(4);
    sf.f32DotProduct(env, words(c.a), words(c.b), imm8, out);
    setWords(s.destination, out);
  });
}
for (const [op, imm8] of [
  [80, 0x33],
  [81, 0x12],
]) {
  add(op, `dppd ${imm8.toString(16)}`, 'f64', (env, c, s) => {
    const out = new Uint32Array(4);
    sf.f64DotProduct(env, words(c.a), words(c.b), imm8, out);
    setWords(s.destination, out);
  });
}
packed32(18, 'addps', sf.f32Add);
packed32(19, 'divps', sf.f32Div);
packed32(20, 'mulps', sf.f32Mul);
packed32(21, 'cvtps2dq', (env, _, b) => sf.f32ToI32(env, b, false) >>> 0);
for (let imm8 = 0; imm8 < 8; imm8++) {
  scalar32(24 + imm8, `cmpss ${imm8}`, (env, a, b) => (sf.f32Compare(env, imm8, a, b) ? 0xffffffff : 0));
  scalar64(88 + imm8, `cmpsd ${imm8}`, (env, ah, al, bh, bl) => {
    env.hi = env.lo = sf.f64Compare(env, imm8, ah, al, bh, bl) ? 0xffffffff : 0;
  });
}
for (let imm8 = 0; imm8 < 13; imm8++) {
  scalar32(32 + imm8, `roundss ${imm8}`, (env, _, b) => sf.f32Round(env, b, imm8));
  scalar64(96 + imm8, `roundsd ${imm8}`, (env, _ah, _al, bh, bl) => sf.f64Round(env, bh, bl, imm8));
}
scalar64(64, 'addsd', sf.f64Add);
scalar64(65, 'subsd', sf.f64Sub);
scalar64(66, 'mulsd', sf.f64Mul);
scalar64(67, 'divsd', sf.f64Div);
scalar64(68, 'sqrtsd', (env, _ah, _al, bh, bl) => sf.f64Sqrt(env, bh, bl));
scalar64(69, 'minsd', sf.f64Min);
scalar64(70, 'maxsd', sf.f64Max);
add(71, 'comisd', 'f64', (env, c, s) => {
  s.eflags = sf.f64Comi(env, true, getHi(c.a), getLo(c.a), getHi(c.b), getLo(c.b));
});
add(72, 'ucomisd', 'f64', (env, c, s) => {
  s.eflags = sf.f64Comi(env, false, getHi(c.a), getLo(c.a), getHi(c.b), getLo(c.b));
});
add(73, 'cvtsd2ss', 'f64', (env, c, s) =>
  s.destination.setUint32(0, sf.f64ToF32(env, getHi(c.b), getLo(c.b)), true),
);
add(78, 'cvtsi2sd r32', 'int', (env, c, s) => {
  sf.f64FromI32(env, c.b.getInt32(0, true));
  set64(s.destination, env);
});
add(79, 'cvtsi2sd r64', 'int', (env, c, s) => {
  sf.f64FromI64(env, getHi(c.b), getLo(c.b));
  set64(s.destination, env);
});

const copy = (v: DataView, length: number): DataView =>
  new DataView(v.buffer.slice(v.byteOffset, v.byteOffset + length) as ArrayBuffer);

/** The register with one NaN in the place of any: the SDM leaves open which NaN DPPS and DPPD give, and in which element. */
function withoutNans(v: DataView, format: Instruction['format']): DataView {
  const out = copy(v, 16);
  const elements = format === 'f32' ? new Float32Array(out.buffer) : new Float64Array(out.buffer);
  elements.forEach((value, i) => {
    if (Number.isNaN(value)) elements[i] = Number.NaN;
  });
  return out;
}

/** What of the destination counts. */
const compared = (i: Instruction, v: DataView): DataView =>
  i.name.startsWith('dpp') ? withoutNans(v, i.format) : v;

/** Runs ours on a case, and says all of its effects in one string. */
function ours(i: Instruction, c: Case): string {
  const env = new sf.SseEnv();
  env.mxcsr = c.mxcsr;
  const state: State = { destination: copy(c.a, 16), gpr: copy(c.b, 8), eflags: 0 };
  sf.sseBegin(env);
  i.run(env, c, state);
  const unmasked = sf.sseFinish(env);
  if (unmasked !== 0) return describeState(compared(i, c.a), c.b, env.mxcsr, 0, true);
  return describeState(compared(i, state.destination), state.gpr, env.mxcsr, state.eflags, false);
}

const describeState = (r: DataView, gpr: DataView, mxcsr: number, eflags: number, trapped: boolean): string =>
  `${hex(r)} |${hex(gpr, 0, 8)} | mxcsr ${mxcsr.toString(16)} eflags ${eflags.toString(16)}${trapped ? ' trap' : ''}`;

const reason = missing();

describe.skipIf(reason !== undefined)(`SSE against the host${reason ? ` (skipped: ${reason})` : ''}`, () => {
  let host: Host;
  beforeAll(() => {
    host = new Host('sse-oracle.c');
  });
  afterAll(() => host?.close());

  it.each(LIST.map((i) => [i.name, i] as const))('%s', (_, i) => {
    const random = new Random(SEED * 1000 + i.op);
    const cases = Array.from({ length: 4000 * FUZZ }, () => randomCase(random, i.op, i.format));
    const answers = host.run(encodeCases(cases));
    const wrong: string[] = [];
    cases.forEach((c, n) => {
      const at = n * 64;
      const answer = new DataView(answers.buffer, answers.byteOffset + at, 64);
      const eflags = i.name.includes('comi') ? answer.getUint32(28, true) & 0x45 : 0;
      const trapped = answer.getUint32(32, true) === 1;
      const gpr = new DataView(answer.buffer, answer.byteOffset + 16, 8);
      const mxcsr = answer.getUint32(24, true);
      const theirs = describeState(compared(i, answer), gpr, mxcsr, trapped ? 0 : eflags, trapped);
      const mine = ours(i, c);
      if (mine !== theirs)
        wrong.push(
          `mxcsr ${c.mxcsr.toString(16)} a${hex(c.a)} b${hex(c.b)}\n  ours ${mine}\n  host ${theirs}`,
        );
    });
    expect(wrong.length, wrong.slice(0, 8).join('\n')).toBe(0);
  });
});
