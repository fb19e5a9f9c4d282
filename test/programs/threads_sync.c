/* pthread synchronisation: mutex kinds, condition variables with broadcast (requeue), barriers, rwlocks, semaphores, spin locks. */
#include "test.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <time.h>

enum { THREADS = 8, ROUNDS = 2000 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static sem_t items, spaces;
static long counter, spun, pair[2], torn, produced, consumed;
static int generation, waiting, phase[THREADS];

static void run(void *(*work)(void *)) {
  pthread_t threads[THREADS];
  for (intptr_t i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, work, (void *)i);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
}

static void *count_up(void *argument) {
  for (int i = 0; i < ROUNDS; i++) {
    pthread_mutex_lock(&mutex);
    counter++;
    pthread_mutex_unlock(&mutex);
    pthread_spin_lock(&spin);
    spun++;
    pthread_spin_unlock(&spin);
  }
  return argument;
}

/* All wait; the last to arrive wakes the others by one broadcast: the kernel requeues them to the mutex. */
static void *meet(void *argument) {
  for (int i = 0; i < 100; i++) {
    pthread_mutex_lock(&mutex);
    int mine = generation;
    if (++waiting == THREADS) {
      waiting = 0;
      generation++;
      pthread_cond_broadcast(&condition);
    } else {
      while (generation == mine) pthread_cond_wait(&condition, &mutex);
    }
    pthread_mutex_unlock(&mutex);
  }
  return argument;
}

static int serial_threads;
static void *in_step(void *argument) {
  int id = (int)(intptr_t)argument;
  for (int i = 0; i < 50; i++) {
    phase[id] = i;
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) __atomic_fetch_add(&serial_threads, 1, __ATOMIC_SEQ_CST);
    for (int k = 0; k < THREADS; k++)
      if (phase[k] != i) __atomic_fetch_add(&torn, 1, __ATOMIC_SEQ_CST);
    pthread_barrier_wait(&barrier);
  }
  return argument;
}

static void *read_or_write(void *argument) {
  int id = (int)(intptr_t)argument;
  for (int i = 0; i < 500; i++) {
    if (id < 2) {
      pthread_rwlock_wrlock(&rwlock);
      pair[0]++, pair[1]++;
    } else {
      pthread_rwlock_rdlock(&rwlock);
      if (pair[0] != pair[1]) __atomic_fetch_add(&torn, 1, __ATOMIC_SEQ_CST);
    }
    pthread_rwlock_unlock(&rwlock);
  }
  return argument;
}

static void *produce_consume(void *argument) {
  int id = (int)(intptr_t)argument;
  for (int i = 0; i < 300; i++) {
    if (id % 2) {
      sem_wait(&spaces);
      __atomic_fetch_add(&produced, 1, __ATOMIC_SEQ_CST);
      sem_post(&items);
    } else {
      sem_wait(&items);
      __atomic_fetch_add(&consumed, 1, __ATOMIC_SEQ_CST);
      sem_post(&spaces);
    }
  }
  return argument;
}

static int once_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void once_only(void) {
  sched_yield();
  once_count++;
}
static void *call_once(void *argument) {
  pthread_once(&once, once_only);
  return argument;
}

static const char *result(int error) {
  errno = error;
  return error_name(error ? -1 : 0);
}
static void *try_it(void *lock) { return (void *)(intptr_t)pthread_mutex_trylock(lock); }
static void *timed_lock(void *lock) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 20000000;
  if (until.tv_nsec >= 1000000000) until.tv_nsec -= 1000000000, until.tv_sec++;
  return (void *)(intptr_t)pthread_mutex_timedlock(lock, &until);
}
static int elsewhere(void *(*work)(void *), void *argument) {
  pthread_t thread;
  void *value;
  pthread_create(&thread, 0, work, argument);
  pthread_join(thread, &value);
  return (int)(intptr_t)value;
}

int main(void) {
  pthread_spin_init(&spin, 0);
  run(count_up);
  printf("mutex %ld spin %ld\n", counter, spun);
  run(meet);
  printf("broadcasts %d\n", generation);
  pthread_barrier_init(&barrier, 0, THREADS);
  run(in_step);
  printf("barrier: out of step %ld, serial threads %d\n", torn, serial_threads);
  run(read_or_write);
  printf("rwlock: torn %ld, written %ld %ld\n", torn, pair[0], pair[1]);
  sem_init(&items, 0, 0);
  sem_init(&spaces, 0, 4);
  run(produce_consume);
  printf("semaphores: %ld %ld\n", produced, consumed);
  run(call_once);
  printf("once %d\n", once_count);

  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutex_t recursive, checked;
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&recursive, &attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_init(&checked, &attributes);
  for (int i = 0; i < 3; i++) pthread_mutex_lock(&recursive);
  printf("recursive: other thread %s,", result(elsewhere(try_it, &recursive)));
  for (int i = 0; i < 3; i++) pthread_mutex_unlock(&recursive);
  printf(" once more unlock %s,", result(pthread_mutex_unlock(&recursive)));
  printf(" other thread %s\n", result(elsewhere(try_it, &recursive)));
  pthread_mutex_lock(&checked);
  printf("errorcheck: relock %s,", result(pthread_mutex_lock(&checked)));
  printf(" timed elsewhere %s,", result(elsewhere(timed_lock, &checked)));
  printf(" unlock %s", result(pthread_mutex_unlock(&checked)));
  printf(", unlock again %s\n", result(pthread_mutex_unlock(&checked)));

  struct timespec past = {1, 0};
  pthread_mutex_lock(&mutex);
  printf("condition with a time in the past: %s\n", result(pthread_cond_timedwait(&condition, &mutex, &past)));
  pthread_condattr_t clock_attributes;
  pthread_condattr_init(&clock_attributes);
  pthread_condattr_setclock(&clock_attributes, CLOCK_MONOTONIC);
  pthread_cond_t monotonic;
  pthread_cond_init(&monotonic, &clock_attributes);
  struct timespec soon;
  clock_gettime(CLOCK_MONOTONIC, &soon);
  soon.tv_nsec += 15000000;
  if (soon.tv_nsec >= 1000000000) soon.tv_nsec -= 1000000000, soon.tv_sec++;
  printf("condition on CLOCK_MONOTONIC: %s\n", result(pthread_cond_timedwait(&monotonic, &mutex, &soon)));
  pthread_mutex_unlock(&mutex);
  printf("sem_trywait %s, sem_timedwait %s\n", error_name(sem_trywait(&items)), error_name(sem_timedwait(&items, &past)));
  int value;
  sem_getvalue(&spaces, &value);
  printf("spaces %d\n", value);
  pthread_rwlock_rdlock(&rwlock);
  printf("rwlock: second reader %s, writer %s\n", result(pthread_rwlock_tryrdlock(&rwlock)), result(pthread_rwlock_trywrlock(&rwlock)));
  return 0;
}
