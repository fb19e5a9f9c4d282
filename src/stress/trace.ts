/** What a step of a trace is. */
export type StepKind =
  | 'load'
  | 'store'
  | 'locked'
  | 'fence'
  | 'commit'
  | 'syscall'
  | 'exception'
  | 'pause'
  | 'wrpkru'
  | 'switch';

/** One step of a recorded run. */
export interface TraceStep {
  readonly step: number;
  readonly kind: StepKind;
  readonly thread: number;
  readonly cpu: number;
  readonly rip: number;
  /** Of an access; of a system call its number, of an exception its vector. */
  readonly address: number;
  readonly size: number;
  /** What was read or written, at most eight bytes; of a locked instruction what was there before. */
  readonly value: bigint;
  /** Key of the page of an access. */
  readonly key: number;
  readonly pkru: number;
  /** Whether others can see it. */
  readonly visible: boolean;
}

const KINDS: readonly StepKind[] = [
  'load',
  'store',
  'locked',
  'fence',
  'commit',
  'syscall',
  'exception',
  'pause',
  'wrpkru',
  'switch',
];
export const KIND_NUMBER = Object.fromEntries(KINDS.map((kind, i) => [kind, i])) as Record<StepKind, number>;

/** A 64-bit hash of everything that happens in a run, in its order. Two lanes of multiply and rotate; not cryptographic. */
export class TraceHash {
  private a = 0;
  private b = 0;

  constructor() {
    this.reset();
  }

  reset(): void {
    this.a = 0x243f6a88;
    this.b = 0x85a308d3 | 0;
  }

  add(kind: number, thread: number, address: number, value: number): void {
    const low = address | 0;
    const high = (address / 0x1_0000_0000) | 0;
    this.mix((kind << 24) ^ (thread << 8) ^ high);
    this.mix(low);
    this.mix(value);
  }

  private mix(word: number): void {
    const a = Math.imul(this.a ^ word, 0x9e3779b1);
    const b = Math.imul(this.b + word, 0x85ebca6b);
    this.a = ((a << 15) | (a >>> 17)) ^ this.b;
    this.b = ((b << 13) | (b >>> 19)) + a;
  }

  get state(): readonly [number, number] {
    return [this.a, this.b];
  }

  set state([a, b]: readonly [number, number]) {
    this.a = a;
    this.b = b;
  }

  toString(): string {
    const hex = (word: number) => (word >>> 0).toString(16).padStart(8, '0');
    // The last words in have been mixed least.
    const end = Math.imul(this.a ^ (this.b >>> 16), 0xc2b2ae35);
    return hex(end ^ (end >>> 15)) + hex(Math.imul(this.b ^ end, 0x27d4eb2f));
  }
}
