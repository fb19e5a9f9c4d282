import { runStressJob } from '../src/stress/worker.js';

/** Thread entry of a stress worker, run by Piscina. */
export default runStressJob;
