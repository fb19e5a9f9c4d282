/*
 * Hazard of `task-bitmap`: two threads allocate, each from its own map, and get the same index; then each one's key opens the
 * other's page. Corrected: both keys come from one map, allocated before the threads part.
 *
 *   same-index [faulty|fixed]
 */
#include "europa.h"

struct side {
  int key; /* 0: not allocated yet */
  u64 *page;
  struct gate tagged;
  bool read_other;
};
static struct side sides[2];

static long own_a_domain(void *argument) {
  struct side *self = argument, *other = &sides[self == sides];
  if (!self->key) self->key = must_alloc_key(0);
  tag_page(self->page, self->key);
  wrpkru(pkru_with(PKRU_ONLY_KEY0, self->key, 0));
  gate_open(&self->tagged);
  gate_wait(&other->tagged);
  self->read_other = reads_secret(other->page);
  return 0;
}

int main(int argc, char **argv) {
  bool fixed = wants_fixed(argc, argv);
  need_keys();
  catch_faults();
  for (int i = 0; i < 2; i++) {
    sides[i].page = secret_page();
    if (fixed) sides[i].key = must_alloc_key(0);
  }
  struct thread *thread = thread_start(own_a_domain, &sides[1]);
  own_a_domain(&sides[0]);
  thread_join(thread);
  for (int i = 0; i < 2; i++)
    if (sides[i].read_other)
      return failed("reader=%d reader-key=%d owner-key=%d page=%p", i, sides[i].key, sides[!i].key, (void *)sides[!i].page);
  return EXIT_HELD;
}
