import { cells, managed, type Property } from '../property.js';

/** How keys come and go. The last one switches `hybrid` over: it stays last. */
export const keyProperties: readonly Property[] = [
  {
    number: 10,
    name: 'key14-never-on-a-page',
    statement: 'no mapping ever carries key 14',
    program: 'keys',
    cells: [...cells('M Y', 'holds'), ...cells('L K T V', 'violated')],
  },
  {
    number: 18,
    name: 'alloc-unique',
    statement: 'no two callers of one mm hold one key at once',
    program: 'keys',
    cells: [...cells('L K V', 'holds'), managed('holds'), ...cells('T', 'violated')],
  },
  {
    number: 19,
    name: 'alloc-local',
    statement: 'alloc changes two PKRU bits of the caller, nothing else',
    program: 'keys',
    cells: [...cells('L K T V', 'holds'), managed('holds')],
  },
  {
    number: 20,
    name: 'peers-denied',
    statement: "a thread that predates an alloc cannot access the key's pages",
    program: 'keys',
    cells: [...cells('L', 'holds'), ...cells('M K T V', 'violated'), managed('violated')],
  },
  {
    number: 21,
    name: 'free-leaves-no-tag',
    statement: 'after free no page carries the key',
    program: 'keys',
    cells: [...cells('L K T V', 'violated'), managed('violated')],
  },
  {
    number: 22,
    name: 'realloc-revokes-peers',
    statement: 'a reallocated key is closed to those who held it before',
    program: 'keys',
    cells: [...cells('L K T V', 'violated'), managed('violated')],
  },
  {
    number: 23,
    name: 'free0-refused',
    statement: 'key 0 cannot be freed',
    program: 'keys',
    cells: [...cells('K T V', 'holds'), managed('holds'), ...cells('L', 'violated')],
  },
  {
    number: 29,
    name: 'probe-pure',
    statement: 'the probe changes nothing',
    program: 'keys',
    cells: [
      ...cells('M', 'holds'),
      ...cells('M', 'violated', { flags: ['page0'], variant: 'page 0 mapped' }),
    ],
  },
  {
    number: 31,
    name: 'get-set-is-raw',
    statement: 'pkey_get and pkey_set agree with the raw instructions',
    program: 'keys',
    cells: [...cells('K T V', 'holds'), managed('holds')],
  },
  {
    number: 32,
    name: 'checked-key-still-allocated',
    statement: 'a key checked as allocated is still so when the call returns',
    program: 'keys',
    cells: [...cells('T', 'holds'), ...cells('K V', 'violated'), managed('violated')],
  },
  {
    number: 30,
    name: 'available-stays-available',
    statement: 'an index answered as available stays so',
    program: 'keys',
    cells: [...cells('M', 'holds'), ...cells('L K T V Y', 'violated')],
  },
];
