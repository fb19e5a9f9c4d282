/* 50 million FNV-1a steps over a 4 KiB buffer: one load, one xor and one multiplication each, in a dependent chain. */
#include "bench.h"

int main(int argc, char **argv) {
  int64_t steps = argc > 1 ? atoll(argv[1]) : 50000000;
  unsigned char data[4096];
  for (int i = 0; i < 4096; i++) data[i] = (unsigned char)(i * 31 + 7);
  uint64_t hash = 14695981039346656037u;
  int64_t start = nanoseconds();
  for (int64_t i = 0; i < steps; i++) hash = (hash ^ data[i & 4095]) * 1099511628211u;
  int64_t elapsed = nanoseconds() - start;
  printf("%016llx\n", (unsigned long long)hash);
  report("hash", elapsed, 1);
  return 0;
}
