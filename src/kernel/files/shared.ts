import { Frame } from '../../memory/layout.js';
import type { Memory } from '../../memory/memory.js';
import { frameTableEntry } from '../../mmu/frames.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { anySharedFile, fileResized, fileWritten, setBackingFiles, syncFile } from '../memory/shared-file.js';
import { dropFile, File, holdFile } from './description.js';
import { hostCall } from './host.js';
import { hostOf } from './host-system.js';
import type { Attributes } from './stat.js';

/** Where reading and writing of regular files meets their shared mappings (src/kernel/memory/shared-file.ts). */

const hostFd = (memory: Memory, file: number) => memory.load32(file + File.hostFd);

setBackingFiles({
  read: (memory, file, at, target) => hostCall(() => hostOf(memory).read(hostFd(memory, file), target, at)),
  write: (memory, file, at, source) => hostCall(() => hostOf(memory).write(hostFd(memory, file), source, at)),
  size: (memory, file) =>
    Math.max(
      0,
      hostCall(() => Number(hostOf(memory).attributes(hostFd(memory, file), false).size)),
    ),
  hold: holdFile,
  drop: dropFile,
});

/** Calls `use` with the identity of a host file if any file is mapped shared at all. */
function identified(
  memory: Memory,
  stat: () => Attributes,
  use: (device: number, inode: number) => void,
): void {
  if (!anySharedFile(memory)) return;
  hostCall(() => {
    const { dev, ino } = stat();
    use(Number(dev), Number(ino));
  });
}

/** To be called before `length` bytes are read from a host file at a position. */
export function beforeRead(memory: Memory, fd: number, at: number, length = Infinity): void {
  identified(
    memory,
    () => hostOf(memory).attributes(fd, false),
    (device, inode) => syncFile(memory, device, inode, at, at + length),
  );
}

/** To be called after bytes were written to a host file at a position. */
export function afterWrite(k: KernelCpu, fd: number, at: number, bytes: Uint8Array): void {
  const { memory } = k;
  const changed = (frame: number) => {
    const mask = (frameTableEntry(memory, frame) + Frame.codeMask) >>> 2;
    if (Atomics.load(memory.i32, mask) !== 0) k.user.mmu.code.dropFrame(frame);
  };
  identified(
    memory,
    () => hostOf(memory).attributes(fd, false),
    (device, inode) => fileWritten(memory, device, inode, at, bytes, changed),
  );
}

/** To be called after the size of a host file has changed. */
export function afterResize(memory: Memory, stat: () => Attributes): void {
  identified(memory, stat, (device, inode) => fileResized(memory, device, inode));
}
