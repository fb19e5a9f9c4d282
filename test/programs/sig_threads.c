/* Signals and threads: directed at threads, process-wide ones go to a thread that doesn't block them, faults stay where they are. */
#include "signals.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { THREADS = 8, FAULTS = 500 };
static _Thread_local sigjmp_buf back;
static _Thread_local int id, wrong;
static _Thread_local char *expected;
static char *pages;
static _Atomic int by_thread[THREADS + 1], stray, ready;

static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  if ((char *)info->si_addr != expected || info->si_code != SEGV_ACCERR) wrong++;
  siglongjmp(back, 1);
}

static void on_usr1(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info, (void)context;
  atomic_fetch_add(&by_thread[id], 1);
}

static void on_usr2(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info, (void)context;
  if (id != 3) atomic_fetch_add(&stray, 1);
  atomic_fetch_add(&by_thread[id], 1000);
}

static void *work(void *argument) {
  id = (int)(intptr_t)argument;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(id == 3 ? SIG_UNBLOCK : SIG_BLOCK, &set, 0);
  volatile int caught = 0;
  for (volatile int i = 0; i < FAULTS; i++) {
    expected = pages + id * 4096 + i % 4096;
    if (sigsetjmp(back, 1) == 0) *(volatile char *)expected = 1;
    else caught++;
  }
  atomic_fetch_add(&ready, 1);
  while (atomic_load(&by_thread[id]) % 1000 < 10 || atomic_load(&by_thread[3]) < 1000) usleep(1000);
  return (void *)(intptr_t)(caught * 1000 + wrong);
}

int main(void) {
  pages = mmap(0, (THREADS + 1) * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  handle(SIGSEGV, on_fault, 0);
  handle(SIGUSR1, on_usr1, SA_RESTART);
  handle(SIGUSR2, on_usr2, SA_RESTART);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &set, 0);
  pthread_t threads[THREADS + 1];
  for (intptr_t i = 1; i <= THREADS; i++) pthread_create(&threads[i], 0, work, (void *)i);
  while (atomic_load(&ready) < THREADS) usleep(1000);
  kill(getpid(), SIGUSR2);
  for (int k = 0; k < 10; k++)
    for (int i = 1; i <= THREADS; i++) {
      int before = atomic_load(&by_thread[i]) % 1000;
      pthread_kill(threads[i], SIGUSR1);
      while (atomic_load(&by_thread[i]) % 1000 == before) usleep(100);
    }
  for (int i = 1; i <= THREADS; i++) {
    void *result;
    pthread_join(threads[i], &result);
    printf("thread %d: caught %ld wrong %ld, SIGUSR1 %d\n", i, (long)(intptr_t)result / 1000, (long)(intptr_t)result % 1000, by_thread[i] % 1000);
  }
  printf("SIGUSR2 in thread 3: %d, elsewhere %d\n", by_thread[3] / 1000, stray);
  printf("tgkill of nobody: %s\n", error_name(syscall(SYS_tgkill, getpid(), 0x3ffffff, 0)));
  return 0;
}
