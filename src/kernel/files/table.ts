import { locked } from '../../memory/lock.js';
import type { Memory } from '../../memory/memory.js';
import { Errno } from '../errno.js';
import { dropFile, freeString, holdFile, loadString, storeString } from './description.js';
import { FD_CLOEXEC } from './flags.js';
import { initialLimits } from './initial-limits.js';
import { allocate, release } from './links.js';
import { dropProgram } from './program.js';
import { CHUNK, FileTable, LIMITS, MAX_DESCRIPTORS, Slot } from './table-layout.js';

/**
 * Makes an empty table with one reference. Returns 0 if there is no room.
 * @param directory working directory, an absolute path of the host, as a byte string
 */
export function createTable(memory: Memory, directory: string, umask: number): number {
  return makeTable(memory, directory, umask);
}

function makeTable(memory: Memory, cwd: string, umask: number): number {
  const table = allocate(memory, FileTable.size);
  if (table === 0) return 0;
  memory.u8.fill(0, table, table + FileTable.size);
  const path = storeString(memory, cwd);
  if (path === 0) {
    release(memory, table, FileTable.size);
    return 0;
  }
  memory.store32(table + FileTable.references, 1);
  memory.store32(table + FileTable.limit, 1024);
  initialLimits(MAX_DESCRIPTORS).forEach((limit, i) => {
    memory.f64[((table + FileTable.limits) >>> 3) + i] = limit;
  });
  memory.store32(table + FileTable.umask, umask);
  memory.store32(table + FileTable.cwd, path);
  return table;
}

export function holdTable(memory: Memory, table: number): void {
  Atomics.add(memory.i32, (table + FileTable.references) >>> 2, 1);
}

/** Drops a reference; the last one closes all descriptors. */
export function dropTable(memory: Memory, table: number): void {
  if (Atomics.sub(memory.i32, (table + FileTable.references) >>> 2, 1) !== 1) return;
  for (let i = 0; i < MAX_DESCRIPTORS / CHUNK; i++) {
    const chunk = memory.loadU32(table + FileTable.chunks + 4 * i);
    if (chunk === 0) continue;
    for (let slot = chunk; slot < chunk + CHUNK * Slot.size; slot += Slot.size) {
      const file = memory.loadU32(slot + Slot.file);
      if (file !== 0) dropFile(memory, file);
    }
    release(memory, chunk, CHUNK * Slot.size);
  }
  freeString(memory, memory.loadU32(table + FileTable.cwd));
  dropProgram(memory, table);
  release(memory, table, FileTable.size);
}

/** A copy with descriptors for the same descriptions, for fork. Returns 0 if there is no room. */
export function copyTable(memory: Memory, table: number): number {
  const copy = makeTable(memory, cwd(memory, table), memory.load32(table + FileTable.umask));
  if (copy === 0) return 0;
  const done = withTable(memory, table, () => {
    memory.store32(copy + FileTable.limit, memory.load32(table + FileTable.limit));
    memory.u8.copyWithin(
      copy + FileTable.limits,
      table + FileTable.limits,
      table + FileTable.limits + 16 * LIMITS,
    );
    for (let i = 0; i < MAX_DESCRIPTORS / CHUNK; i++) {
      const from = memory.loadU32(table + FileTable.chunks + 4 * i);
      if (from === 0) continue;
      const to = allocate(memory, CHUNK * Slot.size);
      if (to === 0) return false;
      memory.u8.copyWithin(to, from, from + CHUNK * Slot.size);
      memory.store32(copy + FileTable.chunks + 4 * i, to);
      for (let slot = to; slot < to + CHUNK * Slot.size; slot += Slot.size) {
        const file = memory.loadU32(slot + Slot.file);
        if (file !== 0) holdFile(memory, file);
      }
    }
    return true;
  });
  if (done) return copy;
  dropTable(memory, copy);
  return 0;
}

export function withTable<T>(memory: Memory, table: number, body: () => T): T {
  return locked(memory, table + FileTable.lock, body);
}

/** Pointer of a descriptor's slot, or 0 if the descriptor cannot be open. The caller holds the lock. */
function slotOf(memory: Memory, table: number, fd: number): number {
  if (fd < 0 || fd >= MAX_DESCRIPTORS) return 0;
  const chunk = memory.loadU32(table + FileTable.chunks + 4 * Math.floor(fd / CHUNK));
  return chunk === 0 ? 0 : chunk + (fd % CHUNK) * Slot.size;
}

/** As `slotOf`, making the chunk if need be; 0 if there is no room. */
function makeSlot(memory: Memory, table: number, fd: number): number {
  const slot = slotOf(memory, table, fd);
  if (slot !== 0) return slot;
  const chunk = allocate(memory, CHUNK * Slot.size);
  if (chunk === 0) return 0;
  memory.u8.fill(0, chunk, chunk + CHUNK * Slot.size);
  memory.store32(table + FileTable.chunks + 4 * Math.floor(fd / CHUNK), chunk);
  return chunk + (fd % CHUNK) * Slot.size;
}

/** The description a descriptor refers to, with a reference for the caller (`dropFile` it); 0 if it is not open. */
export function getFile(memory: Memory, table: number, fd: number): number {
  return withTable(memory, table, () => {
    const slot = slotOf(memory, table, fd);
    const file = slot === 0 ? 0 : memory.loadU32(slot + Slot.file);
    if (file !== 0) holdFile(memory, file);
    return file;
  });
}

/** Gives a description the lowest free descriptor from `from` on, taking over the caller's reference if it succeeds. */
export function installFile(
  memory: Memory,
  table: number,
  file: number,
  closeOnExec: boolean,
  from = 0,
): number {
  return withTable(memory, table, () => {
    const limit = memory.load32(table + FileTable.limit);
    for (let fd = from; fd < limit; fd++) {
      const present = slotOf(memory, table, fd);
      if (present !== 0 && memory.loadU32(present + Slot.file) !== 0) continue;
      const slot = makeSlot(memory, table, fd);
      if (slot === 0) return -Errno.ENOMEM;
      memory.store32(slot + Slot.file, file);
      memory.store32(slot + Slot.flags, closeOnExec ? FD_CLOEXEC : 0);
      return fd;
    }
    return -Errno.EMFILE;
  });
}

/** dup2 and dup3 on valid arguments: `to` becomes a descriptor of `from`'s description. */
export function duplicateTo(
  memory: Memory,
  table: number,
  from: number,
  to: number,
  closeOnExec: boolean,
): number {
  let replaced = 0;
  const result = withTable(memory, table, () => {
    const source = slotOf(memory, table, from);
    const file = source === 0 ? 0 : memory.loadU32(source + Slot.file);
    if (file === 0 || to < 0 || to >= memory.load32(table + FileTable.limit)) return -Errno.EBADF;
    const slot = makeSlot(memory, table, to);
    if (slot === 0) return -Errno.ENOMEM;
    holdFile(memory, file);
    replaced = memory.loadU32(slot + Slot.file);
    memory.store32(slot + Slot.file, file);
    memory.store32(slot + Slot.flags, closeOnExec ? FD_CLOEXEC : 0);
    return to;
  });
  if (replaced !== 0) dropFile(memory, replaced);
  return result;
}

export function closeDescriptor(memory: Memory, table: number, fd: number): number {
  const file = withTable(memory, table, () => {
    const slot = slotOf(memory, table, fd);
    if (slot === 0) return 0;
    const open = memory.loadU32(slot + Slot.file);
    memory.store32(slot + Slot.file, 0);
    return open;
  });
  if (file === 0) return -Errno.EBADF;
  dropFile(memory, file);
  return 0;
}

/** FD_CLOEXEC of a descriptor, or −EBADF. */
export function descriptorFlags(memory: Memory, table: number, fd: number): number {
  return withTable(memory, table, () => {
    const slot = slotOf(memory, table, fd);
    if (slot === 0 || memory.loadU32(slot + Slot.file) === 0) return -Errno.EBADF;
    return memory.load32(slot + Slot.flags);
  });
}

export function setDescriptorFlags(memory: Memory, table: number, fd: number, flags: number): number {
  return withTable(memory, table, () => {
    const slot = slotOf(memory, table, fd);
    if (slot === 0 || memory.loadU32(slot + Slot.file) === 0) return -Errno.EBADF;
    memory.store32(slot + Slot.flags, flags & FD_CLOEXEC);
    return 0;
  });
}

/** The open descriptors, ascending. */
export function openDescriptors(memory: Memory, table: number): number[] {
  return withTable(memory, table, () => {
    const list: number[] = [];
    for (let fd = 0; fd < MAX_DESCRIPTORS; fd++) {
      const slot = slotOf(memory, table, fd);
      if (slot === 0) fd += CHUNK - 1 - (fd % CHUNK);
      else if (memory.loadU32(slot + Slot.file) !== 0) list.push(fd);
    }
    return list;
  });
}

/** Closes what exec closes. */
export function closeOnExec(memory: Memory, table: number): void {
  for (const fd of openDescriptors(memory, table)) {
    if (descriptorFlags(memory, table, fd) === FD_CLOEXEC) closeDescriptor(memory, table, fd);
  }
}

export function cwd(memory: Memory, table: number): string {
  return withTable(memory, table, () => loadString(memory, memory.loadU32(table + FileTable.cwd)));
}

export function setCwd(memory: Memory, table: number, path: string): number {
  const stored = storeString(memory, path);
  if (stored === 0) return -Errno.ENOMEM;
  const old = withTable(memory, table, () => {
    const before = memory.loadU32(table + FileTable.cwd);
    memory.store32(table + FileTable.cwd, stored);
    return before;
  });
  freeString(memory, old);
  return 0;
}
