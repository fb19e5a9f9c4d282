/* Short sleeps between uses of a contended mutex with priority inheritance: the end of a sleep must not end the wait that follows. */
#include "test.h"
#include <pthread.h>
#include <time.h>

enum { THREADS = 48, ROUNDS = 400 };

static pthread_mutex_t mutex;
static long count;
static volatile int failed;

static void *use(void *argument) {
  struct timespec pause = {0, 11000};
  for (int i = 0; i < ROUNDS; i++) {
    int locked = pthread_mutex_lock(&mutex);
    count++;
    int unlocked = pthread_mutex_unlock(&mutex);
    if (locked || unlocked) failed = 1;
    nanosleep(&pause, 0);
  }
  return argument;
}

int main(void) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_init(&mutex, &attributes);
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, use, 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
  check("every lock and unlock succeeded", !failed);
  printf("count %ld\n", count);
  return failures != 0;
}
