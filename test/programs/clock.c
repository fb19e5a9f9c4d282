/* Time: clocks never go back, sleeps last at least as long as asked, on every thread; getrandom. */
#include "test.h"
#include <pthread.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <x86intrin.h>

static int64_t read_clock(clockid_t which) {
  struct timespec t = {-1, -1};
  clock_gettime(which, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int64_t shared;
static int went_back;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static void *watch(void *argument) {
  for (int i = 0; i < 2000; i++) {
    pthread_mutex_lock(&mutex);
    int64_t now = read_clock(CLOCK_MONOTONIC);
    went_back += now < shared;
    shared = now;
    pthread_mutex_unlock(&mutex);
  }
  return argument;
}

int main(void) {
  clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE};
  for (int c = 0; c < 8; c++) {
    int back = 0;
    int64_t first = read_clock(clocks[c]), last = first;
    for (int i = 0; i < 3000; i++) {
      int64_t now = read_clock(clocks[c]);
      back += now < last;
      last = now;
    }
    printf("clock %d: readable %d, went back %d\n", clocks[c], first >= 0, back);
  }
  struct timespec t;
  printf("bad clock: %s, bad address: %s\n", error_name(clock_gettime(77, &t)), error_name(syscall(SYS_clock_gettime, CLOCK_REALTIME, (void *)8)));
  check("resolution", clock_getres(CLOCK_MONOTONIC, &t) == 0 && t.tv_sec == 0 && t.tv_nsec >= 1);
  check("this century", time(0) > 1700000000 && time(0) < 4102444800);
  struct timeval v;
  gettimeofday(&v, 0);
  check("gettimeofday agrees", llabs((long long)v.tv_sec - time(0)) <= 1);
  int64_t sleeps[] = {0, 1, 50000, 1000000, 20000000};
  for (int i = 0; i < 5; i++) {
    struct timespec wanted = {0, sleeps[i]};
    int64_t start = read_clock(CLOCK_MONOTONIC);
    int result = nanosleep(&wanted, 0);
    int64_t slept = read_clock(CLOCK_MONOTONIC) - start;
    printf("nanosleep %lld: %s, long enough %d, not endless %d\n", (long long)sleeps[i], error_name(result), slept >= sleeps[i], slept < sleeps[i] + 3000000000ll);
  }
  int64_t until = read_clock(CLOCK_MONOTONIC) + 10000000;
  t = (struct timespec){until / 1000000000, until % 1000000000};
  int result = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0);
  printf("absolute: %d, reached %d\n", result, read_clock(CLOCK_MONOTONIC) >= until);
  t = (struct timespec){1, 0};
  printf("absolute in the past: %d\n", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0));
  t = (struct timespec){0, 1000000000};
  printf("bad nanoseconds: %s\n", error_name(nanosleep(&t, 0)));
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, watch, 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
  printf("between threads went back %d\n", went_back);
  unsigned long long before = __rdtsc(), after = __rdtsc();
  int64_t cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
  volatile int work = 0;
  for (int i = 0; i < 3000000; i++) work += i;
  check("rdtsc advances", after >= before && __rdtsc() > after);
  check("CPU time advances", read_clock(CLOCK_PROCESS_CPUTIME_ID) > cpu);
  time_t moment = 1234567890;
  struct tm broken;
  char text[64];
  strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %A %j", gmtime_r(&moment, &broken));
  printf("%s %lld\n", text, (long long)timegm(&broken));

  unsigned char a[256] = {0}, b[256] = {0};
  printf("getrandom %ld %ld %s\n", (long)getrandom(a, 256, 0), (long)getrandom(b, 256, 1), error_name(getrandom(a, 10, 0x80)));
  int zeros = 0;
  for (int i = 0; i < 256; i++) zeros += a[i] == 0;
  check("random bytes differ", memcmp(a, b, 256) != 0 && zeros < 20);
  printf("getrandom bad address %s\n", error_name(syscall(SYS_getrandom, (char *)8, 16, 0)));
  return failures != 0;
}
