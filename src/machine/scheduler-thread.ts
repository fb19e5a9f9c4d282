import { parentPort } from 'node:worker_threads';
import { expose } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { createSchedulerControl } from './scheduler-worker.js';

/** The scheduler's thread, controlled through Comlink. @param ended called when the machine has stopped */
export function runSchedulerThread(ended: () => void): void {
  const control = createSchedulerControl();
  const run = async (job: Parameters<typeof control.run>[0]) => {
    await control.run(job);
    ended();
  };
  expose({ ...control, run }, nodeEndpoint(parentPort!));
}
