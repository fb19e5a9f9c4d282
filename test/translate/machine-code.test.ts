import { describe, expect, it } from 'vitest';
import { Code } from '../../src/wasm/code.js';
import { ModuleWriter } from '../../src/wasm/module.js';
import { Op, Type } from '../../src/wasm/opcodes.js';
import { machineCode } from '../../src/wasm/v8.js';

/** A module whose function 'r' returns what it is given, plus a number. */
function adder(number: number): Uint8Array<ArrayBuffer> {
  const c = new Code(1);
  c.get(0).i32(number).op(Op.i32_add);
  const m = new ModuleWriter();
  m.export('r', m.func([Type.i32], [Type.i32], c.finish()));
  return m.finish();
}

const entry = (module: WebAssembly.Module) =>
  new WebAssembly.Instance(module).exports.r as (x: number) => number;

const native = machineCode();
const lacks = `V8 ${process.versions.v8} cannot keep machine code`;

describe.skipIf(!native)(native ? 'machine code' : `skipped: ${lacks}`, () => {
  it('is made when asked for, and says so', () => {
    const run = entry(new WebAssembly.Module(adder(40)));
    expect(native!.isOptimised(run)).toBe(false);
    native!.optimise(run);
    expect(native!.isOptimised(run)).toBe(true);
    expect(run(2)).toBe(42);
  });

  it('can be kept and taken back', () => {
    const bytes = adder(50);
    const module = new WebAssembly.Module(bytes);
    native!.optimise(entry(module));
    const code = native!.serialize(module);
    const run = entry(native!.deserialize(code, bytes)!);
    expect(native!.isOptimised(run)).toBe(true);
    expect(run(2)).toBe(52);
  });

  it('is not taken if it is that of another V8', () => {
    const bytes = adder(60);
    const module = new WebAssembly.Module(bytes);
    native!.optimise(entry(module));
    const code = native!.serialize(module);
    // The header begins with the format's magic number and the version.
    code.fill(0x55, 4, 8);
    expect(native!.deserialize(code, bytes)).toBe(null);
  });
});
