import { everywhere, managed, type Property } from '../property.js';

/** What the processor does with PKRU. */
export const accessProperties: readonly Property[] = [
  {
    number: 1,
    name: 'pkru-table',
    statement:
      'reads, writes and fetches pass and fault as AD and WD of the key say, for all keys and rights',
    program: 'access',
    cells: [...everywhere('holds'), managed('holds', 'managed')],
  },
  {
    number: 2,
    name: 'pk-bit',
    statement: 'the error code has PK exactly for a data access to a present user page that PKRU denies',
    program: 'access',
    cells: everywhere('holds'),
  },
  {
    number: 3,
    name: 'wrpkru-immediate',
    statement: 'the next access obeys a WRPKRU; #GP and #UD are exact',
    program: 'access',
    cells: everywhere('holds'),
  },
  {
    number: 7,
    name: 'xsave-roundtrip',
    statement: 'XSAVE and XRSTOR carry PKRU; XSTATE_BV[9]=0 restores 0',
    program: 'access',
    cells: everywhere('holds'),
  },
];
