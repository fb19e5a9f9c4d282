import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { cachedDataVersionTag } from 'node:v8';
import { Script } from 'node:vm';
import { readCodeFile, showCode, writeCodeFile } from './code-file.js';

/**
 * Loads the bundles in dist/start (CommonJS, since V8's code of an ECMAScript module cannot be kept). Beside a bundle lies the code
 * that V8 made of it when the package was built, of all functions that a program's run called: parsing and compiling these
 * is most of the time that loading takes. Without the file, or when V8 does not take it (another version, other flags), the bundle is
 * compiled as usual.
 */
interface Loaded {
  readonly path: string;
  readonly source: Buffer;
  readonly script: Script;
  readonly module: { exports: unknown };
}

const loaded = new Map<string, Loaded>();

/** The exports of a bundle. @param path its file, absolute; its text is ASCII */
export function loadScript(path: string): unknown {
  const known = loaded.get(path);
  if (known) return known.module.exports;
  const source = readFileSync(path);
  const cachedData = readCodeFile(codeFile(path), source) ?? undefined;
  const text = `(function (exports, require, module, __filename, __dirname) {${source.toString('latin1')}\n})`;
  const script = new Script(text, { filename: path, cachedData });
  const module = { exports: {} };
  loaded.set(path, { path, source, script, module });
  showCode(basename(path), script.cachedDataRejected === false);
  const from = dirname(path);
  const outside = createRequire(path);
  const require = (name: string) => {
    if (name.startsWith('./')) return loadScript(join(from, name));
    return SELDOM.has(name) ? later(() => outside(name)) : outside(name);
  };
  script.runInThisContext()(module.exports, Object.assign(require, outside), module, path, from);
  return module.exports;
}

/** Modules of Node's that are asked for by what uses them seldom, and that take milliseconds to load. */
const SELDOM: ReadonlySet<string> = new Set(['node:child_process']);

/** A module's exports, loaded when one is used. */
function later(load: () => object): object {
  return new Proxy({}, { get: (_, name) => Reflect.get(load(), name) });
}

/** V8 takes code only under the flags that it was made under: there is a file for those before and after `prepareFlags`. */
function codeFile(path: string): string {
  return `${path}.${cachedDataVersionTag()}.code`;
}

/** Set by `npm run build` for runs whose code is kept: one in which flags are set as always, and one without (KEEP_PLAIN). */
const keeping = process.env.EUROPA_KEEP_CODE !== undefined;

/** In a run for the sake of its code, writes that of all bundles that this thread has loaded, as far as it has been compiled by now. */
export function keepCode(): void {
  if (!keeping) return;
  for (const { path, source, script } of loaded.values()) {
    writeCodeFile(codeFile(path), source, script.createCachedData());
  }
}
