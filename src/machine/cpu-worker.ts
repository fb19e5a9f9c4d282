import { HostClock } from '../cpu/clock.js';
import { CpuLoop, Slice } from '../kernel/cpu-loop.js';
import { startProgram } from '../kernel/exec.js';
import { stopMachine } from '../kernel/exit.js';
import { closeNonBlocking, say } from '../kernel/host-write.js';
import { RunQueue, runQueue } from '../kernel/run-queue.js';
import { createKernelCpu } from '../kernel/services.js';
import { SHARED_PKRU_BUDGET, sharePkru } from '../kernel/shared-pkru.js';
import { LoadError } from '../loader/load-error.js';
import { MACHINE, Machine, MachineFlag } from '../memory/layout.js';
import { Memory } from '../memory/memory.js';
import { hasMutant, Mutant } from '../memory/mutants.js';
import { Cpu } from '../translate/cpu.js';
import { Engine } from '../translate/engine.js';
import { TranslationStore } from '../translate/translation-store.js';
import { loadHandlers } from './handlers.js';
import { createScheduler } from './create-scheduler.js';
import { type CpuEnd, type CpuJob, type CpuMessage, FAULTS_REPORTED } from './messages.js';
import { CapturedOutput, HostOutput } from './output.js';

/** The body of a CPU worker in parallel mode: runs one CPU until the machine stops. */
export function runCpu({ memory: wasm, id, port, translations, program }: CpuJob): CpuEnd {
  const memory = new Memory(wasm);
  if (memory.load32(MACHINE + Machine.stopping) !== 0) return {};
  const capture = (memory.load32(MACHINE + Machine.flags) & MachineFlag.captureOutput) !== 0;
  let faults = 0;
  const tell = (message: CpuMessage) => port.postMessage(message);
  let parallel = false;
  const engine = new Engine(memory, null, loadHandlers(), id);
  if (translations) engine.useStore(TranslationStore.open(translations.directory, translations.program, id));
  const { k, mmu, services } = createKernelCpu(memory, (hooks) => new Cpu(memory, id, hooks, engine), {
    clock: new HostClock(memory),
    output: capture ? new CapturedOutput(memory, port) : new HostOutput(memory, id),
    fatal: (tid, signal) => tell({ kind: 'fatal', tid, cpu: id, signal }),
    keyFault: (fault) => {
      if (faults++ < FAULTS_REPORTED) tell({ kind: 'fault', fault });
    },
    othersNeeded: () => {
      if (!parallel) tell({ kind: 'parallel' });
      parallel = true;
    },
    note: (line) => (capture ? tell({ kind: 'note', line }) : say(`europa: ${line}\n`)),
  });
  const shared = id < 2 && hasMutant(memory, Mutant.pkruShared);
  if (shared) sharePkru(k.cpu);
  const loop = new CpuLoop(k, services, shared ? SHARED_PKRU_BUDGET : undefined);
  let end: CpuEnd = {};
  try {
    if (!loop.online()) return end;
    if (program) {
      end = { base: startProgram(k, mmu, program) };
      tell({ kind: 'started', ...giveFirstTask(memory) });
    }
    for (let slice = loop.runSlice(); slice !== Slice.stopped; slice = loop.runSlice()) {
      if (slice === Slice.idle) loop.idle();
    }
    engine.saveTranslations();
  } catch (error) {
    // The other CPUs must not wait for this one.
    stopMachine(memory);
    if (!(error instanceof LoadError)) throw error;
    end = { loadError: { path: error.path, reason: error.reason } };
  } finally {
    closeNonBlocking();
    port.close();
  }
  return end;
}

/**
 * Gives the program's first task to CPU 0, the only one there is yet, so that it need not wait for the scheduler's thread: that
 * begins when it is rung, which a program with one task never does.
 */
function giveFirstTask(memory: Memory): { task: number; bell: number } {
  Atomics.store(memory.i32, (runQueue(memory) + RunQueue.schedulerWaits) >>> 2, 1);
  const bell = Atomics.load(memory.i32, (MACHINE + Machine.schedulerDoorbell) >>> 2);
  const scheduler = createScheduler(memory);
  scheduler.step();
  return { task: scheduler.state().loaded[0], bell };
}
