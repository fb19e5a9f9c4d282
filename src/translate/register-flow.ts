import type { Block, Region } from './region.js';
import { RegisterSet, type RegisterUsage } from './register-usage.js';

/** Which registers a region's exits must store and its entry must load: data flow over its blocks, until nothing changes. */
export class RegisterFlow {
  /** Registers that the code expects in their locals at entry. */
  readonly loads: RegisterSet;
  /** Written on some path to a block's beginning. */
  private readonly dirty = new Map<Block, RegisterSet>();

  /** @param usages of all blocks that have been emitted */
  constructor(
    private readonly region: Region,
    private readonly usages: ReadonlyMap<Block, RegisterUsage>,
  ) {
    const forwards = [...usages.keys()].sort((a, b) => a.order - b.order);
    this.findDirty(forwards);
    this.loads = this.live(forwards.reverse()).get(region.entryBlock)!;
  }

  dirtyAt(block: Block): RegisterSet {
    return this.dirty.get(block)!;
  }

  private findDirty(forwards: readonly Block[]): void {
    for (const block of forwards) this.dirty.set(block, new RegisterSet());
    for (let changed = true; changed; ) {
      changed = false;
      for (const block of forwards) {
        const after = this.dirty.get(block)!.copy();
        after.add(this.usages.get(block)!.written);
        for (const successor of this.successors(block))
          if (this.dirty.get(successor)?.add(after)) changed = true;
      }
    }
  }

  /** Registers that are read at a block's beginning or later before they are written in whole; exits read all that they store. */
  private live(backwards: readonly Block[]): Map<Block, RegisterSet> {
    const live = new Map<Block, RegisterSet>();
    for (const block of backwards) {
      const set = this.usages.get(block)!.needed.copy();
      // An exit within the block may come before what the block writes.
      set.add(this.dirtyAt(block));
      live.set(block, set);
    }
    for (let changed = true; changed; ) {
      changed = false;
      for (const block of backwards) {
        const { defined } = this.usages.get(block)!;
        for (const successor of this.successors(block)) {
          const after = live.get(successor);
          if (after && live.get(block)!.add(after.without(defined))) changed = true;
        }
      }
    }
    return live;
  }

  private *successors(block: Block): Iterable<Block> {
    for (const start of block.successors) {
      const successor = this.region.blocks.get(start);
      if (successor) yield successor;
    }
  }
}
