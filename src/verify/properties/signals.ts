import { cells, everywhere, managed, type Property } from '../property.js';

/** The kernel's own accesses, and PKRU around signal handlers. */
export const signalProperties: readonly Property[] = [
  {
    number: 11,
    name: 'uaccess-efault',
    statement: 'system calls on a denied buffer answer EFAULT or short; the denied memory is untouched',
    program: 'signals',
    cells: everywhere('holds'),
  },
  {
    number: 12,
    name: 'sigreturn-restores',
    statement: 'the interrupted PKRU is back after a handler; an edited frame is honoured',
    program: 'signals',
    cells: everywhere('holds'),
  },
  {
    number: 13,
    name: 'handler-pkru',
    statement: 'PKRU in a handler is what the ABI says',
    program: 'signals',
    cells: [...everywhere('holds'), managed('holds', 'managed')],
  },
  {
    number: 14,
    name: 'keyed-sigstack',
    statement: 'a handler on a stack whose key is denied is delivered',
    program: 'signals',
    cells: cells('L', 'violated', { note: 'Linux before 6.12' }),
  },
];
