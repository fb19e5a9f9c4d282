import { CpuState } from '../cpu/state.js';
import type { Memory } from '../memory/memory.js';
import { Code } from '../wasm/code.js';
import { ModuleWriter } from '../wasm/module.js';
import { Type } from '../wasm/opcodes.js';
import { Simd } from '../wasm/simd.js';
import { SSE_A, SSE_B, SSE_RESULT } from './sse-operations.js';
import { sseSlow } from './sse-slow.js';

const { i32, v128 } = Type;

let compiled: WebAssembly.Module | undefined;

/** The helpers of SSE, for all CPUs of a memory. */
export function sseHelpers(memory: Memory): WebAssembly.Exports {
  compiled ??= new WebAssembly.Module(build());
  return new WebAssembly.Instance(compiled, { e: { m: memory.wasm, slow: sseSlow(memory) } }).exports;
}

function build(): Uint8Array<ArrayBuffer> {
  const m = new ModuleWriter();
  const slow = m.importFunc('e', 'slow', [i32, i32, i32], [i32]);
  m.importMemory('e', 'm');
  m.export('sse', m.func([i32, i32, i32, v128, v128], [v128, i32], arithmeticBody(slow)));
  return m.finish();
}

/** sse(cpu, operation, imm, a, b) -> result, and 1 if it raised an exception instead: see HELPERS. */
function arithmeticBody(slow: number): Uint8Array {
  const c = new Code(5);
  const [cpu, operation, imm, a, b] = [0, 1, 2, 3, 4];
  const failed = c.local(i32);
  c.get(cpu)
    .get(a)
    .simdMem(Simd.v128_store, CpuState.scratch + SSE_A);
  c.get(cpu)
    .get(b)
    .simdMem(Simd.v128_store, CpuState.scratch + SSE_B);
  c.get(cpu).get(operation).get(imm).call(slow).set(failed);
  c.get(cpu).simdMem(Simd.v128_load, CpuState.scratch + SSE_RESULT);
  c.get(failed);
  return c.finish();
}
