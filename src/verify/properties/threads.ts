import { cells, everywhere, managed, type Property } from '../property.js';

/** PKRU as part of a thread. The last one switches `hybrid` over: it stays last. */
export const threadProperties: readonly Property[] = [
  {
    number: 15,
    name: 'inheritance',
    statement: 'clone, fork and exec treat PKRU and allocation map as the ABI says',
    program: 'threads',
    cells: [...everywhere('holds'), managed('holds', 'managed')],
  },
  {
    number: 6,
    name: 'pkru-thread-local',
    statement: 'WRPKRU in one thread never changes what another may access, on the same or another CPU',
    program: 'threads',
    cells: everywhere('holds'),
  },
  {
    number: 8,
    name: 'switch-preserves-pkru',
    statement: 'all 32 bits of PKRU survive preemption and migration',
    program: 'threads',
    cells: [
      ...everywhere('holds'),
      ...cells('M Y', 'violated', {
        flags: ['debug'],
        variant: 'debug clear',
        note: 'bits 28 and 29 are lost',
      }),
    ],
  },
  {
    number: 9,
    name: 'key14-cleared',
    statement: "with the debug clear, key 14's bits are 0 after each switch",
    program: 'threads',
    cells: cells('M Y', 'holds', { flags: ['debug'] }),
  },
  {
    number: 33,
    name: 'raw-only-unchanged',
    statement: 'a program that uses only instructions never changes behaviour, whatever else the mm does',
    program: 'threads',
    cells: cells('M Y', 'holds', { note: 'key 14 apart' }),
  },
];
