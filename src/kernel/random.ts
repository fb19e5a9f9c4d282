import { createHash, randomFillSync } from 'node:crypto';
import { MACHINE, Machine } from '../memory/layout.js';
import type { Memory } from '../memory/memory.js';
import { kmalloc } from '../memory/slab.js';
import { rootPointer, setRoot } from '../memory/roots.js';
import { struct } from '../memory/struct.js';

/** Machine-wide state of the random source; its slot of Machine.roots is among those of files. */
const RandomState = struct({
  /** Atomic: blocks given out in a seeded machine. */
  blocks: 'i32',
});

const ROOT = 24;
const BLOCK = 32;

/** Called once at boot, before programs run. */
export function createRandomSource(memory: Memory): void {
  setRoot(memory, ROOT, kmalloc(memory, RandomState.size));
}

/**
 * Fills `bytes` with random ones: the host's, or in a seeded machine a sequence that its seed alone decides, so that a run
 * can be repeated exactly (SHA-256 over seed and a counter; no secret worth keeping lives in a seeded machine).
 */
export function randomBytes(memory: Memory, bytes: Uint8Array): void {
  if (memory.load32(MACHINE + Machine.seeded) === 0) {
    randomFillSync(bytes);
    return;
  }
  const input = Buffer.alloc(16);
  input.writeDoubleLE(memory.f64[(MACHINE + Machine.seed) >>> 3], 0);
  for (let at = 0; at < bytes.length; at += BLOCK) {
    const block = Atomics.add(memory.i32, (rootPointer(memory, ROOT) + RandomState.blocks) >>> 2, 1);
    input.writeUInt32LE(block >>> 0, 8);
    bytes.set(
      createHash('sha256')
        .update(input)
        .digest()
        .subarray(0, Math.min(BLOCK, bytes.length - at)),
      at,
    );
  }
}
