/** A seeded source of random numbers (xoshiro128**, Blackman and Vigna), so that every case can be made again. */
export class Random {
  readonly #s = new Uint32Array(4);

  /** Different lists of seed parts give unrelated sequences. */
  constructor(...seed: number[]) {
    let h = 0x9e37_79b9;
    for (let i = 0; i < 4; i++) {
      for (const part of [i, ...seed]) {
        h = Math.imul(h ^ part, 0x85eb_ca6b);
        h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
        h ^= h >>> 16;
      }
      this.#s[i] = h | (i === 0 ? 1 : 0);
    }
    for (let i = 0; i < 8; i++) this.u32();
  }

  u32(): number {
    const s = this.#s;
    const x = Math.imul(s[1], 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  /** An integer ≥ 0 and < `n`. */
  below(n: number): number {
    return Math.floor((this.u32() / 2 ** 32) * n);
  }

  /** True with probability `p`. */
  chance(p: number): boolean {
    return this.u32() < p * 2 ** 32;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)];
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.u32() >>> 24);
  }
}
