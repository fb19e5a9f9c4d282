/* Private compute: integer arithmetic and accesses to 4 KiB of the thread's own. One operation is one step. */
#include "europa.h"

#include "europa/scale.h"

enum { WORDS = 512, STEPS = 20000 };

static u64 *words[MAX_SCALE_THREADS];

static void enter(u32 thread) {
  words[thread] = map_pages(1);
  for (u32 i = 0; i < WORDS; i++) words[thread][i] = i * 0x9e3779b97f4a7c15ull;
}

static u32 batch(u32 thread) {
  u64 *own = words[thread];
  u64 state = own[0] | 1;
  for (u32 i = 0; i < STEPS; i++) {
    state ^= state << 13; /* Marsaglia's xorshift64 */
    state ^= state >> 7;
    state ^= state << 17;
    own[state % WORDS] += state;
  }
  own[0] = state;
  return STEPS;
}

int main(int argc, char **argv) {
  return scale(argc, argv, &(struct scale_workload){.enter = enter, .batch = batch});
}
