/*
 * Threads with a key and a page each, preempted in and between their domains. The faulty twin keeps a shadow of PKRU in one
 * variable for the process, as if the register were shared: a thread that opens its domain while another is in its own gets both.
 * Corrected: the shadow is the thread's own register. Either twin also fails when PKRU is not what the thread put there.
 *
 *   shadow-pkru [faulty|fixed] [THREADS=2] [ROUNDS=1]
 */
#include "europa.h"

enum { MAX_THREADS = 13 };
struct domain {
  int key;
  u64 *page;
  u32 pkru; /* in the failing access */
  bool lost, leaked;
};
static struct domain domains[MAX_THREADS];
static u32 thread_count, rounds;
static bool fixed;
static u32 shadow;

static u32 change_rights(int key, u32 rights) {
  u32 pkru = pkru_with(fixed ? rdpkru() : READ_ONCE(shadow), key, rights);
  WRITE_ONCE(shadow, pkru);
  wrpkru(pkru);
  return pkru;
}

static long live_in_domain(void *argument) {
  struct domain *self = argument;
  struct domain *neighbour = self + 1 == domains + thread_count ? domains : self + 1;
  for (u32 i = 0; i < rounds; i++) {
    u32 pkru = change_rights(self->key, 0);
    self->page[1]++;
    if (reads_secret(neighbour->page)) {
      self->leaked = true;
      self->pkru = rdpkru();
    }
    if (rdpkru() != pkru) self->lost = true;
    change_rights(self->key, PKEY_DISABLE_ACCESS);
  }
  return 0;
}

int main(int argc, char **argv) {
  fixed = wants_fixed(argc, argv);
  thread_count = (u32)argument(argc, argv, 2, 2);
  rounds = (u32)argument(argc, argv, 3, 1);
  if (thread_count < 2 || thread_count > MAX_THREADS) return EXIT_USAGE;
  need_keys();
  catch_faults();
  for (u32 i = 0; i < thread_count; i++) {
    domains[i].page = secret_page();
    domains[i].key = must_take_key(PKEY_DISABLE_ACCESS);
    tag_page(domains[i].page, domains[i].key);
  }
  shadow = rdpkru();
  struct thread *threads[MAX_THREADS];
  for (u32 i = 1; i < thread_count; i++) threads[i] = thread_start(live_in_domain, &domains[i]);
  live_in_domain(&domains[0]);
  for (u32 i = 1; i < thread_count; i++) thread_join(threads[i]);
  for (u32 i = 0; i < thread_count; i++) {
    const struct domain *domain = &domains[i];
    if (domain->lost) return failed("thread=%u key=%d pkru=not-what-was-written", i, domain->key);
    if (domain->leaked)
      return failed("thread=%u key=%d neighbour-key=%d pkru=0x%08x read=secret", i, domain->key,
                    domains[(i + 1) % thread_count].key, domain->pkru);
  }
  return EXIT_HELD;
}
