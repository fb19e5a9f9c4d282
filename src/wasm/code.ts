import { Op, Type } from './opcodes.js';

/** The buffer of a body that is done with: growing one from small is most of the work of writing it. */
let spare: Uint8Array | null = null;

/** A branch target: the absolute nesting depth of a block, loop or if. */
export type Label = number;

/**
 * The body of one WebAssembly function, written as bytes.
 *
 * Locals may be allocated at any time while the body is written; `finish` puts their declaration in front.
 * Nothing is checked here: `WebAssembly.Module` validates.
 */
export class Code {
  private buf: Uint8Array;
  private len = 0;
  private depth = 0;
  private readonly localTypes: number[] = [];
  /** Offsets of the branches that `unlikely` was said of; after `finish`, counted from the function's first byte. */
  readonly unlikelyBranches: number[] = [];

  /** @param params number of parameters of the function; locals are numbered after them. */
  constructor(private readonly params: number) {
    this.buf = spare ?? new Uint8Array(1024);
    spare = null;
  }

  /** Gives the buffer back, to be used by another body: nothing that this one returned may be used any more. */
  recycle(): void {
    spare = this.buf;
  }

  /** Bytes written so far. */
  get size(): number {
    return this.len;
  }

  /** Blocks, loops and ifs that are open. */
  get nesting(): number {
    return this.depth;
  }

  /** Allocates a local of a wasm type; returns its index. */
  local(type: number): number {
    this.localTypes.push(type);
    return this.params + this.localTypes.length - 1;
  }

  byte(value: number): this {
    if (this.len === this.buf.length) this.grow(1);
    this.buf[this.len++] = value;
    return this;
  }

  /** An opcode without immediates. */
  op(opcode: number): this {
    return this.byte(opcode);
  }

  /** LEB128, unsigned, of an integer below 2^32. */
  u32(value: number): this {
    value >>>= 0;
    while (value > 0x7f) {
      this.byte((value & 0x7f) | 0x80);
      value >>>= 7;
    }
    return this.byte(value);
  }

  /** LEB128, signed, of an integer that fits in 32 bits. */
  private s32(value: number): this {
    value |= 0;
    for (;;) {
      const low = value & 0x7f;
      value >>= 7;
      if ((value === 0 && !(low & 0x40)) || (value === -1 && low & 0x40)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  get(local: number): this {
    return this.byte(Op.local_get).u32(local);
  }

  set(local: number): this {
    return this.byte(Op.local_set).u32(local);
  }

  tee(local: number): this {
    return this.byte(Op.local_tee).u32(local);
  }

  globalGet(index: number): this {
    return this.byte(Op.global_get).u32(index);
  }

  globalSet(index: number): this {
    return this.byte(Op.global_set).u32(index);
  }

  i32(value: number): this {
    return this.byte(Op.i32_const).s32(value);
  }

  /** An i64 constant from a safe integer or any bigint (taken modulo 2^64). */
  i64(value: number | bigint): this {
    this.byte(Op.i64_const);
    if (typeof value === 'number' && value >= -0x80000000 && value <= 0x7fffffff) return this.s32(value);
    let rest = BigInt.asIntN(64, BigInt(value));
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && !(low & 0x40)) || (rest === -1n && low & 0x40)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  f64(value: number): this {
    const bytes = new Uint8Array(new Float64Array([value]).buffer);
    this.byte(Op.f64_const);
    for (const byte of bytes) this.byte(byte);
    return this;
  }

  f32(value: number): this {
    const bytes = new Uint8Array(new Float32Array([value]).buffer);
    this.byte(Op.f32_const);
    for (const byte of bytes) this.byte(byte);
    return this;
  }

  /** v128.const from two 64-bit halves. */
  v128(low: bigint, high: bigint): this {
    this.byte(0xfd).u32(12);
    for (let half of [low, high]) {
      for (let i = 0; i < 8; i++) {
        this.byte(Number(half & 0xffn));
        half >>= 8n;
      }
    }
    return this;
  }

  /** A load or store; alignment 0 is always a valid hint and costs nothing on hosts that allow misaligned access. */
  mem(opcode: number, offset = 0): this {
    return this.byte(opcode).byte(0).u32(offset);
  }

  /** A SIMD opcode without immediates (0xFD prefix). */
  simd(opcode: number): this {
    return this.byte(0xfd).u32(opcode);
  }

  /** A SIMD memory opcode. */
  simdMem(opcode: number, offset = 0): this {
    return this.byte(0xfd).u32(opcode).byte(0).u32(offset);
  }

  /** A SIMD lane opcode (extract_lane, replace_lane). */
  simdLane(opcode: number, lane: number): this {
    return this.byte(0xfd).u32(opcode).byte(lane);
  }

  /** A SIMD memory opcode with a lane (v128.load64_lane, v128.store8_lane). */
  simdMemLane(opcode: number, lane: number, offset = 0): this {
    return this.simdMem(opcode, offset).byte(lane);
  }

  /** i8x16.shuffle with its sixteen lane numbers. */
  shuffle(lanes: readonly number[]): this {
    this.byte(0xfd).u32(13);
    for (const lane of lanes) this.byte(lane);
    return this;
  }

  /** An opcode behind the 0xFC prefix without immediates. */
  misc(opcode: number): this {
    return this.byte(0xfc).u32(opcode);
  }

  /** memory.copy: destination, source and length are on the stack. */
  memoryCopy(): this {
    return this.byte(0xfc).u32(10).byte(0).byte(0);
  }

  /** memory.fill: destination, value and length are on the stack. */
  memoryFill(): this {
    return this.byte(0xfc).u32(11).byte(0);
  }

  /** An atomic memory opcode; `log2` is the access size's logarithm, which must be the alignment. */
  atomic(opcode: number, log2: number, offset = 0): this {
    return this.byte(0xfe).u32(opcode).byte(log2).u32(offset);
  }

  atomicFence(): this {
    return this.byte(0xfe).u32(3).byte(0);
  }

  call(func: number): this {
    return this.byte(Op.call).u32(func);
  }

  returnCall(func: number): this {
    return this.byte(Op.return_call).u32(func);
  }

  returnCallIndirect(type: number, table = 0): this {
    return this.byte(Op.return_call_indirect).u32(type).u32(table);
  }

  callIndirect(type: number, table = 0): this {
    return this.byte(Op.call_indirect).u32(type).u32(table);
  }

  block(type: number = Type.none): Label {
    this.byte(Op.block).byte(type);
    return ++this.depth;
  }

  loop(type: number = Type.none): Label {
    this.byte(Op.loop).byte(type);
    return ++this.depth;
  }

  if(type: number = Type.none): this {
    this.depth++;
    return this.byte(Op.if).byte(type);
  }

  /** Says of the `if` or `br_if` that is written next that its condition is rarely true. */
  unlikely(): this {
    this.unlikelyBranches.push(this.len);
    return this;
  }

  else(): this {
    return this.byte(Op.else);
  }

  end(): this {
    this.depth--;
    return this.byte(Op.end);
  }

  br(label: Label): this {
    return this.byte(Op.br).u32(this.depth - label);
  }

  brIf(label: Label): this {
    return this.byte(Op.br_if).u32(this.depth - label);
  }

  brTable(labels: readonly Label[], otherwise: Label): this {
    this.byte(Op.br_table).u32(labels.length);
    for (const label of labels) this.u32(this.depth - label);
    return this.u32(this.depth - otherwise);
  }

  ret(): this {
    return this.byte(Op.return);
  }

  /** Appends another body's bytes; both must have been written at nesting depth `depth` of this one. */
  append(other: Code): this {
    this.reserve(other.len);
    this.buf.set(other.buf.subarray(0, other.len), this.len);
    this.len += other.len;
    return this;
  }

  /** Opens `levels` of nesting in a body that will be appended inside that many blocks of another. */
  assumeDepth(levels: number): this {
    this.depth = levels;
    return this;
  }

  /** The function's bytes for the code section: locals and body, closed by `end`, without the size in front. */
  finish(prologue?: Code): Uint8Array {
    const head = new Code(0);
    const runs: [number, number][] = [];
    for (const type of this.localTypes) {
      const last = runs[runs.length - 1];
      if (last && last[1] === type) last[0]++;
      else runs.push([1, type]);
    }
    head.u32(runs.length);
    for (const [count, type] of runs) head.u32(count).byte(type);
    if (prologue) {
      head.unlikelyBranches.push(...prologue.unlikelyBranches.map((offset) => head.len + offset));
      head.append(prologue);
    }
    head.unlikelyBranches.push(...this.unlikelyBranches.map((offset) => head.len + offset));
    head.append(this).byte(Op.end);
    this.unlikelyBranches.splice(0, Infinity, ...head.unlikelyBranches);
    return head.bytes();
  }

  /** The bytes written so far. */
  bytes(): Uint8Array {
    return this.buf.subarray(0, this.len);
  }

  /** Raw bytes. */
  raw(bytes: Uint8Array): this {
    this.reserve(bytes.length);
    this.buf.set(bytes, this.len);
    this.len += bytes.length;
    return this;
  }

  private reserve(more: number): void {
    if (this.len + more > this.buf.length) this.grow(more);
  }

  private grow(more: number): void {
    const bigger = new Uint8Array(Math.max(this.buf.length * 2, this.len + more));
    bigger.set(this.buf.subarray(0, this.len));
    this.buf = bigger;
  }
}
