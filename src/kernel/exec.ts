import { basename } from 'node:path';
import { CpuState, Gpr } from '../cpu/state.js';
import { initImage } from '../cpu/xsave.js';
import { ProgramFile } from '../loader/program-file.js';
import { loadProgram } from '../loader/load.js';
import { LoadError } from '../loader/load-error.js';
import { MACHINE, Machine } from '../memory/layout.js';
import type { Mmu } from '../mmu/mmu.js';
import { hostOf } from './files/host-system.js';
import { createTable, openStandardFiles, setProgram } from './files/index.js';
import type { KernelCpu } from './kernel-cpu.js';
import { createMm, loadTarget, mapVdso, setHeap } from './memory/index.js';
import { initTaskPkeys } from './pkeys/lifetime.js';
import { randomBytes } from './random.js';
import { createTask, Process, Task } from './task.js';
import { wakeNew } from './wait.js';

/** A program to start, with the environment it is to see. */
export interface ProgramStart {
  readonly path: string;
  /** argv[1] and on. */
  readonly args: readonly string[];
  /** "NAME=value" strings. */
  readonly env: readonly string[];
}

/** Bytes of the largest signal frame: ucontext and siginfo, XSAVE image with its magic, alignment (fpu__get_fpstate_size). */
const SIGNAL_FRAME_BYTES = 1376;

/**
 * Makes the machine's first process from a program and starts it. Runs on a CPU, which need not be the one that runs it.
 * @returns what to add to the addresses of the program's symbols
 * @throws LoadError
 */
export function startProgram(k: KernelCpu, mmu: Mmu, start: ProgramStart): number {
  const { memory } = k;
  const { path } = start;
  const tooSmall = () => new LoadError(path, 'does not fit into the memory of the machine (raise --memory)');
  const mm = createMm(mmu);
  if (mm === 0) throw tooSmall();
  const host = hostOf(memory);
  const { uid, euid, gid, egid, cwd, umask } = host.identity();
  const ids = { uid, euid, gid, egid };
  const random = new Uint8Array(16);
  randomBytes(memory, random);
  const file = ProgramFile.open(path);
  try {
    const { dev, ino } = host.attributes(Buffer.from(path), true);
    const identity = {
      device: Number(dev),
      inode: Number(ino),
      path: host.realpath(Buffer.from(path)).toString('utf8'),
    };
    const vdso = mapVdso(mmu, mm);
    const loaded = loadProgram(loadTarget(mmu, mm, identity), file, {
      argv: [path, ...start.args],
      envp: start.env,
      ...ids,
      random,
      pku: k.cpu.hasPku,
      cpuCount: memory.load32(MACHINE + Machine.cpuCount),
      minSigStack: SIGNAL_FRAME_BYTES,
      ...(vdso === 0 ? {} : { vdso }),
    });
    const table = createTable(memory, cwd, umask);
    const task = createTask(memory);
    if (table === 0 || task === 0 || !openStandardFiles(memory, table)) throw tooSmall();
    if (!setProgram(memory, table, loaded)) throw tooSmall();
    setHeap(memory, mm, loaded.brk);

    const owner = memory.loadU32(task + Task.process);
    memory.store32(owner + Process.mm, mm);
    memory.store32(owner + Process.files, table);
    memory.store32(owner + Process.uid, ids.uid);
    memory.store32(owner + Process.euid, ids.euid);
    memory.store32(owner + Process.gid, ids.gid);
    memory.store32(owner + Process.egid, ids.egid);
    memory.store32(task + Task.mm, mm);
    const name = Buffer.from(basename(path)).subarray(0, 15);
    memory.u8.set(name, task + Task.comm);
    const registers = task + Task.registers - CpuState.gpr;
    memory.storeNumber(registers + CpuState.gpr + Gpr.rsp * 8, loaded.stackPointer);
    memory.storeNumber(registers + CpuState.rip, loaded.entry);
    memory.store32(task + Task.rflags, 0x202);
    initImage(memory, task + Task.image, initTaskPkeys(memory, task));
    wakeNew(memory, task);
    return loaded.base;
  } finally {
    file.close();
  }
}
