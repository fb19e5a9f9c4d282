#!/usr/bin/env node
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Worker } from 'node:worker_threads';
import { standBack } from '../startup/priorities.js';
import type * as Start from './start.js';

/**
 * The command's file. All else is CommonJS, since each module of Node's that an ECMAScript module imports costs a millisecond more.
 *
 * A program's first CPU is a thread that takes longer to load than all that this one has to do before, so it is begun first of all.
 */
const require = createRequire(import.meta.url);
const start = fileURLToPath(new URL('../../start/', import.meta.url));
standBack(require);
let first: Worker | null = null;
if (process.argv[2] === 'run') {
  const threads = require('node:worker_threads') as typeof import('node:worker_threads');
  // As the pool would make it: see startPool.
  first = new threads.Worker(`${start}worker.js`, { trackUnmanagedFds: false });
}
(require(`${start}main.js`) as typeof Start).start(first);
