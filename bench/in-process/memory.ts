import { pkeyMprotect } from '../../src/kernel/memory/mprotect.js';
import { PAGE_SIZE } from '../../src/memory/memory.js';
import { LEAF_MASK_HIGH, leafHigh, leafLow, PROT_MASK_LOW } from '../../src/mmu/pte.js';
import { TLB_ENTRIES } from '../../src/mmu/tlb.js';
import { Access } from '../../src/mmu/walk.js';
import { counted, FOLLOW_RAX, repeat, STORE_BEHIND_RAX } from './code.js';
import { BenchMachine, RW } from './machine.js';
import { type Benchmark, type Prepared, time } from './measure.js';

/** Iterations of a guest loop in one sample. */
const ITERATIONS = 2000;
/** Loads in one iteration, so that the loop around them is the smaller part. */
const LOADS = 16;

/** Links pages into a ring of pointers, each page's first word to the next page. */
function link(machine: BenchMachine, pages: readonly number[]): void {
  const { user } = machine.cpus[0].k;
  for (const [i, page] of pages.entries()) user.writeU64(page, pages[(i + 1) % pages.length]);
}

const pagesFrom = (start: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => start + i * PAGE_SIZE);

/** Times loads that each wait for the one before, in a loop, less the same loop without them. */
function chainedLoads(ring: (machine: BenchMachine) => number): Prepared {
  const machine = new BenchMachine();
  const rax = ring(machine);
  const loads = machine.code(counted(repeat(LOADS, FOLLOW_RAX)));
  const empty = machine.code(counted([]));
  const run = (code: number) => time(() => machine.run(code, { rax, rbx: ITERATIONS }));
  return { operations: ITERATIONS * LOADS, sample: () => run(loads) - run(empty) };
}

/** A ring over pages that all have a TLB entry of their own. */
function ringOfHits(machine: BenchMachine): number {
  const start = machine.map(64);
  link(machine, pagesFrom(start, 64));
  return start;
}

/** Two pages that share a TLB entry: each load drives out what the next one needs. */
function ringOfMisses(machine: BenchMachine): number {
  const first = machine.map(1);
  const second = machine.map(1, first + TLB_ENTRIES * PAGE_SIZE);
  link(machine, [first, second]);
  return first;
}

function stores(): Prepared {
  const machine = new BenchMachine();
  const rax = ringOfHits(machine);
  const stores = machine.code(counted(repeat(LOADS, [...FOLLOW_RAX, ...STORE_BEHIND_RAX])));
  const loads = machine.code(counted(repeat(LOADS, FOLLOW_RAX)));
  const run = (code: number) => time(() => machine.run(code, { rax, rbx: ITERATIONS }));
  return { operations: ITERATIONS * LOADS, sample: () => run(stores) - run(loads) };
}

const MANY = 4096;

function pageWalk(): Prepared {
  const machine = new BenchMachine();
  const start = machine.map(MANY);
  const { mmu } = machine.cpus[0];
  const root = machine.memory.loadU32(machine.mm);
  return {
    operations: MANY,
    sample: () =>
      time(() => {
        for (let i = 0; i < MANY; i++) mmu.ops.walk(root, start + i * PAGE_SIZE, Access.read, 0, 1);
      }),
  };
}

/** Gives the entries of `pages` pages the other of two keys, without telling any TLB. */
function entryUpdate(pages: number, calls: number): Prepared {
  const machine = new BenchMachine();
  const start = machine.map(pages);
  const { mmu } = machine.cpus[0];
  const root = machine.memory.loadU32(machine.mm);
  const end = start + pages * PAGE_SIZE;
  const update = (key: number) =>
    mmu.ops.protect(root, start, end, ~PROT_MASK_LOW, leafLow(RW), ~LEAF_MASK_HIGH, leafHigh(RW, key), 0);
  return {
    operations: pages * calls,
    sample: () =>
      time(() => {
        for (let i = 0; i < calls; i++) if (update(1 + (i & 1)) !== pages) throw new Error('not all changed');
      }),
  };
}

function mprotectCalls(pages: number, calls: number): Prepared {
  // Every key of this ABI may be used without asking for it.
  const machine = new BenchMachine({ abi: 'minimal' });
  const start = machine.map(pages);
  const { k } = machine.cpus[0];
  return {
    operations: calls,
    sample: () =>
      time(() => {
        for (let i = 0; i < calls; i++) {
          if (pkeyMprotect(k, start, pages * PAGE_SIZE, RW, 1 + (i & 1)) !== 0) throw new Error('refused');
        }
      }),
  };
}

export const memoryBenchmarks: readonly Benchmark[] = [
  { name: 'page-walk', what: "the kernel's walk of four levels", prepare: pageWalk },
  {
    name: 'tlb-hit-load',
    what: 'guest load, waiting for the one before',
    prepare: () => chainedLoads(ringOfHits),
  },
  { name: 'tlb-hit-store', what: 'guest store, beside such a load', prepare: stores },
  {
    name: 'tlb-miss',
    what: 'guest load, walk and new TLB entry',
    prepare: () => chainedLoads(ringOfMisses),
  },
  { name: 'pte-update', what: 'new key in one page-table entry', prepare: () => entryUpdate(1, 2000) },
  {
    name: 'pte-update-range',
    what: `each of ${MANY} entries, in one go`,
    prepare: () => entryUpdate(MANY, 10),
  },
  {
    name: 'pkey-mprotect-1',
    what: 'within the kernel, 1 page, no other CPU',
    prepare: () => mprotectCalls(1, 1000),
  },
  { name: 'pkey-mprotect-16', what: 'the same, 16 pages', prepare: () => mprotectCalls(16, 1000) },
  {
    name: `pkey-mprotect-${MANY}`,
    what: `the same, ${MANY} pages`,
    prepare: () => mprotectCalls(MANY, 10),
  },
];
