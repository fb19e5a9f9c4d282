import { Errno } from '../errno.js';
import type { Memory } from '../../memory/memory.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { consolePoll, readConsole, writeConsole } from './console.js';
import { counterChanges, pollCounter, readCounter, writeCounter } from './counter.js';
import { File, FileKind, fileFlags, filePath, position, setPosition, withPosition } from './description.js';
import { DEVICE_POLL, Device, readDevice, writeDevice } from './devices.js';
import { Open, Poll } from './flags.js';
import { hostCall } from './host.js';
import { hostOf } from './host-system.js';
import { pipeChanges, pollPipe, readPipe, writePipe } from './pipe.js';
import { hostSize, readRegular, writePosition, writeRegular } from './regular.js';
import { napBeforeRetry } from './sleep.js';
import { readText, writeText } from './text.js';
import { bounce, type UserBuffer } from './user-buffer.js';

/**
 * What each kind of file does. Results are bytes transferred or −errno; BLOCKED means that the task sleeps and the call is
 * to be made again when it wakes.
 */
interface Operations {
  read?(k: KernelCpu, file: number, to: UserBuffer): number;
  write?(k: KernelCpu, file: number, from: UserBuffer): number;
  /** Files without these have no positions: pread and lseek answer ESPIPE. */
  readAt?(k: KernelCpu, file: number, to: UserBuffer, at: number): number;
  writeAt?(k: KernelCpu, file: number, from: UserBuffer, at: number): number;
  /** Bytes in the file, for SEEK_END, or −errno. */
  size?(k: KernelCpu, file: number): number;
  /** POLL* bits that hold now. */
  poll(k: KernelCpu, file: number): number;
  /** For `changesOf`. */
  changes?(memory: Memory, file: number, events: number): number;
  /** When the file will be ready without anybody telling (monotonic ns), Infinity for never. */
  readyAt?(k: KernelCpu, file: number): number;
}

const ALWAYS_READY = Poll.IN | Poll.RDNORM | Poll.OUT | Poll.WRNORM;

const regular: Operations = {
  readAt: (k, file, to, at) => readRegular(k.memory, file, to, at),
  writeAt: (k, file, from, at) => writeRegular(k, file, from, at),
  size: (k, file) => hostSize(k.memory, file),
  poll: () => ALWAYS_READY,
};

const textFile: Operations = {
  readAt: (k, file, to, at) => readText(k, file, filePath(k.memory, file), to, at),
  writeAt: (k, file, from) => writeText(k, filePath(k.memory, file), from),
  size: () => 0,
  poll: () => ALWAYS_READY,
};

const directory: Operations = {
  read: () => -Errno.EISDIR,
  readAt: () => -Errno.EISDIR,
  size: (_k) => Number.MAX_SAFE_INTEGER,
  poll: () => ALWAYS_READY,
};

/** Reads and writes of a host FIFO are tried, and tried again after a while if it is not ready. */
const stream: Operations = {
  read(k, file, to) {
    const fd = k.memory.load32(file + File.hostFd);
    const buffer = bounce(k.memory, to.remaining);
    const count = hostCall(() => hostOf(k.memory).read(fd, buffer, null));
    if (count === -Errno.EAGAIN) return blockOr(k, file, count);
    if (count <= 0) return count;
    const copied = to.push(buffer.subarray(0, count));
    return copied || -Errno.EFAULT;
  },
  write(k, file, from) {
    const fd = k.memory.load32(file + File.hostFd);
    const buffer = bounce(k.memory, from.remaining);
    const taken = from.pull(buffer);
    if (taken === 0 && from.remaining > 0) return -Errno.EFAULT;
    const count = hostCall(() => hostOf(k.memory).write(fd, buffer.subarray(0, taken), null));
    return count === -Errno.EAGAIN ? blockOr(k, file, count) : count;
  },
  poll: () => ALWAYS_READY,
};

function blockOr(k: KernelCpu, file: number, otherwise: number): number {
  return fileFlags(k.memory, file) & Open.NONBLOCK ? otherwise : napBeforeRetry(k);
}

const device: Operations = {
  read(k, file, to) {
    const which = k.memory.load32(file + File.variant);
    return which === Device.tty ? readConsole(k, file, 0, to) : readDevice(k, which, to);
  },
  write(k, file, from) {
    const which = k.memory.load32(file + File.variant);
    return which === Device.tty ? writeConsole(k, file, 1, from) : writeDevice(k, which, from);
  },
  readAt(k, file, to) {
    const which = k.memory.load32(file + File.variant);
    return which === Device.tty ? -Errno.ESPIPE : readDevice(k, which, to);
  },
  writeAt(k, file, from) {
    const which = k.memory.load32(file + File.variant);
    return which === Device.tty ? -Errno.ESPIPE : writeDevice(k, which, from);
  },
  poll(k, file) {
    const which = k.memory.load32(file + File.variant);
    return which === Device.tty ? consolePoll(k, 0) | consolePoll(k, 1) : DEVICE_POLL;
  },
};

const consoleFile: Operations = {
  read: (k, file, to) => readConsole(k, file, k.memory.load32(file + File.variant), to),
  write: (k, file, from) => writeConsole(k, file, k.memory.load32(file + File.variant), from),
  poll: (k, file) => consolePoll(k, k.memory.load32(file + File.variant)),
};

const pipe: Operations = { read: readPipe, write: writePipe, poll: pollPipe, changes: pipeChanges };
const counter: Operations = {
  read: readCounter,
  write: writeCounter,
  poll: pollCounter,
  changes: counterChanges,
};

/** Filled by the files that own the kinds, where those need this one. */
export const KINDS: Record<number, Operations> = {
  [FileKind.regular]: regular,
  [FileKind.directory]: directory,
  [FileKind.stream]: stream,
  [FileKind.text]: textFile,
  [FileKind.device]: device,
  [FileKind.console]: consoleFile,
  [FileKind.pipe]: pipe,
  [FileKind.counter]: counter,
};

export function operationsOf(k: KernelCpu, file: number): Operations | undefined {
  return KINDS[k.memory.load32(file + File.kind)];
}

function readable(k: KernelCpu, file: number): boolean {
  const flags = fileFlags(k.memory, file);
  return (flags & Open.ACCMODE) !== Open.WRONLY && (flags & Open.PATH) === 0;
}

/** Whether a description may be written by its access mode. */
export function writable(k: KernelCpu, file: number): boolean {
  const flags = fileFlags(k.memory, file);
  return (flags & Open.ACCMODE) !== Open.RDONLY && (flags & Open.PATH) === 0;
}

/** read(2) at the file's position. `to` is made only after the descriptor's checks, as Linux orders its errors. */
export function readFile(k: KernelCpu, file: number, to: () => UserBuffer | number): number {
  if (!readable(k, file)) return -Errno.EBADF;
  const operations = operationsOf(k, file)!;
  if (!operations.read && !operations.readAt) return -Errno.EINVAL;
  const buffer = to();
  if (typeof buffer === 'number') return buffer;
  if (operations.read) return operations.read(k, file, buffer);
  return withPosition(k.memory, file, () => {
    const at = position(k.memory, file);
    const count = operations.readAt!(k, file, buffer, at);
    if (count > 0) setPosition(k.memory, file, at + count);
    return count;
  });
}

/** write(2) at the file's position, or at its end in append mode. */
export function writeFile(k: KernelCpu, file: number, from: () => UserBuffer | number): number {
  if (!writable(k, file)) return -Errno.EBADF;
  const operations = operationsOf(k, file)!;
  if (!operations.write && !operations.writeAt) return -Errno.EINVAL;
  const buffer = from();
  if (typeof buffer === 'number') return buffer;
  if (operations.write) return operations.write(k, file, buffer);
  if (buffer.remaining === 0) return 0;
  return withPosition(k.memory, file, () => {
    const at = writePosition(k.memory, file, position(k.memory, file));
    if (at < 0) return at;
    const count = operations.writeAt!(k, file, buffer, at);
    if (count > 0) setPosition(k.memory, file, at + count);
    return count;
  });
}

/** pread(2): the position stays. */
export function readFileAt(k: KernelCpu, file: number, to: () => UserBuffer | number, at: number): number {
  const operations = operationsOf(k, file);
  if (operations && !operations.readAt) return -Errno.ESPIPE;
  if (!readable(k, file)) return -Errno.EBADF;
  const buffer = to();
  if (typeof buffer === 'number') return buffer;
  return operations!.readAt!(k, file, buffer, at);
}

/** pwrite(2). */
export function writeFileAt(k: KernelCpu, file: number, from: () => UserBuffer | number, at: number): number {
  const operations = operationsOf(k, file);
  if (operations && !operations.writeAt && !operations.readAt) return -Errno.ESPIPE;
  if (!writable(k, file)) return -Errno.EBADF;
  if (!operations!.writeAt) return -Errno.EINVAL;
  const buffer = from();
  if (typeof buffer === 'number') return buffer;
  return buffer.remaining === 0 ? 0 : operations!.writeAt(k, file, buffer, at);
}

/** POLL* bits that hold now. */
export function pollFile(k: KernelCpu, file: number): number {
  return operationsOf(k, file)?.poll(k, file) ?? Poll.NVAL;
}

/** Who waits for a file and something else looks again this often (ns) if the host makes it ready. */
const HOST_INTERVAL = 10e6;

/**
 * When who waits for a file has to look at it again, since nobody here tells that it has become ready; monotonic ns. What was ready
 * before, and then looked at, makes nobody look again.
 */
export function looksAgain(k: KernelCpu, file: number): number {
  const now = k.now();
  if (hostFeeds(k.memory, file)) return now + HOST_INTERVAL;
  const at = operationsOf(k, file)?.readyAt?.(k, file) ?? Infinity;
  return at > now ? at : Infinity;
}

/** Whether the host makes a file ready without telling anybody here: console input wakes only its readers. */
function hostFeeds(memory: Memory, file: number): boolean {
  const kind = memory.load32(file + File.kind);
  if (kind === FileKind.device) return memory.load32(file + File.variant) === Device.tty;
  return kind === FileKind.console || kind === FileKind.stream;
}

/**
 * How often a file has become ready for more of `events` (POLL* bits), whether or not it was before; NaN, which equals
 * nothing, for files that don't count: an edge-triggered watch of theirs reports as a level-triggered one does.
 */
export function changesOf(memory: Memory, file: number, events: number): number {
  return KINDS[memory.load32(file + File.kind)]?.changes?.(memory, file, events) ?? Number.NaN;
}
