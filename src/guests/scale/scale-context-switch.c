/*
 * Context-switch storm: two threads bound to each CPU give way to each other. One operation is one sched_yield, which switches.
 * Each shuts key 14 before, which nothing here uses: so the debug option finds bits to clear at every switch.
 */
#include "europa.h"

#include "europa/scale.h"

enum { YIELDS = 4, RESERVED_KEY = 14 };

static u32 cpus;
static bool keys;

static void prepare(u32 threads) {
  cpus = threads;
  keys = have_pku();
}

static void enter(u32 thread) { bind_to_cpu(thread % cpus); }

static u32 batch(u32 thread) {
  (void)thread;
  for (u32 i = 0; i < YIELDS; i++) {
    if (keys) set_rights(RESERVED_KEY, PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE);
    sys_sched_yield();
  }
  return YIELDS;
}

int main(int argc, char **argv) {
  return scale(argc, argv,
               &(struct scale_workload){.prepare = prepare, .enter = enter, .batch = batch, .threads_per_cpu = 2});
}
