/* One pthread mutex: without a rival, and with two threads that both want it. An operation is a lock and unlock. */
#include "bench.h"
#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int64_t share;
static volatile int64_t counter;

static void *work(void *argument) {
  for (int64_t i = 0; i < share; i++) {
    pthread_mutex_lock(&mutex);
    counter++;
    pthread_mutex_unlock(&mutex);
  }
  return argument;
}

static void alone(int64_t operations) {
  share = operations;
  work(0);
}

static void contended(int64_t operations) {
  pthread_t thread;
  share = operations / 2;
  counter = 0;
  if (pthread_create(&thread, 0, work, 0)) die("pthread_create");
  work(0);
  pthread_join(thread, 0);
  if (counter != share * 2) puts("the mutex does not exclude"), exit(1);
}

int main(void) {
  measure("mutex_alone", alone, 1000);
  measure("mutex_contended", contended, 1000);
  return 0;
}
