import { fstatSync, readSync, type Stats, writeSync } from 'node:fs';
import { Frame } from '../../memory/layout.js';
import type { Memory } from '../../memory/memory.js';
import { frameTableEntry } from '../../mmu/frames.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { anySharedFile, fileResized, fileWritten, setBackingFiles, syncFile } from '../memory/shared-file.js';
import { dropFile, File, holdFile } from './description.js';
import { hostCall } from './host.js';

/** Where reading and writing of regular files meets their shared mappings (src/kernel/memory/shared-file.ts). */

const hostFd = (memory: Memory, file: number) => memory.load32(file + File.hostFd);

setBackingFiles({
  read: (memory, file, at, target) =>
    hostCall(() => readSync(hostFd(memory, file), target, 0, target.length, at)),
  write: (memory, file, at, source) =>
    hostCall(() => writeSync(hostFd(memory, file), source, 0, source.length, at)),
  size: (memory, file) =>
    Math.max(
      0,
      hostCall(() => fstatSync(hostFd(memory, file)).size),
    ),
  hold: holdFile,
  drop: dropFile,
});

/** Calls `use` with the identity of a host file if any file is mapped shared at all. */
function identified(memory: Memory, stat: () => Stats, use: (device: number, inode: number) => void): void {
  if (!anySharedFile(memory)) return;
  hostCall(() => {
    const { dev, ino } = stat();
    use(dev, ino);
  });
}

/** To be called before `length` bytes are read from a host file at a position. */
export function beforeRead(memory: Memory, fd: number, at: number, length = Infinity): void {
  identified(
    memory,
    () => fstatSync(fd),
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
    () => fstatSync(fd),
    (device, inode) => fileWritten(memory, device, inode, at, bytes, changed),
  );
}

/** To be called after the size of a host file has changed. */
export function afterResize(memory: Memory, stat: () => Stats): void {
  identified(memory, stat, (device, inode) => fileResized(memory, device, inode));
}
