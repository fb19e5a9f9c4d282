import type { SourceBytes } from '../code-cache.js';
import type { InsnDecoder } from '../insn.js';
import { MAX_INSN } from '../insn.js';
import { assemble, type BlockPart, type Region } from '../region.js';
import type { RegionOptions } from '../translate.js';

/** A region to translate elsewhere: what is needed to find it again without guest memory, profile and translated code. */
export interface RegionPlan {
  readonly entry: number;
  readonly options: RegionOptions;
  readonly blocks: readonly {
    readonly start: number;
    /** Number of its instructions. */
    readonly insns: number;
    readonly successors: readonly number[];
  }[];
  /** The bytes of all blocks' instructions, one behind the other. */
  readonly bytes: Uint8Array;
}

/** @param source the bytes of the region's blocks, in their order */
export function planOf(region: Region, source: readonly SourceBytes[], options: RegionOptions): RegionPlan {
  const bytes = new Uint8Array(source.reduce((sum, piece) => sum + piece.bytes.length, 0));
  let at = 0;
  for (const piece of source) {
    bytes.set(piece.bytes, at);
    at += piece.bytes.length;
  }
  const blocks = [...region.blocks.values()].map(({ start, insns, successors }) => {
    return { start, insns: insns.length, successors };
  });
  return { entry: region.entry, options, blocks, bytes };
}

export function regionOf({ entry, blocks, bytes }: RegionPlan, decoder: InsnDecoder): Region {
  let at = 0;
  const parts = blocks.map(({ start, insns: count, successors }): BlockPart => {
    const insns = [];
    for (let ip = start; insns.length < count; ) {
      const insn = decoder.decode(bytes.subarray(at, at + MAX_INSN), ip);
      if (!insn) throw new Error(`no instruction at ${ip.toString(16)}`);
      insns.push(insn);
      at += insn.next - ip;
      ip = insn.next;
    }
    return { start, insns, successors: [...successors] };
  });
  return assemble(entry, parts, false);
}
