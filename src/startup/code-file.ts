import { createHash } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { arch } from 'node:process';

/**
 * Files of code that V8 has made of a source, so that it need not be made at every start. V8 executes what such a file says, so a
 * file counts only while nothing has changed: it begins with a digest over the versions that it was made by, the source, and the code.
 */
const DIGEST = 'sha256';
const DIGEST_BYTES = 32;

function digest(source: Uint8Array, code: Uint8Array): Buffer {
  const { node, v8 } = process.versions;
  return createHash(DIGEST)
    .update(`europa ${node} ${v8} ${arch} ${source.length} ${code.length}\n`)
    .update(source)
    .update(code)
    .digest();
}

/** The code of a source in a file; null if there is none, or one of another source or version, or a damaged one. */
export function readCodeFile(path: string, source: Uint8Array): Buffer | null {
  let file: Buffer;
  try {
    file = readFileSync(path);
  } catch {
    return null;
  }
  const code = file.subarray(DIGEST_BYTES);
  return digest(source, code).equals(file.subarray(0, DIGEST_BYTES)) ? code : null;
}

/** For tests: has each thread say on standard error what it takes. */
const shown = process.env.EUROPA_SHOW_CODE === '1';

/** Says whether V8 has taken the code of a bundle or module. */
export function showCode(name: string, taken: boolean): void {
  if (shown) writeSync(2, `europa: code of ${name} ${taken ? 'taken' : 'refused'}\n`);
}

/** Writes it; who reads the file meanwhile sees the old one or the new one. @throws what the host says, leaving nothing behind */
export function writeCodeFile(path: string, source: Uint8Array, code: Uint8Array, mode = 0o666): void {
  const unfinished = `${path}.${process.pid}`;
  try {
    writeFileSync(unfinished, Buffer.concat([digest(source, code), code]), { mode });
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
}
