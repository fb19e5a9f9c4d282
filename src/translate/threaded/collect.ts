import { readFileSync } from 'node:fs';
import { PHDR_BYTES, Pf, Pt } from '../../loader/elf.js';
import { disassemble } from '../iced/library.js';
import { InsnDecoder, MAX_INSN } from '../insn.js';
import { HandlerBuilder } from './handlers.js';

/**
 * `npm run shapes -- FILE…`: finds which shapes the instructions of static executables have, and prints an example of each that
 * occurs at least `FEWEST` times, commonest first, in the format of shapes.txt. Code is swept linearly, so that a few examples may
 * be data; they do no harm.
 */
const FEWEST = 4;

const builder = new HandlerBuilder();
const decoder = new InsnDecoder();
const found = new Map<string, { example: Uint8Array; count: number }>();

for (const path of process.argv.slice(2)) {
  const file = readFileSync(path);
  const phoff = Number(file.readBigUInt64LE(32));
  for (let i = 0; i < file.readUInt16LE(56); i++) {
    const header = phoff + i * PHDR_BYTES;
    if (file.readUInt32LE(header) !== Pt.LOAD || !(file.readUInt32LE(header + 4) & Pf.X)) continue;
    const [offset, , , bytes] = [8, 16, 24, 32].map((at) => Number(file.readBigUInt64LE(header + at)));
    sweep(file.subarray(offset, offset + bytes));
  }
}
function sweep(code: Uint8Array): void {
  for (let at = 0; at < code.length; ) {
    const insn = decoder.decode(code.subarray(at, at + MAX_INSN), 0x40_0000 + at);
    const length = insn ? insn.next - insn.ip : 1;
    const key = insn && builder.add(insn);
    if (key) {
      const one = found.get(key);
      if (one) one.count++;
      else found.set(key, { example: code.slice(at, at + length), count: 1 });
    }
    at += length;
  }
}

const shapes = [...found.values()].filter(({ count }) => count >= FEWEST).sort((a, b) => b.count - a.count);
for (const { example } of shapes) {
  const hex = Buffer.from(example).toString('hex');
  process.stdout.write(`${hex.padEnd(2 * MAX_INSN)}  ${disassemble(example, 0)}\n`);
}
