/* pthread_create and pthread_join of a thread that does nothing. */
#include "bench.h"
#include <pthread.h>

static void *nothing(void *argument) { return argument; }

static void batch(int64_t operations) {
  for (int64_t i = 0; i < operations; i++) {
    pthread_t thread;
    if (pthread_create(&thread, 0, nothing, 0)) die("pthread_create");
    pthread_join(thread, 0);
  }
}

int main(void) {
  measure("thread_create", batch, 50);
  return 0;
}
