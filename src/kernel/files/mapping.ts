import type { Memory } from '../../memory/memory.js';
import type { KernelCpu } from '../kernel-cpu.js';
import type { MappableFile } from '../memory/object.js';
import { dropFile, File, FileKind, fileFlags, filePath } from './description.js';
import { Open } from './flags.js';
import { hostCall } from './host.js';
import { hostOf } from './host-system.js';
import { filesOf } from './links.js';
import { shownPath } from './path-text.js';
import { beforeRead } from './shared.js';
import { getFile } from './table.js';

/** What a descriptor offers to mmap; `release` it when the mapping is made. Null if the descriptor is not open. */
export function mappableFile(k: KernelCpu, fd: number): (MappableFile & { release(): void }) | null {
  const { memory } = k;
  const file = getFile(memory, filesOf(k), fd);
  if (file === 0) return null;
  const access = fileFlags(memory, file) & Open.ACCMODE;
  const host = memory.load32(file + File.hostFd);
  // A private mapping shows the file as it is now; a shared one keeps the description.
  if (host >= 0) beforeRead(memory, host, 0);
  const isName = memory.load32(file + File.kind) === FileKind.path;
  return {
    ...identity(memory, file, host),
    readable: access !== Open.WRONLY && !isName,
    writable: access !== Open.RDONLY && !isName,
    description: file,
    mappable: memory.load32(file + File.kind) === FileKind.regular,
    read: (position, target) => hostCall(() => hostOf(memory).read(host, target, position)),
    release: () => dropFile(memory, file),
  };
}

function identity(memory: Memory, file: number, host: number) {
  const path = Buffer.from(shownPath(filePath(memory, file)), 'latin1').toString('utf8');
  let found = { device: 0, inode: 0, size: 0 };
  if (host >= 0) {
    hostCall(() => {
      const { dev, ino, size } = hostOf(memory).attributes(host, false);
      found = { device: Number(dev), inode: Number(ino), size: Number(size) };
    });
  }
  return { ...found, path };
}
