import { struct } from '../../memory/struct.js';

/**
 * Memory that more than one mapping can show: shared anonymous memory, a file, or for a private mapping its contents as they were
 * when it was mapped. The object keeps its pages in a page table of its own, indexed by offset.
 */
export const MemoryObject = struct({
  /** Atomic: mappings, plus whoever makes one. */
  references: 'i32',
  /** Top-level table of the pages; 0 for a label, which only names private memory. */
  root: 'u32',
  /** Bytes from which on an access is SIGBUS (a multiple of the page size); Infinity for anonymous memory. */
  end: 'f64',
  /** For /proc: device and inode (0 for anonymous memory), and the path, UTF-8, from `kmalloc`. */
  device: 'f64',
  inode: 'f64',
  path: 'u32',
  pathBytes: 'i32',
  /** A file that is mapped shared (src/kernel/memory/shared-file.ts): its description, or 0; whether pages go back; list link. */
  file: 'u32',
  writable: 'i32',
  next: 'u32',
});
