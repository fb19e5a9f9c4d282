import { machineCode } from '../wasm/v8.js';
import { readCodeFile, showCode, writeCodeFile } from './code-file.js';
import { compiledFile } from './package-file.js';

/**
 * WebAssembly modules that every start needs, whose machine code `npm run build` has made: V8 need not compile their functions, and
 * need not optimise them, which would take the guest's time.
 */
export type KeptModule = 'handlers' | 'iced' | 'runtime';

function codeFile(name: KeptModule): string {
  return compiledFile(`start/${name}.code`);
}

/** Compiles a module, or takes the code that is kept of it if that is of the same bytes. */
export function keptModule(name: KeptModule, bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  const native = machineCode();
  const code = native && readCodeFile(codeFile(name), bytes);
  const module = code && native.deserialize(code, bytes);
  showCode(name, module !== null);
  return module ?? new WebAssembly.Module(bytes);
}

/**
 * Keeps the code of a module.
 * @param use calls the functions that are worth it, given the module; null: all are
 */
export function keepModule(
  name: KeptModule,
  bytes: Uint8Array<ArrayBuffer>,
  use: ((module: WebAssembly.Module) => void) | null,
): void {
  const native = machineCode();
  if (!native) return;
  const module = native.optimising(use === null, () => {
    const module = new WebAssembly.Module(bytes);
    use?.(module);
    return module;
  });
  writeCodeFile(codeFile(name), bytes, native.serialize(module));
}
