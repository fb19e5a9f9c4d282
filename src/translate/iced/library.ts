import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { keptModule } from '../../startup/kept-module.js';
import { compiledFile } from '../../startup/package-file.js';
import { keepExports } from '../../wasm/exports.js';
import { Code } from './enums.js';

/**
 * The WebAssembly module inside the iced-x86 package, used directly: its JavaScript wrapper would cost every worker that
 * translates a tenth of a second. Functions take and return what wasm-bindgen gave them: numbers, bigints for 64-bit
 * integers, pointers to objects inside the module.
 */
export interface IcedLibrary {
  readonly memory: WebAssembly.Memory;
  __wbindgen_malloc(size: number, align: number): number;
  __wbindgen_add_to_stack_pointer(delta: number): number;
  /** Writes [decoder, error object, 1 if it failed] to the three words at `result`; takes the bytes over. */
  decoder_new(result: number, bitness: number, bytes: number, length: number, options: number): void;
  decoder_set_ip(decoder: number, ip: bigint): void;
  /** Writes [error object, 1 if it failed] to the two words at `result`. */
  decoder_set_position(result: number, decoder: number, position: number): void;
  decoder_decodeOut(decoder: number, instruction: number): void;
  /** A DecoderError, of the latest instruction. */
  decoder_lastError(decoder: number): number;
  /** A new object, to be freed: where the latest instruction has displacement and immediates. */
  decoder_getConstantOffsets(decoder: number, instruction: number): number;
  __wbg_constantoffsets_free(offsets: number): void;
  constantoffsets_displacementOffset(offsets: number): number;
  constantoffsets_displacementSize(offsets: number): number;
  constantoffsets_immediateOffset(offsets: number): number;
  constantoffsets_immediateSize(offsets: number): number;
  constantoffsets_immediateSize2(offsets: number): number;
  instruction_new(): number;
  instruction_isInvalid(instruction: number): number;
  instruction_code(instruction: number): number;
  instruction_mnemonic(instruction: number): number;
  instruction_length(instruction: number): number;
  instruction_opCount(instruction: number): number;
  instruction_op0Kind(instruction: number): number;
  instruction_op1Kind(instruction: number): number;
  instruction_op2Kind(instruction: number): number;
  instruction_op3Kind(instruction: number): number;
  instruction_op0Register(instruction: number): number;
  instruction_op1Register(instruction: number): number;
  instruction_op2Register(instruction: number): number;
  instruction_op3Register(instruction: number): number;
  /** Writes [value (64 bits), error object, 1 if it failed] at `result`. */
  instruction_immediate(result: number, instruction: number, operand: number): void;
  instruction_nearBranchTarget(instruction: number): bigint;
  instruction_memoryBase(instruction: number): number;
  instruction_memoryIndex(instruction: number): number;
  instruction_memoryIndexScale(instruction: number): number;
  instruction_memoryDisplacement(instruction: number): bigint;
  instruction_memorySegment(instruction: number): number;
  instruction_hasLockPrefix(instruction: number): number;
  instruction_hasRepPrefix(instruction: number): number;
  instruction_hasRepnePrefix(instruction: number): number;
  instruction_rflagsRead(instruction: number): number;
  instruction_rflagsModified(instruction: number): number;
  /** A MemorySize; bytes of one. */
  instruction_memorySize(instruction: number): number;
  memorysizeext_size(size: number): number;
}

export const USED: readonly (keyof IcedLibrary)[] = [
  'memory',
  '__wbindgen_malloc',
  '__wbindgen_add_to_stack_pointer',
  'decoder_new',
  'decoder_set_ip',
  'decoder_set_position',
  'decoder_decodeOut',
  'decoder_lastError',
  'decoder_getConstantOffsets',
  '__wbg_constantoffsets_free',
  'constantoffsets_displacementOffset',
  'constantoffsets_displacementSize',
  'constantoffsets_immediateOffset',
  'constantoffsets_immediateSize',
  'constantoffsets_immediateSize2',
  'instruction_new',
  'instruction_isInvalid',
  'instruction_code',
  'instruction_mnemonic',
  'instruction_length',
  'instruction_opCount',
  'instruction_op0Kind',
  'instruction_op1Kind',
  'instruction_op2Kind',
  'instruction_op3Kind',
  'instruction_op0Register',
  'instruction_op1Register',
  'instruction_op2Register',
  'instruction_op3Register',
  'instruction_immediate',
  'instruction_nearBranchTarget',
  'instruction_memoryBase',
  'instruction_memoryIndex',
  'instruction_memoryIndexScale',
  'instruction_memoryDisplacement',
  'instruction_memorySegment',
  'instruction_hasLockPrefix',
  'instruction_hasRepPrefix',
  'instruction_hasRepnePrefix',
  'instruction_rflagsRead',
  'instruction_rflagsModified',
  'instruction_memorySize',
  'memorysizeext_size',
];

const require = createRequire(import.meta.url);

let library: IcedLibrary | undefined;

export function icedLibrary(): IcedLibrary {
  if (library) return library;
  return (library = instantiate(keptModule('iced', icedBytes())));
}

/** Where `npm run build` puts the module with the exports that we use: making objects of all 762 takes an instance 6 ms. */
export const SMALL_ICED = compiledFile('start/iced.wasm');

/** The module, as it is in the package where there is no smaller one. */
export function icedBytes(): Uint8Array<ArrayBuffer> {
  return readFileSync(existsSync(SMALL_ICED) ? SMALL_ICED : require.resolve('iced-x86/iced_x86_bg.wasm'));
}

/** The package's module with the exports that we use. */
export function smallIced(): Uint8Array<ArrayBuffer> {
  const used = new Set<string>(USED);
  return keepExports(readFileSync(require.resolve('iced-x86/iced_x86_bg.wasm')), (name) => used.has(name));
}

function instantiate(module: WebAssembly.Module): IcedLibrary {
  const unexpected = () => {
    throw new Error('iced-x86 was called in a way that needs its JavaScript wrapper');
  };
  const imports: WebAssembly.ModuleImports = {};
  for (const { name } of WebAssembly.Module.imports(module)) imports[name] = unexpected;
  const instance = new WebAssembly.Instance(module, { __wbindgen_placeholder__: imports });
  return instance.exports as unknown as IcedLibrary;
}

/** Makes `icedLibrary` return an instance of this module, whatever is kept of it. */
export function useIced(module: WebAssembly.Module): void {
  library = instantiate(module);
}

/** The text of an instruction, Intel syntax: for messages, so that loading the whole package does not matter. */
export function disassemble(bytes: Uint8Array, ip: number): string {
  const { Decoder } = require('iced-x86') as typeof import('iced-x86');
  const decoder = new Decoder(64, bytes, 0);
  decoder.ip = BigInt(ip);
  const instruction = decoder.decode();
  const text = instruction.isInvalid ? '(bad)' : instruction.toString();
  instruction.free();
  decoder.free();
  return text;
}

/** Number of an instruction form, by its name in `Code`; throws for a name that iced does not know. */
export function codeByName(name: string): number {
  const code = (Code as Record<string, number>)[name];
  if (code === undefined) throw new Error(`no such code: ${name}`);
  return code;
}
