import Table from 'cli-table3';
import pc from 'picocolors';
import { ABI_NAMES, type AbiName } from '../kernel/pkeys/names.js';
import { PROPERTIES } from './properties/index.js';
import type { Verdict } from './property.js';
import { agrees, type Result } from './verdicts.js';

export type Colours = ReturnType<typeof pc.createColors>;

const MARK: Readonly<Record<Verdict | 'error', string>> = { holds: '✓', violated: '✗', error: '!' };

/** Lines without borders: what is read is the columns. */
const PLAIN = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: ' ',
};

/**
 * Property × ABI: ✓ holds, ✗ violated, ! no verdict; what differs from the expected says what was expected. Properties with
 * several verdicts under an ABI have a row for each.
 */
export function renderTable(results: readonly Result[], colours: Colours = pc): string {
  const abis = ABI_NAMES.filter((abi) => results.some((result) => result.abi === abi));
  const table = new Table({
    head: ['', 'property', ...abis].map((text) => colours.bold(text)),
    chars: PLAIN,
    style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': 1 },
    colAligns: ['right', 'left', ...abis.map(() => 'center' as const)],
  });
  for (const { number, name } of [...PROPERTIES].sort((a, b) => a.number - b.number)) {
    const rows = new Map<string | undefined, Map<AbiName, Result>>();
    for (const result of results.filter(({ property }) => property === name)) {
      if (!rows.has(result.variant)) rows.set(result.variant, new Map());
      rows.get(result.variant)!.set(result.abi, result);
    }
    for (const [variant, row] of rows) {
      const label = variant === undefined ? name : `  ${colours.dim(variant)}`;
      table.push([
        variant === undefined ? String(number) : '',
        label,
        ...abis.map((abi) => renderCell(row.get(abi), colours)),
      ]);
    }
  }
  return `${table.toString()}\n`;
}

function renderCell(result: Result | undefined, colours: Colours): string {
  if (result === undefined) return '';
  const mark = MARK[result.observed];
  if (!agrees(result)) return colours.bold(colours.red(`${mark} not ${MARK[result.expected]}`));
  return result.observed === 'holds' ? colours.green(mark) : colours.yellow(mark);
}

/** The last line: how many verdicts there are, and how many differ from the expected. */
export function renderSummary(results: readonly Result[], seconds: number, colours: Colours = pc): string {
  const different = results.filter((result) => !agrees(result)).length;
  const total = `${results.length} verdicts in ${seconds.toFixed(1)} s`;
  if (different === 0) return `${total}, all as expected\n`;
  return `${total}, ${colours.red(`${different} ${different === 1 ? 'differs' : 'differ'} from the expected`)}\n`;
}
