/*
 * Runs x87 instructions on the host. Reads 64-byte case records from stdin, writes 64-byte result records to stdout.
 *
 * case:   u8 op | u8 - | u16 control word | u16 condition codes before (status-word bits) | u16 - |
 *         @16 ST0 (10 bytes) | @32 ST1 (10 bytes) | @48 memory operand (10 bytes)
 * result: @0 ST0 after | @16 ST1 after | @32 memory after (10 bytes) | @48 u16 status word | @52 u32 EFLAGS
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct in {
  uint8_t op, pad0;
  uint16_t cw, cc, pad1;
  uint8_t pad2[8];
  uint8_t a[16], b[16], m[16];
};

struct out {
  uint8_t st0[16], st1[16], m[16];
  uint16_t sw, pad0;
  uint32_t eflags;
  uint8_t pad1[8];
};

struct env {
  uint32_t cw, sw, tag, rest[4];
};

#define RUN(code)                                                                                                     \
  asm volatile("fninit\n\tfldcw %[cw]\n\tfldt %[b]\n\tfldt %[a]\n\tfnclex\n\t"                                        \
               "fnstenv %[env]\n\torw %w[cc], %[esw]\n\tfldenv %[env]\n\t" code                                     \
               "\n\tfnstsw %[sw]\n\tpushfq\n\tpopq %[fl]\n\tfnclex\n\tfldcw %[dcw]\n\tfstpt %[r0]\n\tfstpt %[r1]\n\t" \
               "fninit"                                                                                               \
               : [r0] "=m"(out->st0), [r1] "=m"(out->st1), [sw] "=m"(out->sw), [m] "+m"(out->m), [fl] "=&r"(flags),   \
                 [env] "+m"(env), [esw] "+m"(env.sw)                                                                                     \
               : [a] "m"(in->a), [b] "m"(in->b), [cw] "m"(in->cw), [cc] "r"(in->cc), [dcw] "m"(default_cw)            \
               : "cc", "memory", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)")

static uint16_t default_cw = 0x037f;

__attribute__((noinline)) static void run(const struct in *in, struct out *out) {
  struct env env;
  uint64_t flags = 0;
  memset(out, 0, sizeof *out);
  memcpy(out->m, in->m, 16);
  switch (in->op) {
    case 0: RUN("fadd %%st(1), %%st"); break;
    case 1: RUN("fsub %%st(1), %%st"); break;
    case 2: RUN("fsubr %%st(1), %%st"); break;
    case 3: RUN("fmul %%st(1), %%st"); break;
    case 4: RUN("fdiv %%st(1), %%st"); break;
    case 5: RUN("fdivr %%st(1), %%st"); break;
    case 6: RUN("fsqrt"); break;
    case 7: RUN("fprem"); break;
    case 8: RUN("fprem1"); break;
    case 9: RUN("frndint"); break;
    case 10: RUN("fscale"); break;
    case 11: RUN("fxtract"); break;
    case 12: RUN("fabs"); break;
    case 13: RUN("fchs"); break;
    case 14: RUN("fcom %%st(1)"); break;
    case 15: RUN("fucom %%st(1)"); break;
    case 16: RUN("fcomi %%st(1), %%st"); break;
    case 17: RUN("fucomi %%st(1), %%st"); break;
    case 18: RUN("ftst"); break;
    case 19: RUN("fxam"); break;
    case 20: RUN("fsts %[m]"); break;
    case 21: RUN("fstl %[m]"); break;
    case 22: RUN("fists %[m]"); break;
    case 23: RUN("fistl %[m]"); break;
    case 24: RUN("fistpll %[m]"); break;
    case 25: RUN("fisttps %[m]"); break;
    case 26: RUN("fisttpl %[m]"); break;
    case 27: RUN("fisttpll %[m]"); break;
    case 28: RUN("fbstp %[m]"); break;
    case 29: RUN("flds %[m]"); break;
    case 30: RUN("fldl %[m]"); break;
    case 31: RUN("filds %[m]"); break;
    case 32: RUN("fildl %[m]"); break;
    case 33: RUN("fildll %[m]"); break;
    case 34: RUN("fbld %[m]"); break;
    case 35: RUN("fadds %[m]"); break;
    case 36: RUN("faddl %[m]"); break;
    case 37: RUN("fmuls %[m]"); break;
    case 38: RUN("fdivl %[m]"); break;
    case 39: RUN("fdivrs %[m]"); break;
    case 40: RUN("fcoms %[m]"); break;
    case 41: RUN("fcoml %[m]"); break;
    case 42: RUN("fld1"); break;
    case 43: RUN("fldl2t"); break;
    case 44: RUN("fldl2e"); break;
    case 45: RUN("fldpi"); break;
    case 46: RUN("fldlg2"); break;
    case 47: RUN("fldln2"); break;
    case 48: RUN("fldz"); break;
    case 50: RUN("f2xm1"); break;
    case 51: RUN("fyl2x"); break;
    case 52: RUN("fyl2xp1"); break;
    case 53: RUN("fptan"); break;
    case 54: RUN("fpatan"); break;
    case 55: RUN("fsin"); break;
    case 56: RUN("fcos"); break;
    case 57: RUN("fsincos"); break;
    default: out->sw = 0xffff;
  }
  out->eflags = (uint32_t)flags;
}

int main(void) {
  struct in in;
  struct out out;
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    run(&in, &out);
    fwrite(&out, sizeof out, 1, stdout);
  }
  return 0;
}
