/* 80-bit arithmetic: operations, comparisons, conversions, and libm's long double functions that are exact or x87-made. */
#include "test.h"
#include <fenv.h>
#include <float.h>
#include <math.h>

static volatile long double values[] = {0.0L, -0.0L, 1.0L, -1.0L, 0.1L, 1.0L / 3, 3.0L, 1e100L, -1e-100L, 1e4900L, 1e-4900L, LDBL_MAX, LDBL_MIN,
  LDBL_MIN / 1024, 9223372036854775807.0L, 0.5L, 2.5L, -2.5L, 1e18L, INFINITY};
enum { COUNT = sizeof values / sizeof *values };

static void show(long double x) {
  unsigned char bytes[16];
  memcpy(bytes, (const void *)&x, 16);
  if (isnan(x)) printf(" nan");
  else {
    putchar(' ');
    for (int i = 9; i >= 0; i--) printf("%02x", bytes[i]);
  }
}

int main(void) {
  for (int i = 0; i < COUNT; i++)
    for (int j = 0; j < COUNT; j++) {
      long double a = values[i], b = values[j];
      printf("%d %d", i, j);
      show(a + b), show(a - b), show(a * b), show(a / b);
      show(fmodl(a, b)), show(remainderl(a, b));
      printf(" %d%d%d%d%d\n", a < b, a <= b, a == b, a > b, a != b);
    }
  for (int i = 0; i < COUNT; i++) {
    long double a = values[i];
    printf("%d", i);
    show(sqrtl(fabsl(a))), show(floorl(a)), show(ceill(a)), show(truncl(a)), show(rintl(a)), show(roundl(a)), show(-a);
    int exponent;
    show(frexpl(a, &exponent));
    if (isfinite(a)) printf(" %d", exponent);
    show(ldexpl(a, 3)), show(scalbnl(a, -70)), show(logbl(a)), show(nextafterl(a, 5.0L)), show(copysignl(3.0L, a));
    long double whole;
    show(modfl(a, &whole)), show(whole);
    printf(" %a %a", (double)a, (double)(float)a);
    if (fabsl(a) < 1e18L) printf(" %lld %d %d %lld", (long long)a, (int)fmodl(a, 1e9L), (short)fmodl(a, 3e4L), llrintl(a));
    if (a >= 0 && a < 1.8e19L) printf(" %llu", (unsigned long long)a);
    printf(" class %d%d%d%d\n", !!isfinite(a), !!isnormal(a), !!signbit(a), fpclassify(a) == FP_SUBNORMAL);
  }
  long long integers[] = {0, 1, -1, 9223372036854775807LL, -9223372036854775807LL - 1, 1234567890123456789LL};
  for (int i = 0; i < 6; i++) {
    volatile long long v = integers[i];
    show((long double)v), show((long double)(unsigned long long)v), show((long double)(int)v);
    printf(" %a\n", (double)(unsigned long long)v);
  }
  long double sum = 0, product = 1, series = 0;
  for (volatile int i = 1; i <= 1000; i++) sum += 1.0L / i, product *= 1.0L + 1.0L / i, series += (i % 2 ? 1.0L : -1.0L) / (2 * i - 1);
  show(sum), show(product), show(4 * series);
  printf("\n%.18Lg %.18Lg %.18Lg\n", sum, product, 4 * series);
  int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
  for (int m = 0; m < 4; m++) {
    fesetround(modes[m]);
    show(values[2] / values[6]), show(-values[2] / values[6]), show(rintl(values[16])), show(values[4] * values[5]);
    printf(" %a\n", (double)(values[2] / values[6]));
  }
  fesetround(FE_TONEAREST);
  volatile long double x = 0.75L, y = 1.25L;
  printf("%.15Lg %.15Lg %.15Lg %.15Lg %.15Lg %.15Lg %.15Lg %.15Lg\n", sinl(x), cosl(x), tanl(x), atanl(x), atan2l(x, y), expl(x), logl(y), powl(y, x));
  printf("%.15Lg %.15Lg %.15Lg %.15Lg %.15Lg %.15Lg\n", log2l(y), log10l(y), exp2l(x), cbrtl(y), hypotl(x, y), asinl(x));
  return 0;
}
