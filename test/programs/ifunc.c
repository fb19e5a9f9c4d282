/* CPUID and what hangs on it: leaves are consistent, an ifunc of our own is resolved, advertised instructions work. */
#include "test.h"
#include <cpuid.h>

static int wide(void) { return 42; }
static int narrow(void) { return 42; }
#ifdef __GLIBC__
static int (*resolve(void))(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") ? wide : narrow;
}
int chosen(void) __attribute__((ifunc("resolve")));
#else
static int chosen(void) { return (narrow)() + 0 * wide(); }
#endif

__attribute__((target("sse4.2"))) static unsigned crc(unsigned c, unsigned char b) { return __builtin_ia32_crc32qi(c, b); }
__attribute__((target("popcnt"))) static int population(uint64_t x) { return __builtin_popcountll(x); }
static int population_by_hand(uint64_t x) {
  int n = 0;
  for (; x; x &= x - 1) n++;
  return n;
}
static unsigned crc_by_hand(unsigned c, unsigned char b) {
  c ^= b;
  for (int i = 0; i < 8; i++) c = c >> 1 ^ (c & 1 ? 0x82f63b78 : 0);
  return c;
}

int main(void) {
  unsigned a, b, c, d, highest, extended;
  char vendor[13] = "";
  __cpuid(0, highest, b, c, d);
  memcpy(vendor, &b, 4), memcpy(vendor + 4, &d, 4), memcpy(vendor + 8, &c, 4);
  check("highest leaf", highest >= 7);
  check("vendor has 12 printable characters", strlen(vendor) == 12);
  __cpuid(0x80000000, extended, b, c, d);
  check("extended leaves", extended >= 0x80000001);
  __cpuid(1, a, b, c, d);
  check("x86-64 baseline", (d & (1 << 0)) && (d & (1 << 4)) && (d & (1 << 8)) && (d & (1 << 15)) && (d & (1 << 23)) && (d & (1 << 24)) && (d & (1 << 25)) && (d & (1 << 26)));
  check("OSXSAVE implies XSAVE", !(c & (1 << 27)) || (c & (1 << 26)));
  if (c & (1 << 27)) {
    unsigned low, high, size, offset;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    check("XCR0 has x87 and SSE", (low & 3) == 3 && high == 0);
    __cpuid_count(13, 0, a, b, c, d);
    check("leaf 13 names XCR0's components", (a & low) == low && b <= c && b >= 576);
    unsigned feature;
    __cpuid_count(7, 0, a, feature, c, d);
    check("PKU in XCR0 exactly when OSPKE", !(c & 16) == !(low & 0x200));
    if (low & 0x200) {
      __cpuid_count(13, 9, size, offset, c, d);
      __cpuid_count(13, 0, a, b, c, d);
      check("component 9", size == 8 && offset >= 576 && offset + size <= b);
    } else {
      puts("component 9: yes");
    }
  }
  printf("ifunc %d\n", chosen());
  __cpuid(1, a, b, c, d);
  int wrong = 0;
  uint64_t state = 3;
  for (int i = 0; i < 1000; i++) {
    uint64_t x = next_random(&state);
    if (c & (1 << 23)) wrong += population(x) != population_by_hand(x);
    if (c & (1 << 20)) wrong += crc((unsigned)x, (unsigned char)(x >> 40)) != crc_by_hand((unsigned)x, (unsigned char)(x >> 40));
    if (c & (1 << 22)) {
      uint32_t swapped, word = (uint32_t)x;
      __asm__("movbe %1, %0" : "=r"(swapped) : "m"(word));
      wrong += swapped != __builtin_bswap32(word);
    }
    if (c & (1 << 19)) {
      uint64_t out;
      __asm__("movq %1, %%xmm0; movq %1, %%xmm1; .byte 0x66,0x0f,0x38,0x29,0xc1; movq %%xmm0, %0" : "=r"(out) : "r"(x) : "xmm0", "xmm1");
      wrong += out != ~0ull;
    }
  }
  printf("advertised instructions wrong %d\n", wrong);
  return failures + wrong != 0;
}
