import type { Worker } from 'node:worker_threads';
import type * as Pool from '../machine/pool.js';
import { compiledFile } from '../startup/package-file.js';
import { keepCode, loadScript } from '../startup/scripts.js';
import type * as Cli from './cli.js';

/** Loads the bundles that do the work. @param first a thread of Piscina's, for the first machine */
export function start(first: Worker | null): void {
  process.on('exit', keepCode);
  if (first) (loadScript(compiledFile('start/pool.js')) as typeof Pool).startPool(first);
  void (loadScript(compiledFile('start/cli.js')) as typeof Cli).main();
}
