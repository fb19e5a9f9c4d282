import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { InsnDecoder } from '../insn.js';
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

// As a program (part of `npm run build`): build SHAPES WASM INDEX
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [shapes, wasm, index] = process.argv.slice(2);
  const handlers = handlersOf(readFileSync(shapes, 'utf8'));
  writeFileSync(wasm, handlers.bytes);
  writeFileSync(index, JSON.stringify(handlers.index));
}
