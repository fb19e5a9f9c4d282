import type { Memory } from '../memory/memory.js';
import { heapAllocate } from '../memory/slab.js';
import { copyBytes } from './bytes.js';

/** A store that its CPU has made and no other CPU sees yet. */
export interface BufferedStore {
  /** Pointer of the first byte: the translation was made, with all its checks, when the store was executed. */
  readonly pointer: number;
  readonly size: number;
  /** Pointer of a copy of what is stored. */
  readonly bytes: number;
  /** Where the program has it. */
  readonly address: number;
  /** Place in the order of all stores of the machine. */
  readonly order: number;
}

/** Stores that a CPU holds at most; real ones hold some tens. */
const CAPACITY = 32;
/** Bytes of the largest access. */
const LARGEST = 64;

/**
 * The store buffer of one CPU, as x86-TSO has it (Sewell et al., CACM 2010): first in, first out; the CPU's own loads see
 * what is in it; nobody else does.
 */
export class StoreBuffer {
  readonly stores: BufferedStore[] = [];

  /** Where the bytes are, a place for each store; the oldest one's is used again. */
  private readonly places: number;
  private pushed = 0;

  constructor(private readonly memory: Memory) {
    this.places = heapAllocate(memory, CAPACITY * LARGEST);
  }

  get full(): boolean {
    return this.stores.length >= CAPACITY;
  }

  push(address: number, pointer: number, size: number, from: number, order: number): void {
    const bytes = this.places + (this.pushed++ % CAPACITY) * LARGEST;
    copyBytes(this.memory, bytes, from, size);
    this.stores.push({ pointer, size, bytes, address, order });
  }

  /** Makes the oldest store visible to all. */
  commit(): void {
    const { pointer, bytes, size } = this.stores.shift()!;
    copyBytes(this.memory, pointer, bytes, size);
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
    copyBytes(this.memory, target, pointer, size);
    for (const store of this.stores) {
      const from = Math.max(pointer, store.pointer);
      const end = Math.min(pointer + size, store.pointer + store.size);
      for (let at = from; at < end; at++) u8[target + at - pointer] = u8[store.bytes + at - store.pointer];
    }
  }
}
