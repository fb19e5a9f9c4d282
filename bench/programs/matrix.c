/* Product of two 300×300 matrices of doubles, in the order i, j, k: scalar multiply-add with a strided load. */
#include "bench.h"

enum { N = 300 };
static double a[N][N], b[N][N], c[N][N];

int main(void) {
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) a[i][j] = i + j * 0.5, b[i][j] = i - j * 0.25;
  int64_t start = nanoseconds();
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      double sum = 0;
      for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
      c[i][j] = sum;
    }
  int64_t elapsed = nanoseconds() - start;
  uint64_t check = 0;
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      uint64_t bits;
      memcpy(&bits, &c[i][j], 8);
      check = check * 31 + bits;
    }
  printf("%016llx\n", (unsigned long long)check);
  report("matrix", elapsed, 1);
  return 0;
}
