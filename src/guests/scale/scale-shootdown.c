/*
 * Shootdown storm: every thread keeps reading the pages of all, in user mode, and now and then takes its own page's right to be
 * written away and gives it back. One operation is one such change, which must reach every CPU's TLB.
 */
#include "europa.h"

#include "europa/scale.h"

enum { ROUNDS = 8, READS = 512 };

static u32 parties;
static u8 *pages[MAX_SCALE_THREADS];

static void prepare(u32 threads) {
  parties = threads;
  for (u32 i = 0; i < threads; i++) pages[i] = lone_page();
}

static void read_all(void) {
  for (u32 i = 0; i < READS;)
    for (u32 thread = 0; thread < parties; thread++, i++) (void)READ_ONCE(pages[thread][0]);
}

static void protect(u8 *page, int prot) {
  long result = sys_mprotect(page, PAGE_SIZE, prot);
  if (is_error(result)) die("mprotect", result);
}

static u32 batch(u32 thread) {
  for (u32 i = 0; i < ROUNDS; i++) {
    protect(pages[thread], PROT_READ);
    read_all();
    protect(pages[thread], PROT_READ | PROT_WRITE);
    WRITE_ONCE(pages[thread][1], 1);
    read_all();
  }
  return 2 * ROUNDS;
}

int main(int argc, char **argv) {
  return scale(argc, argv, &(struct scale_workload){.prepare = prepare, .batch = batch});
}
