import { rootPointer, setRoot } from '../../memory/roots.js';
import { kmalloc } from '../../memory/slab.js';
import type { Memory } from '../../memory/memory.js';
import { struct } from '../../memory/struct.js';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { File } from './description.js';
import type { TextNode } from './nodes.js';
import { lookupAbsolute } from './paths.js';
import { bounce, type UserBuffer } from './user-buffer.js';

/** Machine-wide state of text files. */
const TextState = struct({ nextSerial: 'i32' });
const ROOT = 26;

/** Called once at boot. */
export function createTextState(memory: Memory): void {
  setRoot(memory, ROOT, kmalloc(memory, TextState.size));
}

/**
 * Texts that reads in small pieces are in the middle of, by the number the file got when it was read from its start (in
 * File.object). A cache of the worker's: a task that goes on on another CPU has its text made afresh there, and may see a
 * change between two lines, as it may on Linux.
 */
const cache = new Map<number, string>();
const CACHED = 16;

function nodeAt(k: KernelCpu, path: string): TextNode | null {
  const place = lookupAbsolute(k, path, true);
  return typeof place !== 'number' && place.at === 'node' && place.node.type === 'text' ? place.node : null;
}

export function readText(k: KernelCpu, file: number, path: string, to: UserBuffer, at: number): number {
  const { memory } = k;
  let serial = memory.load32(file + File.object);
  let text = serial !== 0 && at > 0 ? cache.get(serial) : undefined;
  if (text === undefined) {
    const node = nodeAt(k, path);
    if (node === null) return -Errno.ESRCH;
    text = node.text(k);
    serial = Atomics.add(memory.i32, (rootPointer(memory, ROOT) + TextState.nextSerial) >>> 2, 1) + 1;
    memory.store32(file + File.object, serial);
    cache.set(serial, text);
    if (cache.size > CACHED) cache.delete(cache.keys().next().value!);
  }
  let done = 0;
  while (to.remaining > 0 && at + done < text.length) {
    const part = text.substring(at + done, at + done + bounce(k.memory, to.remaining).length);
    const buffer = bounce(memory, part.length);
    for (let i = 0; i < part.length; i++) buffer[i] = part.charCodeAt(i);
    const copied = to.push(buffer);
    done += copied;
    if (copied < buffer.length) return done || -Errno.EFAULT;
  }
  return done;
}

export function writeText(k: KernelCpu, path: string, from: UserBuffer): number {
  const node = nodeAt(k, path);
  if (!node?.write) return -Errno.EINVAL;
  const buffer = bounce(k.memory, from.remaining);
  const taken = from.pull(buffer);
  if (taken === 0) return -Errno.EFAULT;
  const result = node.write(k, String.fromCharCode(...buffer.subarray(0, Math.min(taken, 4096))));
  return result < 0 ? result : taken;
}
