import type { Memory } from '../memory/memory.js';

/** A store that its CPU has made and no other CPU sees yet. */
export interface BufferedStore {
  /** Pointer of the first byte: the translation was made, with all its checks, when the store was executed. */
  readonly pointer: number;
  readonly size: number;
  readonly bytes: Uint8Array;
  /** Where the program has it. */
  readonly address: number;
  /** Place in the order of all stores of the machine. */
  readonly order: number;
}

/** Stores that a CPU holds at most; real ones hold some tens. */
const CAPACITY = 32;

/**
 * The store buffer of one CPU, as x86-TSO has it (Sewell et al., CACM 2010): first in, first out; the CPU's own loads see
 * what is in it; nobody else does.
 */
export class StoreBuffer {
  readonly stores: BufferedStore[] = [];

  constructor(private readonly memory: Memory) {}

  get full(): boolean {
    return this.stores.length >= CAPACITY;
  }

  push(address: number, pointer: number, size: number, from: number, order: number): void {
    const bytes = this.memory.u8.slice(from, from + size);
    this.stores.push({ pointer, size, bytes, address, order });
  }

  /** Makes the oldest store visible to all. */
  commit(): void {
    const { pointer, bytes } = this.stores.shift()!;
    this.memory.u8.set(bytes, pointer);
  }

  /** Number of stores from the oldest up to the first that touches the bytes; 0 if none does. */
  upTo(pointer: number, size: number): number {
    const { stores } = this;
    for (let i = 0; i < stores.length; i++) {
      const store = stores[i];
      if (store.pointer < pointer + size && pointer < store.pointer + store.size) return i + 1;
    }
    return 0;
  }

  /** The bytes at `pointer` as the CPU itself sees them, copied to `target`. */
  read(pointer: number, size: number, target: number): void {
    const { u8 } = this.memory;
    u8.copyWithin(target, pointer, pointer + size);
    for (const store of this.stores) {
      const from = Math.max(pointer, store.pointer);
      const end = Math.min(pointer + size, store.pointer + store.size);
      for (let at = from; at < end; at++) u8[target + at - pointer] = store.bytes[at - store.pointer];
    }
  }
}
