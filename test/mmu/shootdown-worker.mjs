// A CPU of the shootdown tests: "guest code" in JavaScript with a TLB of one entry. Uses the compiled sources.
import { parentPort, workerData } from 'node:worker_threads';
import { CpuMode, CpuState, cpuPointer } from '../../dist/src/cpu/state.js';
import { Memory } from '../../dist/src/memory/memory.js';
import { Mmu } from '../../dist/src/mmu/mmu.js';
import { enterKernel, enterUser } from '../../dist/src/mmu/shootdown.js';

const { wasm, id, mm, page, shared, role } = workerData;
const memory = new Memory(wasm);
const { i32 } = memory;
const base = cpuPointer(id);
let cached = -1;
const drop = () => {
  cached = -1;
};
const cpu = {
  memory,
  base,
  id,
  pkru: 0,
  flushTlb: drop,
  flushTlbRange: drop,
  dropCode() {},
  dropFrame() {},
};
const mmu = new Mmu(cpu, 2);
const root = memory.loadU32(mm);
mmu.load(mm);
const interrupt = (base + CpuState.interrupt) >>> 2;
const [stop, sequence, settled, found, looked] = [0, 1, 2, 3, 3 + id].map((n) => (shared >>> 2) + n);
let looks = 0;
let violations = 0;

/** Pointer of the page if it may be written, through the TLB; 0 otherwise. The key is what `settled` is compared with. */
function translate() {
  if (cached < 0) {
    if (!mmu.ops.entry(root, page, mmu.scratch)) return null;
    const low = memory.loadU32(mmu.scratch);
    if (!(low & 1)) return null;
    // Walkers set A before they cache.
    if (mmu.ops.walk(root, page, 1, 0, 1) >>> 0 < 4096) return null;
    if (!mmu.ops.entry(root, page, mmu.scratch)) return null;
    const now = memory.loadU32(mmu.scratch);
    if ((now & -4096) !== (low & -4096) || !(now & 1)) return null;
    cached = (memory.loadU32(mmu.scratch + 4) >>> 27) & 15;
    translate.pointer = (now & -4096) >>> 0;
  }
  return cached;
}
translate.pointer = 0;

/** The key that the TLB has is the one last set, unless it is just being changed. */
function lookAtKey() {
  const before = Atomics.load(i32, sequence);
  const expected = Atomics.load(i32, settled);
  const key = translate();
  // Time for the other side to come and go.
  for (let i = 0; i < 20; i++) Atomics.load(i32, stop);
  if (before & 1 || Atomics.load(i32, sequence) !== before || key === null) return;
  looks++;
  if (key !== expected) {
    violations++;
    Atomics.store(i32, found, 1);
  }
}

/** A store through the TLB, as guest code does. */
function store() {
  if (translate() === null) return;
  looks++;
  for (let i = 0; i < 5; i++) Atomics.load(i32, stop);
  i32[translate.pointer >>> 2] = 0x0bad;
}

parentPort.postMessage('ready');
const buffer = mmu.scratch + 32;
memory.store32(buffer, 0x0bad);
while (Atomics.load(i32, stop) === 0) {
  Atomics.store(i32, looked, looks);
  if (role === 'copy') {
    looks += mmu.ops.copyOut(base, root, page, buffer, 4, 0) === 4 ? 1 : 0;
    continue;
  }
  enterUser(memory, base);
  if (Atomics.load(i32, interrupt) !== 0) {
    enterKernel(memory, base);
    Atomics.store(i32, interrupt, 0);
    enterUser(memory, base);
  }
  mmu.catchUp();
  for (let n = 0; n < 200 && Atomics.load(i32, interrupt) === 0; n++) {
    if (role === 'store') store();
    else lookAtKey();
  }
  enterKernel(memory, base);
}
Atomics.store(i32, (base + CpuState.mode) >>> 2, CpuMode.kernel);
parentPort.postMessage({ looks, violations });
