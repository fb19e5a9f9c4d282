import type * as CpuWorker from '../src/machine/cpu-worker.js';
import type { CpuEnd, CpuJob } from '../src/machine/messages.js';
import { compiledFile } from '../src/startup/package-file.js';
import { keepCode, loadScript } from '../src/startup/scripts.js';

const { runCpu } = loadScript(compiledFile('start/cpu-worker.js')) as typeof CpuWorker;

/** Thread entry of one emulated CPU, run by Piscina. */
export default function run(job: CpuJob): CpuEnd {
  const end = runCpu(job);
  keepCode();
  return end;
}
