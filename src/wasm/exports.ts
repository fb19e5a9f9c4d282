/** Number of the section of exports in a module (WebAssembly core specification, 5.5.2). */
const EXPORTS = 7;
/** Bytes of the magic number and the version. */
const HEADER = 8;

/** A module without those of its exports that `kept` refuses. */
export function keepExports(module: Uint8Array, kept: (name: string) => boolean): Uint8Array<ArrayBuffer> {
  let at = HEADER;
  const pieces: Uint8Array[] = [module.subarray(0, HEADER)];
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = module[at++];
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  };
  while (at < module.length) {
    const start = at;
    const id = module[at++];
    const size = number();
    const end = at + size;
    if (id === EXPORTS) {
      const exports: number[] = [];
      let count = 0;
      for (let left = number(); left > 0; left--) {
        const from = at;
        const length = number();
        const name = Buffer.from(module.subarray(at, at + length)).toString('utf8');
        // The name, a byte for the kind, the index.
        at += length + 1;
        number();
        if (!kept(name)) continue;
        count++;
        exports.push(...module.subarray(from, at));
      }
      const body = [...leb(count), ...exports];
      pieces.push(Uint8Array.from([EXPORTS, ...leb(body.length), ...body]));
    } else pieces.push(module.subarray(start, end));
    at = end;
  }
  return new Uint8Array(Buffer.concat(pieces));
}

function leb(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
}
