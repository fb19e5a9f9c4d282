import { workerData } from 'node:worker_threads';
import { compiledFile } from '../src/startup/package-file.js';
import { loadScript } from '../src/startup/scripts.js';
import type * as TranslatorThread from '../src/translate/background/translator-thread.js';

/** Thread entry of a CPU's translator. */
(loadScript(compiledFile('start/translator-thread.js')) as typeof TranslatorThread).serveTranslations(
  workerData,
);
