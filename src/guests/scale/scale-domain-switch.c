/* Private domain switching: one operation is WRPKRU to open the thread's page, a store into it, and WRPKRU to shut it. */
#include "europa.h"

#include "europa/scale.h"

enum { SWITCHES = 2000 };

static u32 keys;
static u8 *pages[MAX_SCALE_THREADS];

static void prepare(u32 threads) { keys = obtain_keys(threads); }

static void enter(u32 thread) {
  pages[thread] = lone_page();
  rekey_page(pages[thread], scale_keys[thread % keys]);
}

static u32 batch(u32 thread) {
  u64 *page = (u64 *)pages[thread];
  int key = scale_keys[thread % keys];
  u32 opened = pkru_with(rdpkru(), key, 0), shut = pkru_with(opened, key, PKEY_DISABLE_ACCESS);
  for (u32 i = 0; i < SWITCHES; i++) {
    wrpkru(opened);
    WRITE_ONCE(page[0], page[0] + 1);
    wrpkru(shut);
  }
  return SWITCHES;
}

int main(int argc, char **argv) {
  return scale(argc, argv, &(struct scale_workload){.prepare = prepare, .enter = enter, .batch = batch});
}
