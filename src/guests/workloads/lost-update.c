/*
 * Two threads count in one variable: load, add, store. An update that falls between another's load and store is lost.
 * Corrected: LOCK XADD.
 *
 *   lost-update [faulty|fixed] [UPDATES=1]     updates a thread
 */
#include "europa.h"

static bool fixed;
static u64 updates, counter;

static long count(void *unused) {
  (void)unused;
  for (u64 i = 0; i < updates; i++) {
    if (fixed)
      atomic_add(&counter, 1);
    else
      WRITE_ONCE(counter, READ_ONCE(counter) + 1);
  }
  return 0;
}

int main(int argc, char **argv) {
  fixed = wants_fixed(argc, argv);
  updates = argument(argc, argv, 2, 1);
  struct thread *other = thread_start(count, NULL);
  count(NULL);
  thread_join(other);
  return counter == 2 * updates ? EXIT_HELD : failed("counter=%lu expected=%lu", counter, 2 * updates);
}
