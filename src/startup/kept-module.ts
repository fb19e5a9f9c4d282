import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { machineCode } from '../wasm/v8.js';
import { readCodeFile, showCode, writeCodeFile } from './code-file.js';
import { compiledFile } from './package-file.js';

/**
 * WebAssembly modules that every start needs, whose machine code `npm run build` has made: V8 need not compile their functions, and
 * need not optimise them, which would take the guest's time.
 */
export type KeptModule = 'handlers' | 'iced' | EmittedModule;

/** Those that are emitted here. */
export type EmittedModule = 'runtime' | 'sse' | 'x87';

function codeFile(name: KeptModule): string {
  return compiledFile(`start/${name}.code`);
}

/** Compiles a module, or takes the code that is kept of it if that is of the same bytes. */
export function keptModule(name: KeptModule, bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  const module = keptCode(name, bytes);
  showCode(name, module !== null);
  return module ?? new WebAssembly.Module(bytes);
}

function keptCode(name: KeptModule, bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module | null {
  const native = machineCode();
  const code = native && readCodeFile(codeFile(name), bytes);
  return code && native.deserialize(code, bytes);
}

function emittedFile(name: EmittedModule): string {
  return compiledFile(`start/${name}.wasm`);
}

/** Whether this runs from the sources: what the build has emitted may be of others. */
const fromSources = import.meta.url.endsWith('.ts');

/**
 * A module that `emit` writes, as the build has done already: that takes each thread some milliseconds. The build's bytes count only
 * together with the code that was kept of them.
 */
export function emittedModule(name: EmittedModule, emit: () => Uint8Array<ArrayBuffer>): WebAssembly.Module {
  const file = emittedFile(name);
  const bytes = !fromSources && existsSync(file) ? readFileSync(file) : null;
  const module = bytes && keptCode(name, bytes);
  if (!module) return keptModule(name, emit());
  showCode(name, true);
  return module;
}

/** Keeps the bytes and the code of a module that is emitted. */
export function keepEmitted(name: EmittedModule, bytes: Uint8Array<ArrayBuffer>): void {
  writeFileSync(emittedFile(name), bytes);
  keepModule(name, bytes, null);
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
