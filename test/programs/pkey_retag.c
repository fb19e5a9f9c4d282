/*
 * argv[1] retags (20000), argv[2] readers (2). One thread alternates a page between two keys, one open and one shut to the
 * readers. A read that began and ended between two calls must have met the key that the first of them set.
 */
#include "pkeys.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static char *page;
static int open_key, shut_key;
static _Atomic long sequence; /* 2n: call n has returned; odd: a call is under way. Even n: open, odd n: shut. */
static _Atomic int stop;
enum { MAX = 16 };
static struct { _Alignas(128) _Atomic long settled; long reads, faults, stale_open, stale_shut; } readers[MAX];

static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)signal;
  if (info->si_code != CODE_PKUERR || (char *)info->si_addr != page || !end_probe(context, info, 1)) _exit(99);
}

static void *read_on(void *argument) {
  int id = (int)(intptr_t)argument;
  wrpkru(0x55555554 & ~(3u << 2 * open_key));
  while (!atomic_load(&stop)) {
    long before = atomic_load(&sequence);
    long denied = probe_read(page);
    long after = atomic_load(&sequence);
    readers[id].reads++;
    readers[id].faults += denied;
    if (before != after || before & 1) continue;
    if (before & 2) readers[id].stale_open += !denied;
    else readers[id].stale_shut += denied;
    atomic_store(&readers[id].settled, before);
  }
  return 0;
}

int main(int argc, char **argv) {
  long retags = argc > 1 ? atol(argv[1]) : 20000;
  int count = argc > 2 ? atoi(argv[2]) : 2;
  if (count < 1 || count > MAX) return 2;
  require_pkeys();
  handle(SIGSEGV, on_fault, 0);
  open_key = key_alloc(0, 0), shut_key = key_alloc(0, 0);
  page = new_pages(1);
  page[0] = 1;
  key_mprotect(page, P, RW, open_key);
  pthread_t threads[MAX];
  for (intptr_t i = 0; i < count; i++) atomic_store(&readers[i].settled, -1), pthread_create(&threads[i], 0, read_on, (void *)i);
  long failed = 0;
  for (long i = 1; i <= retags; i++) {
    atomic_fetch_add(&sequence, 1);
    failed += key_mprotect(page, P, RW, i % 2 ? shut_key : open_key) != 0;
    long now = atomic_fetch_add(&sequence, 1) + 1;
    /* Now and then, in both states, wait until every reader has seen this one. */
    if (i % 101 == 0)
      for (int r = 0; r < count; r++)
        while (atomic_load(&readers[r].settled) != now) sched_yield();
  }
  atomic_store(&stop, 1);
  long reads = 0, faults = 0, stale_open = 0, stale_shut = 0;
  for (int i = 0; i < count; i++) {
    pthread_join(threads[i], 0);
    reads += readers[i].reads, faults += readers[i].faults, stale_open += readers[i].stale_open, stale_shut += readers[i].stale_shut;
  }
  printf("retags %ld failed %ld: old key used when shut %ld, when open %ld; both kinds of reads seen %d\n", retags, failed, stale_open, stale_shut, faults > 0 && reads > faults);
  return stale_open || stale_shut || failed;
}
