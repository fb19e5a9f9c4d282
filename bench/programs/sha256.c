/* SHA-256 (FIPS 180-4) of 8 MiB: 32-bit rotations and additions in registers. */
#include "bench.h"

static uint32_t round_constant[64];
static uint32_t state[8];

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* First 32 bits of the fractional part of the square or cube root of n, by bisection in integers. */
static uint32_t root_fraction(uint32_t n, int power) {
  unsigned __int128 low = 0, high = (unsigned __int128)20 << 32;
  while (high - low > 1) {
    unsigned __int128 middle = (low + high) / 2;
    int above = power == 2 ? middle * middle > (unsigned __int128)n << 64
                           : middle * middle / ((unsigned __int128)1 << 16) * middle > (unsigned __int128)n << 80;
    if (above) high = middle;
    else low = middle;
  }
  return (uint32_t)low;
}

static void initialise(void) {
  for (uint32_t n = 2, found = 0; found < 64; n++) {
    int prime = 1;
    for (uint32_t d = 2; d * d <= n; d++) prime &= n % d != 0;
    if (!prime) continue;
    if (found < 8) state[found] = root_fraction(n, 2);
    round_constant[found++] = root_fraction(n, 3);
  }
}

static void block(const unsigned char *data) {
  uint32_t w[64];
  for (int i = 0; i < 16; i++)
    w[i] = (uint32_t)data[i * 4] << 24 | (uint32_t)data[i * 4 + 1] << 16 | (uint32_t)data[i * 4 + 2] << 8 | data[i * 4 + 3];
  for (int i = 16; i < 64; i++)
    w[i] = w[i - 16] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
           (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; i++) {
    uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + round_constant[i] + w[i];
    uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

int main(void) {
  enum { SIZE = 8 << 20 };
  unsigned char *data = calloc(1, SIZE + 64);
  for (int i = 0; i < SIZE; i++) data[i] = (unsigned char)(i * 7 + (i >> 8));
  data[SIZE] = 0x80;
  uint64_t bits = (uint64_t)SIZE * 8;
  for (int i = 0; i < 8; i++) data[SIZE + 63 - i] = (unsigned char)(bits >> 8 * i);
  initialise();
  int64_t start = nanoseconds();
  for (int i = 0; i < SIZE + 64; i += 64) block(data + i);
  int64_t elapsed = nanoseconds() - start;
  for (int i = 0; i < 8; i++) printf("%08x", state[i]);
  putchar('\n');
  report("sha256", elapsed, 1);
  return 0;
}
