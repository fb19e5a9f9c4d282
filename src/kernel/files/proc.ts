import { MACHINE, Machine } from '../../memory/layout.js';
import { locked } from '../../memory/lock.js';
import { PAGE_SIZE } from '../../memory/memory.js';
import { framesUsed } from '../../mmu/frames.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { MMAP_MIN_ADDRESS } from '../memory/mm-layout.js';
import { mapsText, smapsText, sizesOf } from './proc-maps.js';
import { forEachThread, Process, Task, Tasks, tasksPointer } from '../task.js';
import { ProcessSignals } from '../signal/state.js';
import { dropFile, File, FileKind, fileFlags, filePath, position } from './description.js';
import { hostOf } from './host-system.js';
import { cpuCountOf, filesOf, readUser } from './links.js';
import { type DirectoryNode, directory, link, type LinkNode, type Node, text } from './nodes.js';
import { shownPath } from './path-text.js';
import { taskStat, taskStatus } from './proc-task.js';
import { cpuinfo, loadAverage, type MachineLoad, machineStat, meminfo, uptime } from './proc-text.js';
import { programAuxv, programNumber, programPath } from './program.js';
import { RELEASE, VERSION } from './version.js';
import { cwd, getFile, openDescriptors } from './table.js';

/** /proc: the machine, and the reading process itself. Other processes are not shown. */

export function frameBytes(k: KernelCpu): { total: number; free: number } {
  const total = k.memory.load32(MACHINE + Machine.frameCount) * PAGE_SIZE;
  return { total, free: total - framesUsed(k.memory) * PAGE_SIZE };
}

export function machineLoad(k: KernelCpu): MachineLoad {
  const { memory } = k;
  const tasks = tasksPointer(memory);
  return {
    cpuCount: cpuCountOf(k),
    uptime: k.now() / 1e9,
    bootTime: memory.f64[(MACHINE + Machine.bootRealtime) >>> 3] / 1000,
    contextSwitches: memory.load32(MACHINE + Machine.contextSwitches),
    tasks: memory.load32(tasks + Tasks.taskCount),
    running: 1,
    lastPid: memory.load32(tasks + Tasks.nextPid) - 1,
  };
}

/** What readlink of /proc/self/fd/N says. */
function descriptorName(k: KernelCpu, fd: number): string {
  const { memory } = k;
  const file = getFile(memory, filesOf(k), fd);
  if (file === 0) return '';
  const path = filePath(memory, file);
  const object = memory.loadU32(file + File.object);
  let name: string;
  switch (memory.load32(file + File.kind)) {
    case FileKind.pipe:
      name = `pipe:[${object}]`;
      break;
    case FileKind.counter:
      name = 'anon_inode:[eventfd]';
      break;
    case FileKind.timer:
      name = 'anon_inode:[timerfd]';
      break;
    case FileKind.epoll:
      name = 'anon_inode:[eventpoll]';
      break;
    case FileKind.console:
      name = hostOf(memory).streamName(memory.load32(file + File.variant));
      break;
    default:
      name = shownPath(path);
  }
  dropFile(memory, file);
  return name;
}

const descriptorDirectory: DirectoryNode = {
  type: 'directory',
  names: (k) => openDescriptors(k.memory, filesOf(k)).map(String),
  find: (k, name) => {
    const fd = descriptorOf(k, name);
    if (fd < 0) return null;
    return { type: 'link', target: (k) => descriptorName(k, fd), descriptor: fd } satisfies LinkNode;
  },
};

/** pos and flags of a descriptor. */
const descriptorInfo: DirectoryNode = {
  type: 'directory',
  names: descriptorDirectory.names,
  find: (k, name) => {
    const fd = descriptorOf(k, name);
    if (fd < 0) return null;
    return text((k) => {
      const file = getFile(k.memory, filesOf(k), fd);
      if (file === 0) return '';
      const flags = fileFlags(k.memory, file).toString(8).padStart(7, '0');
      const at = position(k.memory, file);
      dropFile(k.memory, file);
      return `pos:\t${at}\nflags:\t${flags}\nmnt_id:\t1\n`;
    });
  },
};

function descriptorOf(k: KernelCpu, name: string): number {
  if (!/^(0|[1-9]\d{0,5})$/.test(name)) return -1;
  const file = getFile(k.memory, filesOf(k), Number(name));
  if (file === 0) return -1;
  dropFile(k.memory, file);
  return Number(name);
}

/** A part of the process's memory as a byte string, as much of it as can be read. */
function userText(k: KernelCpu, start: number, end: number): string {
  const bytes = Buffer.alloc(Math.min(end - start, 1 << 20));
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  return bytes.toString('latin1', 0, readUser(k, start, plain));
}

const argument = (k: KernelCpu, field: Parameters<typeof programNumber>[2]) =>
  programNumber(k.memory, filesOf(k), field);

function commName(k: KernelCpu, task: number): string {
  const bytes = k.memory.u8.slice(task + Task.comm, task + Task.comm + 16);
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end < 0 ? 16 : end)).toString('latin1');
}

/** The entries that processes and threads have both. */
const threadEntries = (tid: number): Record<string, Node> => ({
  comm: {
    type: 'text',
    mode: 0o644,
    text: (k) => withThread(k, tid, (task) => `${commName(k, task)}\n`),
    write: (k, name) => {
      withThread(k, tid, (task) => {
        setComm(k, task, Buffer.from(name.replace(/\n$/, ''), 'latin1'));
        return '';
      });
      return 0;
    },
  },
  stat: text((k) => withThread(k, tid, (task) => taskStat(k, task, commName(k, task), sizesOf(k)))),
  status: text((k) => withThread(k, tid, (task) => taskStatus(k, task, commName(k, task), sizesOf(k)))),
  auxv: text((k) => programAuxv(k.memory, filesOf(k))),
  cmdline: text((k) => userText(k, argument(k, 'argStart'), argument(k, 'argEnd'))),
  environ: text((k) => userText(k, argument(k, 'argEnd'), argument(k, 'envEnd'))),
  exe: link((k) => programPath(k.memory, filesOf(k))),
  cwd: link((k) => cwd(k.memory, filesOf(k))),
  root: link(() => '/'),
  fd: descriptorDirectory,
  fdinfo: descriptorInfo,
  maps: text(mapsText),
  smaps: text(smapsText),
  // The host's, since its files are the guest's.
  mounts: text((k) => hostOf(k.memory).mounts()),
  statm: text((k) => {
    const { virtual, resident } = sizesOf(k);
    return `${virtual / PAGE_SIZE} ${resident / PAGE_SIZE} 0 0 0 ${virtual / PAGE_SIZE} 0\n`;
  }),
});

/** Sets a thread's name, cut to 15 bytes. */
export function setComm(k: KernelCpu, task: number, name: Uint8Array): void {
  k.memory.u8.fill(0, task + Task.comm, task + Task.comm + 16);
  k.memory.u8.set(name.subarray(0, 15), task + Task.comm);
}

/** Runs `use` with the thread of this process that has the tid; an empty text if it is gone. */
function withThread(k: KernelCpu, tid: number, use: (task: number) => string): string {
  const word = k.process + Process.signals + ProcessSignals.lock;
  let found = 0;
  locked(k.memory, word, () =>
    forEachThread(k.memory, k.process, (task) => {
      if (k.memory.load32(task + Task.tid) === tid) found = task;
      return found === 0;
    }),
  );
  return found === 0 ? '' : use(found);
}

function threads(k: KernelCpu): string[] {
  const word = k.process + Process.signals + ProcessSignals.lock;
  const tids: string[] = [];
  locked(k.memory, word, () =>
    forEachThread(k.memory, k.process, (task) => {
      tids.push(String(k.memory.load32(task + Task.tid)));
      return true;
    }),
  );
  return tids;
}

const taskDirectory: DirectoryNode = {
  type: 'directory',
  names: threads,
  find: (k, name) => (threads(k).includes(name) ? directory(threadEntries(Number(name))) : null),
};

function processDirectory(pid: number): DirectoryNode {
  return directory({
    ...threadEntries(pid),
    task: taskDirectory,
  });
}

const machineEntries = directory({
  cpuinfo: text((k) => cpuinfo(cpuCountOf(k), k.cpu.hasPku)),
  filesystems: text(() => 'nodev\tproc\nnodev\ttmpfs\n\text4\n'),
  loadavg: text((k) => loadAverage(machineLoad(k))),
  meminfo: text((k) => {
    const { total, free } = frameBytes(k);
    return meminfo(total, free);
  }),
  mounts: link(() => 'self/mounts'),
  self: link((k) => String(k.pid)),
  'thread-self': link((k) => `${k.pid}/task/${k.tid}`),
  stat: text((k) => machineStat(machineLoad(k))),
  uptime: text((k) => uptime(machineLoad(k))),
  version: text(() => `Linux version ${RELEASE} ${VERSION}\n`),
  sys: directory({
    kernel: directory({
      hostname: text(() => 'europa\n'),
      osrelease: text(() => `${RELEASE}\n`),
      ostype: text(() => 'Linux\n'),
      pid_max: text(() => '32768\n'),
      randomize_va_space: text(() => '0\n'),
      'threads-max': text(() => '32768\n'),
      version: text(() => `${VERSION}\n`),
    }),
    vm: directory({
      max_map_count: text(() => '65530\n'),
      mmap_min_addr: text(() => `${MMAP_MIN_ADDRESS}\n`),
      overcommit_memory: text(() => '0\n'),
    }),
  }),
});

export const procTree: DirectoryNode = {
  type: 'directory',
  names: (k) => [String(k.pid), ...machineEntries.names(k)],
  find: (k, name) => (name === String(k.pid) ? processDirectory(k.pid) : machineEntries.find(k, name)),
};
