/*
 * libm in double and float. Correctly rounded functions are printed bit by bit; the others in fewer digits than their
 * errors reach, because libc picks variants with and without fused multiply-add by CPUID.
 */
#include "test.h"
#include <complex.h>
#include <math.h>

static volatile double points[] = {0.1, 0.5, 0.9, 1.0, 1.5, 2.0, 3.7, 10.3, 100.7, 1e-8, 1e8};

int main(void) {
  for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
    double x = points[i];
    printf("x %g\n", x);
    for (int s = 0; s < 2; s++, x = -x)
      printf("exact %a %a %a %a %a %a %a %a %a %a\n", sqrt(fabs(x)), floor(x), ceil(x), trunc(x), round(x), rint(x), nearbyint(x * 2.5),
             fmod(x, 0.7), remainder(x, 0.7), fma(x, x, -x));
    printf("near %.12g %.12g %.12g %.12g %.12g %.12g %.12g\n", sin(x), cos(x), tan(x), atan(x), sinh(fmin(x, 20)), cosh(fmin(x, 20)), tanh(x));
    printf("near %.12g %.12g %.12g %.12g %.12g %.12g %.12g\n", exp(fmin(x, 50)), exp2(fmin(x, 50)), expm1(fmin(x, 50)), log(x), log2(x), log10(x), log1p(x));
    printf("near %.12g %.12g %.12g %.12g %.12g %.12g\n", pow(x, 1.3), cbrt(x), hypot(x, 3), erf(x), tgamma(fmin(x, 30)), lgamma(x));
    if (x <= 1) printf("near %.12g %.12g\n", asin(x), acos(x));
    float f = (float)x;
    printf("float %a %a %a %.5g %.5g %.5g %.5g %.5g\n", (double)sqrtf(f), (double)floorf(f), (double)fmaf(f, f, 1), (double)sinf(f), (double)cosf(f),
           (double)expf(fminf(f, 20)), (double)logf(f), (double)powf(f, 0.7f));
    int e;
    double m = frexp(x, &e), whole;
    printf("parts %a %d %a %a %a %a %ld %lld %d\n", m, e, ldexp(m, 7), modf(x, &whole), nextafter(x, 9), copysign(1, -x), lrint(x), llround(x), ilogb(x));
  }
  complex double z = 1.5 + 0.5 * I;
  z = z * z / (0.25 - 2 * I) + z;
  printf("complex %.12g %.12g %.12g\n", creal(z), cimag(z), cabs(z));
  printf("special %d %d %d %d %a %a\n", isnan(sqrt(points[0] - 1)) != 0, isinf(1 / (points[3] - 1)), isnan(log(-points[3])) != 0, isinf(exp(points[8] * 100)),
         fmax(points[0], NAN), fmin(NAN, points[1]));
  /* Conversions between all widths, signed and unsigned. */
  for (int i = 0; i < 11; i++) {
    volatile double d = points[i] * 1000.5;
    volatile float f = (float)d;
    printf("convert %d %u %lld %llu %d %lld %a %a %a\n", (int)fmod(d, 2e9), (unsigned)fmod(d, 4e9), (long long)d, (unsigned long long)(d * 1e7), (int)fmodf(f, 1e6f),
           (long long)f, (double)f, (double)(long long)d, (double)(float)(unsigned long long)d);
  }
  return 0;
}
