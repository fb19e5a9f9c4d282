/* Two threads pass a turn to and fro through one futex word. An operation is a round trip. */
#include "bench.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic int turn;
static int64_t rounds;

static void pass(int mine, int other) {
  for (int now; (now = atomic_load(&turn)) != mine;) syscall(SYS_futex, &turn, 128 /* FUTEX_WAIT_PRIVATE */, now, 0, 0, 0);
  atomic_store(&turn, other);
  syscall(SYS_futex, &turn, 129 /* FUTEX_WAKE_PRIVATE */, 1, 0, 0, 0);
}

static void *partner(void *unused) {
  for (int64_t i = 0; i < rounds; i++) pass(1, 0);
  return unused;
}

static void batch(int64_t operations) {
  pthread_t thread;
  rounds = operations;
  if (pthread_create(&thread, 0, partner, 0)) die("pthread_create");
  for (int64_t i = 0; i < operations; i++) pass(0, 1);
  pthread_join(thread, 0);
}

int main(void) {
  measure("futex_pingpong", batch, 200);
  return 0;
}
