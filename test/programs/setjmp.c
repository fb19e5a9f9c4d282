/* setjmp, longjmp, sigsetjmp with and without the mask, callee-saved registers, makecontext and swapcontext. */
#include "test.h"
#include <setjmp.h>
#include <signal.h>
#ifdef __GLIBC__
#include <ucontext.h>
#endif

static jmp_buf plain;
static sigjmp_buf with_mask;

static void down(int depth) {
  volatile char frame[200];
  frame[0] = (char)depth;
  if (depth > 0) down(depth - 1);
  else longjmp(plain, 42);
  frame[1] = frame[0];
}

static int masked(int signal) {
  sigset_t set;
  sigprocmask(SIG_BLOCK, 0, &set);
  return sigismember(&set, signal);
}

static void handler(int signal) {
  (void)signal;
  siglongjmp(with_mask, 7);
}

#ifdef __GLIBC__
static ucontext_t main_context, contexts[2];
static void coroutine(int id) {
  double x = id;
  for (int i = 0; i < 3; i++) {
    printf("coroutine %d step %d %g\n", id, i, x);
    x = x * 1.5 + 1;
    swapcontext(&contexts[id], i == 2 ? &main_context : &contexts[!id]);
  }
}
#endif

int main(void) {
  volatile int count = 0;
  int value = setjmp(plain);
  printf("setjmp %d\n", value);
  if (value == 0) down(50);
  if (count++ < 3) longjmp(plain, count == 2 ? 0 : count);
  double sums[4] = {1, 2, 3, 4};
  for (volatile int i = 0; i < 1000; i++)
    if (setjmp(plain) == 0) longjmp(plain, 1);
  printf("%g\n", sums[0] + sums[3]);

  signal(SIGUSR1, handler);
  for (volatile int save = 0; save < 2; save++) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);
    if (sigsetjmp(with_mask, save) == 0) raise(SIGUSR1);
    printf("save %d: SIGUSR1 blocked afterwards %d\n", save, masked(SIGUSR1));
  }
#ifdef __GLIBC__
  static char stacks[2][65536];
  for (int i = 0; i < 2; i++) {
    getcontext(&contexts[i]);
    contexts[i].uc_stack.ss_sp = stacks[i];
    contexts[i].uc_stack.ss_size = sizeof stacks[i];
    contexts[i].uc_link = &main_context;
    makecontext(&contexts[i], (void (*)(void))coroutine, 1, i);
  }
  swapcontext(&main_context, &contexts[0]);
#endif
  puts("end");
  return 0;
}
