import { struct } from '../../memory/struct.js';
import { ThreadedInsn } from './layout.js';

/**
 * Forms: instructions but for their addresses and constants, as ThreadedInsn with those left to be filled in. What bytes in front of its
 * constants an instruction begins with tells its form. `npm run build` makes a table of the commonest; the machine's CPUs share it, and
 * code that consists of them becomes threaded code without being decoded (`block-writer.ts`).
 *
 * The table holds no pointers, so that it can be read from a file: FormTable, TrieEntry[], Form[].
 */
export const FormTable = struct({
  /** Number of trie entries (a power of two) less 1, and where the forms begin in the table. */
  mask: 'i32',
  forms: 'i32',
});

/** An edge of a PrefixTrie, in a hash table with linear probing. */
export const TrieEntry = struct({
  /** The edge's key + KEY_OFFSET; 0 for an empty entry. */
  key: 'i32',
  /** The next node; at the last byte before the constants the complement of the form's number. */
  value: 'i32',
});

export const Form = struct({
  /** The ThreadedInsn of one such instruction. */
  image: { bytes: ThreadedInsn.size, align: 8 },
  /** Bytes of the instruction. */
  length: 'u8',
  /** Where in it a displacement and an immediate or a branch's distance are, and how they are read: a Read. */
  displacementOffset: 'u8',
  displacementRead: 'u8',
  immediateOffset: 'u8',
  immediateRead: 'u8',
  /** 1 if the displacement counts from the next instruction. */
  relative: 'u8',
  /** 1 if the immediate is a branch's distance. */
  branch: 'u8',
  /** 1 if the instruction ends its block; and if its target is a value. */
  ends: 'u8',
  indirect: 'u8',
});

/** How a constant is read. */
export const Read = {
  none: 0,
  signed8: 1,
  unsigned8: 2,
  unsigned16: 3,
  signed32: 4,
  unsigned32: 5,
  all64: 6,
} as const;

/** What is added to a PrefixTrie's key, so that none is 0. */
export const KEY_OFFSET = 1;

/** A key's place in the table is `key * HASH_FACTOR >>> HASH_SHIFT`, modulo the number of entries. */
export const HASH_FACTOR = 0x9e3779b1 | 0;
export const HASH_SHIFT = 15;

/** Bytes that the code store begins with, for the table. */
export const FORMS_ROOM = 5 << 18;
