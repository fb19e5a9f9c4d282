/*
 * Hazard of `minimal`: two libraries of one process probe for an index, each on its own, both take the first that is available,
 * and each opens the other's pages. Corrected: both take theirs from the allocator of the process.
 *
 *   two-libraries [faulty|fixed]
 */
#include "europa.h"

struct library {
  struct key_pool own;
  struct key_pool *pool;
  int key;
  u64 *page;
  struct gate tagged;
  bool read_other;
};
static struct key_pool common;
static struct library libraries[2];

static long set_up(void *argument) {
  struct library *self = argument, *other = &libraries[self == libraries];
  self->key = pool_take(self->pool);
  if (self->key < 0) die("no-key", self->key);
  tag_page(self->page, self->key);
  wrpkru(pkru_with(PKRU_ONLY_KEY0, self->key, 0));
  gate_open(&self->tagged);
  gate_wait(&other->tagged);
  self->read_other = reads_secret(other->page);
  return 0;
}

int main(int argc, char **argv) {
  bool fixed = wants_fixed(argc, argv);
  need_style(KEYS_PROBED);
  catch_faults();
  common.probed = probe_keys(PROT_READ);
  for (int i = 0; i < 2; i++) {
    libraries[i].own.probed = common.probed;
    libraries[i].pool = fixed ? &common : &libraries[i].own;
    libraries[i].page = secret_page();
  }
  struct thread *thread = thread_start(set_up, &libraries[1]);
  set_up(&libraries[0]);
  thread_join(thread);
  for (int i = 0; i < 2; i++)
    if (libraries[i].read_other)
      return failed("reader=%d reader-key=%d owner-key=%d page=%p", i, libraries[i].key, libraries[!i].key,
                    (void *)libraries[!i].page);
  return EXIT_HELD;
}
