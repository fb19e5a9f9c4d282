import type * as Pool from '../machine/pool.js';
import { compiledFile } from '../startup/package-file.js';
import { keepCode, loadScript } from '../startup/scripts.js';
import type * as Cli from './cli.js';

/** Loads the bundles that do the work. */
process.on('exit', keepCode);
// A program's first CPU is a thread that takes as long to load as all that this one has to do before.
if (process.argv[2] === 'run') (loadScript(compiledFile('start/pool.js')) as typeof Pool).startPool();
void (loadScript(compiledFile('start/cli.js')) as typeof Cli).main();
