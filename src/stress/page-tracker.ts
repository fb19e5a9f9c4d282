import { Frame, MACHINE, Machine } from '../memory/layout.js';
import { type Memory, PAGE_SIZE } from '../memory/memory.js';
import { Pte } from '../mmu/pte.js';

/** A bit of leaf entries that processor and kernel leave to software (SDM vol. 3, table 4-20): made before the snapshot. */
const SAVED = 0x200;

const ENTRIES = PAGE_SIZE / 8;

/** A leaf table as the snapshot has it: where its own entry is, with its value, and the entries that are tracked. */
interface LeafTable {
  readonly entry: number;
  readonly value: number;
  /** Four numbers each: where the entry is, its low and high half without A, and the frame's number. */
  readonly leaves: Int32Array;
}

/**
 * Knows which frames have changed since it was made, by the dirty bits of the page tables: it clears them, and marks the entries
 * as old. A frame that one entry alone refers to is as it was if that entry is still there (an entry made anew for the same
 * frame lacks the mark) and not dirty. All other frames, page tables among them, count as changed.
 *
 * Leaf tables may be freed and used for something else meanwhile, so the entry that leads to one is compared first; the tables
 * above are never freed. Every write to a page of the program's, of the program or of the kernel for it, sets its dirty bit.
 */
export class PageTracker {
  private readonly tables: LeafTable[] = [];
  /** Frames that always count as changed: [first, count]. */
  private readonly always: [number, number][] = [];

  /** @param frames number of frames in use */
  constructor(
    private readonly memory: Memory,
    root: number,
    frames: number,
  ) {
    const tracked = new Uint8Array(frames);
    this.visit(root, 4, (entry) => this.addTable(entry, tracked));
    for (let frame = 0; frame < frames; frame++) {
      if (tracked[frame] !== 0) continue;
      const last = this.always.at(-1);
      if (last !== undefined && last[0] + last[1] === frame) last[1]++;
      else this.always.push([frame, 1]);
    }
  }

  /** Calls `found` with the place of each entry that refers to a leaf table. */
  private visit(table: number, level: number, found: (entry: number) => void): void {
    for (let entry = table; entry < table + PAGE_SIZE; entry += 8) {
      const low = this.memory.load32(entry);
      if ((low & Pte.present) === 0) continue;
      if (level === 2) found(entry);
      else this.visit((low & -PAGE_SIZE) >>> 0, level - 1, found);
    }
  }

  private addTable(entry: number, tracked: Uint8Array): void {
    const { memory } = this;
    const framesBase = memory.loadU32(MACHINE + Machine.framesBase);
    const references = memory.loadU32(MACHINE + Machine.frameTable) + Frame.references;
    const value = memory.load32(entry);
    const table = (value & -PAGE_SIZE) >>> 0;
    const leaves: number[] = [];
    for (let at = table; at < table + ENTRIES * 8; at += 8) {
      const low = memory.load32(at);
      const pointer = (low & -PAGE_SIZE) >>> 0;
      if (pointer < framesBase) continue;
      const frame = (pointer - framesBase) / PAGE_SIZE;
      if (memory.load32(references + frame * Frame.size) !== 1) continue;
      tracked[frame] = 1;
      const clean = (low & ~Pte.dirty) | SAVED;
      memory.store32(at, clean);
      leaves.push(at, clean & ~Pte.accessed, memory.load32(at + 4), frame);
    }
    if (leaves.length > 0) this.tables.push({ entry, value, leaves: Int32Array.from(leaves) });
  }

  /** Calls `frames` with the numbers of frames that may have changed, several in a row at once. */
  changed(frames: (first: number, count: number) => void): void {
    const { i32 } = this.memory;
    // The tables are looked at before they are brought back themselves.
    for (const { entry, value, leaves } of this.tables) {
      const moved = ((i32[entry >>> 2] ^ value) & ~Pte.accessed) !== 0;
      for (let i = 0; i < leaves.length; i += 4) {
        const at = leaves[i] >>> 2;
        const same = (i32[at] & ~Pte.accessed) === leaves[i + 1] && i32[at + 1] === leaves[i + 2];
        if (moved || !same) frames(leaves[i + 3], 1);
      }
    }
    for (const [first, count] of this.always) frames(first, count);
  }
}
