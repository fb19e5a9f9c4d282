// Hammers frames or a lock together with others. Uses the compiled sources.
import { parentPort, workerData } from 'node:worker_threads';
import { Memory } from '../../dist/src/memory/memory.js';
import { lockExclusive, lockShared, unlockExclusive, unlockShared } from '../../dist/src/memory/rwlock.js';
import { slabAlloc, slabFree } from '../../dist/src/memory/slab.js';
import { createTableOps } from '../../dist/src/mmu/pte-ops.js';

const { wasm, id, role, rounds, at } = workerData;
const memory = new Memory(wasm);
const { i32 } = memory;

/** Takes and gives back; what two hold at once has the other's mark in it. */
function hammer(take, give, limit) {
  const held = [];
  let errors = 0;
  let seed = id * 7919;
  for (let round = 0; round < rounds; round++) {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    if (held.length > 0 && (seed >>> 16) % 2) {
      const [pointer] = held.splice((seed >>> 20) % held.length, 1);
      if (Atomics.load(i32, (pointer >>> 2) + 1) !== id) errors++;
      give(pointer);
    } else if (held.length < limit) {
      const pointer = take();
      if (pointer === 0) continue;
      // Handed out zeroed.
      if (Atomics.load(i32, (pointer >>> 2) + 1) !== 0) errors++;
      Atomics.store(i32, (pointer >>> 2) + 1, id);
      held.push(pointer);
    }
  }
  for (const pointer of held) {
    if (Atomics.load(i32, (pointer >>> 2) + 1) !== id) errors++;
    give(pointer);
  }
  return errors;
}

function lockRounds() {
  let errors = 0;
  for (let round = 0; round < rounds; round++) {
    if (round % 3 === 0) {
      lockExclusive(memory, at);
      // Two halves, changed together, without atomics.
      i32[(at >>> 2) + 8]++;
      for (let i = 0; i < 20; i++) Atomics.load(i32, 0);
      i32[(at >>> 2) + 9]++;
      unlockExclusive(memory, at);
    } else {
      lockShared(memory, at);
      if (i32[(at >>> 2) + 8] !== i32[(at >>> 2) + 9]) errors++;
      unlockShared(memory, at);
    }
  }
  return errors;
}

let errors;
if (role === 'frames') {
  const ops = createTableOps(memory);
  errors = hammer(
    () => ops.allocateFrame() >>> 0,
    (frame) => ops.releaseFrame(frame),
    40,
  );
} else if (role === 'slab') {
  errors = hammer(
    () => slabAlloc(memory, at),
    (object) => slabFree(memory, at, object),
    200,
  );
} else errors = lockRounds();
parentPort.postMessage(errors);
