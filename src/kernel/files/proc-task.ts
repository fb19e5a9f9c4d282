import { MACHINE, Machine } from '../../memory/layout.js';
import type { Memory } from '../../memory/memory.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { NSIG, SIG_DFL, SIG_IGN, signalBit, highHalf } from '../signal/numbers.js';
import { actionPointer, Pending, ProcessSignals, SigAction, TaskSignals } from '../signal/state.js';
import { Process, Task, TaskState } from '../task.js';
import { loadWord, stateOf } from '../wait.js';
import { filesOf } from './links.js';
import { cpuList, kib } from './proc-text.js';
import { programNumber } from './program.js';
import { FileTable } from './table-layout.js';

/** /proc/self/stat and /proc/self/status (fs/proc/array.c). */

/** Sizes of a process's memory in bytes. */
export interface Sizes {
  readonly virtual: number;
  readonly resident: number;
  readonly data: number;
  readonly stack: number;
  readonly code: number;
}

function stateLetter(memory: Memory, task: number): 'R' | 'S' {
  const state = stateOf(loadWord(memory, task));
  return state === TaskState.Asleep || state === TaskState.Parked || state === TaskState.Detached ? 'S' : 'R';
}

/** One line of 52 fields. */
export function taskStat(k: KernelCpu, task: number, comm: string, sizes: Sizes): string {
  const { memory } = k;
  const table = filesOf(k);
  const ticks = Math.floor(memory.f64[(task + Task.cpuTime) >>> 3] / 1e7);
  const number = (field: Parameters<typeof programNumber>[2]) => programNumber(memory, table, field);
  const parent = memory.loadU32(k.process + Process.parent);
  const fields = [
    memory.load32(task + Task.tid),
    `(${comm})`,
    stateLetter(memory, task),
    parent === 0 ? 0 : memory.load32(parent + Process.pid),
    k.pid,
    k.pid,
    0, // tty_nr
    -1, // tpgid
    0, // flags
    ...[0, 0, 0, 0], // minflt cminflt majflt cmajflt
    ticks,
    ...[0, 0, 0], // stime cutime cstime
    20 + memory.load32(task + Task.nice),
    memory.load32(task + Task.nice),
    memory.load32(k.process + Process.threads),
    ...[0, 0], // itrealvalue starttime
    sizes.virtual,
    sizes.resident / 4096,
    '18446744073709551615', // rsslim
    number('codeStart'),
    number('codeEnd'),
    number('stackPointer'),
    ...[0, 0], // kstkesp kstkeip
    ...[0, 0, 0, 0], // signal masks, obsolete
    ...[0, 0, 0], // wchan nswap cnswap
    17, // exit_signal
    Math.max(0, memory.load32(task + Task.lastCpu)),
    memory.load32(task + Task.priority),
    memory.load32(task + Task.policy),
    ...[0, 0, 0], // delayacct_blkio_ticks guest_time cguest_time
    number('codeEnd'), // start_data
    number('brk'), // end_data
    number('brk'), // start_brk
    number('argStart'),
    number('argEnd'),
    number('argEnd'),
    number('envEnd'),
    0, // exit_code
  ];
  return `${fields.join(' ')}\n`;
}

const hex64 = (high: number, low: number): string =>
  (high >>> 0).toString(16).padStart(8, '0') + (low >>> 0).toString(16).padStart(8, '0');

function setAt(memory: Memory, set: number): string {
  return hex64(memory.load32(set + 4), memory.load32(set));
}

/** The signals whose action satisfies `test`, as a mask. */
function actions(memory: Memory, shared: number, test: (handler: number) => boolean): string {
  let low = 0;
  let high = 0;
  for (let signal = 1; signal <= NSIG; signal++) {
    if (!test(memory.loadNumber(actionPointer(shared, signal) + SigAction.handler))) continue;
    if (highHalf(signal)) high |= signalBit(signal);
    else low |= signalBit(signal);
  }
  return hex64(high, low);
}

export function taskStatus(k: KernelCpu, task: number, comm: string, sizes: Sizes): string {
  const { memory } = k;
  const { process } = k;
  const word = (offset: number) => memory.load32(process + offset);
  const ids = (real: number, effective: number) =>
    [real, effective, effective, effective].map(word).join('\t');
  const signals = task + Task.signals;
  const shared = process + Process.signals;
  const parent = memory.loadU32(process + Process.parent);
  const running = stateLetter(memory, task) === 'R';
  const cpus = memory.load32(MACHINE + Machine.cpuCount);
  const allCpus = cpus >= 32 ? 'ffffffff' : (2 ** cpus - 1).toString(16);
  const lines: [string, string | number][] = [
    ['Name', comm],
    [
      'Umask',
      memory
        .load32(filesOf(k) + FileTable.umask)
        .toString(8)
        .padStart(4, '0'),
    ],
    ['State', running ? 'R (running)' : 'S (sleeping)'],
    ['Tgid', k.pid],
    ['Ngid', 0],
    ['Pid', memory.load32(task + Task.tid)],
    ['PPid', parent === 0 ? 0 : memory.load32(parent + Process.pid)],
    ['TracerPid', 0],
    ['Uid', ids(Process.uid, Process.euid)],
    ['Gid', ids(Process.gid, Process.egid)],
    ['FDSize', 64],
    ['Groups', `${word(Process.gid)} `],
    ['VmPeak', kib(sizes.virtual, 8)],
    ['VmSize', kib(sizes.virtual, 8)],
    ['VmLck', kib(0, 8)],
    ['VmHWM', kib(sizes.resident, 8)],
    ['VmRSS', kib(sizes.resident, 8)],
    ['VmData', kib(sizes.data, 8)],
    ['VmStk', kib(sizes.stack, 8)],
    ['VmExe', kib(sizes.code, 8)],
    ['VmLib', kib(0, 8)],
    ['VmSwap', kib(0, 8)],
    ['Threads', word(Process.threads)],
    ['SigQ', `${memory.load32(shared + ProcessSignals.queued)}/4096`],
    ['SigPnd', setAt(memory, signals + TaskSignals.pending + Pending.set)],
    ['ShdPnd', setAt(memory, shared + ProcessSignals.pending + Pending.set)],
    ['SigBlk', setAt(memory, signals + TaskSignals.blocked)],
    ['SigIgn', actions(memory, shared, (handler) => handler === SIG_IGN)],
    ['SigCgt', actions(memory, shared, (handler) => handler !== SIG_IGN && handler !== SIG_DFL)],
    ['CapInh', hex64(0, 0)],
    ['CapPrm', hex64(0, 0)],
    ['CapEff', hex64(0, 0)],
    ['CapBnd', hex64(0, 0)],
    ['CapAmb', hex64(0, 0)],
    ['NoNewPrivs', 0],
    ['Seccomp', 0],
    ['Cpus_allowed', allCpus],
    ['Cpus_allowed_list', cpuList(cpus).trim()],
    ['voluntary_ctxt_switches', memory.f64[(task + Task.switches) >>> 3]],
    ['nonvoluntary_ctxt_switches', 0],
  ];
  return lines.map(([name, value]) => `${name}:\t${value}\n`).join('');
}
