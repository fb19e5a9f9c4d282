import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { Console, consolePointer, inputAvailable } from '../console.js';
import type { SyscallTable } from '../syscalls.js';
import { isTerminal } from './console.js';
import { File, FileKind, fileFlags, position } from './description.js';
import { duplicate } from './descriptors.js';
import { Device } from './devices.js';
import { FD_CLOEXEC, Fcntl, Open } from './flags.js';
import { filesOf, readUser, writeUser } from './links.js';
import { PIPE_CAPACITY, pipeBytes } from './pipe.js';
import { hostSize } from './regular.js';
import { descriptorFlags, setDescriptorFlags } from './table.js';
import { withFile } from './with-file.js';

/** Status flags that F_SETFL can change. */
const SETTABLE = Open.APPEND | Open.NONBLOCK | Open.DIRECT | Open.NOATIME;

const F_UNLCK = 2;

/**
 * Record locks: the only process that could hold one is this one, whose own locks never conflict; so a lock is always granted,
 * and none is ever found. Programs of the host don't see them.
 */
function recordLock(k: KernelCpu, command: number, argument: number): number {
  const type = new Uint8Array(2);
  if (readUser(k, argument, type) < 2) return -Errno.EFAULT;
  if (type[1] !== 0 || type[0] > F_UNLCK) return -Errno.EINVAL;
  if (command !== Fcntl.GETLK && command !== Fcntl.OFD_GETLK) return 0;
  return writeUser(k, argument, Uint8Array.of(F_UNLCK, 0)) === 2 ? 0 : -Errno.EFAULT;
}

function fcntl(k: KernelCpu, fd: number, command: number, argument: number): number {
  const { memory } = k;
  const table = filesOf(k);
  return withFile(k, fd, (file) => {
    const flags = fileFlags(memory, file);
    // An O_PATH descriptor knows only these.
    const path = (flags & Open.PATH) !== 0;
    switch (command) {
      case Fcntl.DUPFD:
      case Fcntl.DUPFD_CLOEXEC:
        return duplicate(k, fd, argument > 0x7fff_ffff ? -1 : argument, command === Fcntl.DUPFD_CLOEXEC);
      case Fcntl.GETFD:
        return descriptorFlags(memory, table, fd);
      case Fcntl.SETFD:
        return setDescriptorFlags(memory, table, fd, argument & FD_CLOEXEC);
      case Fcntl.GETFL:
        return flags;
    }
    if (path) return -Errno.EBADF;
    switch (command) {
      case Fcntl.SETFL:
        Atomics.store(
          memory.i32,
          (file + File.flags) >>> 2,
          (flags & ~SETTABLE) | (Number(argument) & SETTABLE),
        );
        return 0;
      case Fcntl.GETLK:
      case Fcntl.SETLK:
      case Fcntl.SETLKW:
      case Fcntl.OFD_GETLK:
      case Fcntl.OFD_SETLK:
      case Fcntl.OFD_SETLKW:
        return recordLock(k, command, argument);
      case Fcntl.SETOWN:
      case Fcntl.GETOWN:
        return 0;
      case Fcntl.SETPIPE_SZ:
      case Fcntl.GETPIPE_SZ:
        if (memory.load32(file + File.kind) !== FileKind.pipe) return -Errno.EBADF;
        return command === Fcntl.SETPIPE_SZ && argument > PIPE_CAPACITY ? -Errno.EPERM : PIPE_CAPACITY;
      default:
        return -Errno.EINVAL;
    }
  });
}

const Ioctl = {
  TCGETS: 0x5401,
  TCSETS: 0x5402,
  TCSETSW: 0x5403,
  TCSETSF: 0x5404,
  TCSBRK: 0x5409,
  TCFLSH: 0x540b,
  TIOCGPGRP: 0x540f,
  TIOCSPGRP: 0x5410,
  TIOCGWINSZ: 0x5413,
  TIOCSWINSZ: 0x5414,
  FIONREAD: 0x541b,
  FIONBIO: 0x5421,
  TIOCGSID: 0x5429,
  FIONCLEX: 0x5450,
  FIOCLEX: 0x5451,
} as const;

/**
 * struct termios of a terminal in its usual, line-editing mode (drivers/tty/tty_io.c, tty_std_termios), 36 bytes: four words
 * of flags, line discipline, 19 control characters. The line editing is done by the host's terminal.
 */
const TERMIOS = Uint8Array.of(
  ...[0x00, 0x45, 0, 0], // ICRNL | IXON | IUTF8
  ...[0x05, 0, 0, 0], // OPOST | ONLCR
  ...[0xbf, 0, 0, 0], // B38400 | CS8 | CREAD
  ...[0x3b, 0x8a, 0, 0], // ISIG ICANON ECHO ECHOE ECHOK ECHOCTL ECHOKE IEXTEN
  ...[0, 3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0],
);

/** The console stream behind a file if that is a terminal, or −1. */
function terminalOf(k: KernelCpu, file: number): number {
  const kind = k.memory.load32(file + File.kind);
  const variant = k.memory.load32(file + File.variant);
  if (kind === FileKind.console) return isTerminal(k, variant) ? variant : -1;
  if (kind === FileKind.device && variant === Device.tty)
    return [0, 1, 2].find((s) => isTerminal(k, s)) ?? -1;
  return -1;
}

function ioctl(k: KernelCpu, fd: number, request: number, argument: number): number {
  const { memory } = k;
  return withFile(k, fd, (file) => {
    const flags = fileFlags(memory, file);
    if (flags & Open.PATH) return -Errno.EBADF;
    switch (request) {
      case Ioctl.FIOCLEX:
      case Ioctl.FIONCLEX:
        return setDescriptorFlags(memory, filesOf(k), fd, request === Ioctl.FIOCLEX ? FD_CLOEXEC : 0);
      case Ioctl.FIONBIO: {
        const on = new Uint8Array(4);
        if (readUser(k, argument, on) < 4) return -Errno.EFAULT;
        const nonblock = on.some((byte) => byte !== 0) ? Open.NONBLOCK : 0;
        Atomics.store(memory.i32, (file + File.flags) >>> 2, (flags & ~Open.NONBLOCK) | nonblock);
        return 0;
      }
      case Ioctl.FIONREAD:
        return bytesAvailable(k, file, argument);
    }
    return terminalOf(k, file) < 0 ? -Errno.ENOTTY : terminalIoctl(k, request, argument);
  });
}

function putWords(k: KernelCpu, address: number, words: Int32Array | Uint16Array): number {
  const bytes = new Uint8Array(words.buffer);
  return writeUser(k, address, bytes) === bytes.length ? 0 : -Errno.EFAULT;
}

function bytesAvailable(k: KernelCpu, file: number, argument: number): number {
  const { memory } = k;
  switch (memory.load32(file + File.kind)) {
    case FileKind.regular: {
      const size = hostSize(memory, file);
      return size < 0 ? size : putWords(k, argument, Int32Array.of(size - position(memory, file)));
    }
    case FileKind.pipe:
      return putWords(k, argument, Int32Array.of(pipeBytes(memory, file)));
    case FileKind.console:
      if (memory.load32(file + File.variant) === 0 || terminalOf(k, file) >= 0) {
        return putWords(k, argument, Int32Array.of(Math.max(0, inputAvailable(memory))));
      }
      return -Errno.ENOTTY;
    default:
      return -Errno.ENOTTY;
  }
}

/** Settings of the terminal are reported and accepted, but the host's terminal keeps its own. */
function terminalIoctl(k: KernelCpu, request: number, argument: number): number {
  const { memory } = k;
  switch (request) {
    case Ioctl.TCGETS:
      return writeUser(k, argument, TERMIOS) === TERMIOS.length ? 0 : -Errno.EFAULT;
    case Ioctl.TCSETS:
    case Ioctl.TCSETSW:
    case Ioctl.TCSETSF:
      return readUser(k, argument, new Uint8Array(TERMIOS.length)) === TERMIOS.length ? 0 : -Errno.EFAULT;
    case Ioctl.TIOCGWINSZ: {
      const console = consolePointer(memory);
      const rows = memory.load32(console + Console.rows);
      const columns = memory.load32(console + Console.columns);
      return putWords(k, argument, Uint16Array.of(rows, columns, 0, 0));
    }
    case Ioctl.TIOCGPGRP:
    case Ioctl.TIOCGSID:
      return putWords(k, argument, Int32Array.of(k.pid));
    case Ioctl.TIOCSPGRP:
    case Ioctl.TIOCSWINSZ:
    case Ioctl.TCSBRK:
    case Ioctl.TCFLSH:
      return 0;
    default:
      return -Errno.ENOTTY;
  }
}

/** flock(2): as record locks. */
function flock(k: KernelCpu, fd: number, operation: number): number {
  const LOCK_NB = 4;
  return withFile(k, fd, (file) => {
    if (fileFlags(k.memory, file) & Open.PATH) return -Errno.EBADF;
    return [1, 2, 8].includes(operation & ~LOCK_NB) ? 0 : -Errno.EINVAL;
  });
}

export const controlSyscalls: SyscallTable = {
  16: { name: 'ioctl', args: 'dfp', handler: ioctl },
  72: { name: 'fcntl', args: 'ddx', handler: fcntl },
  73: { name: 'flock', args: 'dd', handler: flock },
};
