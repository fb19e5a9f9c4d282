/* printf and scanf families: integers, floating point in all formats, strings, widths, positions. */
#include "test.h"
#include <float.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <wchar.h>

static const double doubles[] = {0.0, -0.0, 1.0, -1.5, 0.1, 1.0 / 3, 2.0 / 3, 1e-5, 123456789.0, 1e15, 1e16, 1e17, 1e22, 1e23,
  9.999999e9, 0.5, 1.5, 2.5, 1e100, 1e-100, DBL_MAX, DBL_MIN, 5e-324, DBL_EPSILON, 3.141592653589793, -2.718281828459045e-7,
  INFINITY, -INFINITY, 4503599627370497.5, 0.00001234, 99999.5, 999999.5};
static const char *formats[] = {"%f", "%.0f", "%.17g", "%g", "%e", "%.3e", "%a", "%.3a", "%A", "%+.2f", "%020.5f", "%-20.3g|",
  "%#g", "%#.0f", "% g", "%G", "%.40f", "%30.20e"};

static void by_list(const char *format, ...) {
  char text[200];
  va_list list, copy;
  va_start(list, format);
  va_copy(copy, list);
  int length = vsnprintf(text, 20, format, list);
  printf("%d [%s]", length, text);
  length = vsnprintf(text, sizeof text, format, copy);
  printf(" %d [%s]\n", length, text);
  va_end(copy);
  va_end(list);
}

int main(void) {
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat"
  for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
    for (size_t d = 0; d < sizeof doubles / sizeof *doubles; d++) {
      printf(formats[f], doubles[d]);
      putchar(d % 8 == 7 ? '\n' : ' ');
    }
  printf("%f %F %g %e\n", fabs(NAN), fabs(NAN), fabs(NAN), fabs(NAN));

  long double numbers[] = {0.0L, -0.0L, 1.0L, 1.0L / 3, LDBL_MAX, LDBL_MIN, LDBL_EPSILON, 3.6e-4951L, 1e4000L, -123456.789L,
    18446744073709551615.0L, 9223372036854775807.0L, 0.1L, INFINITY, 2.5L, 1e-4940L};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    printf("%Lg %.21Lg %Le %La %.3Lf %LG %.0Lf\n", numbers[i], numbers[i], numbers[i], numbers[i],
           fabsl(numbers[i]) < 1e30L ? numbers[i] : 1.0L, numbers[i], fabsl(numbers[i]) < 1e30L ? numbers[i] : 2.0L);

  int integers[] = {0, 1, -1, 42, INT_MAX, INT_MIN, 255, -1000000};
  for (size_t i = 0; i < 8; i++)
    printf("%d|%i|%u|%x|%X|%o|%#x|%#o|%08d|%-8d|%+d|% d|%.5d|%8.3d|%hhd|%hd|%hhu|%c\n", integers[i], integers[i], integers[i],
           integers[i], integers[i], integers[i], integers[i], integers[i], integers[i], integers[i], integers[i], integers[i],
           integers[i], integers[i], integers[i], integers[i], integers[i], 'a' + (integers[i] & 15));
  printf("%lld %lld %llu %llx %" PRIx64 " %jd %zu %td\n", LLONG_MAX, LLONG_MIN, ULLONG_MAX, 0x123456789abcdefULL,
         UINT64_C(0xfedcba9876543210), (intmax_t)-5, (size_t)77, (ptrdiff_t)-8);
  printf("[%s] [%10s] [%-10s] [%.3s] [%*s] [%-*.*s] [%p] [%%]\n", "text", "right", "left", "truncated", 7, "star", 9, 2, "both", (void *)0x1234);
  printf("%2$s %1$d %2$.2s\n", 5, "swapped");
  printf("%ls [%lc]\n", L"wide", (wint_t)L'w');
  int n;
  printf("12345%n", &n);
  printf(" %d\n", n);
  by_list("%s-%d-%f", "a fairly long argument", 17, 2.5);
  by_list("%Lf %c", 1.25L, 'x');

  int a, b;
  unsigned u;
  double d;
  long double ld;
  char word[20], set[20];
  printf("%d ", sscanf("12 -0x1f 077 3.25e2 word abc123", "%d %i %o %lf %19s %19[a-c]", &a, &b, &u, &d, word, set));
  printf("%d %d %u %g %s %s\n", a, b, u, d, word, set);
  printf("%d ", sscanf("1.5e-10 0x1.8p3", "%Lf %lf", &ld, &d));
  printf("%Lg %g\n", ld, d);
  printf("%d\n", sscanf("x", "%d", &a));
  char big[5000];
  memset(big, 'q', sizeof big - 1);
  big[sizeof big - 1] = 0;
  printf("%s\n%.4000f\n", big, 1.0 / 3);
  fprintf(stdout, "%s", "");
  return 0;
}
