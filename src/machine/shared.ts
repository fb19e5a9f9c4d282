import { availableParallelism } from 'node:os';
import { stampBoot } from '../cpu/clock.js';
import { CPU_BLOCK_BYTES, CpuState, cpuPointer } from '../cpu/state.js';
import { createConsole } from '../kernel/console.js';
import { createFiles } from '../kernel/files/index.js';
import { createFutexTable } from '../kernel/futex-table.js';
import { createMemoryManagement } from '../kernel/memory/boot.js';
import { ABI_NAMES } from '../kernel/pkeys/names.js';
import { createRandomSource } from '../kernel/random.js';
import { createRunQueue } from '../kernel/run-queue.js';
import { createSignalQueues } from '../kernel/signal/links.js';
import { createTasks } from '../kernel/task.js';
import { MACHINE, Machine, MachineFlag, memoryMap } from '../memory/layout.js';
import { Memory } from '../memory/memory.js';
import { createHeapClasses } from '../memory/slab.js';
import type { CheckedOptions } from './options.js';

/** Makes a machine's shared memory, with everything in it that CPUs and scheduler expect; no task yet. */
export function createSharedMemory(options: CheckedOptions): Memory {
  const map = memoryMap(options.memory, options.cpus, CPU_BLOCK_BYTES);
  const memory = Memory.create(map.total);
  const set = (offset: number, value: number) => memory.store32(MACHINE + offset, value);
  set(Machine.cpuCount, options.cpus);
  set(Machine.abi, ABI_NAMES.indexOf(options.abi));
  set(Machine.debugFpu, options.debugFpu ? 1 : 0);
  set(Machine.mutants, options.mutants);
  set(
    Machine.flags,
    (options.strace ? MachineFlag.strace : 0) |
      (options.stdout === 'capture' ? MachineFlag.captureOutput : 0),
  );
  set(Machine.framesBase, map.framesBase);
  set(Machine.frameCount, map.frameCount);
  set(Machine.frameTable, map.frameTable);
  set(Machine.heapBase, map.heapBase);
  set(Machine.heapEnd, map.heapEnd);
  set(Machine.heapNext, map.heapBase);
  set(Machine.codeBase, map.codeBase);
  set(Machine.codeEnd, map.codeEnd);
  memory.f64[(MACHINE + Machine.seed) >>> 3] = options.seed;
  stampBoot(memory);
  for (let cpu = 0; cpu < options.cpus; cpu++) memory.store32(cpuPointer(cpu) + CpuState.id, cpu);
  createHeapClasses(memory);
  createMemoryManagement(memory);
  createTasks(memory);
  createRunQueue(memory, options.cpus, availableParallelism());
  createConsole(memory);
  createSignalQueues(memory);
  createFutexTable(memory);
  createFiles(memory);
  createRandomSource(memory);
  return memory;
}
