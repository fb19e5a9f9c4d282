import { Code } from './code.js';
import { Op, Type } from './opcodes.js';

/** A function signature: parameter and result types (wasm type bytes). */
export interface Signature {
  readonly params: readonly number[];
  readonly results: readonly number[];
}

type ImportKind =
  | { kind: 'func'; type: number }
  | { kind: 'memory' }
  | { kind: 'table' }
  | { kind: 'global'; type: number };

/** The largest memory a module may import, in 64 KiB pages: all of the 32-bit index space. */
const MAX_PAGES = 65536;

/**
 * Builds one WebAssembly module: imports first, then functions, then exports. Index spaces follow the order of calls.
 * The imported memory is shared, the imported table is a funcref table, imported globals are mutable.
 */
export class ModuleWriter {
  private readonly types: Signature[] = [];
  private readonly imports: { module: string; name: string; what: ImportKind }[] = [];
  private importedFuncs = 0;
  private readonly funcTypes: number[] = [];
  private readonly bodies: Uint8Array[] = [];
  private readonly hints: { func: number; unlikely: readonly number[] }[] = [];
  private readonly exports: { name: string; index: number }[] = [];
  private table: readonly number[] | null = null;
  private importedTables = 0;

  /** The index of a signature, shared between equal ones. */
  type(params: readonly number[], results: readonly number[]): number {
    const found = this.types.findIndex((t) => same(t.params, params) && same(t.results, results));
    if (found >= 0) return found;
    return this.types.push({ params, results }) - 1;
  }

  importFunc(module: string, name: string, params: readonly number[], results: readonly number[]): number {
    if (this.bodies.length) throw new Error('imports come before functions');
    this.imports.push({ module, name, what: { kind: 'func', type: this.type(params, results) } });
    return this.importedFuncs++;
  }

  importMemory(module: string, name: string): void {
    this.imports.push({ module, name, what: { kind: 'memory' } });
  }

  importTable(module: string, name: string): void {
    this.imports.push({ module, name, what: { kind: 'table' } });
    this.importedTables++;
  }

  /** Gives the module a table of its own that holds these functions; it comes behind the imported ones. Returns its index. */
  functionTable(functions: readonly number[]): number {
    this.table = functions;
    return this.importedTables;
  }

  /** Imports a mutable global; returns nothing because globals are numbered in the order of these calls. */
  importGlobal(module: string, name: string, type: number): void {
    this.imports.push({ module, name, what: { kind: 'global', type } });
  }

  /**
   * Adds a function by its finished body; returns its index.
   * @param unlikely offsets in the body of branches whose condition is rarely true (Code.unlikelyBranches)
   */
  func(
    params: readonly number[],
    results: readonly number[],
    body: Uint8Array,
    unlikely: readonly number[] = [],
  ): number {
    if (unlikely.length) this.hints.push({ func: this.nextFunc, unlikely });
    this.funcTypes.push(this.type(params, results));
    this.bodies.push(body);
    return this.importedFuncs + this.bodies.length - 1;
  }

  /** Index that the next function added will have (for recursion and forward calls). */
  get nextFunc(): number {
    return this.importedFuncs + this.bodies.length;
  }

  export(name: string, index: number): void {
    this.exports.push({ name, index });
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new Code(0);
    out.raw(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    section(out, 1, (c) => {
      c.u32(this.types.length);
      for (const t of this.types) {
        c.byte(0x60).u32(t.params.length);
        for (const p of t.params) c.byte(p);
        c.u32(t.results.length);
        for (const r of t.results) c.byte(r);
      }
    });
    section(out, 2, (c) => {
      c.u32(this.imports.length);
      for (const { module, name, what } of this.imports) {
        string(c, module);
        string(c, name);
        if (what.kind === 'func') c.byte(0).u32(what.type);
        else if (what.kind === 'table') c.byte(1).byte(Type.funcref).byte(0).u32(0);
        else if (what.kind === 'memory') c.byte(2).byte(3).u32(0).u32(MAX_PAGES);
        else c.byte(3).byte(what.type).byte(1);
      }
    });
    section(out, 3, (c) => {
      c.u32(this.funcTypes.length);
      for (const t of this.funcTypes) c.u32(t);
    });
    const { table } = this;
    if (table) {
      section(out, 4, (c) => {
        c.u32(1).byte(Type.funcref).byte(1).u32(table.length).u32(table.length);
      });
    }
    section(out, 7, (c) => {
      c.u32(this.exports.length);
      for (const e of this.exports) {
        string(c, e.name);
        c.byte(0).u32(e.index);
      }
    });
    if (table) {
      // One active segment for the whole table: kind 2 (explicit table index), from element 0, function indices.
      section(out, 9, (c) => {
        c.u32(1).u32(2).u32(this.importedTables).i32(0).byte(Op.end).byte(0).u32(table.length);
        for (const index of table) c.u32(index);
      });
    }
    // The branch-hinting proposal; engines that don't know it ignore the section.
    if (this.hints.length) {
      section(out, 0, (c) => {
        string(c, 'metadata.code.branch_hint');
        c.u32(this.hints.length);
        for (const { func, unlikely } of this.hints) {
          c.u32(func).u32(unlikely.length);
          for (const offset of unlikely) c.u32(offset).u32(1).byte(0);
        }
      });
    }
    section(out, 10, (c) => {
      c.u32(this.bodies.length);
      for (const body of this.bodies) c.u32(body.length).raw(body);
    });
    return new Uint8Array(out.bytes());
  }
}

function section(out: Code, id: number, write: (c: Code) => void): void {
  const content = new Code(0);
  write(content);
  out.byte(id).u32(content.size).append(content);
}

function string(c: Code, text: string): void {
  const bytes = new TextEncoder().encode(text);
  c.u32(bytes.length).raw(bytes);
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}
