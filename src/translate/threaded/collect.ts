import { readFileSync } from 'node:fs';
import { PHDR_BYTES, Pf, Pt } from '../../loader/elf.js';
import { disassemble } from '../iced/library.js';
import { type Insn, InsnDecoder, MAX_INSN } from '../insn.js';
import { constantsOf } from '../template.js';
import { HandlerBuilder } from './handlers.js';

/**
 * `npm run shapes -- FILE…`: finds which shapes the instructions of static executables have, and prints an example of each that
 * occurs at least `FEWEST` times, commonest first, in the format of shapes.txt. Code is swept linearly, so that a few examples may
 * be data; they do no harm.
 *
 * `npm run shapes -- --prefixes FILE…`: which bytes in front of their constants instructions begin with, for prefixes.txt: those that
 * occur in most of the files, as the C library's do, and the commonest of any.
 */
const FEWEST = 4;
const MOST_FILES = 0.8;
const COMMONEST = 7000;

const builder = new HandlerBuilder();
const decoder = new InsnDecoder();

function main(args: readonly string[]): void {
  if (args[0] === '--prefixes') prefixes(args.slice(1));
  else shapes(args);
}

function shapes(paths: readonly string[]): void {
  const found = new Map<string, { example: Uint8Array; count: number }>();
  for (const path of paths) {
    sweep(path, (insn, bytes) => {
      const key = builder.add(insn);
      if (!key) return;
      const one = found.get(key);
      if (one) one.count++;
      else found.set(key, { example: bytes, count: 1 });
    });
  }
  const common = [...found.values()].filter(({ count }) => count >= FEWEST).sort((a, b) => b.count - a.count);
  for (const { example } of common)
    process.stdout.write(`${hex(example).padEnd(2 * MAX_INSN)}  ${disassemble(example, 0)}\n`);
}

function prefixes(paths: readonly string[]): void {
  const found = new Map<string, { files: number; share: number }>();
  for (const path of paths) {
    const counts = new Map<string, number>();
    let all = 0;
    sweep(path, (insn, bytes) => {
      const constants = constantsOf(decoder, insn);
      if (!constants || !builder.add(insn)) return;
      const key = hex(bytes.subarray(0, constants.first));
      counts.set(key, (counts.get(key) ?? 0) + 1);
      all++;
    });
    for (const [key, count] of counts) {
      const { files, share } = found.get(key) ?? { files: 0, share: 0 };
      found.set(key, { files: files + 1, share: Math.max(share, count / all) });
    }
  }
  const ranked = [...found].sort(([, a], [, b]) => b.share - a.share);
  const chosen = ranked.filter(([, { files }], i) => i < COMMONEST || files >= MOST_FILES * paths.length);
  for (const key of chosen.map(([key]) => key).sort()) process.stdout.write(`${key}\n`);
}

/** Calls `each` with the instructions of an executable's code. */
function sweep(path: string, each: (insn: Insn, bytes: Uint8Array) => void): void {
  const file = readFileSync(path);
  const phoff = Number(file.readBigUInt64LE(32));
  for (let i = 0; i < file.readUInt16LE(56); i++) {
    const header = phoff + i * PHDR_BYTES;
    if (file.readUInt32LE(header) !== Pt.LOAD || !(file.readUInt32LE(header + 4) & Pf.X)) continue;
    const [offset, , , bytes] = [8, 16, 24, 32].map((at) => Number(file.readBigUInt64LE(header + at)));
    const code = file.subarray(offset, offset + bytes);
    for (let at = 0; at < code.length; ) {
      const insn = decoder.decode(code.subarray(at, at + MAX_INSN), 0x40_0000 + at);
      const length = insn ? insn.next - insn.ip : 1;
      if (insn) each(insn, code.slice(at, at + length));
      at += length;
    }
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

main(process.argv.slice(2));
