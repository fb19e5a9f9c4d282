import type { Memory } from '../memory/memory.js';
import { C1, DE, type F80, F80_INDEFINITE, X87Env } from './softfloat/index.js';
import { CpuState } from './state.js';
import { ES_B } from './xsave.js';

/** Status word: IE and SF of a stack fault. */
const STACK_FAULT = 0x41;
/** Control word: mask of the invalid-operation exception. */
const IM = 1;

/**
 * The x87 register stack of a CPU (SDM vol. 1, chapter 8), over the fields of its CpuState block. One object serves all
 * CPUs of a memory, one at a time.
 *
 * In the tag word a register that isn't empty may have any tag but 3: what kind of number it holds is computed when
 * FNSTENV and FNSAVE ask for it. ST(i) is named by i.
 */
export class X87 {
  readonly env = new X87Env();
  private readonly u16: Uint16Array;
  private readonly u32: Uint32Array;
  private base = -1;
  // Indices of the CPU's fields in the views.
  private fpr = 0;
  private fcw = 0;
  private fsw = 0;
  private ftw = 0;
  private arg0 = 0;
  private arg1 = 0;

  constructor(memory: Memory) {
    this.u16 = memory.u16;
    this.u32 = memory.u32;
  }

  /** Works for the CPU with this block from now on. */
  select(base: number): this {
    if (base === this.base) return this;
    this.base = base;
    this.fpr = (base + CpuState.fpr) >>> 2;
    this.fcw = (base + CpuState.fcw) >>> 1;
    this.fsw = (base + CpuState.fsw) >>> 1;
    this.ftw = (base + CpuState.ftw) >>> 1;
    this.arg0 = (base + CpuState.arg0) >>> 2;
    this.arg1 = (base + CpuState.arg1) >>> 2;
    return this;
  }

  get control(): number {
    return this.u16[this.fcw];
  }

  get status(): number {
    return this.u16[this.fsw];
  }

  set status(value: number) {
    this.u16[this.fsw] = value;
  }

  get tags(): number {
    return this.u16[this.ftw];
  }

  private physical(i: number): number {
    return ((this.u16[this.fsw] >>> 11) + i) & 7;
  }

  isEmpty(i: number): boolean {
    return ((this.u16[this.ftw] >>> (2 * this.physical(i))) & 3) === 3;
  }

  get(i: number): F80 {
    const at = this.fpr + 4 * this.physical(i);
    return { sexp: this.u32[at + 2] & 0xffff, hi: this.u32[at + 1], lo: this.u32[at] };
  }

  /** Writes a register, which is then not empty. */
  set(i: number, value: F80): void {
    const physical = this.physical(i);
    const at = this.fpr + 4 * physical;
    this.u32[at] = value.lo;
    this.u32[at + 1] = value.hi;
    this.u32[at + 2] = value.sexp;
    this.u16[this.ftw] &= ~(3 << (2 * physical));
  }

  free(i: number): void {
    this.u16[this.ftw] |= 3 << (2 * this.physical(i));
  }

  /** Moves TOP by `delta` registers; tags stay. */
  rotate(delta: number): void {
    const status = this.u16[this.fsw];
    this.u16[this.fsw] = (status & ~0x3800) | ((status + delta * 0x800) & 0x3800);
  }

  pop(): void {
    this.free(0);
    this.rotate(1);
  }

  push(value: F80): void {
    this.rotate(-1);
    this.set(0, value);
  }

  /**
   * A stack fault: an empty operand, or with `c1` a push on to a register in use.
   * Returns true if it is masked: the instruction then goes on with the real indefinite.
   */
  fault(c1 = 0): boolean {
    const masked = (this.control & IM) !== 0;
    this.status = (this.status & ~C1) | STACK_FAULT | c1 | (masked ? 0 : ES_B);
    return masked;
  }

  /** The environment for a softfloat operation. */
  begin(): X87Env {
    this.env.control = this.control;
    return this.env;
  }

  /** Takes over the status of the operation. Returns true if its result is to be written. */
  finish(): boolean {
    this.status = this.env.statusAfter(this.status);
    return !this.env.suppressed;
  }

  /**
   * Pushes what `value` computes, if there is room. An unmasked exception keeps it from being pushed; not so that of a
   * denormal operand, as AMD's processors have it.
   */
  load(value: (env: X87Env) => F80): void {
    if (!this.isEmpty(7)) {
      if (this.fault(C1)) this.push(F80_INDEFINITE);
      return;
    }
    const result = value(this.begin());
    if (this.finish() || this.env.raised === DE) this.push(result);
  }

  // --- stores to memory ------------------------------------------------------------------------------------------------
  //
  // A store may yet fault, so it leaves the state as it is: its value goes to arg0 (the upper bytes of an 80-bit one to
  // arg1) and the new status and tag words to the upper half of arg1, from where emitted code takes them when it is done.

  /** The value to be stored, as 32-bit words. */
  result(lo: number, hi = 0, top = 0): void {
    this.u32[this.arg0] = lo;
    this.u32[this.arg0 + 1] = hi;
    this.u32[this.arg1] = top;
  }

  /** Puts the state as it is now aside as the one to be taken, and goes back to an earlier one. */
  defer(status: number, tags: number): void {
    this.u32[this.arg1 + 1] = this.u16[this.fsw] | (this.u16[this.ftw] << 16);
    this.u16[this.fsw] = status;
    this.u16[this.ftw] = tags;
  }
}
