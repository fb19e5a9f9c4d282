import { everywhere, type Property } from '../property.js';

/** A page changes its key while others use it. */
export const retagProperties: readonly Property[] = [
  {
    number: 4,
    name: 'retag-shootdown',
    statement: 'after pkey_mprotect returns no CPU uses the old key',
    program: 'retag',
    cells: everywhere('holds'),
  },
  {
    number: 5,
    name: 'retag-atomic',
    statement: 'no access ever sees the old key with the new protection, or the reverse, on one page',
    program: 'retag',
    cells: everywhere('holds'),
  },
  {
    number: 16,
    name: 'si-pkey-exact',
    statement: 'si_pkey is the key that caused the fault, while another thread retags',
    program: 'retag',
    cells: everywhere('violated'),
  },
  {
    number: 17,
    name: 'failed-call-changes-nothing',
    statement: 'a failing pkey_mprotect leaves all mappings as they were',
    program: 'retag',
    cells: everywhere('violated'),
  },
];
