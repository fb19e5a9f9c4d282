import { locked } from '../../memory/lock.js';
import type { Memory } from '../../memory/memory.js';
import { mainProcess, Tasks, tasksPointer } from '../task.js';
import { processSignalsOf } from './links.js';
import { SiCode } from './numbers.js';
import { sendSignal, writeInfo } from './send.js';
import { ProcessSignals } from './state.js';

/**
 * Sends the machine's first process a signal from outside, as a terminal does for Ctrl-C. For threads that are no CPU.
 * Does nothing if there is no process.
 */
export function sendFromHost(memory: Memory, signal: number): void {
  const tasks = tasksPointer(memory);
  locked(memory, tasks + Tasks.lock, () => {
    const process = mainProcess(memory);
    if (process !== 0) {
      const info = processSignalsOf(process) + ProcessSignals.outsideInfo;
      writeInfo(memory, info, { signo: signal, code: SiCode.KERNEL });
      sendSignal(memory, process, 0, signal, info);
    }
  });
}
