/* What every measured program shares: the clock, the `T name seconds ops` line, and batches that last long enough. */
#ifndef BENCH_H
#define BENCH_H
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline int64_t nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Integers only, so that the line does not depend on floating-point formatting. */
static inline void report(const char *name, int64_t elapsed, int64_t operations) {
  printf("T %s %lld.%09lld %lld\n", name, (long long)(elapsed / 1000000000), (long long)(elapsed % 1000000000),
         (long long)operations);
  fflush(stdout);
}

static inline void unsupported(const char *name) {
  printf("T %s unsupported\n", name);
  fflush(stdout);
}

/*
 * Repeats the first batch for 0.3 s unmeasured: what is done once (further CPUs begin to run, hot code is translated again) is no
 * part of an operation. Then doubles the batch until one lasts 0.2 s, and reports that one: the machines compared differ by
 * factors of hundreds.
 */
static inline void measure(const char *name, void (*batch)(int64_t operations), int64_t first) {
  int64_t begin = nanoseconds();
  do batch(first);
  while (nanoseconds() - begin < 300000000);
  for (int64_t operations = first;; operations *= 2) {
    int64_t start = nanoseconds();
    batch(operations);
    int64_t elapsed = nanoseconds() - start;
    if (elapsed >= 200000000) {
      report(name, elapsed, operations);
      return;
    }
  }
}

static inline void die(const char *what) {
  perror(what);
  exit(1);
}

/* xorshift64: the same data on every machine. */
static inline uint64_t next_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}
#endif
