/* Masks, nesting, order, SA_NODEFER, SA_RESETHAND, SA_RESTART, queued real-time signals, registers kept over handlers. */
#include "signals.h"
#include <sys/syscall.h>
#include <pthread.h>

static volatile int depth, raised, order[64], count;

static void nested(int signal, siginfo_t *info, void *context) {
  (void)context;
  int mine = ++depth;
  printf("enter %d depth %d code %d\n", signal, mine, info->si_code);
  if (raised < 4) raise(raised++ == 1 ? SIGUSR2 : signal);
  printf("leave %d depth %d\n", signal, mine);
  depth--;
}

static void note(int signal, siginfo_t *info, void *context) {
  (void)context;
  if (count < 64) order[count++] = signal * 1000 + (info->si_code == SI_QUEUE ? info->si_value.sival_int : 0);
}

static void show_order(const char *what) {
  printf("%s:", what);
  for (int i = 0; i < count; i++) printf(" %d", order[i]);
  putchar('\n');
  count = 0;
}

static void clobber(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info, (void)context;
  __asm__ volatile("pxor %%xmm0, %%xmm0; pcmpeqd %%xmm1, %%xmm1; fninit; fldpi; fldpi; mov $-1, %%rcx; mov $-1, %%r11; mov $-1, %%r8; std; cld; cmp %%rcx, %%r8"
                   : : : "xmm0", "xmm1", "rcx", "r11", "r8", "cc");
}

static int pipe_ends[2];
static void *later(void *signal) {
  usleep(30000);
  pthread_kill(*(pthread_t *)signal, SIGUSR1);
  usleep(30000);
  if (write(pipe_ends[1], "x", 1) != 1) perror("write");
  return 0;
}

int main(int argc, char **argv) {
  handle(SIGUSR1, nested, 0);
  handle(SIGUSR2, nested, 0);
  raise(SIGUSR1);
  puts("-- SA_NODEFER");
  raised = 0;
  handle(SIGUSR1, nested, SA_NODEFER);
  raise(SIGUSR1);

  puts("-- SA_RESETHAND");
  handle(SIGUSR1, note, SA_RESETHAND);
  raise(SIGUSR1);
  struct sigaction now;
  sigaction(SIGUSR1, 0, &now);
  printf("default again %d\n", now.sa_handler == SIG_DFL);
  show_order("delivered");

  puts("-- blocked, then released in order");
  sigset_t all, old, pending;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &old);
  int numbers[] = {SIGUSR2, SIGUSR1, SIGHUP, SIGTERM, SIGRTMIN + 3, SIGRTMIN + 1};
  for (int i = 0; i < 6; i++) handle(numbers[i], note, 0);
  for (int i = 0; i < 6; i++)
    for (int k = 0; k < 2; k++) {
      union sigval value = {.sival_int = i * 10 + k};
      sigqueue(getpid(), numbers[i], value);
    }
  sigpending(&pending);
  printf("pending: %d %d %d\n", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGRTMIN + 1), sigismember(&pending, SIGINT));
  /* Each handler runs with everything blocked: one after another, the lowest number first. */
  for (int i = 0; i < 6; i++) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO, .sa_mask = all};
    sigaction(numbers[i], &action, 0);
  }
  sigprocmask(SIG_SETMASK, &old, 0);
  for (int i = 0; i < count; i++) order[i] -= order[i] / 1000 >= SIGRTMIN ? SIGRTMIN * 1000 : 0;
  show_order("delivered");

  puts("-- masks");
  printf("SIGKILL: %s, 0: %s, 65: %s\n", error_name(sigaction(SIGKILL, &now, 0)), error_name(sigaction(0, &now, 0)), error_name(sigaction(65, &now, 0)));
  printf("how 77: %s\n", error_name(sigprocmask(77, &all, 0)));
  printf("bad size: %s\n", error_name(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, 0, 4)));
  sigset_t got;
  sigprocmask(SIG_BLOCK, &all, &old);
  sigprocmask(SIG_SETMASK, &old, &got);
  printf("SIGKILL and SIGSTOP can't be blocked: %d %d, SIGINT can: %d\n", sigismember(&got, SIGKILL), sigismember(&got, SIGSTOP), sigismember(&got, SIGINT));
  printf("kill: %s %s %s\n", error_name(kill(getpid(), 0)), error_name(kill(getpid(), 99)), error_name(kill(0x3fffffff, 0)));
  signal(SIGUSR1, SIG_IGN);
  raise(SIGUSR1);
  puts("ignored");

  puts("-- registers over a handler");
  handle(SIGUSR1, clobber, 0);
  double before[2] = {1.25, -7.5}, after[2];
  long double x87 = 0.1L, x87_after;
  uint64_t r8 = 0x1111, rcx_after, r8_after, flags_before, flags_after;
  long tid = syscall(SYS_gettid), pid = getpid();
  __asm__ volatile(
      "movsd %6, %%xmm0; movsd %7, %%xmm1; fldt %8; mov %9, %%r8; mov $0x2222, %%rbx; stc; pushfq; popq %5\n"
      "mov $234, %%eax; mov %10, %%rdi; mov %11, %%rsi; mov %12, %%edx; syscall\n"
      "movsd %%xmm0, %0; movsd %%xmm1, %1; fstpt %2; mov %%r8, %3; mov %%rbx, %4\n"
      : "=m"(after[0]), "=m"(after[1]), "=m"(x87_after), "=m"(r8_after), "=m"(rcx_after), "=m"(flags_before)
      : "m"(before[0]), "m"(before[1]), "m"(x87), "m"(r8), "m"(pid), "m"(tid), "i"(SIGUSR1)
      : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r11", "xmm0", "xmm1", "memory", "cc");
  __asm__ volatile("pushfq; popq %0" : "=r"(flags_after));
  printf("%g %g %.20Lg %llx %llx carry %d\n", after[0], after[1], x87_after, (unsigned long long)r8_after, (unsigned long long)rcx_after, (int)(flags_before & 1));

  /* Pipes: only where there is an argument. */
  if (argc > 1 && strcmp(argv[1], "pipe") == 0) {
    for (int restart = 0; restart < 2; restart++) {
      if (pipe(pipe_ends)) return perror("pipe"), 1;
      handle(SIGUSR1, note, restart ? SA_RESTART : 0);
      pthread_t self = pthread_self(), thread;
      pthread_create(&thread, 0, later, &self);
      char byte;
      long got_bytes = read(pipe_ends[0], &byte, 1);
      printf("restart %d: read %ld %s, signals %d\n", restart, got_bytes, got_bytes < 0 ? error_name(-1) : "", count);
      count = 0;
      pthread_join(thread, 0);
    }
  }
  return 0;
}
