/* Limits of the address space, the heap and the stack, set by the program itself. */
#include "signals.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static sigjmp_buf back;
static volatile long deepest;

static void overflow(int signal) { siglongjmp(back, signal); }

__attribute__((noinline)) static int recurse(long depth) {
  volatile char frame[4096];
  frame[0] = (char)depth;
  deepest = depth;
  return recurse(depth + 1) + frame[0];
}

/* How many frames of a page fit on the stack. */
static long frames(void) {
  if (sigsetjmp(back, 1) == 0) recurse(0);
  return deepest;
}

static void set(int resource, rlim_t soft) {
  struct rlimit limit;
  getrlimit(resource, &limit);
  limit.rlim_cur = soft;
  printf("limit %d: %s\n", resource, error_name(setrlimit(resource, &limit)));
}

static void *map(size_t length) { return mmap(0, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

int main(void) {
  stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
  sigaltstack(&stack, 0);
  struct sigaction action = {.sa_handler = overflow, .sa_flags = SA_ONSTACK};
  sigaction(SIGSEGV, &action, 0);
  set(RLIMIT_STACK, 32 << 20);
  long deep = frames();
  check("a stack of 32 MiB", deep > 8000 && deep < 8192);

  char *heap = (char *)syscall(SYS_brk, 0L);
  set(RLIMIT_DATA, 1 << 20);
  check("the heap does not grow beyond its limit", (char *)syscall(SYS_brk, heap + (2 << 20)) < heap + (2 << 20));
  set(RLIMIT_DATA, RLIM_INFINITY);
  check("without a limit it does", (char *)syscall(SYS_brk, heap + (2 << 20)) == heap + (2 << 20));

  set(RLIMIT_AS, 128 << 20);
  printf("mmap of 256 MiB: %s\n", error_name((long)map(256 << 20)));
  char *held = map(64 << 20);
  check("mmap of 64 MiB", held != MAP_FAILED);
  printf("of 64 MiB more: %s\n", error_name((long)map(64 << 20)));
  printf("mremap to 128 MiB: %s\n", error_name((long)mremap(held, 64 << 20, 128 << 20, MREMAP_MAYMOVE)));
  munmap(held, 64 << 20);
  check("room again", map(64 << 20) != MAP_FAILED);
  set(RLIMIT_AS, RLIM_INFINITY);
  check("without a limit", map(256 << 20) != MAP_FAILED);
  return failures != 0;
}
