/**
 * x86-64 page-table entries (SDM vol. 3, 4.5). Physical addresses are pointers into the machine's memory, so the low
 * 32 bits of an entry hold its address and the flags below; the high 32 bits hold key and NX.
 */
export const Pte = {
  present: 1,
  writable: 2,
  user: 4,
  accessed: 0x20,
  dirty: 0x40,
  /** In the high half: the protection key's lowest bit (62:59 of the entry) and NX (63). */
  keyShiftHigh: 27,
  nxHigh: -0x80000000,
} as const;
