import { HostClock } from '../cpu/clock.js';
import { CpuLoop, Slice } from '../kernel/cpu-loop.js';
import { createKernelCpu } from '../kernel/services.js';
import { MACHINE, Machine, MachineFlag } from '../memory/layout.js';
import { Memory } from '../memory/memory.js';
import { Cpu } from '../translate/cpu.js';
import { type CpuJob, type CpuMessage, FAULTS_REPORTED } from './messages.js';
import { CapturedOutput, HostOutput } from './output.js';

/** The body of a CPU worker in parallel mode: runs one CPU until the machine stops. */
export function runCpu({ memory: wasm, id, port }: CpuJob): void {
  const memory = new Memory(wasm);
  const capture = (memory.load32(MACHINE + Machine.flags) & MachineFlag.captureOutput) !== 0;
  let faults = 0;
  const tell = (message: CpuMessage) => port.postMessage(message);
  const { k, services } = createKernelCpu(memory, (hooks) => new Cpu(memory, id, hooks), {
    clock: new HostClock(memory),
    output: capture ? new CapturedOutput(memory, port) : new HostOutput(),
    fatal: (tid, signal) => tell({ kind: 'fatal', tid, cpu: id, signal }),
    keyFault: (fault) => {
      if (faults++ < FAULTS_REPORTED) tell({ kind: 'fault', fault });
    },
  });
  const loop = new CpuLoop(k, services);
  loop.online();
  for (let slice = loop.runSlice(); slice !== Slice.stopped; slice = loop.runSlice()) {
    if (slice === Slice.idle) loop.idle();
  }
  port.close();
}
