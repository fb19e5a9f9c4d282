/*
 * Dekker's flags: each thread raises its own and enters if the other's is down. On x86-TSO both stores may still be in their
 * store buffers when the loads run, and both enter. Corrected: MFENCE between store and load.
 *
 *   store-buffering [faulty|fixed] [ROUNDS=1]     each round on flags of its own, at most 4096; not synchronised
 */
#include "europa.h"

enum { MAX_ROUNDS = 4096 };
struct round {
  u32 flag[2][CACHE_LINE / sizeof(u32)];
};
static struct round round[MAX_ROUNDS] ALIGNED(CACHE_LINE);
static bool entered[2][MAX_ROUNDS];
static bool fixed;
static u64 rounds;

static void contend(int self) {
  for (u64 i = 0; i < rounds; i++) {
    WRITE_ONCE(round[i].flag[self][0], 1);
    if (fixed) full_fence();
    if (!READ_ONCE(round[i].flag[!self][0])) entered[self][i] = true;
  }
}

static long contend_as_second(void *unused) {
  (void)unused;
  contend(1);
  return 0;
}

int main(int argc, char **argv) {
  fixed = wants_fixed(argc, argv);
  rounds = argument(argc, argv, 2, 1);
  if (rounds > MAX_ROUNDS) rounds = MAX_ROUNDS;
  struct thread *second = thread_start(contend_as_second, NULL);
  contend(0);
  thread_join(second);
  for (u64 i = 0; i < rounds; i++)
    if (entered[0][i] && entered[1][i]) return failed("round=%lu both=entered", i);
  return EXIT_HELD;
}
