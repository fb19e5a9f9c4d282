/* Contended futex: one mutex for all threads, held and left for some tens of instructions. One operation is one critical section. */
#include "europa.h"

#include "europa/scale.h"

enum { SECTIONS = 200, INSIDE = 10, OUTSIDE = 20 };

static struct mutex lock ALIGNED(CACHE_LINE);
static u64 shared ALIGNED(CACHE_LINE);

static u32 batch(u32 thread) {
  u64 state = thread + 1;
  for (u32 i = 0; i < SECTIONS; i++) {
    mutex_lock(&lock);
    for (u32 j = 0; j < INSIDE; j++) WRITE_ONCE(shared, shared + 1);
    mutex_unlock(&lock);
    for (u32 j = 0; j < OUTSIDE; j++) WRITE_ONCE(state, state * 5 + 1);
  }
  return SECTIONS;
}

int main(int argc, char **argv) { return scale(argc, argv, &(struct scale_workload){.batch = batch}); }
