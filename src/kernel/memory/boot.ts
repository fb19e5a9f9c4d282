import type { Memory } from '../../memory/memory.js';
import { Root } from '../../memory/roots.js';
import { createSlab } from '../../memory/slab.js';
import { createCodeDrops } from '../../mmu/code-drops.js';
import { createFramePool } from '../../mmu/frames.js';
import { Mm } from './mm-layout.js';
import { MemoryObject } from './object-layout.js';
import { createSharedFileList } from './shared-file.js';
import { Vma } from './vma.js';

/** Sets up frames and the structures of memory management. Called once at boot, after `createHeapClasses`. */
export function createMemoryManagement(memory: Memory): void {
  createFramePool(memory);
  createCodeDrops(memory);
  createSlab(memory, Root.mmSlab, Mm.size);
  createSlab(memory, Root.vmaSlab, Vma.size);
  createSlab(memory, Root.memoryObjectSlab, MemoryObject.size);
  createSharedFileList(memory);
}
