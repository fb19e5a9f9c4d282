/* Waiting for signals: sigsuspend, pause, sigtimedwait, sigwaitinfo; SA_RESTART on futex waits; nanosleep interrupted. */
#include "signals.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>

static volatile int seen;
static pthread_t main_thread;
static volatile int ready;

static void note(int signal, siginfo_t *info, void *context) {
  (void)info, (void)context;
  seen += signal;
}

static void pause_for(int milliseconds) {
  struct timespec t = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  while (nanosleep(&t, &t)) continue;
}

static void *sender(void *argument) {
  (void)argument;
  pause_for(40);
  pthread_kill(main_thread, SIGUSR1);
  return 0;
}

static pthread_t send_soon(void) {
  pthread_t thread;
  pthread_create(&thread, 0, sender, 0);
  return thread;
}

static uint32_t word;
static void *waker(void *argument) {
  pause_for(40);
  pthread_kill(main_thread, SIGUSR1);
  pause_for(80);
  __atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
  syscall(SYS_futex, &word, 129, 1, 0, 0, 0);
  return argument;
}

static long elapsed_ms(struct timespec a) {
  struct timespec b;
  clock_gettime(CLOCK_MONOTONIC, &b);
  return (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
}

int main(void) {
  main_thread = pthread_self();
  sigset_t usr1, none, other;
  sigemptyset(&none);
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  sigfillset(&other);
  sigdelset(&other, SIGUSR1);
  handle(SIGUSR1, note, 0);
  /* Threads that send inherit a mask without effect on the process: all signals go to this thread by number. */
  pthread_sigmask(SIG_BLOCK, &usr1, 0);
  raise(SIGUSR1);
  printf("blocked: seen %d\n", seen);
  printf("sigsuspend with it pending: %s\n", error_name(sigsuspend(&none)));
  printf("seen %d\n", seen);
  pthread_t thread = send_soon();
  printf("sigsuspend: %s\n", error_name(sigsuspend(&other)));
  pthread_join(thread, 0);
  sigset_t now;
  pthread_sigmask(SIG_BLOCK, 0, &now);
  printf("seen %d, mask back %d %d\n", seen, sigismember(&now, SIGUSR1), sigismember(&now, SIGUSR2));

  siginfo_t info;
  struct timespec zero = {0, 0}, short_time = {0, 30000000}, long_time = {20, 0}, bad = {0, 1000000000}, start;
  printf("sigtimedwait, nothing: %s\n", error_name(sigtimedwait(&usr1, &info, &zero)));
  clock_gettime(CLOCK_MONOTONIC, &start);
  printf("sigtimedwait, time over: %s", error_name(sigtimedwait(&usr1, &info, &short_time)));
  printf(" after at least 30 ms: %d\n", elapsed_ms(start) >= 30);
  printf("sigtimedwait, bad time: %s\n", error_name(sigtimedwait(&usr1, &info, &bad)));
  thread = send_soon();
  int got = sigtimedwait(&usr1, &info, &long_time);
  printf("sigtimedwait: %d code %d own pid %d\n", got, info.si_code, info.si_pid == getpid());
  pthread_join(thread, 0);
  sigset_t queued;
  sigemptyset(&queued);
  sigaddset(&queued, SIGRTMIN + 2);
  sigaddset(&queued, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &queued, 0);
  for (int i = 0; i < 3; i++) sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = 100 + i});
  kill(getpid(), SIGUSR2);
  kill(getpid(), SIGUSR2);
  for (int i = 0; i < 4; i++) {
    got = sigwaitinfo(&queued, &info);
    printf("sigwaitinfo: %s code %d value %d\n", got == SIGUSR2 ? "SIGUSR2" : "SIGRTMIN+2", info.si_code, got == SIGUSR2 ? 0 : info.si_value.sival_int);
  }
  printf("none left: %s\n", error_name(sigtimedwait(&queued, &info, &zero)));
  /* A wait for one signal is interrupted by the handler of another. */
  pthread_sigmask(SIG_UNBLOCK, &usr1, 0);
  seen = 0;
  thread = send_soon();
  /* By number: musl's wrapper goes on waiting after EINTR. */
  got = (int)syscall(SYS_rt_sigtimedwait, &queued, &info, &long_time, 8);
  printf("sigtimedwait interrupted: %s seen %d\n", error_name(got), seen);
  pthread_join(thread, 0);

  thread = send_soon();
  printf("pause: %s\n", error_name(pause()));
  pthread_join(thread, 0);
  thread = send_soon();
  struct timespec left = {0, 0}, wanted = {10, 0};
  int result = nanosleep(&wanted, &left);
  printf("nanosleep: %s, time left %d\n", error_name(result), left.tv_sec >= 8 && left.tv_sec < 10);
  pthread_join(thread, 0);
  for (int restart = 0; restart < 2; restart++) {
    handle(SIGUSR1, note, restart ? SA_RESTART : 0);
    word = 0;
    seen = 0;
    pthread_create(&thread, 0, waker, 0);
    long waited = syscall(SYS_futex, &word, 128, 0, 0, 0, 0);
    printf("futex wait, restart %d: %s, word %d, seen %d\n", restart, error_name(waited), (int)word, seen);
    pthread_join(thread, 0);
  }
  /* With a time limit a futex wait and a sleep are never restarted silently with the whole time again. */
  handle(SIGUSR1, note, SA_RESTART);
  struct timespec limit = {0, 100000000};
  word = 0;
  clock_gettime(CLOCK_MONOTONIC, &start);
  thread = send_soon();
  long waited = syscall(SYS_futex, &word, 128, 0, &limit, 0, 0);
  printf("futex wait with a limit: %s %d\n", error_name(waited), elapsed_ms(start) < 5000);
  pthread_join(thread, 0);
  return 0;
}
