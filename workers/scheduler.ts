import { parentPort } from 'node:worker_threads';
import { expose } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { createSchedulerControl } from '../src/machine/scheduler-worker.js';

/** Thread entry of the scheduler, controlled through Comlink. */
expose(createSchedulerControl(), nodeEndpoint(parentPort!));
