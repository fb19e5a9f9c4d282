import { CpuState, PfError } from '../../src/cpu/state.js';
import { Fault, handleFault } from '../../src/kernel/memory/fault.js';
import { createUserMemory, loadMm } from '../../src/kernel/memory/index.js';
import { listMappings } from '../../src/kernel/memory/mappings.js';
import { createMm } from '../../src/kernel/memory/mm.js';
import { MapFlag, mmap, munmap } from '../../src/kernel/memory/mmap.js';
import { mprotect, pkeyMprotect } from '../../src/kernel/memory/mprotect.js';
import { ABI_NAMES, type AbiName } from '../../src/kernel/pkeys/abi.js';
import { initTaskPkeys } from '../../src/kernel/pkeys/lifetime.js';
import type { MappableFile } from '../../src/kernel/memory/object.js';
import { setBackingFiles } from '../../src/kernel/memory/shared-file.js';
import { Task } from '../../src/kernel/task-layout.js';
import { MACHINE, Machine, MachineFlag } from '../../src/memory/layout.js';
import type { Memory } from '../../src/memory/memory.js';
import { heapAllocate } from '../../src/memory/slab.js';
import type { UserMemory } from '../../src/mmu/user-memory.js';
import { Access } from '../../src/mmu/walk.js';
import { bareMemory, RecordingCpu } from '../mmu/bare-machine.js';

export const PAGE = 4096;
export const READ = 1;
export const WRITE = 2;
export const EXEC = 4;
export const RW = READ | WRITE;
export { MapFlag };

export interface Options {
  abi?: AbiName;
  pku?: boolean;
  guestBytes?: number;
  cpus?: number;
  mutants?: number;
}

/** A machine with one process of one task, on a CPU that runs nothing. */
export function bareProcess(options: Options = {}): BareProcess {
  const memory = bareMemory(options);
  memory.store32(MACHINE + Machine.abi, ABI_NAMES.indexOf(options.abi ?? 'linux'));
  memory.store32(MACHINE + Machine.flags, options.pku === false ? MachineFlag.noPku : 0);
  const cpu = new RecordingCpu(memory);
  const user = createUserMemory(cpu, 1);
  const process = new BareProcess(memory, cpu, user, createMm(user.mmu), newTask(memory));
  cpu.pkru = initTaskPkeys(memory, process.task);
  loadMm(user.mmu, process.mm);
  cpu.dropped.length = 0;
  return process;
}

export function newTask(memory: Memory): number {
  return heapAllocate(memory, Task.size);
}

export class BareProcess {
  constructor(
    readonly memory: Memory,
    readonly cpu: RecordingCpu,
    readonly user: UserMemory,
    readonly mm: number,
    readonly task: number,
  ) {}

  /** Another thread on a CPU of its own would have its own PKRU; here it takes the only CPU. */
  asTask(task: number): BareProcess {
    return new BareProcess(this.memory, this.cpu, this.user, this.mm, task);
  }

  get root(): number {
    return this.memory.loadU32(this.mm);
  }

  /** Private anonymous pages, at a fixed place unless it is 0. */
  map(pages: number, prot = RW, address = 0, flags: number = MapFlag.PRIVATE): number {
    const fixed = address === 0 ? 0 : MapFlag.FIXED;
    return this.mmap(address, pages * PAGE, prot, flags | MapFlag.ANONYMOUS | fixed);
  }

  mmap(
    address: number,
    length: number,
    prot: number,
    flags: number,
    file?: MappableFile | number,
    offset = 0,
  ): number {
    return mmap(this, address, length, prot, flags, offset, () => file ?? -9);
  }

  unmap(address: number, pages: number): number {
    return munmap(this, address, pages * PAGE);
  }

  protect(address: number, pages: number, prot: number): number {
    return mprotect(this, address, pages * PAGE, prot);
  }

  pkeyProtect(address: number, pages: number, prot: number, key: number): number {
    return pkeyMprotect(this, address, pages * PAGE, prot, key);
  }

  /** What an access of user code comes to: the Fault, after as many tries as it takes. */
  access(address: number, kind: 'read' | 'write' | 'fetch', pkru = this.cpu.pkru): number {
    for (let tries = 0; tries < 4; tries++) {
      let error = this.walk(address, kind, pkru);
      if (error === 0) return Fault.handled;
      error |= PfError.user;
      const { memory, cpu } = this;
      memory.store32(cpu.base + CpuState.errorCode, error);
      const fault = handleFault(this.user.mmu, this.mm, address, error, pkru);
      if (fault !== Fault.handled) return fault;
    }
    throw new Error('the access is refused for ever');
  }

  /** Error code of the last fault of `access`. */
  get errorCode(): number {
    return this.memory.load32(this.cpu.base + CpuState.errorCode);
  }

  /** The hardware's walk: 0 or the error code. */
  private walk(address: number, kind: 'read' | 'write' | 'fetch', pkru: number): number {
    const { ops, scratch } = this.user.mmu;
    if (kind === 'fetch') {
      if (!ops.entry(this.root, address - (address % PAGE), scratch)) return PfError.fetch;
      const present = this.memory.load32(scratch) & 1;
      const nx = this.memory.load32(scratch + 4) < 0;
      return present && !nx ? 0 : PfError.fetch | present;
    }
    const result = ops.walk(this.root, address, kind === 'write' ? Access.write : Access.read, pkru, 1) >>> 0;
    return result < PAGE ? result : 0;
  }

  /** The mappings as 'start+pages prot key', starts relative to `base`. */
  layout(base = 0): string[] {
    return listMappings(this.memory, this.mm).map((m) => {
      const prot = `${m.prot & 1 ? 'r' : '-'}${m.prot & 2 ? 'w' : '-'}${m.prot & 4 ? 'x' : '-'}`;
      return `${(m.start - base) / PAGE}+${(m.end - m.start) / PAGE} ${prot}${m.shared ? 's' : 'p'} ${m.key}`;
    });
  }

  /** Key in the page-table entry of a page, null if there is none. */
  keyOfEntry(address: number): number | null {
    const { ops, scratch } = this.user.mmu;
    return ops.entry(this.root, address, scratch) ? (this.memory.loadU32(scratch + 4) >>> 27) & 15 : null;
  }
}

/** The files that were made, by MappableFile.description. */
const files: (MappableFile | null)[] = [null];

setBackingFiles({
  read: (_memory, file, position, target) => files[file]!.read(position, target),
  write: () => 0,
  size: (_memory, file) => files[file]!.size,
  hold: () => {},
  drop: () => {},
});

/** A file for mapping whose byte at position p is p modulo 251. */
export function patternFile(size: number, access: Partial<MappableFile> = {}): MappableFile {
  const file: MappableFile = {
    description: files.length,
    device: 8,
    inode: 77,
    path: '/tmp/pattern',
    readable: true,
    writable: false,
    mappable: true,
    size,
    read(position, target) {
      const count = Math.max(0, Math.min(target.length, size - position));
      for (let i = 0; i < count; i++) target[i] = (position + i) % 251;
      return count;
    },
    ...access,
  };
  files.push(file);
  return file;
}
