import { CpuState } from '../../src/cpu/state.js';
import { CLEAR_ECX_EDX, EAX_FROM_R14, endless, SYS_SCHED_YIELD, systemCall, WRPKRU } from './code.js';
import { BenchMachine } from './machine.js';
import { type Benchmark, type Prepared, time } from './measure.js';

const SWITCHES = 200;
/** Both rights of key 14, which the debug option clears. */
const KEY14 = 3 << 28;

/** Two tasks on one CPU give way to each other; each has bits of key 14 set whenever it leaves the CPU. */
function contextSwitches(debugFpu: boolean): Prepared {
  const machine = new BenchMachine({ abi: 'minimal', debugFpu });
  const { memory, scheduler } = machine;
  const [{ k, loop }] = machine.cpus;
  const body = [...EAX_FROM_R14, ...CLEAR_ECX_EDX, ...WRPKRU, ...systemCall(SYS_SCHED_YIELD)];
  const code = machine.code(endless(body));
  for (let i = 0; i < 2; i++) machine.start(code, { r14: KEY14 });
  loop.online();
  const switches = (k.cpu.base + CpuState.contextSwitches) >>> 3;
  return {
    operations: SWITCHES,
    sample: () => {
      const end = memory.f64[switches] + SWITCHES;
      return time(() => {
        while (memory.f64[switches] < end) {
          scheduler.step();
          loop.runSlice();
        }
      });
    },
  };
}

export const switchBenchmarks: readonly Benchmark[] = [
  {
    name: 'context-switch',
    what: 'sched_yield to another task, scheduler included',
    prepare: () => contextSwitches(false),
  },
  {
    name: 'context-switch-debug-clear',
    what: 'the same with bits of key 14 to clear each time',
    prepare: () => contextSwitches(true),
  },
];
