/* Radix-2 FFT of 65,536 complex doubles, forwards and back, 5 times; twiddles by recurrence, so no libm in the result. */
#include "bench.h"
#include <math.h>

enum { BITS = 16, N = 1 << BITS };
typedef struct { double re, im; } Complex;
static Complex data[N], root[N / 2];

static Complex multiply(Complex a, Complex b) { return (Complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }

/* Half-angle formulas from i = e^(i pi/2): sqrt is exact to the last bit everywhere, sin and cos are not. */
static void make_roots(void) {
  Complex half[BITS];
  double cosine = 0;
  for (int i = 0; i < BITS - 1; i++) {
    half[BITS - 2 - i] = (Complex){cosine, -sqrt((1 - cosine) * (1 + cosine))};
    cosine = sqrt((1 + cosine) / 2);
  }
  for (int k = 0; k < N / 2; k++) {
    Complex r = {1, 0};
    for (int b = 0; b < BITS - 1; b++)
      if (k >> b & 1) r = multiply(r, half[b]);
    root[k] = r;
  }
}

static void transform(int inverse) {
  for (unsigned i = 0, j = 0; i < N; i++) {
    if (i < j) {
      Complex swap = data[i];
      data[i] = data[j];
      data[j] = swap;
    }
    unsigned bit = N >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j |= bit;
  }
  for (int span = 1; span < N; span *= 2)
    for (int base = 0; base < N; base += 2 * span)
      for (int k = 0; k < span; k++) {
        Complex w = root[k * (N / 2 / span)];
        if (inverse) w.im = -w.im;
        Complex a = data[base + k], b = multiply(w, data[base + k + span]);
        data[base + k] = (Complex){a.re + b.re, a.im + b.im};
        data[base + k + span] = (Complex){a.re - b.re, a.im - b.im};
      }
}

int main(void) {
  uint64_t state = 99;
  for (int i = 0; i < N; i++) data[i] = (Complex){(double)(next_random(&state) % 2000) - 1000, (double)(next_random(&state) % 2000) - 1000};
  double first = data[12345].re;
  make_roots();
  int64_t start = nanoseconds();
  for (int i = 0; i < 5; i++) {
    transform(0);
    transform(1);
    for (int k = 0; k < N; k++) data[k].re /= N, data[k].im /= N;
  }
  int64_t elapsed = nanoseconds() - start;
  uint64_t check = 0, bits;
  for (int k = 0; k < N; k++) memcpy(&bits, &data[k].re, 8), check = check * 31 + bits;
  double error = data[12345].re - first;
  printf("%016llx %s\n", (unsigned long long)check, error < 1e-6 && error > -1e-6 ? "round trip ok" : "round trip wrong");
  report("fft", elapsed, 1);
  return 0;
}
