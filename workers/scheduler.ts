import { compiledFile } from '../src/startup/package-file.js';
import type * as SchedulerThread from '../src/machine/scheduler-thread.js';
import { keepCode, loadScript } from '../src/startup/scripts.js';

/** Thread entry of the scheduler. */
(loadScript(compiledFile('start/scheduler-thread.js')) as typeof SchedulerThread).runSchedulerThread(
  keepCode,
);
