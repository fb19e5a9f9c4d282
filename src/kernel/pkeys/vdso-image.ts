import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

let image: Uint8Array | undefined;

/**
 * The vDSO of the `vdso` ABI: an ELF image with __vdso_pkey_get and __vdso_pkey_set, whose file offsets are its addresses.
 * Built from src/guests/vdso; it ships with the package.
 */
export function vdsoImage(): Uint8Array {
  image ??= readFileSync(findImage());
  return image;
}

/** This file is in src/kernel/pkeys of the package or, compiled, in dist/src/kernel/pkeys. */
function findImage(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const name = 'src/guests/bin/vdso.so';
  const places = ['../../..', '../../../..'].map((up) => join(here, up, name));
  const found = places.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`the package lacks ${name}`);
  return found;
}
