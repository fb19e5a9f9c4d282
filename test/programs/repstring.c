/* String instructions: rep movs, stos, lods, scas, cmps in all widths, both directions, overlapping, count 0, and faults in the middle. */
#include "signals.h"
#include <setjmp.h>
#include <sys/mman.h>

static unsigned char source[600], target[600];
static uint64_t digest;
static void mix(const void *data, size_t n) {
  for (size_t i = 0; i < n; i++) digest = (digest ^ ((const unsigned char *)data)[i]) * 1099511628211u;
}
static void reset(void) {
  for (int i = 0; i < 600; i++) source[i] = (unsigned char)(i * 37 + 11), target[i] = (unsigned char)(i * 5);
}

#define MOVE(width, direction, from, to, count)                                                                                        \
  do {                                                                                                                                 \
    void *s = (from), *d = (to);                                                                                                       \
    size_t c = (count);                                                                                                                \
    __asm__ volatile(direction "; rep movs" width "; cld" : "+S"(s), "+D"(d), "+c"(c) : : "memory", "cc");                               \
    mix(target, 600), mix(source, 600);                                                                                                \
    printf("movs" width " " direction ": rcx %zu rsi %ld rdi %ld %016llx\n", c, (long)((char *)s - (char *)(from)), (long)((char *)d - (char *)(to)), (unsigned long long)digest); \
  } while (0)
#define STORE(width, direction, to, count)                                                                                             \
  do {                                                                                                                                 \
    void *d = (to);                                                                                                                    \
    size_t c = (count);                                                                                                                \
    __asm__ volatile(direction "; rep stos" width "; cld" : "+D"(d), "+c"(c) : "a"(0x1122334455667788) : "memory", "cc");                \
    mix(target, 600);                                                                                                                  \
    printf("stos" width " " direction ": rcx %zu rdi %ld %016llx\n", c, (long)((char *)d - (char *)(to)), (unsigned long long)digest);   \
  } while (0)
#define SCAN(prefix, width, value, from, count)                                                                                        \
  do {                                                                                                                                 \
    void *d = (from);                                                                                                                  \
    size_t c = (count);                                                                                                                \
    unsigned char equal, below;                                                                                                        \
    __asm__ volatile("cmp %%rax, %%rax; " prefix " scas" width "; sete %2; setb %3" : "+D"(d), "+c"(c), "=q"(equal), "=q"(below) : "a"(value) : "memory", "cc"); \
    printf(prefix " scas" width ": rcx %zu rdi %ld equal %d below %d\n", c, (long)((char *)d - (char *)(from)), equal, below);           \
  } while (0)
#define COMPARE(prefix, width, first, second, count)                                                                                   \
  do {                                                                                                                                 \
    void *s = (first), *d = (second);                                                                                                  \
    size_t c = (count);                                                                                                                \
    unsigned char equal, below;                                                                                                        \
    __asm__ volatile("cmp %%rax, %%rax; " prefix " cmps" width "; sete %3; setb %4" : "+S"(s), "+D"(d), "+c"(c), "=q"(equal), "=q"(below) : : "memory", "cc"); \
    printf(prefix " cmps" width ": rcx %zu rsi %ld equal %d below %d\n", c, (long)((char *)s - (char *)(first)), equal, below);          \
  } while (0)

static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)signal;
  printf("fault at +%ld: rcx %lld rsi+%lld rdi+%lld\n", (long)((uintptr_t)info->si_addr & 4095), *greg(context, GREG_RCX), *greg(context, GREG_RSI) & 4095, *greg(context, GREG_RDI) & 4095);
  mprotect((void *)((uintptr_t)info->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE);
}

int main(void) {
  reset();
  static const size_t counts[] = {0, 1, 2, 7, 16, 33, 64};
  for (int i = 0; i < 7; i++) {
    size_t n = counts[i];
    MOVE("b", "cld", source + 3, target + 5, n);
    MOVE("w", "cld", source + 3, target + 5, n);
    MOVE("l", "cld", source + 1, target + 4, n);
    MOVE("q", "cld", source + 8, target + 16, n);
    MOVE("b", "std", source + 500, target + 499, n);
    MOVE("w", "std", source + 500, target + 499, n);
    MOVE("l", "std", source + 500, target + 499, n);
    MOVE("q", "std", source + 550, target + 560, n);
    STORE("b", "cld", target + 7, n);
    STORE("w", "cld", target + 7, n);
    STORE("l", "std", target + 500, n);
    STORE("q", "std", target + 550, n);
    STORE("q", "cld", target + 7, n);
    reset();
  }
  for (int distance = 1; distance < 20; distance += 3) {
    reset();
    MOVE("b", "cld", target + 100, target + 100 + distance, 60);
    MOVE("q", "cld", target + 100, target + 100 + distance, 20);
    MOVE("b", "std", target + 200, target + 200 - distance, 60);
    MOVE("l", "std", target + 300, target + 300 + distance, 20);
    MOVE("q", "cld", target + 300 + distance, target + 300, 20);
  }
  reset();
  memcpy(target, source, 600);
  target[123] ^= 0x80;
  target[404] ^= 1;
  SCAN("repne", "b", source[77], source, 600);
  SCAN("repne", "b", 999, source, 0);
  SCAN("repne", "w", 0xffff, source, 250);
  SCAN("repe", "b", source[0], source, 10);
  memset(source + 300, 7, 100);
  memset(target + 300, 7, 100);
  SCAN("repe", "b", 7, source + 300, 200);
  SCAN("repe", "l", 0x07070707, source + 300, 60);
  SCAN("repe", "q", 0x0707070707070707, source + 300, 40);
  COMPARE("repe", "b", source, target, 300);
  COMPARE("repe", "b", source, target, 100);
  COMPARE("repe", "w", source, target, 150);
  COMPARE("repe", "l", source, target, 75);
  COMPARE("repe", "q", target, source, 60);
  COMPARE("repne", "b", source, target + 1, 200);
  COMPARE("repe", "b", source, target, 0);
  unsigned long long last = 1;
  void *s = source;
  size_t c = 9;
  __asm__ volatile("rep lodsw" : "+S"(s), "+c"(c), "+a"(last) : : "memory");
  printf("lodsw %llx %ld\n", last, (long)((unsigned char *)s - source));
  __asm__ volatile("mov %1, %%rsi; lodsb; movsbq %%al, %0; cld" : "=a"(last) : "r"(source + 9) : "rsi", "memory");
  printf("lodsb %lld\n", (long long)last);

  /* A fault in the middle leaves the registers where the first untouched element is; going on finishes the job. */
  handle(SIGSEGV, on_fault, 0);
  unsigned char *area = mmap(0, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int mode = 0; mode < 4; mode++) {
    memset(area, 0x33, 4 * 4096);
    mprotect(area + 4096, 4096, PROT_NONE);
    unsigned char *from = area + 8192 + 100, *to = area + 4096 - 50;
    size_t n = 100;
    if (mode == 0) __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(n) : : "memory");
    if (mode == 1) {
      n = 12, to = area + 4096 - 48;
      __asm__ volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(n) : : "memory");
    }
    if (mode == 2) __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(5) : "memory");
    if (mode == 3) {
      to = area + 8192 + 20;
      __asm__ volatile("std; rep stosb; cld" : "+D"(to), "+c"(n) : "a"(6) : "memory");
    }
    digest = 0;
    mix(area, 4 * 4096);
    printf("mode %d finished: rcx %zu %016llx\n", mode, n, (unsigned long long)digest);
  }
  return 0;
}
