import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { InsnDecoder } from '../insn.js';
import { formTable } from './forms.js';
import { HandlerBuilder, type HandlerModule } from './handlers.js';

/** Builds the handlers of the shapes in a list: one example a line, its bytes in hexadecimal first. */
export function handlersOf(shapes: string): HandlerModule {
  const decoder = new InsnDecoder();
  const builder = new HandlerBuilder();
  for (const line of shapes.split('\n')) {
    const [hex] = line.split(' ', 1);
    const insn = hex && decoder.decode(Buffer.from(hex, 'hex'), 0x40_0000);
    if (insn) builder.add(insn);
  }
  return builder.finish();
}

// As a program (part of `npm run build`): build SHAPES PREFIXES WASM INDEX FORMS
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [shapes, prefixes, wasm, index, forms] = process.argv.slice(2);
  const handlers = handlersOf(readFileSync(shapes, 'utf8'));
  writeFileSync(wasm, handlers.bytes);
  writeFileSync(index, JSON.stringify(handlers.index));
  const list = readFileSync(prefixes, 'utf8').trim().split('\n');
  writeFileSync(
    forms,
    formTable(
      list.map((hex) => Buffer.from(hex, 'hex')),
      new Map(handlers.index),
    ),
  );
}
