import { runCpu } from '../src/machine/cpu-worker.js';

/** Thread entry of one emulated CPU, run by Piscina. */
export default runCpu;
