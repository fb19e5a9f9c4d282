/**
 * A trie over the first bytes of instructions, none of which begins with another's. By `256 * node + byte` it has the next node, or, at an
 * instruction's last byte, the complement of its value. The root is node 0.
 */
export class PrefixTrie {
  readonly edges = new Map<number, number>();
  private nodes = 1;

  /** The value (≥ 0) of what the `room` bytes at an index begin with; -1 if there is none. */
  find(u8: Uint8Array, at: number, room: number): number {
    let node = 0;
    for (let i = 0; i < room; i++) {
      const next = this.edges.get(256 * node + u8[at + i]);
      if (next === undefined) return -1;
      if (next < 0) return ~next;
      node = next;
    }
    return -1;
  }

  /** @returns whether it is new: false if it begins with another, or another with it */
  add(bytes: Uint8Array, length: number, value: number): boolean {
    let node = 0;
    for (let i = 0; i < length - 1; i++) {
      const key = 256 * node + bytes[i];
      const next = this.edges.get(key) ?? this.nodes++;
      if (next < 0) return false;
      this.edges.set(key, next);
      node = next;
    }
    const last = 256 * node + bytes[length - 1];
    if (this.edges.has(last)) return false;
    this.edges.set(last, ~value);
    return true;
  }

  clear(): void {
    this.edges.clear();
    this.nodes = 1;
  }
}
