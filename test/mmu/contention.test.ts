import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import type { Memory } from '../../src/memory/memory.js';
import { createSlab, heapAllocate, kfree, kmalloc, slabUsed } from '../../src/memory/slab.js';
import { framesUsed } from '../../src/mmu/frames.js';
import { bareMemory } from './bare-machine.js';

/** Runs four threads in a role; the sum of what each found wrong. */
async function errorsOf(memory: Memory, role: string, rounds: number, at = 0): Promise<number> {
  const results = [1, 2, 3, 4].map(async (id) => {
    const worker = new Worker(new URL('./contention-worker.mjs', import.meta.url), {
      workerData: { wasm: memory.wasm, id, role, rounds, at },
    });
    const [errors] = (await once(worker, 'message')) as [number];
    await worker.terminate();
    return errors;
  });
  return (await Promise.all(results)).reduce((sum, errors) => sum + errors, 0);
}

it("frames are nobody else's, also when there are too few", async () => {
  const memory = bareMemory({ guestBytes: 100 * 4096 });
  expect(await errorsOf(memory, 'frames', 100_000)).toBe(0);
  expect(framesUsed(memory)).toBe(0);
});

it('so are objects of a slab', async () => {
  const memory = bareMemory();
  const slab = createSlab(memory, 31, 40);
  expect(await errorsOf(memory, 'slab', 30_000, slab)).toBe(0);
  expect(slabUsed(memory, slab)).toBe(0);
});

it('a writer is alone, readers see what writers have finished', async () => {
  const memory = bareMemory();
  const at = heapAllocate(memory, 64);
  expect(await errorsOf(memory, 'lock', 30_000, at)).toBe(0);
  expect(memory.load32(at + 32)).toBe(40_000);
  // Free again, and nobody waits.
  expect([0, 4, 8].map((offset) => memory.load32(at + offset))).toEqual([0, 0, 0]);
});

it('slab objects are zeroed, aligned, reused, and end with the heap', () => {
  const memory = bareMemory();
  const slab = createSlab(memory, 31, 100);
  const first = kmalloc(memory, 3000);
  memory.u8.fill(1, first, first + 3000);
  kfree(memory, first, 3000);
  expect(kmalloc(memory, 2500)).toBe(first);
  expect(memory.u8.subarray(first, first + 3000).every((byte) => byte === 0)).toBe(true);
  expect(kmalloc(memory, (4 << 20) + 1)).toBe(0);
  expect(first % 64).toBe(0);
  let blocks = 0;
  while (kmalloc(memory, 1 << 20) !== 0) blocks++;
  expect(blocks).toBeGreaterThan(50);
  expect(blocks).toBeLessThan(64);
  expect(slabUsed(memory, slab)).toBe(0);
});
