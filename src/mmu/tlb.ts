import { struct } from '../memory/struct.js';

/**
 * One TLB entry. A CPU has two direct-mapped arrays of them, one for reads and one for writes, indexed by the low bits
 * of the virtual page number. A hit needs `((address + size - 1) & -4096) == page && !(deny & PKRU)`: the address's index is
 * taken from its first byte and the page from its last, so an access that crosses a page never hits. Where an address must be aligned,
 * its lowest bits are kept in that comparison: 0, as the page's are.
 *
 * Rejected: a 32-bit page tag, which cannot tell non-canonical addresses from valid ones.
 */
export const TlbEntry = struct({
  /** Virtual address of the page; TLB_INVALID_PAGE when empty. */
  page: 'u64',
  /** PKRU bits that deny this access: AD of the page's key for a read, AD and WD for a write. */
  deny: 'u32',
  /** What to add to the address's low 32 bits to get the pointer, modulo 2^32. */
  addend: 'u32',
});

export const TLB_ENTRIES = 512;

/** Not the address of any page. */
export const TLB_INVALID_PAGE = 0xffff_ffff_ffff_ffffn;
