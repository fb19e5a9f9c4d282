import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
/** The package's directory: this file is in src/startup or, compiled, in dist/src/startup or a bundle in dist/start. */
const root = [join(here, '../..'), join(here, '../../..')].find((path) =>
  existsSync(join(path, 'package.json')),
)!;

/** Path of a file of this package. */
export function packageFile(path: string): string {
  return join(root, path);
}

/** Path of the compiled JavaScript of this package, which workers run also when this file is run as TypeScript. */
export function compiledFile(path: string): string {
  return join(root, 'dist', path);
}
