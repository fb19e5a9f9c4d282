/* Two threads add atomically to their own counters: on one cache line, and on lines of their own. An operation is one addition. */
#include "bench.h"
#include <pthread.h>
#include <stdatomic.h>

static struct { _Alignas(4096) _Atomic uint64_t counter[1024]; } shared;
static int64_t share;

static void *work(void *counter) {
  for (int64_t i = 0; i < share; i++) atomic_fetch_add((_Atomic uint64_t *)counter, 1);
  return 0;
}

static void both(int64_t operations, int distance) {
  pthread_t thread;
  share = operations / 2;
  atomic_store(&shared.counter[0], 0);
  atomic_store(&shared.counter[distance], 0);
  if (pthread_create(&thread, 0, work, &shared.counter[distance])) die("pthread_create");
  work(&shared.counter[0]);
  pthread_join(thread, 0);
  if (shared.counter[0] + shared.counter[distance] != (uint64_t)share * 2) puts("additions were lost"), exit(1);
}

static void one_line(int64_t operations) { both(operations, 1); }
static void own_lines(int64_t operations) { both(operations, 512); }

int main(void) {
  measure("sharing_one_line", one_line, 1000);
  measure("sharing_own_lines", own_lines, 1000);
  return 0;
}
