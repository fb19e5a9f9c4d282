/* Mutexes with priority inheritance: through libc and by the bare calls. */
#include "test.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>

static long futex(int *word, int operation, int value, const struct timespec *time) {
  return syscall(SYS_futex, word, operation, value, time, 0, 0);
}
static int tid(void) { return syscall(SYS_gettid); }

static pthread_mutex_t mutex;
static long count;
static void *adder(void *unused) {
  (void)unused;
  for (int i = 0; i < 2000; i++) {
    pthread_mutex_lock(&mutex);
    count++;
    pthread_mutex_unlock(&mutex);
  }
  return 0;
}

static int word, order[4], arrived, taken;
static void *waiter(void *number) {
  int me = (int)(long)number;
  __atomic_store_n(&arrived, tid(), __ATOMIC_SEQ_CST);
  long result = futex(&word, FUTEX_LOCK_PI, 0, 0);
  order[taken++] = result == 0 && (word & FUTEX_TID_MASK) == tid() ? me : -1;
  if (!__sync_bool_compare_and_swap(&word, tid(), 0)) futex(&word, FUTEX_UNLOCK_PI, 0, 0);
  return 0;
}

/* Whether a thread is blocked in a system call. */
static int asleep(int thread) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  int found = fgets(line, sizeof line, file) && strstr(line, ") S ");
  fclose(file);
  return found;
}

static void *dies_with_it(void *unused) {
  (void)unused;
  futex(&word, FUTEX_LOCK_PI, 0, 0);
  __atomic_store_n(&arrived, 1, __ATOMIC_SEQ_CST);
  while (!(__atomic_load_n(&word, __ATOMIC_SEQ_CST) & FUTEX_WAITERS)) usleep(1000);
  usleep(20000);
  return 0;
}

static void *dies_alone(void *unused) {
  (void)unused;
  futex(&word, FUTEX_LOCK_PI, 0, 0);
  return 0;
}

static void *locks_and_dies(void *robust) {
  pthread_mutex_lock(robust);
  return 0;
}

static void *locked_by_main(void *unused) {
  (void)unused;
  struct timespec past = {1, 0}, soon;
  printf("try: %s\n", error_name(futex(&word, FUTEX_TRYLOCK_PI, 0, 0)));
  printf("unlock: %s\n", error_name(futex(&word, FUTEX_UNLOCK_PI, 0, 0)));
  printf("past: %s\n", error_name(futex(&word, FUTEX_LOCK_PI, 0, &past)));
  clock_gettime(CLOCK_REALTIME, &soon);
  soon.tv_nsec += 20000000;
  if (soon.tv_nsec >= 1000000000) soon.tv_nsec -= 1000000000, soon.tv_sec++;
  printf("soon: %s\n", error_name(futex(&word, FUTEX_LOCK_PI, 0, &soon)));
  clock_gettime(CLOCK_MONOTONIC, &soon);
  printf("monotonic: %s\n", error_name(futex(&word, 13 /* FUTEX_LOCK_PI2 */, 0, &soon)));
  return 0;
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  check("protocol", pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT) == 0);
  check("init", pthread_mutex_init(&mutex, &attributes) == 0);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, adder, 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
  printf("count: %ld\n", count);

  printf("unlock of nobody's: %s\n", error_name(futex(&word, FUTEX_UNLOCK_PI, 0, 0)));
  printf("lock: %s\n", error_name(futex(&word, FUTEX_LOCK_PI, 0, 0)));
  check("the tid", word == tid());
  printf("again: %s\n", error_name(futex(&word, FUTEX_LOCK_PI, 0, 0)));
  printf("bad address: %s\n", error_name(futex((int *)8, FUTEX_LOCK_PI, 0, 0)));
  printf("not aligned: %s\n", error_name(futex((int *)((char *)&word + 1), FUTEX_LOCK_PI, 0, 0)));
  printf("bad time: %s\n", error_name(futex(&word, FUTEX_LOCK_PI, 0, &(struct timespec){0, -1})));
  pthread_create(&threads[0], 0, locked_by_main, 0);
  pthread_join(threads[0], 0);

  /* First come, first served, by hand-over. */
  for (long i = 0; i < 4; i++) {
    arrived = 0;
    pthread_create(&threads[i], 0, waiter, (void *)i);
    while (!__atomic_load_n(&arrived, __ATOMIC_SEQ_CST)) usleep(1000);
    while (!asleep(arrived)) usleep(1000);
  }
  check("waiters", (word & FUTEX_WAITERS) != 0);
  printf("unlock: %s\n", error_name(futex(&word, FUTEX_UNLOCK_PI, 0, 0)));
  for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
  printf("order: %d %d %d %d, then %x\n", order[0], order[1], order[2], order[3], (unsigned)word);

  /* Owners that end. */
  arrived = 0;
  pthread_create(&threads[0], 0, dies_with_it, 0);
  while (!__atomic_load_n(&arrived, __ATOMIC_SEQ_CST)) usleep(1000);
  printf("from the dead: %s\n", error_name(futex(&word, FUTEX_LOCK_PI, 0, 0)));
  check("marked", (word & FUTEX_TID_MASK) == tid() && (word & FUTEX_OWNER_DIED));
  pthread_join(threads[0], 0);
  printf("unlock: %s\n", error_name(futex(&word, FUTEX_UNLOCK_PI, 0, 0)));
  pthread_create(&threads[0], 0, dies_alone, 0);
  pthread_join(threads[0], 0);
  usleep(20000);
  printf("nobody's: %s\n", error_name(futex(&word, FUTEX_LOCK_PI, 0, 0)));

  pthread_mutex_t robust;
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  check("robust", pthread_mutex_init(&robust, &attributes) == 0);
  pthread_create(&threads[0], 0, locks_and_dies, &robust);
  pthread_join(threads[0], 0);
  check("owner died", pthread_mutex_lock(&robust) == EOWNERDEAD);
  check("consistent", pthread_mutex_consistent(&robust) == 0 && pthread_mutex_unlock(&robust) == 0);
  check("usable", pthread_mutex_lock(&robust) == 0);
  return failures;
}
