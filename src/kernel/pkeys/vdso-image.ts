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

/** Looks in the directories above this file, which may be compiled, or part of a bundle: one of them is the package's. */
function findImage(): string {
  const name = 'src/guests/bin/vdso.so';
  let directory = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const path = join(directory, name);
    if (existsSync(path)) return path;
    const parent = dirname(directory);
    if (parent === directory) throw new Error(`the package lacks ${name}`);
    directory = parent;
  }
}
