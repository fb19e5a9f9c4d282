/* Self-modifying code: rewrites a function in a writable and executable page, and calls it, again and again. */
#include "bench.h"
#include <sys/mman.h>

typedef uint32_t (*Function)(uint32_t);
static unsigned char *page;
static uint32_t value;

/* mov eax, edi; imul eax, eax, imm32; add eax, imm32; ret */
static void write_function(uint32_t factor, uint32_t addend) {
  unsigned char code[] = {0x89, 0xf8, 0x69, 0xc0, 0, 0, 0, 0, 0x05, 0, 0, 0, 0, 0xc3};
  memcpy(code + 4, &factor, 4);
  memcpy(code + 9, &addend, 4);
  memcpy(page, code, sizeof code);
}

static void rewrite(int64_t operations) {
  value = 1;
  for (int64_t i = 0; i < operations; i++) {
    write_function((uint32_t)i | 1, (uint32_t)i * 7);
    value = ((Function)page)(value);
  }
}

int main(void) {
  page = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) die("mmap");
  rewrite(1000);
  uint32_t expected = 1;
  for (uint32_t i = 0; i < 1000; i++) expected = expected * (i | 1) + i * 7;
  printf("%08x %s\n", value, value == expected ? "ok" : "wrong");
  measure("selfmodify", rewrite, 1000);
  return 0;
}
