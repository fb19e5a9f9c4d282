/*
 * Runs SSE instructions on the host. Reads 64-byte case records from stdin, writes 64-byte result records to stdout.
 *
 * case:   u8 op | u8 - | u16 - | u32 MXCSR | @16 destination operand (16 bytes) | @32 source operand (16 bytes)
 * result: @0 destination (16 bytes) | @16 u64 integer register | @24 u32 MXCSR after | @28 u32 EFLAGS | @32 u32 trapped
 *
 * A trapped instruction leaves destination and register as they were; its MXCSR is the one the signal frame holds.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

struct in {
  uint8_t op, pad0[3];
  uint32_t mxcsr;
  uint8_t pad1[8];
  uint8_t a[16], b[16], pad2[16];
};

struct out {
  uint8_t r[16];
  uint64_t gpr;
  uint32_t mxcsr, eflags, trapped, pad[7];
};

static sigjmp_buf env;
static volatile uint32_t trap_mxcsr;

static void on_fpe(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  trap_mxcsr = ((ucontext_t *)context)->uc_mcontext.fpregs->mxcsr;
  siglongjmp(env, 1);
}

static uint32_t default_mxcsr = 0x1f80;

/* xmm0 is the destination, xmm1 the source, rax the integer register */
#define RUN(code)                                                                                                     \
  asm volatile("movups %[a], %%xmm0\n\tmovups %[b], %%xmm1\n\tmovq %[b], %%rax\n\tldmxcsr %[mx]\n\t" code             \
               "\n\tpushfq\n\tpopq %[fl]\n\tstmxcsr %[after]\n\tldmxcsr %[dmx]\n\t"                                   \
               "movups %%xmm0, %[r]\n\tmovq %%rax, %[g]"                                                              \
               : [r] "=m"(out->r), [g] "=m"(out->gpr), [after] "=m"(out->mxcsr), [fl] "=&r"(flags)                    \
               : [a] "m"(in->a), [b] "m"(in->b), [mx] "m"(in->mxcsr), [dmx] "m"(default_mxcsr)                        \
               : "rax", "xmm0", "xmm1", "cc", "memory")
#define PREDICATES(base, name)                                           \
  case base + 0: RUN(name " $0, %%xmm1, %%xmm0"); break;                 \
  case base + 1: RUN(name " $1, %%xmm1, %%xmm0"); break;                 \
  case base + 2: RUN(name " $2, %%xmm1, %%xmm0"); break;                 \
  case base + 3: RUN(name " $3, %%xmm1, %%xmm0"); break;                 \
  case base + 4: RUN(name " $4, %%xmm1, %%xmm0"); break;                 \
  case base + 5: RUN(name " $5, %%xmm1, %%xmm0"); break;                 \
  case base + 6: RUN(name " $6, %%xmm1, %%xmm0"); break;                 \
  case base + 7: RUN(name " $7, %%xmm1, %%xmm0"); break;
#define MODES(base, name)                                                \
  PREDICATES(base, name)                                                 \
  case base + 8: RUN(name " $8, %%xmm1, %%xmm0"); break;                 \
  case base + 9: RUN(name " $9, %%xmm1, %%xmm0"); break;                 \
  case base + 10: RUN(name " $10, %%xmm1, %%xmm0"); break;               \
  case base + 11: RUN(name " $11, %%xmm1, %%xmm0"); break;               \
  case base + 12: RUN(name " $12, %%xmm1, %%xmm0"); break;

__attribute__((noinline)) static void run(const struct in *in, struct out *out) {
  uint64_t flags = 0;
  switch (in->op) {
    case 0: RUN("addss %%xmm1, %%xmm0"); break;
    case 1: RUN("subss %%xmm1, %%xmm0"); break;
    case 2: RUN("mulss %%xmm1, %%xmm0"); break;
    case 3: RUN("divss %%xmm1, %%xmm0"); break;
    case 4: RUN("sqrtss %%xmm1, %%xmm0"); break;
    case 5: RUN("minss %%xmm1, %%xmm0"); break;
    case 6: RUN("maxss %%xmm1, %%xmm0"); break;
    case 7: RUN("comiss %%xmm1, %%xmm0"); break;
    case 8: RUN("ucomiss %%xmm1, %%xmm0"); break;
    case 9: RUN("cvtss2sd %%xmm1, %%xmm0"); break;
    case 10: RUN("cvtss2si %%xmm1, %%eax"); break;
    case 11: RUN("cvttss2si %%xmm1, %%eax"); break;
    case 12: RUN("cvtss2si %%xmm1, %%rax"); break;
    case 13: RUN("cvttss2si %%xmm1, %%rax"); break;
    case 14: RUN("cvtsi2ssl %%eax, %%xmm0"); break;
    case 15: RUN("cvtsi2ssq %%rax, %%xmm0"); break;
    case 16: RUN("dpps $0xff, %%xmm1, %%xmm0"); break;
    case 17: RUN("dpps $0x71, %%xmm1, %%xmm0"); break;
    case 18: RUN("addps %%xmm1, %%xmm0"); break;
    case 19: RUN("divps %%xmm1, %%xmm0"); break;
    case 20: RUN("mulps %%xmm1, %%xmm0"); break;
    case 21: RUN("cvtps2dq %%xmm1, %%xmm0"); break;
    PREDICATES(24, "cmpss")
    MODES(32, "roundss")
    case 64: RUN("addsd %%xmm1, %%xmm0"); break;
    case 65: RUN("subsd %%xmm1, %%xmm0"); break;
    case 66: RUN("mulsd %%xmm1, %%xmm0"); break;
    case 67: RUN("divsd %%xmm1, %%xmm0"); break;
    case 68: RUN("sqrtsd %%xmm1, %%xmm0"); break;
    case 69: RUN("minsd %%xmm1, %%xmm0"); break;
    case 70: RUN("maxsd %%xmm1, %%xmm0"); break;
    case 71: RUN("comisd %%xmm1, %%xmm0"); break;
    case 72: RUN("ucomisd %%xmm1, %%xmm0"); break;
    case 73: RUN("cvtsd2ss %%xmm1, %%xmm0"); break;
    case 74: RUN("cvtsd2si %%xmm1, %%eax"); break;
    case 75: RUN("cvttsd2si %%xmm1, %%eax"); break;
    case 76: RUN("cvtsd2si %%xmm1, %%rax"); break;
    case 77: RUN("cvttsd2si %%xmm1, %%rax"); break;
    case 78: RUN("cvtsi2sdl %%eax, %%xmm0"); break;
    case 79: RUN("cvtsi2sdq %%rax, %%xmm0"); break;
    case 80: RUN("dppd $0x33, %%xmm1, %%xmm0"); break;
    case 81: RUN("dppd $0x12, %%xmm1, %%xmm0"); break;
    PREDICATES(88, "cmpsd")
    MODES(96, "roundsd")
    default: out->trapped = 0xffffffff;
  }
  out->eflags = (uint32_t)flags;
}

int main(void) {
  struct in in;
  struct out out;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_fpe;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGFPE, &action, NULL);
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    memset(&out, 0, sizeof out);
    if (sigsetjmp(env, 0) == 0) run(&in, &out);
    else {
      asm volatile("ldmxcsr %0" : : "m"(default_mxcsr));
      memset(&out, 0, sizeof out);
      memcpy(out.r, in.a, 16);
      memcpy(&out.gpr, in.b, 8);
      out.mxcsr = trap_mxcsr;
      out.trapped = 1;
    }
    fwrite(&out, sizeof out, 1, stdout);
  }
  return 0;
}
