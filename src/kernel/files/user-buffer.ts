import { TASK_SIZE } from '../../loader/elf.js';
import type { Memory } from '../../memory/memory.js';
import { kmalloc } from '../../memory/slab.js';
import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { IOV_MAX, MAX_RW_COUNT } from './flags.js';
import { readUser, writeUser } from './links.js';

/**
 * The user memory of one read or write: a list of ranges that is worked through from its start.
 *
 * File data passes through a buffer of the worker: a host call may block for long, which is forbidden while a translation of
 * user memory is in use, and a copy costs little against the call itself (64 KiB: 5 µs against 15 µs).
 */
export class UserBuffer {
  private segment = 0;
  private done = 0;
  private copyRange: typeof readUser = readUser;
  /** Bytes not yet transferred. */
  remaining: number;

  private constructor(
    private readonly k: KernelCpu,
    private readonly starts: readonly number[],
    private readonly lengths: readonly number[],
  ) {
    this.remaining = lengths.reduce((sum, length) => sum + length, 0);
  }

  /** One range, cut to what a single call may transfer; −EFAULT if it is not within user memory. */
  static single(k: KernelCpu, address: number, length: number): UserBuffer | number {
    if (!inUserMemory(address, length)) return -Errno.EFAULT;
    return new UserBuffer(k, [address], [Math.min(length, MAX_RW_COUNT)]);
  }

  /** The ranges of an array of struct iovec (import_iovec in lib/iov_iter.c), or −errno. */
  static vector(k: KernelCpu, address: number, count: number): UserBuffer | number {
    if (count > IOV_MAX) return -Errno.EINVAL;
    const bytes = new Uint8Array(count * 16);
    if (readUser(k, address, bytes) < bytes.length) return -Errno.EFAULT;
    const view = new DataView(bytes.buffer);
    const number = (at: number) => view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
    const starts: number[] = [];
    const lengths: number[] = [];
    let room = MAX_RW_COUNT;
    for (let i = 0; i < count; i++) if (number(16 * i + 8) >= 2 ** 63) return -Errno.EINVAL;
    for (let i = 0; i < count; i++) {
      const length = number(16 * i + 8);
      if (!inUserMemory(number(16 * i), length)) return -Errno.EFAULT;
      starts.push(number(16 * i));
      lengths.push(Math.min(length, room));
      room -= lengths[i];
    }
    return new UserBuffer(k, starts, lengths);
  }

  /** Bytes that the kernel has already, as the source of a write. */
  static kernel(k: KernelCpu, bytes: Uint8Array): UserBuffer {
    const buffer = new UserBuffer(k, [0], [bytes.length]);
    buffer.copyRange = (_k, at, into) => {
      into.set(bytes.subarray(at, at + into.length));
      return into.length;
    };
    return buffer;
  }

  /** Copies bytes to user memory; returns how many, fewer than given when the memory cannot be written. */
  push(bytes: Uint8Array): number {
    return this.transfer(bytes, writeUser);
  }

  /** Fills `bytes` from user memory, at most with what remains; returns how many, fewer when the memory cannot be read. */
  pull(bytes: Uint8Array): number {
    return this.transfer(bytes, this.copyRange);
  }

  /** Moves back by bytes that `pull` took but nobody used. */
  unpull(count: number): void {
    this.remaining += count;
    while (count > this.done) {
      count -= this.done;
      this.segment--;
      this.done = this.lengths[this.segment];
    }
    this.done -= count;
  }

  /** Passes over bytes that an earlier attempt at the same call has transferred. */
  skip(count: number): void {
    this.remaining -= count;
    while (count > 0) {
      const part = Math.min(count, this.lengths[this.segment] - this.done);
      this.done += part;
      count -= part;
      if (count > 0) {
        this.segment++;
        this.done = 0;
      }
    }
  }

  private transfer(bytes: Uint8Array, copy: typeof readUser): number {
    let total = 0;
    while (total < bytes.length && this.remaining > 0) {
      const left = this.lengths[this.segment] - this.done;
      if (left === 0) {
        this.segment++;
        this.done = 0;
        continue;
      }
      const wanted = Math.min(left, bytes.length - total);
      const copied = copy(
        this.k,
        this.starts[this.segment] + this.done,
        bytes.subarray(total, total + wanted),
      );
      total += copied;
      this.done += copied;
      this.remaining -= copied;
      if (copied < wanted) break;
    }
    return total;
  }
}

/** access_ok: [address, address + length) is within user addresses. */
export function inUserMemory(address: number, length: number): boolean {
  return address + length <= TASK_SIZE;
}

const BOUNCE_BYTES = 64 << 10;
let bounceMemory: Memory | null = null;
let bouncePointer = 0;

/**
 * At most `bytes` of the worker's transfer buffer, which lies in shared memory. One call uses it at a time; its contents never
 * survive a call.
 */
export function bounce(memory: Memory, bytes: number): Uint8Array {
  if (bounceMemory !== memory) {
    bouncePointer = kmalloc(memory, BOUNCE_BYTES);
    if (bouncePointer === 0) throw new Error('the kernel heap has no room for a transfer buffer');
    bounceMemory = memory;
  }
  return memory.u8.subarray(bouncePointer, bouncePointer + Math.min(bytes, BOUNCE_BYTES));
}
