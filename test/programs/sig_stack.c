/* sigaltstack: handlers on their own stack, endless recursion caught there and left, SS_ONSTACK, SS_AUTODISARM, errors. */
#include "signals.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>

static sigjmp_buf back;
static char *alternate;
static volatile int deep;
enum { SIZE = 65536 };

static int on_alternate(void *address) { return (char *)address >= alternate && (char *)address < alternate + SIZE; }

static void overflow(int signal, siginfo_t *info, void *context) {
  int local;
  stack_t now;
  sigaltstack(0, &now);
  long distance = (char *)*greg(context, GREG_RSP) - (char *)info->si_addr;
  printf("signal %d code %d on the alternate stack %d, SS_ONSTACK %d, fault near RSP %d\n", signal, info->si_code == SEGV_MAPERR || info->si_code == SEGV_ACCERR,
         on_alternate(&local), !!(now.ss_flags & SS_ONSTACK), distance > -70000 && distance < 70000);
  stack_t other = {.ss_sp = alternate, .ss_size = SIZE};
  printf("changing it now: %s\n", error_name(sigaltstack(&other, 0)));
  siglongjmp(back, 1);
}

__attribute__((noinline)) static int recurse(int depth) {
  volatile char frame[500];
  frame[0] = (char)depth;
  deep = depth;
  return recurse(depth + 1) + frame[0];
}

static void where(int signal, siginfo_t *info, void *context) {
  int local;
  (void)info;
  stack_t now, saved = ((ucontext_t *)context)->uc_stack;
  sigaltstack(0, &now);
  printf("signal %d alternate %d flags %d, in the frame: same stack %d flags %d\n", signal, on_alternate(&local), now.ss_flags, saved.ss_sp == alternate, saved.ss_flags);
}

int main(void) {
  alternate = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack_t old, stack = {.ss_sp = alternate, .ss_size = SIZE};
  sigaltstack(0, &old);
  printf("at first: flags %d\n", old.ss_flags);
  stack_t bad = {.ss_sp = alternate, .ss_size = 100};
  printf("too small: %s\n", error_name(sigaltstack(&bad, 0)));
  bad.ss_size = SIZE, bad.ss_flags = 0x40;
  printf("unknown flag: %s\n", error_name(sigaltstack(&bad, 0)));
  printf("set: %s\n", error_name(sigaltstack(&stack, 0)));
  struct rlimit limit = {1 << 20, 1 << 20};
  getrlimit(RLIMIT_STACK, &limit);
  limit.rlim_cur = 1 << 20;
  setrlimit(RLIMIT_STACK, &limit);
  handle(SIGSEGV, overflow, SA_ONSTACK);
  for (int i = 0; i < 3; i++)
    if (sigsetjmp(back, 1) == 0) recurse(0);
    else printf("recursion ended, deep %d\n", deep > 500);
  handle(SIGUSR1, where, SA_ONSTACK);
  handle(SIGUSR2, where, 0);
  raise(SIGUSR1);
  raise(SIGUSR2);
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif
  stack.ss_flags = (int)SS_AUTODISARM;
  printf("autodisarm: %s\n", error_name(sigaltstack(&stack, 0)));
  raise(SIGUSR1);
  sigaltstack(0, &old);
  printf("afterwards: flags %x\n", (unsigned)old.ss_flags);
  stack.ss_flags = SS_DISABLE;
  printf("disable: %s\n", error_name(sigaltstack(&stack, &old)));
  raise(SIGUSR1);
  return 0;
}
