/* pkey_mprotect of 1, 16 and 4096 present pages, between two keys. An operation is one call. */
#include "bench.h"
#include "pkeys.h"

static char *area;
static int keys[2];
static size_t pages;

static void batch(int64_t operations) {
  for (int64_t i = 0; i < operations; i++)
    if (key_mprotect(area, pages * 4096, PROT_READ | PROT_WRITE, keys[i & 1])) die("pkey_mprotect");
}

/* The same with every page touched after each call: the entries have to come back into the TLB. */
static void batch_touching(int64_t operations) {
  for (int64_t i = 0; i < operations; i++) {
    if (key_mprotect(area, pages * 4096, PROT_READ | PROT_WRITE, keys[i & 1])) die("pkey_mprotect");
    for (size_t p = 0; p < pages; p++) area[p * 4096]++;
  }
}

int main(void) {
  static const char *names[] = {"pkey_mprotect_1", "pkey_mprotect_16", "pkey_mprotect_4096", "pkey_mprotect_1_touch", "pkey_mprotect_16_touch"};
  area = mmap(0, 4096 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) die("mmap");
  keys[0] = key_alloc(0), keys[1] = key_alloc(0);
  if (keys[1] < 0) {
    for (int i = 0; i < 5; i++) unsupported(names[i]);
    return 0;
  }
  memset(area, 1, 4096 * 4096);
  for (int i = 0; i < 5; i++) {
    pages = (size_t[]){1, 16, 4096, 1, 16}[i];
    measure(names[i], i >= 3 ? batch_touching : batch, i == 2 ? 1 : 100);
  }
  return 0;
}
