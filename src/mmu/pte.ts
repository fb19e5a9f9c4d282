/**
 * x86-64 page-table entries (SDM vol. 3, 4.5). Physical addresses are pointers into the machine's memory, so the low
 * 32 bits of an entry hold its address and the flags below; the high 32 bits hold key and NX.
 *
 * An entry that is not present but has an address keeps its frame: PROT_NONE, or about to be unmapped.
 */
export const Pte = {
  present: 1,
  writable: 2,
  user: 4,
  accessed: 0x20,
  dirty: 0x40,
  /** In the high half: the protection key's lowest bit (62:59 of the entry) and NX (63). */
  keyShiftHigh: 27,
  keyMaskHigh: 0x7800_0000,
  nxHigh: -0x80000000,
} as const;

/** Flags of an entry that refers to another table: all restrictions are in the leaf. */
export const TABLE_FLAGS = Pte.present | Pte.writable | Pte.user | Pte.accessed;

/** PROT_ bits of mmap(2), as mappings have them. */
export const Prot = { read: 1, write: 2, exec: 4 } as const;

/** Bits of the low half that follow from protection. */
export const PROT_MASK_LOW = Pte.present | Pte.writable | Pte.user;

/** Low half of a leaf without its address: x86 has no write-only pages, and PROT_NONE is a page that is not present. */
export function leafLow(prot: number): number {
  if (prot === 0) return 0;
  return Pte.present | Pte.user | (prot & Prot.write ? Pte.writable : 0);
}

/** High half of a leaf. */
export function leafHigh(prot: number, key: number): number {
  return (key << Pte.keyShiftHigh) | (prot & Prot.exec ? 0 : Pte.nxHigh);
}

/** Bits of the high half that `leafHigh` decides. */
export const LEAF_MASK_HIGH = Pte.keyMaskHigh | Pte.nxHigh;
