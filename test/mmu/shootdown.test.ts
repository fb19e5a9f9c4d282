import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { CpuMode, CpuState, cpuPointer, Interrupt } from '../../src/cpu/state.js';
import { Mutant } from '../../src/memory/mutants.js';
import { heapAllocate } from '../../src/memory/slab.js';
import { AddressSpace, RING_ENTRIES } from '../../src/mmu/address-space.js';
import { Mmu } from '../../src/mmu/mmu.js';
import { bareProcess, MapFlag, PAGE, RW } from '../kernel-memory/bare-process.js';
import { RecordingCpu } from './bare-machine.js';

const PAGE_AT = 0x10_0000_0000;

function machine(cpus: number, mutants = 0) {
  const p = bareProcess({ abi: 'minimal', cpus, mutants, guestBytes: 2 << 20 });
  p.map(1, RW, PAGE_AT);
  p.user.writeU8(PAGE_AT, 1);
  return p;
}

describe('shootdown, one thread', () => {
  const other = () => {
    const p = machine(2);
    const cpu = new RecordingCpu(p.memory, 1);
    const mmu = new Mmu(cpu, 1);
    mmu.load(p.mm);
    cpu.dropped.length = 0;
    return { p, cpu, mmu };
  };

  it('asks CPUs that run the mm, and does not wait for those in kernel mode', () => {
    const { p, cpu, mmu } = other();
    p.pkeyProtect(PAGE_AT, 1, RW, 3);
    const { memory } = p;
    expect(memory.load32(cpu.base + CpuState.interrupt)).toBe(Interrupt.flush | Interrupt.any);
    expect(memory.f64[(p.cpu.base + CpuState.shootdownsSent) >>> 3]).toBe(1);
    expect(cpu.dropped).toEqual([]);
    mmu.catchUp();
    expect(cpu.dropped).toEqual([`tlb ${PAGE_AT.toString(16)}-${(PAGE_AT + PAGE).toString(16)}`]);
    mmu.catchUp();
    expect(cpu.dropped.length).toBe(1);
    expect(memory.f64[(cpu.base + CpuState.shootdownsReceived) >>> 3]).toBe(1);
  });

  it('leaves CPUs alone that run another mm or none', () => {
    const { p, cpu, mmu } = other();
    mmu.load(0);
    p.memory.store32(cpu.base + CpuState.interrupt, 0);
    p.pkeyProtect(PAGE_AT, 1, RW, 3);
    expect(p.memory.load32(cpu.base + CpuState.interrupt)).toBe(0);
    expect(p.memory.f64[(p.cpu.base + CpuState.shootdownsSent) >>> 3]).toBe(0);
  });

  it('replays what a CPU has missed, in order, and drops everything if it was too much', () => {
    const { p, cpu, mmu } = other();
    p.map(8, RW, PAGE_AT + 16 * PAGE);
    for (let i = 0; i < 8; i++) p.user.writeU8(PAGE_AT + (16 + i) * PAGE, 1);
    for (let i = 0; i < RING_ENTRIES; i++)
      p.pkeyProtect(PAGE_AT + (16 + (i % 8)) * PAGE, 1, RW, 1 + (i % 13));
    mmu.catchUp();
    expect(cpu.dropped.length).toBe(RING_ENTRIES);
    expect(cpu.dropped.every((text) => /^tlb [0-9a-f]+-/.test(text))).toBe(true);
    cpu.dropped.length = 0;
    for (let i = 0; i <= RING_ENTRIES; i++) p.pkeyProtect(PAGE_AT, 1, RW, 1 + (i % 13));
    mmu.catchUp();
    expect(cpu.dropped).toEqual(['tlb']);
    // With code among what was missed, that goes as well.
    cpu.dropped.length = 0;
    p.map(1, RW | 4, PAGE_AT + 8 * PAGE);
    p.user.writeU8(PAGE_AT + 8 * PAGE, 1);
    p.unmap(PAGE_AT + 8 * PAGE, 1);
    for (let i = 0; i <= RING_ENTRIES; i++) p.pkeyProtect(PAGE_AT, 1, RW, 1 + (i % 13));
    mmu.catchUp();
    expect(cpu.dropped).toEqual(['tlb', 'code']);
  });

  it('survives the generation wrapping around', () => {
    const { p, cpu, mmu } = other();
    const generation = p.mm + AddressSpace.tlbGeneration;
    p.memory.store32(generation, 0x7fff_fffe);
    for (const at of [p.cpu.base, cpu.base]) p.memory.store32(at + CpuState.tlbGeneration, 0x7fff_fffe);
    for (let i = 0; i < 4; i++) p.pkeyProtect(PAGE_AT, 1, RW, 1 + i);
    mmu.catchUp();
    expect(cpu.dropped.length).toBe(4);
    expect(p.memory.load32(generation)).toBe(-0x7fff_fffe);
    expect(p.memory.load32(cpu.base + CpuState.tlbGeneration)).toBe(-0x7fff_fffe);
  });

  it('noShootdown tells nobody, shootdownWithoutWait does not wait', () => {
    for (const mutant of [Mutant.noShootdown, Mutant.shootdownWithoutWait]) {
      const p = machine(2, mutant);
      const mmu = new Mmu(new RecordingCpu(p.memory, 1), 1);
      mmu.load(p.mm);
      // A healthy machine would wait for ever.
      p.memory.store32(cpuPointer(1) + CpuState.mode, CpuMode.user);
      p.pkeyProtect(PAGE_AT, 1, RW, 3);
      const asked = p.memory.load32(cpuPointer(1) + CpuState.interrupt);
      expect(asked).toBe(mutant === Mutant.noShootdown ? 0 : Interrupt.flush | Interrupt.any);
    }
  });
});

interface Outcome {
  looks: number;
  violations: number;
}

/** Runs `drive` while CPUs 1… of a machine do what their roles say. */
async function withCpus(
  p: ReturnType<typeof machine>,
  roles: readonly string[],
  drive: (shared: Int32Array) => void,
): Promise<Outcome[]> {
  const at = heapAllocate(p.memory, 64);
  const shared = new Int32Array(p.memory.buffer, at, 16);
  const workers = roles.map(
    (role, i) =>
      new Worker(new URL('./shootdown-worker.mjs', import.meta.url), {
        workerData: { wasm: p.memory.wasm, id: i + 1, mm: p.mm, page: PAGE_AT, shared: at, role },
      }),
  );
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  const done = workers.map((worker) => once(worker, 'message'));
  try {
    drive(shared);
  } finally {
    Atomics.store(shared, 0, 1);
  }
  const outcomes = (await Promise.all(done)).map(([message]) => message as Outcome);
  await Promise.all(workers.map((worker) => worker.terminate()));
  return outcomes;
}

/** Words of the shared memory: the stop sign, the sequence, the key last set, whether a CPU found a mistake, looks by CPU. */
const FOUND = 3;

/** Whether CPUs 1 to `count` have had their share of looks: with few host cores that may take a while. */
const allLooked = (shared: Int32Array, count: number): boolean =>
  Array.from({ length: count }, (_, i) => Atomics.load(shared, FOUND + 1 + i)).every((looks) => looks > 100);

/** Changes the key of the page again and again, at most for 30 s; the sequence is odd while it does. */
function retag(p: ReturnType<typeof machine>, shared: Int32Array, enough: (rounds: number) => boolean): void {
  const end = performance.now() + 30_000;
  for (let i = 0; !enough(i) && performance.now() < end; i++) {
    const key = 1 + (i % 13);
    Atomics.add(shared, 1, 1);
    if (p.pkeyProtect(PAGE_AT, 1, RW, key) !== 0) throw new Error('pkey_mprotect failed');
    Atomics.store(shared, 2, key);
    Atomics.add(shared, 1, 1);
    for (let pause = 0; pause < 300; pause++) Atomics.load(shared, 0);
  }
}

describe('shootdown, several threads', () => {
  it('after pkey_mprotect no CPU uses the old key', async () => {
    const p = machine(3);
    const outcomes = await withCpus(p, ['key', 'key'], (shared) =>
      retag(p, shared, (rounds) => rounds >= 5000 && allLooked(shared, 2)),
    );
    for (const { looks, violations } of outcomes) {
      expect(violations).toBe(0);
      expect(looks).toBeGreaterThan(100);
    }
  });

  it.each(['noShootdown', 'shootdownWithoutWait'] as const)('%s is found out', async (name) => {
    const p = machine(2, Mutant[name]);
    const [{ violations }] = await withCpus(p, ['key'], (shared) =>
      retag(p, shared, () => Atomics.load(shared, FOUND) !== 0),
    );
    expect(violations).toBeGreaterThan(0);
  });

  it('after munmap no CPU writes to the frame, neither guest code nor a system call', async () => {
    const p = machine(3);
    const { ops } = p.user.mmu;
    let reused = 0;
    let spoilt = 0;
    const outcomes = await withCpus(p, ['store', 'copy'], (shared) => {
      const end = performance.now() + 30_000;
      while (performance.now() < end && (reused < 5000 || !allLooked(shared, 2))) {
        p.unmap(PAGE_AT, 1);
        // The frame just freed is the next one handed out.
        const frame = ops.allocateFrame() >>> 0;
        for (let n = 0; n < 100; n++) if (Atomics.load(p.memory.i32, frame >>> 2) !== 0) spoilt++;
        reused++;
        ops.releaseFrame(frame);
        p.map(1, RW, PAGE_AT, MapFlag.PRIVATE | MapFlag.POPULATE);
        for (let n = 0; n < 100; n++) Atomics.load(p.memory.i32, 0);
      }
    });
    expect(reused).toBeGreaterThanOrEqual(5000);
    expect(spoilt).toBe(0);
    for (const { looks } of outcomes) expect(looks).toBeGreaterThan(100);
  });
});
