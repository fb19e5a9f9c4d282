import { XCR0 } from '../../src/cpu/xsave.js';
import { loadTask, saveTask } from '../../src/kernel/switch.js';
import {
  CLEAR_ECX_EDX,
  counted,
  EAX_FROM_R14,
  EAX_FROM_R15,
  LOAD_EAX,
  repeat,
  STORE_RBX,
  WRPKRU,
  XRSTOR,
  XSAVE,
} from './code.js';
import { BenchMachine, type Registers } from './machine.js';
import { type Benchmark, type Prepared, time } from './measure.js';

const ITERATIONS = 10_000;
const UNROLLED = 8;

/** Times `body`, `each` operations, in a loop, less the same loop with `without` in its place. */
function loops(
  body: readonly number[],
  without: readonly number[],
  each: number,
  iterations: number,
  registers: (machine: BenchMachine) => Registers,
): Prepared {
  const machine = new BenchMachine({ abi: 'minimal' });
  const given = registers(machine);
  const [full, bare] = [body, without].map((part) => machine.code(counted(part)));
  const run = (code: number) => time(() => machine.run(code, { ...given, rbx: iterations }));
  return { operations: each * iterations, sample: () => run(full) - run(bare) };
}

/** R14 shuts key 1, R15 opens it; the page at RSI has key 0, whose check is the same. */
const keyRegisters = (machine: BenchMachine): Registers => ({ rsi: machine.map(1), r14: 3 << 2, r15: 0 });

const OPEN = [...EAX_FROM_R15, ...WRPKRU];
const SHUT = [...EAX_FROM_R14, ...WRPKRU];

/** What a context switch does with the registers: all saved to the task, all loaded from it. */
function registerSwitch(): Prepared {
  const machine = new BenchMachine();
  const { k } = machine.cpus[0];
  const calls = 1000;
  return {
    operations: calls,
    sample: () =>
      time(() => {
        for (let i = 0; i < calls; i++) {
          saveTask(k.cpu, k.task);
          loadTask(k.cpu, k.task);
        }
      }),
  };
}

export const keyBenchmarks: readonly Benchmark[] = [
  {
    name: 'wrpkru',
    what: 'guest WRPKRU, beside a load that it decides on',
    prepare: () =>
      loops(
        [...CLEAR_ECX_EDX, ...repeat(UNROLLED, [...OPEN, ...LOAD_EAX, ...SHUT, ...LOAD_EAX])],
        [...CLEAR_ECX_EDX, ...repeat(UNROLLED, [...EAX_FROM_R15, ...LOAD_EAX, ...EAX_FROM_R14, ...LOAD_EAX])],
        2 * UNROLLED,
        ITERATIONS,
        keyRegisters,
      ),
  },
  {
    name: 'domain-switch',
    what: 'guest WRPKRU, store, WRPKRU',
    prepare: () =>
      loops(
        [...CLEAR_ECX_EDX, ...repeat(UNROLLED, [...OPEN, ...STORE_RBX, ...SHUT])],
        CLEAR_ECX_EDX,
        UNROLLED,
        ITERATIONS,
        keyRegisters,
      ),
  },
  {
    name: 'xsave-xrstor',
    what: 'guest XSAVE and XRSTOR of all components',
    prepare: () => loops([...XSAVE, ...XRSTOR], [], 1, 50, (machine) => ({ rdi: machine.map(1), rax: XCR0 })),
  },
  {
    name: 'register-switch',
    what: "the kernel's save and load of registers and XSAVE image",
    prepare: registerSwitch,
  },
];
