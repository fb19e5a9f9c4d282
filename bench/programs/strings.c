/* libc's string functions over short and long, aligned and unaligned strings; whatever variant its ifuncs choose. */
#include "bench.h"

static char haystack[1 << 16], copy[1 << 16];
static volatile uint64_t sink;

static void lengths(void) {
  uint64_t sum = 0;
  for (int round = 0; round < 20; round++)
    for (int i = 0; i < 16384; i++) sum += strlen(haystack + sizeof haystack - 1 - (i & 1023)) + strlen(haystack + 65000 + (i & 63));
  sink = sum;
}

static void copies(void) {
  for (int round = 0; round < 20; round++)
    for (int i = 0; i < 16384; i++) memcpy(copy + (i * 13 & 4095), haystack + (i * 7 & 4095), (size_t)(i & 511));
  for (int i = 0; i < 200; i++) memmove(copy + (i & 15), copy + (i & 7) + 3, 60000);
  sink = (unsigned char)copy[12345];
}

static void searches(void) {
  uint64_t sum = 0;
  for (int round = 0; round < 20; round++)
    for (int i = 0; i < 4096; i++) {
      const char *found = strchr(haystack + i * 8, 'z');
      sum += found ? (uint64_t)(found - haystack) : 1;
      found = memchr(haystack + i * 8, 'y', 300);
      sum += found ? (uint64_t)(found - haystack) : 2;
    }
  for (int i = 0; i < 40; i++) {
    const char *found = strstr(haystack + i * 100, "needle in it");
    sum += found ? (uint64_t)(found - haystack) : 3;
  }
  sink = sum;
}

static void comparisons(void) {
  uint64_t sum = 0;
  memcpy(copy, haystack, sizeof copy);
  copy[65000] ^= 1;
  for (int round = 0; round < 20; round++)
    for (int i = 0; i < 16384; i++) sum += (uint64_t)(memcmp(copy + (i & 4095), haystack + (i & 4095), 200) != 0) + (strcmp(copy + 65200 + (i & 127), haystack + 65200 + (i & 127)) == 0);
  for (int i = 0; i < 200; i++) sum += (uint64_t)(memcmp(copy, haystack, sizeof copy) > 0);
  sink = sum;
}

static void fills(void) {
  for (int round = 0; round < 20; round++)
    for (int i = 0; i < 16384; i++) memset(copy + (i * 5 & 4095), i & 255, (size_t)(i & 255));
  sink = (unsigned char)copy[3000];
}

int main(void) {
  static const struct { const char *name; void (*run)(void); } parts[] = {
      {"strlen", lengths}, {"memcpy", copies}, {"search", searches}, {"compare", comparisons}, {"memset", fills}};
  uint64_t state = 7;
  for (size_t i = 0; i < sizeof haystack - 1; i++) haystack[i] = (char)('a' + next_random(&state) % 25 % 24);
  for (size_t i = 500; i < sizeof haystack - 1; i += 997) haystack[i] = i % 2 ? 'z' : 'y';
  memcpy(haystack + 60000, "needle in it", 12);
  int64_t total = 0;
  for (int i = 0; i < 5; i++) {
    int64_t start = nanoseconds();
    parts[i].run();
    total += nanoseconds() - start;
    printf("%s %llu\n", parts[i].name, (unsigned long long)sink);
  }
  report("strings", total, 1);
  return 0;
}
