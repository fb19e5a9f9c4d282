import { readFileSync } from 'node:fs';
import type { Handler } from '../translate/threaded/handlers.js';
import type { Handlers } from '../translate/threaded/threaded-code.js';
import { compiledFile } from './package-file.js';

let loaded: Handlers | undefined;

/**
 * The handlers of threaded code, as `npm run build` made them. They are compiled once for all CPUs of all machines: workers
 * that a WebAssembly.Module is posted to share its machine code, also what V8 compiles later.
 */
export function loadHandlers(): Handlers {
  if (loaded) return loaded;
  const index = JSON.parse(readFileSync(compiledFile('handlers.json'), 'utf8')) as [string, Handler][];
  const module = new WebAssembly.Module(readFileSync(compiledFile('handlers.wasm')));
  return (loaded = { module, index: new Map(index) });
}
