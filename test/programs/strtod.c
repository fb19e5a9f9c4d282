/* Numbers from text: strtod, strtof, strtold, strtol and their ends, ranges and errnos; and back again, exactly. */
#include "test.h"
#include <limits.h>
#include <math.h>

static const char *texts[] = {"0", "-0", "1", "1.0", "0.1", "1e10", "1e308", "1.7976931348623157e308", "1.7976931348623159e308", "1e309",
  "4.9e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "2.2250738585072011e-308", "2.2250738585072014e-308", "1e-400",
  "9007199254740993", "9007199254740992.9999999999999999999999", "0x1p-1074", "0x1.fffffffffffffp1023", "0x1.fffffffffffff8p1023", "0x.8p1",
  "inf", "-Infinity", "infinit", "nan", "nan(123)", "  +12.5xyz", ".5", "5.", ".", "", "e5", "1e", "1e+", "0x", "0xg", "1_000",
  "179769313486231580793728971405301e277", "3.4028235677973366e38", "1.4e-45", "0.30000000000000004", "8.5", "123456789012345678901234567890",
  "1.18973149535723176502e+4932", "1.2e4932", "3.6e-4951", "6.6e-4966"};

int main(void) {
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    char *end;
    errno = 0;
    double d = strtod(texts[i], &end);
    printf("[%s] %a used %d errno %d", texts[i], isnan(d) ? 99.0 : d, (int)(end - texts[i]), errno);
    errno = 0;
    float f = strtof(texts[i], &end);
    printf(" | %a errno %d", isnan(f) ? 99.0 : (double)f, errno);
    errno = 0;
    long double l = strtold(texts[i], &end);
    printf(" | %La errno %d\n", isnan(l) ? 99.0L : l, errno);
  }
  static const char *integers[] = {"0", "-1", "0x7fffffffffffffff", "0x8000000000000000", "-0x8000000000000000", "-9223372036854775809", "0777",
    "08", "zz", "  42abc", "+-3", "18446744073709551615", "18446744073709551616", "-18446744073709551615"};
  for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
    for (int base = 0; base <= 36; base += base == 0 ? 2 : base == 2 ? 6 : base == 8 ? 2 : 26) {
      char *end;
      errno = 0;
      long s = strtol(integers[i], &end, base);
      int used = (int)(end - integers[i]), error = errno;
      errno = 0;
      unsigned long u = strtoul(integers[i], &end, base);
      printf("[%s] base %d: %ld used %d errno %d, %lu errno %d\n", integers[i], base, s, used, error, u, errno);
    }
  uint64_t state = 2463534242;
  int wrong = 0;
  uint64_t digest = 0;
  for (int i = 0; i < 5000; i++) {
    uint64_t bits = next_random(&state);
    double d;
    memcpy(&d, &bits, 8);
    if (isnan(d)) continue;
    char text[64];
    snprintf(text, sizeof text, "%.17g", d);
    for (char *p = text; *p; p++) digest = digest * 31 + (unsigned char)*p;
    wrong += strtod(text, 0) != d;
    snprintf(text, sizeof text, "%a", d);
    wrong += strtod(text, 0) != d;
    long double l = (long double)d * 3.000000000000000001L;
    snprintf(text, sizeof text, "%.21Lg", l);
    for (char *p = text; *p; p++) digest = digest * 31 + (unsigned char)*p;
    wrong += strtold(text, 0) != l;
  }
  printf("round trips wrong: %d, digest %016llx\n", wrong, (unsigned long long)digest);
  return wrong != 0;
}
