/*
 * Hazard of `hybrid`: an index chosen in user space is not on any page yet when another thread's pkey_alloc makes the kernel take
 * over; the kernel adopts what it finds on mappings, and hands the index out. Corrected: the index is put on its page at once,
 * before another thread exists.
 *
 *   switch-over [faulty|fixed]
 */
#include "europa.h"

static u64 *page;
static int chosen, allocated;
static struct gate tagged;

static long managed_library(void *unused) {
  (void)unused;
  allocated = must_alloc_key(0);
  wrpkru(pkru_with(PKRU_ONLY_KEY0, allocated, 0));
  gate_wait(&tagged);
  return reads_secret(page);
}

int main(int argc, char **argv) {
  bool fixed = wants_fixed(argc, argv);
  need_style(KEYS_PROBED);
  catch_faults();
  page = secret_page();
  struct key_pool pool = {0};
  chosen = pool_take(&pool);
  if (chosen < 0) die("no-key", chosen);
  if (fixed) tag_page(page, chosen);
  struct thread *thread = thread_start(managed_library, NULL);
  if (!fixed) tag_page(page, chosen);
  gate_open(&tagged);
  return thread_join(thread) ? failed("page=%p chosen=%d allocated=%d read=secret", (void *)page, chosen, allocated)
                             : EXIT_HELD;
}
