import { afterAll, describe, expect, it } from 'vitest';
import { hasGcc, Scratch } from '../machine/fixtures.js';
import { CLONE, options, prepare } from './fixtures.js';

const scratch = new Scratch();
afterAll(() => scratch.cleanUp());

/** 600 pages in two leaf tables and more, each filled with its number; a thread looks at all of them and then does `change`. */
const program = (change: string) => `${CLONE}
static long call6(long n, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d; register long r8 __asm__("r8") = e; register long r9 __asm__("r9") = f; long r;
  __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return r;
}
enum { PAGES = 600 };
static unsigned long *page(int i) { return (unsigned long *)(0x10000000UL + i * 4096UL); }
static void map(int i, int n) { call6(9, (long)page(i), n * 4096L, 3, 0x32, -1, 0); }
static void body(void) {
  for (int i = 0; i < PAGES; i++) for (int j = 0; j < 512; j += 73) if (page(i)[j] != i + 1) sys(231, 1, 0, 0, 0);
  ${change}
  sys(231, 0, 0, 0, 0);
}
void start(long *s) {
  map(0, PAGES);
  for (int i = 0; i < PAGES; i++) for (int j = 0; j < 512; j++) page(i)[j] = i + 1;
  thread(0, body);
  for (;;) sys(34, 0, 0, 0, 0);
}`;

const CHANGES: Record<string, string> = {
  'are written to by the program': 'for (int i = 0; i < PAGES; i += 7) page(i)[73] = 0;',
  'are written to by the kernel': 'for (int i = 0; i < PAGES; i += 7) sys(318, (long)page(i), 4096, 0, 0);',
  'are unmapped and mapped anew at the same place':
    'sys(11, (long)page(3), 4096 * 5L, 0, 0); map(3, 5); long sum = page(4)[0];',
  'are unmapped and mapped anew elsewhere':
    'sys(11, (long)page(3), 4096 * 5L, 0, 0); map(PAGES, 5); for (int i = 0; i < 5; i++) page(PAGES + i)[0] = 9;',
  'are all unmapped, tables and all': `sys(11, (long)page(0), PAGES * 4096L, 0, 0); map(PAGES, PAGES);
    for (int i = 0; i < PAGES; i++) page(PAGES + i)[0] = 9;`,
  'lose their contents by madvise': 'sys(28, (long)page(9), 4096 * 3L, 4, 0); long sum = page(10)[0];',
  'get another protection and key and are written to': `sys(10, (long)page(9), 4096, 1, 0); sys(329, (long)page(9), 4096, 3, 1); page(9)[0] = 5;
    sys(329, (long)page(9), 4096, 3, 0);`,
  'are moved':
    'call6(25, (long)page(20), 4096 * 2L, 4096 * 2L, 3, (long)page(PAGES + 9), 0); page(PAGES + 9)[0] = 7;',
};

describe.skipIf(!hasGcc)('each run starts from the snapshot', () => {
  for (const [what, change] of Object.entries(CHANGES)) {
    it(`when pages ${what}`, () => {
      const path = scratch.compile('pages', program(change));
      const { machine, schedule } = prepare(options(path, []), 'random');
      for (let seed = 0; seed < 10; seed++)
        expect(machine.run(schedule, seed)).toMatchObject({ exitCode: 0, signal: null });
    });
  }

  it('only pages that were written to are brought back', () => {
    const path = scratch.compile('pages', program('page(5)[0] = 1; page(77)[0] = 2; page(599)[9] = 3;'));
    const { machine, schedule } = prepare(options(path, []), 'random');
    machine.run(schedule, 1);
    machine.run(schedule, 2);
    // The kernel's own structures, and three pages of the program's six hundred.
    const kernel = machine.snapshotBytes - 600 * 4096;
    expect(machine.snapshotBytes).toBeGreaterThan(600 * 4096);
    expect(machine.restoredBytes).toBeLessThan(kernel + 16 * 4096);
  });
});
