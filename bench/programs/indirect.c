/* Indirect calls and jumps: a bytecode machine that dispatches through a table of labels, and calls through pointers. */
#include "bench.h"

typedef uint32_t (*Function)(uint32_t);
static uint32_t add(uint32_t x) { return x + 0x9e3779b9; }
static uint32_t mix(uint32_t x) { return x ^ x >> 15; }
static uint32_t multiply(uint32_t x) { return x * 2246822519u; }
static uint32_t turn(uint32_t x) { return x << 7 | x >> 25; }
static uint32_t flip(uint32_t x) { return ~x; }
static uint32_t swap(uint32_t x) { return __builtin_bswap32(x); }
static uint32_t less(uint32_t x) { return x - (x >> 3); }
static uint32_t same(uint32_t x) { return x; }
static Function functions[8] = {add, mix, multiply, turn, flip, swap, less, same};

static uint32_t interpret(const unsigned char *code, int rounds) {
  static const void *labels[] = {&&op_add, &&op_xor, &&op_shift, &&op_multiply, &&op_swap, &&op_loop};
  uint32_t a = 1, b = 2;
  const unsigned char *pc = code;
  goto *labels[*pc++];
op_add:
  a += b;
  goto *labels[*pc++];
op_xor:
  b ^= a;
  goto *labels[*pc++];
op_shift:
  a = a << 5 | a >> 27;
  goto *labels[*pc++];
op_multiply:
  b = b * 5 + 1;
  goto *labels[*pc++];
op_swap: {
  uint32_t t = a;
  a = b;
  b = t;
}
  goto *labels[*pc++];
op_loop:
  if (--rounds == 0) return a ^ b;
  pc = code;
  goto *labels[*pc++];
}

int main(void) {
  uint64_t state = 5;
  unsigned char code[257], order[256];
  for (int i = 0; i < 256; i++) code[i] = (unsigned char)(next_random(&state) % 5), order[i] = (unsigned char)(next_random(&state) % 8);
  code[256] = 5;
  int64_t start = nanoseconds();
  uint32_t result = interpret(code, 40000);
  int64_t middle = nanoseconds();
  uint32_t x = 1;
  for (int i = 0; i < 10000000; i++) x = functions[order[i & 255]](x);
  int64_t end = nanoseconds();
  printf("%08x %08x\n", result, x);
  report("indirect_jump", middle - start, 1);
  report("indirect_call", end - middle, 1);
  return 0;
}
