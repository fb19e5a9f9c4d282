/** What steps of threads depend on each other through, a number each. */
export type SharedObject = number;

/**
 * What threads share, as numbers for partial-order reduction: granules of memory by where they lie in the machine's memory (from 0
 * on), pages of the program's by their addresses (for calls that change mappings; every access reads its page's), futexes, and
 * what else the kernel has.
 */
const GRANULE_SHIFT = 2;
/** Bytes of a granule. */
export const GRANULE = 1 << GRANULE_SHIFT;
const PAGE_SHIFT = 12;

/** All calls that are not known to touch less. */
export const KERNEL: SharedObject = -1;
export const OUTPUT: SharedObject = -2;
/** Signals sent come between any two steps of a thread, and time passes with every step; steps only read these. */
export const SIGNALS: SharedObject = -3;
export const TIME: SharedObject = -4;

export const EVERY_STEP: readonly SharedObject[] = [SIGNALS, TIME];

/** Below all pages. */
const FUTEXES = -(2 ** 50);
const FIRST_PAGE = -16;

/** @param pointer in the machine's memory */
export const granuleAt = (pointer: number): SharedObject => pointer >>> GRANULE_SHIFT;

/** @param address of the program's */
export const pageAt = (address: number): SharedObject => FIRST_PAGE - Math.floor(address / (1 << PAGE_SHIFT));

/** @param pointer of the futex's word in the machine's memory */
export const futexAt = (pointer: number): SharedObject => FUTEXES - pointer;
