/* pkey_mprotect on disjoint ranges: one operation gives the thread's own page the other of two keys and stores into it. */
#include "europa.h"

#include "europa/scale.h"

enum { CALLS = 32 };

static u32 keys;
static u8 *pages[MAX_SCALE_THREADS];

static void prepare(u32 threads) {
  (void)threads;
  keys = obtain_keys(2);
}

static void enter(u32 thread) {
  for (u32 i = 0; i < keys; i++) open_key(scale_keys[i]);
  pages[thread] = lone_page();
}

static u32 batch(u32 thread) {
  for (u32 i = 0; i < CALLS; i++) {
    rekey_page(pages[thread], scale_keys[i % keys]);
    WRITE_ONCE(pages[thread][0], 1);
  }
  return CALLS;
}

int main(int argc, char **argv) {
  return scale(argc, argv, &(struct scale_workload){.prepare = prepare, .enter = enter, .batch = batch});
}
