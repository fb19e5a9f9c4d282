import type { Insn } from './insn.js';
import type { Row } from './row.js';
import { rows as alu } from './families/alu.js';
import { rows as bit } from './families/bit.js';
import { rows as control } from './families/control.js';
import { rows as move } from './families/move.js';
import { rows as muldiv } from './families/muldiv.js';
import { rows as segment } from './families/segment.js';
import { rows as shift } from './families/shift.js';
import { rows as string } from './families/string.js';
import { lockedRows, rows as atomic } from './families/atomic.js';
import { rows as sseArithmetic } from './families/sse-arithmetic.js';
import { rows as sseCompare } from './families/sse-compare.js';
import { rows as sseConvert } from './families/sse-convert.js';
import { rows as sseInteger } from './families/sse-integer.js';
import { rows as sseMove } from './families/sse-move.js';
import { rows as sseShift } from './families/sse-shift.js';
import { rows as sseShuffle } from './families/sse-shuffle.js';
import { rows as sseString } from './families/sse-string.js';
import { rows as system } from './families/system.js';
import { rows as mmx } from './families/mmx.js';
import { rows as mmxInteger } from './families/mmx-integer.js';
import { rows as x87 } from './families/x87.js';

/** All instructions that Europa implements, by family. */
export const ROWS: readonly Row[] = [
  ...move,
  ...alu,
  ...shift,
  ...muldiv,
  ...bit,
  ...control,
  ...string,
  ...atomic,
  ...sseMove,
  ...sseInteger,
  ...sseShift,
  ...sseShuffle,
  ...sseArithmetic,
  ...sseCompare,
  ...sseConvert,
  ...sseString,
  ...system,
  ...segment,
  ...x87,
  ...mmx,
  ...mmxInteger,
];

const byCode: Row[] = [];
const byMnemonic: Row[] = [];
for (const row of ROWS) {
  if (row.codes) for (const code of row.codes) byCode[code] = row;
  else if (row.mnemonic !== undefined) byMnemonic[row.mnemonic] = row;
}

const lockedByMnemonic: Row[] = [];
for (const row of lockedRows) if (row.mnemonic !== undefined) lockedByMnemonic[row.mnemonic] = row;

/** The row of an instruction; undefined if Europa does not implement it. */
export function rowOf(insn: Pick<Insn, 'code' | 'mnemonic' | 'lock'>): Row | undefined {
  return (
    (insn.lock ? lockedByMnemonic[insn.mnemonic] : undefined) ??
    byCode[insn.code] ??
    byMnemonic[insn.mnemonic]
  );
}
