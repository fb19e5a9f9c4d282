/* Instructions of features that the processor may lack, which then do nothing: libgcc and libc execute them unasked. */
#include "test.h"
#include <pthread.h>

/* The unwinder that ends a cancelled thread asks for its shadow stack. */
static void clean(void *argument) { *(int *)argument += 1; }

static void *cancelled(void *argument) {
  pthread_cleanup_push(clean, argument);
  for (;;) pthread_testcancel();
  pthread_cleanup_pop(0);
  return 0;
}

static void *exits(void *argument) {
  pthread_cleanup_push(clean, argument);
  pthread_exit(argument);
  pthread_cleanup_pop(0);
  return 0;
}

int main(void) {
  unsigned long a = 0x1111222233334444, b = 0x5555;
  char memory[64] = {0};
  asm volatile("rdsspq %0; rdsspd %k1" : "+r"(a), "+r"(b));
  printf("RDSSP leaves %lx %lx\n", a, b);
  asm volatile("bndmk 8(%0), %%bnd0; bndcl (%0), %%bnd0; bndcu (%0), %%bnd0; bndcn %0, %%bnd0" : : "r"(memory));
  asm volatile(".byte 0x0f, 0x1c, 0x00; prefetchwt1 (%%rax)" : : "a"(memory));
  puts("hints do nothing");
  int cleaned = 0;
  void *result;
  pthread_t thread;
  pthread_create(&thread, 0, cancelled, &cleaned);
  pthread_cancel(thread);
  pthread_join(thread, &result);
  printf("cancelled: %d, cleaned %d\n", result == PTHREAD_CANCELED, cleaned);
  pthread_create(&thread, 0, exits, &cleaned);
  pthread_join(thread, &result);
  printf("ended: %d, cleaned %d\n", result == &cleaned, cleaned);
  return 0;
}
