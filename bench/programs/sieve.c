/* Primes below 2,000,000 by the sieve of Eratosthenes: byte stores with a growing stride. argv[1] repeats it. */
#include "bench.h"

enum { LIMIT = 2000000 };
static unsigned char composite[LIMIT];

int main(int argc, char **argv) {
  int repeats = argc > 1 ? atoi(argv[1]) : 1, primes = 0;
  int64_t start = nanoseconds();
  for (int r = 0; r < repeats; r++) {
    memset(composite, 0, sizeof composite);
    primes = 0;
    for (long i = 2; i < LIMIT; i++) {
      if (composite[i]) continue;
      primes++;
      for (long j = i * i; j < LIMIT; j += i) composite[j] = 1;
    }
  }
  int64_t elapsed = nanoseconds() - start;
  printf("%d primes\n", primes);
  report("sieve", elapsed, repeats);
  return 0;
}
