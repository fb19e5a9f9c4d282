/* pkey_mprotect on a shared range: one operation gives a page that all threads use the other of two keys and stores into it. */
#include "europa.h"

#include "europa/scale.h"

enum { CALLS = 32 };

static u32 keys;
static u8 *page;

static void prepare(u32 threads) {
  (void)threads;
  keys = obtain_keys(2);
  page = lone_page();
}

static void enter(u32 thread) {
  (void)thread;
  for (u32 i = 0; i < keys; i++) open_key(scale_keys[i]);
}

static u32 batch(u32 thread) {
  for (u32 i = 0; i < CALLS; i++) {
    rekey_page(page, scale_keys[i % keys]);
    WRITE_ONCE(page[thread * CACHE_LINE % PAGE_SIZE], 1);
  }
  return CALLS;
}

int main(int argc, char **argv) {
  return scale(argc, argv, &(struct scale_workload){.prepare = prepare, .enter = enter, .batch = batch});
}
