import { readFileSync } from 'node:fs';
import type { Handler, HandlerIndex } from '../translate/threaded/handler-index.js';
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
  return (loaded ??= new BuiltHandlers());
}

class BuiltHandlers implements Handlers {
  readonly module = keptModule('handlers', handlerBytes());
  private known: HandlerIndex | undefined;

  get index(): HandlerIndex {
    return (this.known ??= new Map(
      JSON.parse(readFileSync(compiledFile('handlers.json'), 'utf8')) as [string, Handler][],
    ));
  }

  forms(): Uint8Array {
    return readFileSync(compiledFile('forms.bin'));
  }
}
