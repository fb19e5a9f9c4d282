/* Lives of threads: 64 at once, TLS, keys with destructors, order of exit, detach, stacks, cancellation, robust mutexes. */
#include "test.h"
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static _Thread_local int local = 77;
static _Thread_local struct { _Alignas(64) char text[100]; } aligned = {"initial"};
static pthread_key_t key;
static int destroyed, misaligned, not_initial, same_tid;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int started, go;

static void destroy(void *value) {
  pthread_mutex_lock(&mutex);
  destroyed += (int)(intptr_t)value;
  pthread_mutex_unlock(&mutex);
}

static void *one_of_many(void *argument) {
  int id = (int)(intptr_t)argument;
  if (local != 77 || strcmp(aligned.text, "initial")) __atomic_fetch_add(&not_initial, 1, __ATOMIC_SEQ_CST);
  if ((uintptr_t)&aligned % 64) __atomic_fetch_add(&misaligned, 1, __ATOMIC_SEQ_CST);
  local = id;
  sprintf(aligned.text, "thread %d", id);
  errno = id;
  pthread_setspecific(key, (void *)(intptr_t)id);
  pthread_mutex_lock(&mutex);
  started++;
  pthread_cond_broadcast(&condition);
  while (!go) pthread_cond_wait(&condition, &mutex);
  pthread_mutex_unlock(&mutex);
  char expected[20];
  sprintf(expected, "thread %d", id);
  long sum = 0;
  for (int i = 0; i < 100; i++) {
    char *block = malloc((size_t)(i * 17 + id + 1));
    block[0] = (char)i;
    sum += block[0];
    free(block);
  }
  return (void *)(intptr_t)(local == id && errno == id && !strcmp(aligned.text, expected) && sum == 4950 && pthread_getspecific(key) == argument);
}

static pthread_t previous_of[10];
static int exit_order[10], exited;
static void *after_previous(void *argument) {
  int id = (int)(intptr_t)argument;
  if (id > 0) pthread_join(previous_of[id - 1], 0);
  exit_order[exited++] = id;
  if (id == 5) pthread_exit((void *)55);
  return argument;
}

static int cleaned[4], reached;
static void cleanup(void *where) { (*(int *)where)++; }
static void *sleeper(void *argument) {
  pthread_cleanup_push(cleanup, argument);
  for (;;) usleep(1000000);
  pthread_cleanup_pop(0);
  return 0;
}
static void *waiter(void *argument) {
  pthread_cleanup_push(cleanup, argument);
  pthread_cleanup_push((void (*)(void *))pthread_mutex_unlock, &mutex);
  pthread_mutex_lock(&mutex);
  go = 0;
  while (!go) pthread_cond_wait(&condition, &mutex);
  pthread_cleanup_pop(1);
  pthread_cleanup_pop(0);
  return 0;
}
static volatile int in_loop;
static void *spinner(void *argument) {
  int old;
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
  pthread_cleanup_push(cleanup, argument);
  in_loop = 1;
  for (;;) __asm__ volatile("pause");
  pthread_cleanup_pop(0);
  return 0;
}
static volatile int disabled, release_stubborn;
static void *stubborn(void *argument) {
  int old;
  pthread_cleanup_push(cleanup, argument);
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
  disabled = 1;
  while (!release_stubborn) usleep(1000);
  reached = 1;
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
  pthread_testcancel();
  reached = 2;
  pthread_cleanup_pop(0);
  return 0;
}

static pthread_mutex_t robust;
static void *dies_with_it(void *argument) {
  pthread_mutex_lock(&robust);
  return argument;
}
static const char *result(int error) {
  errno = error;
  return error_name(error ? -1 : 0);
}

static int detached_done;
static void *detached(void *argument) {
  pthread_mutex_lock(&mutex);
  detached_done++;
  pthread_cond_broadcast(&condition);
  pthread_mutex_unlock(&mutex);
  return argument;
}
static void *on_own_stack(void *stack) {
  char here;
  return (void *)(intptr_t)(&here >= (char *)stack && &here < (char *)stack + 65536);
}
static void *deep(void *argument) {
  volatile char frame[6 << 20];
  for (size_t i = 0; i < sizeof frame; i += 4096) frame[i] = 1;
  return (void *)(intptr_t)(frame[4096] + (argument == 0));
}

int main(void) {
  pthread_key_create(&key, destroy);
  pthread_t threads[64];
  for (intptr_t i = 0; i < 64; i++)
    if (pthread_create(&threads[i], 0, one_of_many, (void *)(i + 1))) puts("pthread_create failed");
  pthread_mutex_lock(&mutex);
  while (started < 64) pthread_cond_wait(&condition, &mutex);
  go = 1;
  pthread_cond_broadcast(&condition);
  pthread_mutex_unlock(&mutex);
  int good = 0;
  for (int i = 0; i < 64; i++) {
    void *value;
    pthread_join(threads[i], &value);
    good += (int)(intptr_t)value;
  }
  printf("64 threads: good %d, not initial %d, misaligned %d, destructors' sum %d, main's own %d %s\n", good, not_initial, misaligned, destroyed, local, aligned.text);

  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
  for (intptr_t i = 0; i < 10; i++) pthread_create(&previous_of[i], 0, after_previous, (void *)i);
  void *value;
  pthread_join(previous_of[9], &value);
  printf("exit order:");
  for (int i = 0; i < 10; i++) printf(" %d", exit_order[i]);
  printf(", value %ld\n", (long)(intptr_t)value);

  void *(*cancelled[])(void *) = {sleeper, waiter, spinner, stubborn};
  for (int i = 0; i < 4; i++) {
    pthread_t thread;
    pthread_create(&thread, 0, cancelled[i], &cleaned[i]);
    if (i == 2) while (!in_loop) sched_yield();
    else if (i == 3) while (!disabled) sched_yield();
    else usleep(20000);
    printf("cancel %d: %s", i, result(pthread_cancel(thread)));
    release_stubborn = i == 3;
    pthread_join(thread, &value);
    printf(" cancelled %d cleaned %d\n", value == PTHREAD_CANCELED, cleaned[i]);
  }
  printf("stubborn reached %d, mutex free %s\n", reached, result(pthread_mutex_trylock(&mutex)));
  pthread_mutex_unlock(&mutex);

  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&robust, &attributes);
  for (int repair = 1; repair >= 0; repair--) {
    pthread_t thread;
    pthread_create(&thread, 0, dies_with_it, 0);
    pthread_join(thread, 0);
    printf("robust: lock %s", result(pthread_mutex_lock(&robust)));
    if (repair) printf(" consistent %s", result(pthread_mutex_consistent(&robust)));
    printf(" unlock %s", result(pthread_mutex_unlock(&robust)));
    printf(" lock again %s\n", result(pthread_mutex_lock(&robust)));
    if (repair) pthread_mutex_unlock(&robust);
  }

  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  for (int i = 0; i < 5; i++) pthread_create(&thread, &attr, detached, 0);
  pthread_mutex_lock(&mutex);
  while (detached_done < 5) pthread_cond_wait(&condition, &mutex);
  pthread_mutex_unlock(&mutex);
  printf("detached %d\n", detached_done);
  char *stack = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  pthread_attr_init(&attr);
  pthread_attr_setstack(&attr, stack, 65536);
  pthread_create(&thread, &attr, on_own_stack, stack);
  pthread_join(thread, &value);
  printf("own stack %ld\n", (long)(intptr_t)value);
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 8 << 20);
  pthread_create(&thread, &attr, deep, 0);
  pthread_join(thread, &value);
  printf("big stack %ld\n", (long)(intptr_t)value);
  for (int i = 0; i < 300; i++) {
    pthread_create(&thread, 0, on_own_stack, stack);
    pthread_join(thread, &value);
    same_tid += (int)(intptr_t)value;
  }
  printf("300 one after another %d\n", same_tid);
  return 0;
}
