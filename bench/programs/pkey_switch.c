/* Domain switch: WRPKRU opens a key, a store, WRPKRU shuts it. */
#include "bench.h"
#include "pkeys.h"

static volatile int *page;
static unsigned shut, open_;

static void batch(int64_t operations) {
  for (int64_t i = 0; i < operations; i++) {
    wrpkru(open_);
    *page = (int)i;
    wrpkru(shut);
  }
}

int main(void) {
  page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int key = key_alloc(3);
  if (key < 0) return unsupported("pkey_switch"), 0;
  if (key_mprotect((void *)page, 4096, PROT_READ | PROT_WRITE, key)) die("pkey_mprotect");
  shut = rdpkru();
  open_ = shut & ~(3u << 2 * key);
  measure("pkey_switch", batch, 1000);
  return 0;
}
