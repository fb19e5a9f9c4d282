import { cells, type Property } from '../property.js';

/** Execute-only memory and plain mprotect. The first one counts keys before anything of its process is execute-only: it stays first. */
export const executeOnlyProperties: readonly Property[] = [
  {
    number: 28,
    name: 'xonly-costs-no-key',
    statement: 'execute-only leaves all user keys usable',
    program: 'execute-only',
    cells: [...cells('M', 'holds'), ...cells('L K V', 'violated')],
  },
  {
    number: 24,
    name: 'mprotect-keeps-key',
    statement: 'mprotect never changes an assigned key',
    program: 'execute-only',
    cells: [...cells('M', 'holds'), ...cells('L', 'violated')],
  },
  {
    number: 26,
    name: 'xonly-peers',
    statement: 'a thread that existed before cannot read an execute-only page',
    program: 'execute-only',
    cells: [...cells('L', 'holds'), ...cells('M K V', 'violated')],
  },
  {
    number: 27,
    name: 'xonly-in-handler',
    statement: 'a signal handler cannot read an execute-only page',
    program: 'execute-only',
    cells: [...cells('L M', 'holds'), ...cells('K V', 'violated')],
  },
  {
    number: 25,
    name: 'xonly-caller',
    statement: 'the caller cannot read its execute-only page',
    program: 'execute-only',
    cells: [
      ...cells('M L K V', 'holds'),
      ...cells('L K V', 'violated', { flags: ['no-free-key'], variant: 'no key free' }),
    ],
  },
];
