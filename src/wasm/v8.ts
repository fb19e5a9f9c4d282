import { setFlagsFromString } from 'node:v8';

/**
 * What Europa asks of V8, the host's WebAssembly engine, beyond the standard. All of it is about speed only: with a V8 that has
 * not got it everything runs as well, later.
 */

/** V8's major version: 11 in Node 20, 12 in Node 22, 13 in Node 24. */
const major = Number(process.versions.v8.split('.')[0]);
/** Versions that all of this was tried with. Others may lack a flag, which they complain about on stderr, or mean something else. */
const known = major >= 11 && major <= 13;

/**
 * Sets all flags that are set anywhere, for the whole process. V8 takes code that was kept, also JavaScript's, only under the flags that it
 * was made under; and Node's own modules have code of Node's build, under none. So this is called when WebAssembly is first
 * needed, by when the first threads have loaded what they need of JavaScript: that is some 30 ms earlier so.
 */
export function prepareFlags(): void {
  if (!known || process.env.EUROPA_KEEP_CODE === KEEP_PLAIN) return;
  // Branch hints (Code.unlikely) are read, in modules compiled from here on: values are then kept in registers on the way past calls
  // that are rarely made. Measured: a checked load 0.75 ns instead of 1.05, a double product 18 % faster.
  setFlagsFromString('--experimental-wasm-branch-hinting');
  // Regions leave loops by their own safe points, and tail calls don't let the stack grow: V8's look at the stack for each iteration
  // and function is not needed. Measured: loops of a few guest instructions a tenth faster.
  setFlagsFromString('--no-wasm-stack-checks');
  setFlagsFromString('--allow-natives-syntax');
  // Threads made from here on begin with so much room (MiB) for young objects: with V8's half a MiB a dozen collections come while a program starts.
  setFlagsFromString('--min-semi-space-size=8');
  // JavaScript functions run three times as long before V8 optimises them. What runs for a moment while a program starts is not
  // worth the optimising compiler's time, which the guest lacks, and for which the process's end waits. Later versions have no such flag.
  if (major === 11) setFlagsFromString(`--interrupt-budget=${3 * 132 * 1024}`);
}

/** EUROPA_KEEP_CODE of a run without flags: see src/startup/scripts.ts. */
export const KEEP_PLAIN = 'plain';

/** V8's optimised machine code of modules, which can be kept and used by other processes. */
export interface MachineCode {
  /** Has a function optimised now, by this thread; it takes milliseconds, and what runs it from here on is fast. */
  optimise(code: WebAssembly.ExportValue): void;
  isOptimised(code: WebAssembly.ExportValue): boolean;
  /**
   * Calls `body`; functions that V8 compiles meanwhile, in any thread, are optimised at once.
   * @param all whether functions are compiled when their module is, or when they are first called
   */
  optimising<T>(all: boolean, body: () => T): T;
  /** The optimised code of a module; at least one of its functions must be optimised, or V8 ends the process. */
  serialize(module: WebAssembly.Module): Uint8Array;
  /**
   * The module of `bytes` with such code: functions that it has none of are compiled when they are first called.
   * Only for what `serialize` returned, to the bit: V8 runs it as it is.
   * @returns null if it was made by another V8, with other flags, or on a processor with other features
   */
  deserialize(code: Uint8Array, bytes: Uint8Array): WebAssembly.Module | null;
}

let found: MachineCode | null | undefined;

/**
 * V8's own test functions are the only way to all this in Node. They are syntax that a flag allows; it stays set, since clearing it
 * would disturb other threads that set it at the same time, and since V8 takes code only under the flags that it was made under.
 * @returns null where V8 has not got them (Node 26 has not)
 */
export function machineCode(): MachineCode | null {
  if (found === undefined) found = known ? find() : null;
  return found;
}

function find(): MachineCode | null {
  prepareFlags();
  try {
    const native = (name: string, ...parameters: string[]) =>
      new Function(...parameters, `return %${name}(${parameters.join(', ')})`);
    const serialize = native('SerializeWasmModule', 'module');
    const deserialize = native('DeserializeWasmModule', 'code', 'bytes');
    const optimise = native('WasmTierUpFunction', 'code');
    const isOptimised = native('IsTurboFanFunction', 'code');
    return {
      optimise: (code) => optimise(code),
      isOptimised: (code) => isOptimised(code),
      optimising: (all, body) => {
        setFlagsFromString('--no-liftoff');
        if (all) setFlagsFromString('--no-wasm-lazy-compilation');
        try {
          return body();
        } finally {
          setFlagsFromString('--wasm-lazy-compilation');
          // The flag for the baseline compiler has taken this one with it.
          setFlagsFromString('--liftoff');
          setFlagsFromString('--wasm-dynamic-tiering');
        }
      },
      serialize: (module) => new Uint8Array(serialize(module)),
      // It takes a whole buffer for the code; the bytes are copied by V8.
      deserialize: (code, bytes) => deserialize(new Uint8Array(code).buffer, bytes) ?? null,
    };
  } catch {
    return null;
  }
}
