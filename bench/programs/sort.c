/* libc's qsort of 1,000,000 ints: calls through a pointer, unpredictable branches, memory traffic. */
#include "bench.h"

static int compare(const void *a, const void *b) {
  int x = *(const int *)a, y = *(const int *)b;
  return x < y ? -1 : x > y;
}

int main(void) {
  enum { COUNT = 1000000 };
  int *numbers = malloc(COUNT * sizeof *numbers);
  uint64_t state = 88172645463325252u;
  for (int i = 0; i < COUNT; i++) numbers[i] = (int)next_random(&state);
  int64_t start = nanoseconds();
  qsort(numbers, COUNT, sizeof *numbers, compare);
  int64_t elapsed = nanoseconds() - start;
  uint32_t sum = 0;
  for (int i = 0; i < COUNT; i++) {
    if (i && numbers[i - 1] > numbers[i]) return puts("not sorted"), 1;
    sum = sum * 31 + (uint32_t)numbers[i];
  }
  printf("%08x\n", sum);
  report("sort", elapsed, 1);
  return 0;
}
