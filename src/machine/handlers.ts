import { readFileSync } from 'node:fs';
import type { Handler } from '../translate/threaded/handlers.js';
import type { Handlers } from '../translate/threaded/threaded-code.js';
import { keptModule } from '../startup/kept-module.js';
import { compiledFile } from '../startup/package-file.js';

let loaded: Handlers | undefined;

/** The handlers' module as it was built. */
export function handlerBytes(): Uint8Array<ArrayBuffer> {
  return readFileSync(compiledFile('handlers.wasm'));
}

/**
 * The handlers of threaded code, as `npm run build` made them. Every thread asks for them itself; V8 has the machine code of a module
 * once for all threads that have taken it from the same bytes.
 */
export function loadHandlers(): Handlers {
  if (loaded) return loaded;
  const index = JSON.parse(readFileSync(compiledFile('handlers.json'), 'utf8')) as [string, Handler][];
  const module = keptModule('handlers', handlerBytes());
  return (loaded = { module, index: new Map(index) });
}
