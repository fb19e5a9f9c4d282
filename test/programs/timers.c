/* POSIX timers and the interval timers of CPU time. */
#include "test.h"
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static const long MS = 1000000;

static long set(int id, int flags, long value, long interval) {
  struct itimerspec its = {{interval / 1000000000, interval % 1000000000}, {value / 1000000000, value % 1000000000}};
  return syscall(SYS_timer_settime, id, flags, &its, 0) < 0 ? -errno : 0;
}

static long create(clockid_t clock, int notify, int signo, void *value, int tid, int *id) {
  struct sigevent event = {0};
  event.sigev_notify = notify;
  event.sigev_signo = signo;
  event.sigev_value.sival_ptr = value;
  event.sigev_notify_thread_id = tid;
  return syscall(SYS_timer_create, clock, &event, id) < 0 ? -errno : 0;
}

static void wait_for(int signo, const char *what, int id, void *value) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signo);
  struct timespec limit = {20, 0};
  siginfo_t info;
  memset(&info, 0, sizeof info);
  int got = sigtimedwait(&set, &info, &limit);
  printf("%s: signal %d, timer %d, value %d, overrun %d\n", what, got == signo, info.si_code == SI_TIMER && info.si_timerid == id,
         info.si_value.sival_ptr == value, info.si_overrun == syscall(SYS_timer_getoverrun, id));
}

static volatile sig_atomic_t caught, code;
static void handler(int signo, siginfo_t *info, void *context) {
  (void)context;
  caught = signo;
  code = info->si_code;
}

static int busy_until_caught(int signo) {
  struct timespec begin, now;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  do clock_gettime(CLOCK_MONOTONIC, &now);
  while (caught != signo && now.tv_sec < begin.tv_sec + 20);
  return caught == signo;
}

static sem_t expired;
static void notified(union sigval value) {
  if (value.sival_int == 77) sem_post(&expired);
}

static void *sleeper(void *unused) {
  wait_for(SIGRTMIN + 3, "thread", *(int *)unused, 0);
  return 0;
}

int main(void) {
  sigset_t set_;
  sigfillset(&set_);
  sigdelset(&set_, SIGVTALRM);
  sigdelset(&set_, SIGPROF);
  sigdelset(&set_, SIGXCPU);
  pthread_sigmask(SIG_BLOCK, &set_, 0);
  setvbuf(stdout, 0, _IOLBF, 0);
  int id, other;
  struct itimerspec left;

  printf("errors: %ld %ld %ld %ld %ld\n", create(99, SIGEV_SIGNAL, SIGUSR1, 0, 0, &id), create(CLOCK_MONOTONIC_RAW, SIGEV_SIGNAL, SIGUSR1, 0, 0, &id),
         create(CLOCK_MONOTONIC, SIGEV_SIGNAL, 65, 0, 0, &id), create(CLOCK_MONOTONIC, 17, SIGUSR1, 0, 0, &id),
         create(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR1, 0, 1, &id));
  printf("no such timer: %ld %ld\n", set(4711, 0, 0, 0), syscall(SYS_timer_delete, 4711) < 0 ? -(long)errno : 0);

  printf("create: %ld\n", create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, &id, 0, &id));
  printf("bad times: %ld %ld\n", set(id, 0, -1, 0), set(id, 0, 0, -1));
  syscall(SYS_timer_gettime, id, &left);
  printf("off: %ld %ld\n", (long)left.it_value.tv_nsec, (long)left.it_interval.tv_nsec);
  set(id, 0, 100 * 1000 * MS, 7 * MS);
  syscall(SYS_timer_gettime, id, &left);
  printf("armed: %d %ld\n", left.it_value.tv_sec >= 60 && left.it_value.tv_sec <= 100, (long)left.it_interval.tv_nsec);
  set(id, 0, 2 * MS, 0);
  wait_for(SIGRTMIN, "once", id, &id);
  set(id, TIMER_ABSTIME, 1, 0);
  wait_for(SIGRTMIN, "long ago", id, &id);

  /* The periods that pass while the signal is pending are the overrun of the one signal. */
  set(id, 0, MS, MS);
  usleep(60000);
  siginfo_t info;
  struct timespec limit = {20, 0};
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, SIGRTMIN);
  sigtimedwait(&one, &info, &limit);
  printf("overrun: %d %d\n", info.si_overrun >= 20, info.si_overrun == syscall(SYS_timer_getoverrun, id));
  for (int i = 0; i < 5; i++) wait_for(SIGRTMIN, "periodic", id, &id);
  syscall(SYS_timer_delete, id);
  while (sigtimedwait(&one, &info, &(struct timespec){0, 0}) > 0) {}
  printf("deleted: %ld\n", set(id, 0, MS, 0));

  /* A period of a nanosecond floods nobody. */
  create(CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN, 0, 0, &id);
  set(id, 0, 1, 1);
  for (int i = 0; i < 3; i++) wait_for(SIGRTMIN, "flood", id, 0);
  syscall(SYS_timer_delete, id);
  while (sigtimedwait(&one, &info, &(struct timespec){0, 0}) > 0) {}

  /* Two timers with one standard signal: both arrive. */
  create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, &id, 0, &id);
  create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, &other, 0, &other);
  set(id, 0, MS, 0);
  usleep(20000);
  set(other, 0, MS, 0);
  usleep(20000);
  wait_for(SIGUSR2, "first", id, &id);
  wait_for(SIGUSR2, "second", other, &other);
  syscall(SYS_timer_delete, other);

  /* Without an event: SIGALRM, the value is the number. */
  printf("default: %ld\n", syscall(SYS_timer_create, CLOCK_MONOTONIC, 0, &other));
  set(other, 0, MS, 0);
  wait_for(SIGALRM, "default", other, (void *)(long)other);

  printf("none: %ld\n", create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0, &other));
  set(other, 0, MS, 0);
  usleep(5000);
  syscall(SYS_timer_gettime, other, &left);
  printf("none: %ld\n", (long)left.it_value.tv_nsec);

  create(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 2, 0, gettid(), &id);
  set(id, 0, MS, 0);
  wait_for(SIGRTMIN + 2, "to this thread", id, 0);
  create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 3, 0, 0, &id);
  pthread_t thread;
  pthread_create(&thread, 0, sleeper, &id);
  set(id, 0, 5 * MS, 0);
  pthread_join(thread, 0);

  sem_init(&expired, 0, 0);
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = notified, .sigev_value.sival_int = 77};
  printf("SIGEV_THREAD: %d\n", timer_create(CLOCK_MONOTONIC, &event, &timer));
  timer_settime(timer, 0, &(struct itimerspec){{0, MS}, {0, MS}}, 0);
  for (int i = 0; i < 3; i++) sem_wait(&expired);
  printf("SIGEV_THREAD: %d\n", timer_delete(timer));

  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGVTALRM, &action, 0);
  sigaction(SIGPROF, &action, 0);
  sigaction(SIGXCPU, &action, 0);
  setitimer(ITIMER_VIRTUAL, &(struct itimerval){{0, 0}, {0, 20000}}, 0);
  printf("ITIMER_VIRTUAL: %d", busy_until_caught(SIGVTALRM));
  printf(" %x\n", code);
  setitimer(ITIMER_PROF, &(struct itimerval){{0, 10000}, {0, 10000}}, 0);
  printf("ITIMER_PROF: %d", busy_until_caught(SIGPROF));
  printf(" %x\n", code);
  setitimer(ITIMER_PROF, &(struct itimerval){{0, 0}, {0, 0}}, 0);
  create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGXCPU, 0, 0, &id);
  set(id, 0, 10 * MS, 0);
  printf("process CPU time: %d", busy_until_caught(SIGXCPU));
  printf(" %d\n", code == SI_TIMER);
  caught = 0;
  create(CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL, SIGXCPU, 0, 0, &id);
  set(id, 0, 10 * MS, 0);
  printf("thread CPU time: %d\n", busy_until_caught(SIGXCPU));
  return 0;
}
