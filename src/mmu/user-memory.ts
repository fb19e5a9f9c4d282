import { CpuState } from '../cpu/state.js';
import { type Memory, PAGE_SIZE } from '../memory/memory.js';
import { hasMutant, Mutant } from '../memory/mutants.js';
import { heapAllocate } from '../memory/slab.js';
import { AddressSpace } from './address-space.js';
import type { Mmu } from './mmu.js';
import type { MmuCpu } from './mmu-cpu.js';
import { WALK_CODE, WALK_FAILED } from './user-ops.js';
import { Access } from './walk.js';

/** Serves a fault of the kernel at a user address: true if the access is worth another try. */
export type KernelFault = (mm: number, address: number, access: number, pkru: number) => boolean;

/** Who wants to know what system calls do with user memory. */
export interface UserWatcher {
  /** User memory has been read. */
  read(address: number, length: number): void;
  /** User memory has been written to. */
  wrote(address: number, length: number): void;
}

/** Shared memory is copied in words, or else byte by byte (20 times slower): if both sides are aligned alike. */
const WORD = 8;

/** Bytes that pass through the staging buffer at once, for copies to and from JavaScript arrays. */
const STAGING_BYTES = 64 << 10;

/**
 * User memory of the CPU's current address space, as system calls reach it: under the page's permissions and the caller's
 * PKRU. What is not accessible ends the copy (EFAULT, or a short count); it never raises a signal.
 *
 * May only be used in kernel mode and without locks but an mm's own `force` variants: a page may have to be made first.
 * Addresses are numbers; `pointer` is kernel memory.
 */
export class UserMemory {
  watcher: UserWatcher | null = null;
  private readonly memory: Memory;
  private readonly cpu: MmuCpu;
  private readonly base: number;
  private readonly word: number;
  private readonly staging: number;
  private readonly ignorePkru: boolean;

  constructor(
    readonly mmu: Mmu,
    private readonly fault: KernelFault,
  ) {
    this.memory = mmu.memory;
    this.cpu = mmu.cpu;
    this.base = mmu.cpu.base;
    this.word = heapAllocate(this.memory, 64);
    this.staging = heapAllocate(this.memory, STAGING_BYTES + WORD);
    if (this.staging === 0) throw new Error('the kernel heap has no room for copies of user memory');
    this.ignorePkru = hasMutant(this.memory, Mutant.kernelCopiesIgnorePkru);
  }

  /** Kernel memory whose contents mean nothing between two calls. */
  get scratch(): { readonly pointer: number; readonly bytes: number } {
    return { pointer: this.staging, bytes: STAGING_BYTES + WORD };
  }

  private get mm(): number {
    return this.memory.loadU32(this.base + CpuState.mm);
  }

  private get pkru(): number {
    return this.ignorePkru ? 0 : this.cpu.pkru;
  }

  /** Copies user memory to kernel memory; false if part of it could not be read (the bytes before it are copied). */
  copyIn(pointer: number, address: number, length: number): boolean {
    return this.copyInSome(pointer, address, length) === length;
  }

  /** Copies kernel memory to user memory; false if part of it could not be written (the bytes before it are). */
  copyOut(address: number, pointer: number, length: number): boolean {
    return this.copyOutSome(address, pointer, length) === length;
  }

  /** As copyIn; returns how many bytes were copied. */
  copyInSome(pointer: number, address: number, length: number): number {
    const { mmu, base, mm } = this;
    const root = this.memory.load32(mm + AddressSpace.root);
    const pkru = this.pkru;
    let done = mmu.ops.copyIn(base, root, address, pointer, length, pkru);
    while (done < length && this.serve(mm, root, address + done, Access.read, pkru, 1)) {
      done += mmu.ops.copyIn(base, root, address + done, pointer + done, length - done, pkru);
    }
    this.watcher?.read(address, done);
    return done;
  }

  copyOutSome(address: number, pointer: number, length: number): number {
    const { mmu, base, mm } = this;
    const root = this.memory.load32(mm + AddressSpace.root);
    const pkru = this.pkru;
    let done = mmu.ops.copyOut(base, root, address, pointer, length, pkru);
    while (done < length && this.serve(mm, root, address + done, Access.write, pkru, length - done)) {
      done += mmu.ops.copyOut(base, root, address + done, pointer + done, length - done, pkru);
    }
    this.watcher?.wrote(address, done);
    return done;
  }

  /** Zeroes user memory; returns how many bytes were. */
  clear(address: number, length: number): number {
    const { mmu, base, mm } = this;
    const root = this.memory.load32(mm + AddressSpace.root);
    const pkru = this.pkru;
    let done = mmu.ops.clear(base, root, address, 0, length, pkru);
    while (done < length && this.serve(mm, root, address + done, Access.write, pkru, length - done)) {
      done += mmu.ops.clear(base, root, address + done, 0, length - done, pkru);
    }
    this.watcher?.wrote(address, done);
    return done;
  }

  /**
   * Makes a refused access possible if it can be: the page is made, or translated code in it dropped.
   * @param length bytes that are to be written from `address` on
   */
  private serve(
    mm: number,
    root: number,
    address: number,
    access: number,
    pkru: number,
    length: number,
  ): boolean {
    const { ops, code } = this.mmu;
    const rest = Math.min(length, PAGE_SIZE - (address % PAGE_SIZE));
    const refusal = ops.walk(root, address, access, pkru, rest) >>> 0;
    if (refusal >= WALK_FAILED) return true;
    if (refusal !== WALK_CODE) return this.fault(mm, address, access, pkru);
    const pointer = ops.walk(root, address, Access.read, 0, 1) >>> 0;
    if (pointer >= WALK_FAILED) code.dropFrame((pointer & -PAGE_SIZE) >>> 0);
    return true;
  }

  /** Reads an unsigned value; −1 if it cannot be read. */
  readU8(address: number): number {
    return this.copyIn(this.word, address, 1) ? this.memory.u8[this.word] : -1;
  }

  readU16(address: number): number {
    return this.copyIn(this.word, address, 2) ? this.memory.u16[this.word >>> 1] : -1;
  }

  readU32(address: number): number {
    return this.copyIn(this.word, address, 4) ? this.memory.u32[this.word >>> 2] : -1;
  }

  /** Rounded above 2^53. */
  readU64(address: number): number {
    return this.copyIn(this.word, address, 8) ? this.memory.loadNumber(this.word) : -1;
  }

  /** Writes a value's low bits; false if it cannot be written. Aligned values are written as wholes. */
  writeU8(address: number, value: number): boolean {
    this.memory.u8[this.word] = value;
    return this.copyOut(address, this.word, 1);
  }

  writeU16(address: number, value: number): boolean {
    this.memory.u16[this.word >>> 1] = value;
    return this.copyOut(address, this.word, 2);
  }

  writeU32(address: number, value: number): boolean {
    this.memory.u32[this.word >>> 2] = value;
    return this.copyOut(address, this.word, 4);
  }

  /** A safe integer, negative ones as two's complement. */
  writeU64(address: number, value: number): boolean {
    this.memory.storeNumber(this.word, value);
    return this.copyOut(address, this.word, 8);
  }

  /** The staging buffer, aligned like the array that it is copied to or from. */
  private stagingFor(bytes: Uint8Array): number {
    return this.staging + (bytes.byteOffset % WORD);
  }

  /** Fills an array from user memory; returns how many bytes were read. */
  readInto(target: Uint8Array, address: number): number {
    const { memory } = this;
    const staging = this.stagingFor(target);
    for (let done = 0; done < target.length; ) {
      const wanted = Math.min(STAGING_BYTES, target.length - done);
      const copied = this.copyInSome(staging, address + done, wanted);
      target.set(memory.u8.subarray(staging, staging + copied), done);
      done += copied;
      if (copied < wanted) return done;
    }
    return target.length;
  }

  /** Writes an array to user memory; returns how many bytes were written. */
  writeFrom(address: number, source: Uint8Array): number {
    const { memory } = this;
    const staging = this.stagingFor(source);
    for (let done = 0; done < source.length; ) {
      const wanted = Math.min(STAGING_BYTES, source.length - done);
      memory.u8.set(source.subarray(done, done + wanted), staging);
      const copied = this.copyOutSome(address + done, staging, wanted);
      done += copied;
      if (copied < wanted) return done;
    }
    return source.length;
  }

  /** A copy of user memory, or null if part of it cannot be read. */
  readBytes(address: number, length: number): Uint8Array | null {
    const bytes = new Uint8Array(length);
    return this.readInto(bytes, address) === length ? bytes : null;
  }

  /**
   * A NUL-terminated string as bytes, without the NUL.
   * @returns null if it cannot be read, undefined if there is no NUL among the first `limit` bytes
   */
  readCString(address: number, limit = 4096): Uint8Array | null | undefined {
    const { memory, staging } = this;
    const most = Math.min(limit, STAGING_BYTES);
    for (let length = 0; length < most; ) {
      const piece = Math.min(most - length, 256, PAGE_SIZE - ((address + length) % PAGE_SIZE));
      const copied = this.copyInSome(staging + length, address + length, piece);
      const end = memory.u8.subarray(staging + length, staging + length + copied).indexOf(0);
      if (end >= 0) return memory.u8.slice(staging, staging + length + end);
      if (copied < piece) return null;
      length += piece;
    }
    return undefined;
  }

  /**
   * Compare-exchange on an aligned 32-bit word. Returns the old value, unsigned; −1 if it cannot be written.
   * @param faults whether missing pages are made (needs that no lock is held)
   */
  compareExchange32(address: number, expected: number, value: number, faults = true): number {
    const { mmu, base, mm, word, memory } = this;
    const root = memory.load32(mm + AddressSpace.root);
    const pkru = this.pkru;
    while (!mmu.ops.exchange(base, root, address, expected, value, pkru, word)) {
      if (!faults || !this.serve(mm, root, address, Access.write, pkru, 4)) return -1;
    }
    this.watcher?.read(address, 4);
    this.watcher?.wrote(address, 4);
    return memory.u32[word >>> 2];
  }

  /** Reads an aligned 32-bit word, unsigned, without making missing pages: for use under locks. −1 if it is not there. */
  peekU32(address: number): number {
    const { mmu, base, mm, word, memory } = this;
    const root = memory.load32(mm + AddressSpace.root);
    if (mmu.ops.copyIn(base, root, address, word, 4, this.pkru) !== 4) return -1;
    this.watcher?.read(address, 4);
    return memory.u32[word >>> 2];
  }

  /** Makes the page of an address accessible if that is possible: false if the access would end in EFAULT. */
  prepare(address: number, write: boolean): boolean {
    return this.place(address, write) !== 0;
  }

  /**
   * Where an address lies at the moment, for identifying shared memory: the pointer of its byte, 0 if it is not accessible.
   * The pointer must not be used for access.
   */
  place(address: number, write: boolean): number {
    const { mm } = this;
    const root = this.memory.load32(mm + AddressSpace.root);
    const access = write ? Access.write : Access.read;
    const pkru = this.pkru;
    for (;;) {
      const pointer = this.mmu.ops.walk(root, address, access, pkru, 1) >>> 0;
      if (pointer >= WALK_FAILED) return pointer;
      if (!this.serve(mm, root, address, access, pkru, 1)) return 0;
    }
  }
}
