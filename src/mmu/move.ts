import type { Memory } from '../memory/memory.js';
import { Code } from '../wasm/code.js';
import { ModuleWriter } from '../wasm/module.js';
import { Type } from '../wasm/opcodes.js';

type Move = (to: number, from: number, bytes: number) => void;

const instances = new WeakMap<Memory, Move>();
let compiled: WebAssembly.Module | undefined;

/**
 * Moves bytes within the machine's memory; the places may overlap. JavaScript's copyWithin goes byte by byte on shared memory
 * unless both places are aligned to 8 bytes: 36 µs for 20 KB, against 1 µs.
 */
export function moveBytes(memory: Memory, to: number, from: number, bytes: number): void {
  let move = instances.get(memory);
  if (!move) {
    compiled ??= new WebAssembly.Module(moduleBytes());
    const instance = new WebAssembly.Instance(compiled, { e: { m: memory.wasm } });
    move = instance.exports.move as Move;
    instances.set(memory, move);
  }
  move(to, from, bytes);
}

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const { i32 } = Type;
  const m = new ModuleWriter();
  m.importMemory('e', 'm');
  m.export('move', m.func([i32, i32, i32], [], new Code(3).get(0).get(1).get(2).memoryCopy().finish()));
  return m.finish();
}
