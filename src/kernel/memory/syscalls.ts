import type { KernelCpu } from '../kernel-cpu.js';
import { abiOf } from '../pkeys/abi.js';
import type { SyscallTable } from '../syscalls.js';
import type { Memory } from '../../memory/memory.js';
import { madvise } from './advise.js';
import { brk } from './brk.js';
import { mmap, munmap } from './mmap.js';
import { mprotect, pkeyMprotect } from './mprotect.js';
import { mremap } from './mremap.js';
import type { MappableFile } from './object.js';
import { processVm } from './process-vm.js';
import { mincore, mlock, mlockall, msync, munlock, munlockall } from './residency.js';

/** Gives the file of a descriptor for mapping, or −EBADF. */
export type OpenMappable = (k: KernelCpu, descriptor: number) => MappableFile | number;

/** The calls about memory that every ABI has. */
export function memorySyscalls(openMappable: OpenMappable): SyscallTable {
  return {
    9: {
      name: 'mmap',
      args: 'pzxfdx',
      handler: (k, address, length, prot, flags, fd, offset) =>
        mmap(k, address, length, prot, flags, offset, () => openMappable(k, fd)),
    },
    10: {
      name: 'mprotect',
      args: 'pzx',
      handler: (k, address, length, prot) => mprotect(k, address, length, prot),
    },
    11: { name: 'munmap', args: 'pz', handler: (k, address, length) => munmap(k, address, length) },
    12: { name: 'brk', args: 'p', handler: (k, address) => brk(k, address) },
    25: {
      name: 'mremap',
      args: 'pzzxp',
      handler: (k, address, oldLength, newLength, flags, target) =>
        mremap(k, address, oldLength, newLength, flags, target),
    },
    26: {
      name: 'msync',
      args: 'pzd',
      handler: (k, address, length, flags) => msync(k, address, length, flags),
    },
    27: {
      name: 'mincore',
      args: 'pzp',
      handler: (k, address, length, vector) => mincore(k, address, length, vector),
    },
    28: {
      name: 'madvise',
      args: 'pzd',
      handler: (k, address, length, advice) => madvise(k, address, length, advice),
    },
    149: { name: 'mlock', args: 'pz', handler: (k, address, length) => mlock(k, address, length, 0) },
    150: { name: 'munlock', args: 'pz', handler: (k, address, length) => munlock(k, address, length) },
    151: { name: 'mlockall', args: 'd', handler: (k, flags) => mlockall(k, flags) },
    152: { name: 'munlockall', args: '', handler: (k) => munlockall(k) },
    310: {
      name: 'process_vm_readv',
      args: 'dpzpzx',
      handler: (k, pid, local, localCount, remote, remoteCount, flags) =>
        processVm(k, pid, local, localCount, remote, remoteCount, flags, false),
    },
    311: {
      name: 'process_vm_writev',
      args: 'dpzpzx',
      handler: (k, pid, local, localCount, remote, remoteCount, flags) =>
        processVm(k, pid, local, localCount, remote, remoteCount, flags, true),
    },
    325: {
      name: 'mlock2',
      args: 'pzd',
      handler: (k, address, length, flags) => mlock(k, address, length, flags),
    },
    329: {
      name: 'pkey_mprotect',
      args: 'pzxd',
      handler: (k, address, length, prot, key) => pkeyMprotect(k, address, length, prot, key),
    },
  };
}

/** The calls that the machine's ABI has besides; they take precedence over others of the same number (332 is statx otherwise). */
export function pkeySyscalls(memory: Memory): SyscallTable {
  return abiOf(memory).syscalls;
}
