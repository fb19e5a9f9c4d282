/* Floating-point environment: rounding modes and exception flags of SSE and x87, precision control, denormals, FTZ and DAZ. */
#include "test.h"
#include <fenv.h>
#include <math.h>
#include <xmmintrin.h>
#include <emmintrin.h>

static volatile double one = 1, three = 3, zero = 0, huge = 1.7e308, tiny = 2.3e-308, half = 0.5;
static volatile float fone = 1, fthree = 3;
static volatile long double lone = 1, lthree = 3;

static void bits(double x) {
  uint64_t b;
  memcpy(&b, &x, 8);
  printf(" %016llx", (unsigned long long)b);
}
static void raised(const char *what) {
  int flags = fetestexcept(FE_ALL_EXCEPT);
  printf("%s:%s%s%s%s%s\n", what, flags & FE_INVALID ? " invalid" : "", flags & FE_DIVBYZERO ? " divbyzero" : "", flags & FE_OVERFLOW ? " overflow" : "",
         flags & FE_UNDERFLOW ? " underflow" : "", flags & FE_INEXACT ? " inexact" : "");
  feclearexcept(FE_ALL_EXCEPT);
}
static unsigned short control(void) {
  unsigned short word;
  __asm__ volatile("fnstcw %0" : "=m"(word));
  return word;
}
static void set_control(unsigned short word) { __asm__ volatile("fldcw %0" : : "m"(word)); }

int main(void) {
  volatile double r;
  volatile int n;
  printf("control word %04x mxcsr %04x\n", control(), _mm_getcsr());
  int modes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
  for (int m = 0; m < 4; m++) {
    printf("mode %d set %d get %d control %04x:", m, fesetround(modes[m]), fegetround() == modes[m], control());
    bits(one / three), bits(-one / three), bits(sqrt(three)), bits(one + 1e-20), bits(huge * 1.5), bits(-huge * 1.5);
    printf(" %a %ld %ld %a %a", (double)(fone / fthree), lrint(half), lrint(-2.5), rint(2.5), nearbyint(-0.5));
    printf(" %d", _mm_cvtsd_si32(_mm_set_sd(2.5)));
    printf(" %La\n", lone / lthree);
  }
  fesetround(FE_TONEAREST);
  feclearexcept(FE_ALL_EXCEPT);
  r = one / zero, raised("1/0");
  r = zero / zero, raised("0/0");
  r = huge * huge, raised("huge*huge");
  r = tiny * tiny, raised("tiny*tiny");
  r = tiny / 3, raised("into denormal");
  r = one / three, raised("1/3");
  r = one + one, raised("1+1");
  r = sqrt(-one), raised("sqrt(-1)");
  n = (int)huge, raised("(int)huge");
  printf("%d\n", n);
  n = (int)(one / three), raised("(int)0.33");
  r = (float)(one / three), raised("to float");
  r = rint(half), raised("rint");
  r = nearbyint(half), raised("nearbyint");
  n = one < NAN, raised("< NaN");
  n = one == NAN, raised("== NaN");
  n = isless(one, NAN), raised("isless NaN");
  volatile long double l;
  l = lone / lthree, raised("x87 1/3");
  l = lone / (lthree - 3), raised("x87 1/0");
  l = (lthree - 3) / (lthree - 3), raised("x87 0/0");
  r = (double)(lone / lthree), raised("x87 to double");
  (void)l, (void)r;

  fenv_t saved;
  feraiseexcept(FE_OVERFLOW);
  fesetround(FE_UPWARD);
  feholdexcept(&saved);
  raised("held");
  r = one / zero;
  feupdateenv(&saved);
  printf("round up again %d\n", fegetround() == FE_UPWARD);
  raised("merged");
  fesetenv(FE_DFL_ENV);
  printf("default control %04x mxcsr %04x\n", control(), _mm_getcsr());

  /* Precision control shortens results of x87 arithmetic, and only of arithmetic. */
  for (int precision = 0; precision < 4; precision++)
    for (int rounding = 0; rounding < 4; rounding++) {
      set_control((unsigned short)(0x7f | precision << 8 | rounding << 10));
      long double quotient = lone / lthree, root, integer, product = lthree * 1.1L;
      __asm__ volatile("fldl %1; fsqrt; fstpt %0" : "=m"(root) : "m"(three));
      __asm__ volatile("fldl %1; frndint; fstpt %0" : "=m"(integer) : "m"(half));
      set_control(0x37f);
      printf("precision %d rounding %d: %La %La %La %La\n", precision, rounding, quotient, root, integer, product);
    }
  unsigned short status;
  __asm__ volatile("fnclex; fldz; fld1; fdivp; fnstsw %0; fstp %%st" : "=a"(status));
  printf("status %04x\n", status);
  __asm__ volatile("fninit; fld1; fldpi; fldl2e; fnstsw %0; fninit" : "=a"(status));
  printf("top after three loads %d\n", status >> 11 & 7);
  __asm__ volatile("fninit; fstp %%st; fnstsw %0; fninit" : "=a"(status));
  printf("underflow of the stack: status %04x\n", status);

  volatile double denormal = 4.9e-320;
  for (int mode = 0; mode < 4; mode++) {
    _mm_setcsr(0x1f80u | (mode & 1 ? 0x8000 : 0) | (mode & 2 ? 0x40 : 0));
    printf("FTZ %d DAZ %d:", mode & 1, mode >> 1);
    bits(tiny * half), bits(denormal + denormal), bits(denormal * one);
    printf(" flags %02x\n", _mm_getcsr() & 0x3f);
  }
  _mm_setcsr(0x1f80);
  return 0;
}
