import type { Memory } from '../../memory/memory.js';
import { Console, consolePointer, StreamKind } from '../console.js';
import type { SyscallTable } from '../syscalls.js';
import { attributeSyscalls } from './attributes.js';
import { controlSyscalls } from './control.js';
import { createFile, createHostFileList, dropFile, FileKind } from './description.js';
import { descriptorSyscalls } from './descriptors.js';
import { directorySyscalls } from './directory.js';
import { Open } from './flags.js';
import { createEpolls, epollSyscalls } from './epoll.js';
import { fileTimerSyscalls } from './file-timer.js';
import { nameSyscalls } from './names.js';
import { openSyscalls } from './open.js';
import { pollSyscalls } from './poll.js';
import { createPollers } from './pollers.js';
import { readWriteSyscalls } from './read-write.js';
import { standardPosition } from './standard.js';
import { installFile } from './table.js';
import { createTextState } from './text.js';
import { transferSyscalls } from './transfer.js';

export { closeHostFiles } from './description.js';
export { closeOnExec, copyTable, createTable, dropTable, holdTable } from './table.js';
export { mappableFile } from './mapping.js';
export { setProgram } from './program.js';
export { wakePollers } from './pollers.js';

/** All file calls. */
export const fileSyscalls: SyscallTable = {
  ...attributeSyscalls,
  ...controlSyscalls,
  ...descriptorSyscalls,
  ...directorySyscalls,
  ...epollSyscalls,
  ...fileTimerSyscalls,
  ...nameSyscalls,
  ...openSyscalls,
  ...pollSyscalls,
  ...readWriteSyscalls,
  ...transferSyscalls,
};

/** Makes the machine-wide state of files. Called once at boot, after `createHeapClasses`. */
export function createFiles(memory: Memory): void {
  createHostFileList(memory);
  createPollers(memory);
  createEpolls(memory);
  createTextState(memory);
}

/**
 * Opens descriptors 0, 1 and 2 in a new table, as Console.kinds describes the streams: a regular file as input is read at
 * the position where the host's descriptor stands, everything else goes through the console.
 * @returns false if there is no room
 */
export function openStandardFiles(memory: Memory, table: number): boolean {
  for (let stream = 0; stream < 3; stream++) {
    const kind = memory.load32(consolePointer(memory) + Console.kinds + 4 * stream);
    if (kind === StreamKind.closed) continue;
    const terminal = kind === StreamKind.terminal;
    const access = terminal ? Open.RDWR : stream === 0 ? Open.RDONLY : Open.WRONLY;
    const asFile = kind === StreamKind.file && stream === 0;
    const file = createFile(memory, {
      kind: asFile ? FileKind.regular : FileKind.console,
      flags: access | Open.LARGEFILE,
      variant: stream,
      ...(asFile ? { hostFd: 0, ...standardPosition() } : {}),
    });
    if (file === 0) return false;
    // Closed streams leave holes, so each takes the lowest free descriptor from its own number on: its own.
    if (installFile(memory, table, file, false, stream) < 0) {
      dropFile(memory, file);
      return false;
    }
  }
  return true;
}
